#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# mallocpath trace: the steps of a program that says them itself.

bats_require_minimum_version 1.5.0

setup()
{
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	cd "$BATS_TEST_DIRNAME/../.."
	program=${MALLOCPATH:-build/mallocpath}
	steps=build/tests/workload/steps
	out=$BATS_TEST_TMPDIR/out
	said=$BATS_TEST_TMPDIR/said
}

# in_order: every line of $said begins a step of $out, each behind the one before
in_order()
{
	awk 'NR == FNR { want[++n] = $0; next }
		{ step = $0; sub(/^ *[0-9.]+ [0-9\/]+ +/, "", step) }
		at < n && index(step, want[at + 1]) == 1 { at++ }
		END { if (at < n) { print "not found: " want[at + 1]; exit 1 } }' "$said" "$out"
}

@test "each step is told, in order, with addresses and page frame numbers" {
	run -7 --separate-stderr "$program" trace -o "$out" -- "$steps"
	printf '%s\n' "$output" >"$said"
	[ "$(wc -l <"$said")" -ge 14 ]
	in_order
	[[ ${stderr_lines[-1]} =~ ^mallocpath:\ ([0-9]+)\ steps\ shown,\ 0\ events\ lost$ ]]
	[ "${BASH_REMATCH[1]}" -eq "$(wc -l <"$out")" ]
}

@test "a step that was not taken is not found: the test can fail" {
	run -7 --separate-stderr "$program" trace -q -o "$out" -- "$steps"
	printf '%s\n' "$output" "free(0x1234)" >"$said"
	! in_order
}

@test "a recording gives the same steps" {
	run -7 --separate-stderr "$program" record -q -o "$out.mpt" -- "$steps"
	printf '%s\n' "$output" >"$said"
	"$program" trace -q "$out.mpt" >"$out"
	in_order
}

@test "--only, --min-size and --function choose" {
	run -7 --separate-stderr "$program" trace -q --only malloc --min-size 3M -o "$out" -- "$steps"
	[ "$(wc -l <"$out")" -eq 2 ]
	grep -q ' malloc(3145728) = 0x[0-9a-f]* mmap ' "$out"
	grep -q ' realloc(0x[0-9a-f]*, 6291456) = ' "$out"
	run -7 --separate-stderr "$program" trace -q --function main --only fault -o "$out" -- "$steps"
	[ "$(grep -c ' fault ' "$out")" -ge 3 ]
	[ "$(grep -vc ' fault ' "$out")" -eq 0 ]
	run -7 --separate-stderr "$program" trace -q --only fault,free -o "$out" -- "$steps"
	[ "$(grep -c ' fault ' "$out")" -ge 3 ]
	[ "$(grep -c ' free(' "$out")" -ge 1 ]
	[ "$(grep -Evc ' fault | free\(' "$out")" -eq 0 ]
	run -7 --separate-stderr "$program" trace -q --function no_such_function -o "$out" -- "$steps"
	[ ! -s "$out" ]
}

@test "--stacks shows who called" {
	run -7 --separate-stderr "$program" trace -q --stacks --only malloc --min-size 3M -o "$out" -- "$steps"
	grep -A4 ' malloc(3145728)' "$out" | grep -q '^ \{28\}main+'
	grep -A4 ' malloc(3145728)' "$out" | grep -q '^ \{28\}_start+'
}

@test "a reader that goes away does not disturb the command" {
	run bash -c "'$program' trace -q -- sh -c \"'$steps' >/dev/null; sleep 1; echo done >'$out'; exit 5\" |
		head -n 1; exit \${PIPESTATUS[0]}"
	[ "$status" -eq 5 ]
	[ "${#lines[@]}" -eq 1 ]
	grep -q done "$out"
}

@test "a full disk is told" {
	run -1 bash -c "'$program' trace -q -- '$steps' 2>&1 >/dev/full"
	[[ $output == *"No space left on device"* ]]
}

@test "mistakes are told" {
	run -2 "$program" trace
	[[ $output == *"what is to be traced?"* ]]
	run -2 "$program" trace --only mallocs -- true
	[[ $output == *"--only mallocs: some of malloc, free, grow"* ]]
	run -2 "$program" trace --min-size 1X -- true
	[[ $output == *"--min-size 1X: give a number of bytes"* ]]
	run -2 "$program" trace -p 1 file
	[[ $output == *"not both"* ]]
}
