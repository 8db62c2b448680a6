#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# mallocpath xray: what it refuses, and what its views say. That they are true is tests/xray's matter.

bats_require_minimum_version 1.5.0

setup()
{
	: "${MALLOCPATH:=$BATS_TEST_DIRNAME/../../build/mallocpath}"
	sleep 300 3>&- &
	pid=$!
	for _ in {1..100}; do
		[ "$(readlink "/proc/$pid/exe")" = "$(readlink -f "$(command -v sleep)")" ] && break
		sleep 0.05
	done
	sleep 0.2 # its malloc has begun by then
}

teardown()
{
	kill "$pid"
}

# refused STATUS: with one line on stderr that holds all the other arguments, and nothing else
refused()
{
	[ "$status" -eq "$1" ] || { echo "status $status: $stderr"; return 1; }
	[ -z "$output" ]
	[ "$(wc -l <<<"$stderr")" -eq 1 ]
	shift
	for word; do
		[[ $stderr == *"$word"* ]] || { echo "no '$word' in: $stderr"; return 1; }
	done
}

@test "a command, another view, a file that cannot be written, no target" {
	run --separate-stderr "$MALLOCPATH" xray -- true
	refused 2 "-p PID"
	run --separate-stderr "$MALLOCPATH" xray -p "$pid" --view tree
	refused 2 table json
	run --separate-stderr "$MALLOCPATH" xray -p "$pid" -o /nonexistent/x
	refused 1 /nonexistent/x
	run --separate-stderr "$MALLOCPATH" xray
	[ "$status" -eq 2 ]
}

@test "no such process, and one that is no program" {
	run --separate-stderr "$MALLOCPATH" xray -p 999999
	refused 1 999999
	run --separate-stderr "$MALLOCPATH" xray -p 2
	[ "$status" -ne 0 ]
	[ -z "$output" ]
}

@test "frozen already by another: said, and it goes on" {
	[ "$(id -u)" -eq 0 ] # run them as root
	gdb -q -batch -ex 'shell sleep 3' -p "$pid" >/dev/null 2>&1 3>&- &
	gdb=$!
	for _ in {1..100}; do
		grep -q '^TracerPid:.0$' "/proc/$pid/status" || break
		sleep 0.05
	done
	run --separate-stderr "$MALLOCPATH" xray --freeze -p "$pid"
	wait $gdb
	refused 3 "$pid" traces --freeze
}

@test "two processes; sums and arenas in the table, a map with --pages" {
	run --separate-stderr "$MALLOCPATH" xray -p "$pid,$pid" --pages
	[ "$status" -eq 0 ] || { echo "$stderr"; return 1; }
	[ "$(grep -c "^process $pid (sleep)" <<<"$output")" -eq 2 ]
	for word in '^live   ' '^total ' 'malloc_trim(0)' '^main ' '^pages, 1 a character'; do
		[ "$(grep -c "$word" <<<"$output")" -eq 2 ] || { echo "$word: $output"; return 1; }
	done
	run --separate-stderr "$MALLOCPATH" xray -p "$pid"
	[[ $output != *character* ]]
}

@test "json: the books of the arenas are those of the total; -o writes a private file" {
	file=$BATS_TEST_TMPDIR/x.json
	run --separate-stderr "$MALLOCPATH" xray -p "$pid" --view json --blocks -o "$file"
	[ "$status" -eq 0 ] && [ -z "$output" ]
	[ "$(stat -c %a "$file")" = 600 ]
	jq -e '.schema == "mallocpath.xray/1" and (.processes[0] | (.frozen | not) and
		(.partial | not) and .comm == "sleep" and (.blocks | length) == .total.books.live.chunks
		and ([.arenas[], .mapped | .books.live.bytes] | add) == .total.books.live.bytes
		and ([.blocks[].usable] | add) == .total.books.live.bytes)' "$file"
	run --separate-stderr "$MALLOCPATH" xray -p "$pid" --view json --freeze
	jq -e '.processes[0] | .frozen and (has("blocks") or has("map") | not)' <<<"$output"
}
