#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The scanner for kernel splats, against logs: those with a kernel's release in their name are cut
# from a real one.

setup()
{
	cd "$BATS_TEST_DIRNAME/../.."
	cases=tests/house/splats
}

@test "every log with a splat is seen, and what is printed comes from it" {
	count=0
	for log in $cases/splat/*.log; do
		run scripts/splats <"$log"
		[ "$status" -eq 1 ] || { echo "$log: status $status"; return 1; }
		while read -r line; do
			grep -qaF -- "$line" "$log" || { echo "$log: not in it: $line"; return 1; }
		done <<<"$output"
		count=$((count + 1))
	done
	[ "$count" -ge 30 ]
}

@test "each headline is seen by itself" {
	count=0
	while read -r line; do
		run scripts/splats <<<"[   12.345678] $line"
		[ "$status" -eq 1 ] || { echo "not seen: $line"; return 1; }
		count=$((count + 1))
	done <$cases/headlines
	[ "$count" -ge 30 ]
}

# A report interleaved with others, or cut off, is still one.
@test "the headline alone is enough" {
	for log in $cases/splat/*.log; do
		case $log in
		# the stack is all that tells
		*/allocation-failure.log | */after-oom.log) continue ;;
		esac
		run bash -c "grep -avE 'Call Trace:|cut here|end trace' '$log' | scripts/splats"
		[ "$status" -eq 1 ] || { echo "$log: status $status"; return 1; }
	done
}

@test "the stack alone is enough" {
	for what in 'Call Trace:' '------------[ cut here ]------------'; do
		run scripts/splats <<<"[    1.000000] $what"
		[ "$status" -eq 1 ]
	done
}

@test "an ordinary log has none" {
	count=0
	for log in $cases/clean/*.log; do
		run scripts/splats <"$log"
		[ "$status" -eq 0 ] || { echo "$log: status $status: $output"; return 1; }
		[ -z "$output" ]
		count=$((count + 1))
	done
	[ "$count" -ge 5 ]
}

@test "a splat anywhere in an ordinary log is seen" {
	boot=("$cases"/clean/boot-*.log)
	for log in $cases/splat/*.log; do
		run bash -c "cat '${boot[0]}' '$log' '${boot[0]}' | scripts/splats"
		[ "$status" -eq 1 ] || { echo "$log"; return 1; }
	done
}

@test "a scanner that cannot search does not say clean" {
	run scripts/splats <"$BATS_TEST_TMPDIR" # a directory cannot be read
	[ "$status" -ne 0 ] || { echo "an unreadable log passed"; return 1; }
	mkdir "$BATS_TEST_TMPDIR/bin"
	printf '#!/bin/sh\nexit 2\n' >"$BATS_TEST_TMPDIR/bin/grep"
	chmod +x "$BATS_TEST_TMPDIR/bin/grep"
	PATH=$BATS_TEST_TMPDIR/bin:$PATH run scripts/splats <<<"[    1.000000] fine"
	[ "$status" -eq 2 ]
}
