#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# mallocpath explain: what it says of a block whose program tells where it is, and on which page frame.

bats_require_minimum_version 1.5.0

setup()
{
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	cd "$BATS_TEST_DIRNAME/../.."
	program=${MALLOCPATH:-build/mallocpath}
	one=build/tests/workload/one
	trace=$BATS_TEST_TMPDIR/one.mpt
}

# told: $output in one line
told()
{
	tr -s '\n ' ' ' <<<"$output"
}

@test "a block of a recording, by any of its addresses and by its page frame" {
	"$program" record -q -o "$trace" -- "$one" </dev/null >"$BATS_TEST_TMPDIR/said"
	read -r addr pfn <"$BATS_TEST_TMPDIR/said"
	run -0 --separate-stderr "$program" explain "$(printf '0x%x' $((addr + 50000)))" "$trace"
	[[ $(told) == *"byte 50000 of the block at $addr of 100000 bytes ("* ]]
	[[ $(told) == *" asked for it by malloc(), "* ]]
	[[ $(told) == *"so sysmalloc() moved the break with brk() first."* ]]
	[[ $output == *"    main+0x"*"    _start+0x"* ]]
	[[ $(told) == *"[heap], "*" brk() made it or grew it last"* ]]
	[[ $(told) == *"Page: page frame $pfn, that is physical address ${pfn}000"* ]]
	[[ $(told) == *"when the program touched it at main+0x"*"do_anonymous_page()"* ]]
	[ -z "$stderr" ]
	run -0 "$program" explain "pfn:$pfn" "$trace"
	[[ $(told) == *"Page: page frame $pfn, "* ]]
	[[ $(told) == *"On this page: 1 live block."*"$addr, 100000 bytes, of main+0x"* ]]
}

@test "a page of it that nobody has touched" {
	"$program" record -q -o "$trace" -- "$one" </dev/null >"$BATS_TEST_TMPDIR/said"
	read -r addr pfn <"$BATS_TEST_TMPDIR/said"
	run -0 "$program" explain "$(printf '0x%x' $((addr + 90000)))" "$trace"
	[[ $(told) == *"byte 90000 of the block at $addr "*"Page: none of its own."* ]]
}

@test "a process that runs: without tracing it" {
	coproc one_runs { exec "$one"; }
	read -r addr pfn <&"${one_runs[0]}"
	run -0 --separate-stderr "$program" explain "$(printf '0x%x' $((addr + 50000)))" -p "$one_runs_PID"
	exec {one_runs[1]}>&-
	[[ $(told) == *"byte 50000 of the block at $addr of 100008 usable bytes. "*"Nothing was traced: "* ]]
	[[ $(told) == *"Page: page frame $pfn, "*"who touched it first is not known."* ]]
	[[ $(told) == *"What only a trace tells:"* ]]
	[ -z "$stderr" ]
}

@test "mistakes are told" {
	run -2 "$program" explain zzz -p 1
	[[ $output == *"explain zzz: give an address (0x...) or a page frame (pfn:N) first"* ]]
	run -2 "$program" explain 0x1000
	[[ $output == *"give -p PID"* ]]
	run -2 "$program" explain
	run -1 "$program" explain 0x1000 -p $$
	[[ $output == *"0x1000: no process given has this address"* ]]
}
