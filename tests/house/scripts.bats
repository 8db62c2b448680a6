#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The scripts that judge are judged here: they must see what they are there for.

setup()
{
	cd "$BATS_TEST_DIRNAME/../.."
	. scripts/lib.sh
}

# verdict STATUS TAP: what tap_counts makes of it
verdict()
{
	printf '%b' "$2" >"$BATS_TEST_TMPDIR/log"
	tap_counts "$BATS_TEST_TMPDIR/log" "$1" 2>"$BATS_TEST_TMPDIR/reason" | xargs
}

@test "counts: passed, failed, skipped" {
	[ "$(verdict 0 '1..2\nok 1 - a\nok 2 - b\n')" = "pass 2 0 0" ]
	[ "$(verdict 1 '1..2\nok 1 - a\nnot ok 2 - b\n')" = "fail 1 1 0" ]
	[ "$(verdict 0 '1..2\nok 1 - a\nok 2 b # skip no mTHP here\n')" = "pass 1 0 1" ]
}

@test "counts: several plans in one log are added" {
	[ "$(verdict 0 '1..1\nok 1 - a\n1..2\nok 1 - b\nok 2 - c\n')" = "pass 3 0 0" ]
}

@test "counts: a skip without a reason fails" {
	[ "$(verdict 0 '1..2\nok 1 - a\nok 2 b # skip\n')" = "fail 1 1 0" ]
	[ "$(verdict 0 '1..2\nok 1 - a\nok 2 # SKIP test_name\n')" = "fail 1 1 0" ]
}

@test "counts: a plan not kept, a bad status, no test at all fail" {
	[ "$(verdict 0 '1..3\nok 1 - a\nok 2 - b\n')" = "fail 2 1 0" ]
	grep -q '2 of 3 planned' "$BATS_TEST_TMPDIR/reason"
	[ "$(verdict 0 'ok 1 - a\n')" = "fail 1 1 0" ]
	[ "$(verdict 139 '1..1\nok 1 - a\n')" = "fail 1 1 0" ]
	[ "$(verdict 0 '1..0\n')" = "fail 0 1 0" ]
	[ "$(verdict 0 '')" = "fail 0 1 0" ]
}

@test "splats: each kind is seen" {
	while read -r line; do
		run scripts/splats <<<"[   12.345678] $line"
		[ "$status" -eq 1 ] || { echo "not seen: $line"; return 1; }
		[ "$output" = "[   12.345678] $line" ]
	done <<-'SPLATS'
		BUG: kernel NULL pointer dereference, address: 0000000000000008
		BUG: Bad page map in process sh  pte:ffff00aa pmd:12345
		BUG: sleeping function called from invalid context at mm/memory.c:100
		kernel BUG at mm/rmap.c:1200!
		WARNING: CPU: 1 PID: 77 at kernel/events/uprobes.c:500 foo+0x1/0x2
		WARNING: mm/page_alloc.c:4000 at __alloc_pages+0x1/0x2, CPU#0: sh/12
		WARNING: possible circular locking dependency detected
		WARNING: suspicious RCU usage
		Oops: 0000 [#1] PREEMPT SMP NOPTI
		general protection fault, probably for non-canonical address: 0000 [#1] SMP NOPTI
		watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [sh:12]
		rcu: INFO: rcu_sched self-detected stall on CPU
		INFO: task sh:12 blocked for more than 120 seconds.
		KASAN: slab-use-after-free in foo
		Kernel panic - not syncing: Fatal exception
	SPLATS
}

@test "splats: an ordinary log has none" {
	run scripts/splats <<-'LOG'
		[    0.000000] Linux version 6.1.0 (gcc) #1 SMP PREEMPT_DYNAMIC
		[    1.000000] traps: w[77] general protection fault ip:55d0 sp:7ffd error:0 in w[55d0+1000]
		[    2.000000] w[78]: segfault at 0 ip 000055d0 sp 00007ffd error 4 in w[55d0+1000]
		[    3.000000] Out of memory: Killed process 79 (w) total-vm:1000kB
		[    4.000000] systemd[1]: DEBUG: nothing
		[    5.000000] DMAR: debug: no
	LOG
	[ "$status" -eq 0 ]
	[ -z "$output" ]
}

@test "config: a library that is absent is named, with the remedy" {
	cat >"$BATS_TEST_TMPDIR/cc" <<-'CC'
		#!/bin/sh
		for word; do
			[ "$word" != -lyajl ] || exit 1
		done
		exec gcc "$@"
	CC
	chmod +x "$BATS_TEST_TMPDIR/cc"
	CC=$BATS_TEST_TMPDIR/cc run scripts/config "$BATS_TEST_TMPDIR/out"
	[ "$status" -eq 1 ]
	[[ "$output" == *"cannot compile with: yajl; run scripts/setup"* ]]
	[ ! -e "$BATS_TEST_TMPDIR/out/config.mk" ]
}

@test "setup: with everything installed it says and does nothing" {
	run scripts/setup
	[ "$status" -eq 0 ]
	[ -z "$output" ]
	run scripts/setup --nonsense
	[ "$status" -eq 2 ]
}

@test "install and uninstall leave DESTDIR as it was" {
	run make -s install DESTDIR="$BATS_TEST_TMPDIR/root" prefix=/usr
	[ "$status" -eq 0 ]
	[ -x "$BATS_TEST_TMPDIR/root/usr/bin/mallocpath" ]
	[ -f "$BATS_TEST_TMPDIR/root/usr/share/doc/mallocpath/LICENSE" ]
	cmp build/mallocpath "$BATS_TEST_TMPDIR/root/usr/bin/mallocpath"
	run make -s uninstall DESTDIR="$BATS_TEST_TMPDIR/root" prefix=/usr
	[ "$status" -eq 0 ]
	[ -z "$(find "$BATS_TEST_TMPDIR/root" -type f)" ]
}
