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

@test "no such process, a thread of the kernel, a zombie" {
	run --separate-stderr "$MALLOCPATH" xray -p 999999999
	refused 1 999999999 "does not exist"
	run --separate-stderr "$MALLOCPATH" xray -p 2
	refused 1 "kernel thread"
	sh -c 'sleep 0.1 & echo $!; exec sleep 300' >"$BATS_TEST_TMPDIR/zombie" 3>&- &
	parent=$!
	for _ in {1..100}; do
		grep -qs '^State:.Z' "/proc/$(cat "$BATS_TEST_TMPDIR/zombie")/status" && break
		sleep 0.05
	done
	run --separate-stderr "$MALLOCPATH" xray -p "$(cat "$BATS_TEST_TMPDIR/zombie")"
	kill "$parent"
	refused 1 zombie
}

@test "a malloc that is not glibc's is named, and a 32-bit program is" {
	jemalloc=$(find /usr/lib -name 'libjemalloc.so.2' -print -quit)
	[ -n "$jemalloc" ] # scripts/setup installs it
	LD_PRELOAD=$jemalloc sleep 300 3>&- &
	other=$!
	for _ in {1..100}; do
		grep -qs libjemalloc "/proc/$other/maps" && break
		sleep 0.05
	done
	sleep 0.2
	run --separate-stderr "$MALLOCPATH" xray -p "$other"
	kill "$other"
	refused 1 "$other" libjemalloc.so.2 "glibc's"

	printf '.globl _start\n_start: mov $29, %%eax\nint $0x80\njmp _start\n' |
		as --32 -o "$BATS_TEST_TMPDIR/prog32.o" -
	ld -m elf_i386 -o "$BATS_TEST_TMPDIR/prog32" "$BATS_TEST_TMPDIR/prog32.o"
	"$BATS_TEST_TMPDIR/prog32" 3>&- &
	other=$!
	sleep 0.3
	[ -e "/proc/$other/exe" ] || skip "this kernel runs no 32-bit programs"
	run --separate-stderr "$MALLOCPATH" xray -p "$other"
	kill "$other"
	refused 1 "$other" "32-bit"
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

@test "attached to: an allocator that cannot be read is said, and tracing goes on" {
	[ "$(id -u)" -eq 0 ] # run them as root
	jemalloc=$(find /usr/lib -name 'libjemalloc.so.2' -print -quit)
	LD_PRELOAD=$jemalloc sleep 300 3>&- &
	other=$!
	for _ in {1..100}; do
		grep -qs libjemalloc "/proc/$other/maps" && break
		sleep 0.05
	done
	sleep 0.2
	run --separate-stderr "$MALLOCPATH" -p "$other" -d 0.1 --view json
	kill "$other"
	[ "$status" -eq 0 ]
	[[ $stderr == *"blocks from before are not known"*libjemalloc* ]] || { echo "$stderr"; return 1; }
	jq -e '.processes[0] | (has("xray") | not) and .books.metadata_bytes == null' <<<"$output"
}

@test "attached to: blocks from before, and --no-xray" {
	[ "$(id -u)" -eq 0 ] # run them as root
	run --separate-stderr "$MALLOCPATH" -p "$pid" -d 0.1 --view json --blocks
	[ "$status" -eq 0 ] || { echo "$stderr"; return 1; }
	jq -e '.processes[0] | .xray.seeded_blocks == (.blocks | length) and .xray.blocks_xray_only == 0 and
		.books.metadata_bytes > 0 and (.blocks | all(.requested == null and .site == null))' <<<"$output"
	run --separate-stderr "$MALLOCPATH" -p "$pid" -d 0.1 --view json --blocks --no-xray
	jq -e '.processes[0] | (has("xray") | not) and .blocks == []' <<<"$output"
	run --separate-stderr "$MALLOCPATH" -v -p "$pid" -d 0.1 --sort pinned
	[[ $output == *"blocks are from before the attach"* ]]
	[[ $output == *"X-ray of the heap"*"0 known are not there"* ]]
	[[ $output == *pinned*site* ]]
}
