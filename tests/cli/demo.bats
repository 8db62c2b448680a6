#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What scripts/demo shows is what life is like: its key facts, from its own output.

bats_require_minimum_version 1.5.0

setup_file()
{
	export demo_out=$BATS_FILE_TMPDIR/demo
	[ "$(id -u)" -ne 0 ] || (cd "$BATS_TEST_DIRNAME/../.." && scripts/demo --no-build) \
		>"$demo_out" 2>"$demo_out.err" || echo "exit status $?" >>"$demo_out.err"
}

setup()
{
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	cat "$demo_out" "$demo_out.err"
}

# bytes NUMBER UNIT
bytes()
{
	awk -v n="$1" -v u="$2" 'BEGIN {
		split("B KiB MiB GiB", unit)
		for (i = 1; unit[i] != u; i++)
			n *= 1024
		printf "%d", n
	}'
}

# row NAME: sets vsz, rss and resident from the line of the first experiment
row()
{
	read -r _ n1 u1 n2 u2 n3 u3 < <(grep -E "^ +$1 +[0-9]" "$demo_out")
	vsz=$(bytes "$n1" "$u1")
	rss=$(bytes "$n2" "$u2")
	resident=$(bytes "$n3" "$u3")
}

@test "it ends well and says nothing on stderr" {
	[ ! -s "$demo_out.err" ]
	grep -q '^Your turn' "$demo_out"
}

@test "malloc moves Vsz, the touch moves Rss, and mallocpath sees the same" {
	mib=1048576
	row start
	vsz0=$vsz rss0=$rss
	row malloced
	[ $((vsz - vsz0)) -ge $((99 * mib)) ]
	[ $((rss - rss0)) -le $((4 * mib)) ]
	[ "$resident" -le 8192 ]
	row touched
	[ $((rss - rss0)) -ge $((99 * mib)) ]
	[ "$resident" -eq $((100 * mib)) ]
	row freed
	[ $((rss - rss0)) -le $((4 * mib)) ]
	[ "$resident" -eq 0 ]
}

@test "1 KiB by brk, 256 KiB by mmap" {
	grep -A1 'small_block: malloc(1024)' "$demo_out" | grep -q 'heap.*grown by brk'
	grep -A1 'large_block: malloc(262144)' "$demo_out" | grep -q 'by mmap'
	[ "$(grep -cE 'page 0x[0-9a-f]+ is frame [1-9][0-9]* ' "$demo_out")" -eq 2 ]
}

@test "1 GiB asked for, one page resident" {
	grep -q 'This malloc: 1.0 GiB asked for, 4.0 KiB resident' "$demo_out"
}

@test "fork shares, writing copies: 512 of 2048 pages, and only they get another frame" {
	grep -qE '^ +written .*block: 204[0-9] present$' "$demo_out"
	grep -qE '^ +forked .*block: 204[0-9] shared_cow$' "$demo_out"
	grep -qE '^ +rewritten .*block: 51[0-9] present, 153[0-9] shared_cow$' "$demo_out"
	grep -qE 'fork changed the frame of 0 pages, the writes after it that of 51[0-9]\.' "$demo_out"
}

@test "the three beliefs are answered with numbers" {
	grep -q 'reserved 100.0 MiB of addresses and took [0-9]' "$demo_out"
	grep -q 'It uses 4.0 KiB: 1.0 GiB asked for' "$demo_out"
	ns=$(sed -nE 's/^ *One cost ([0-9]+) ns here.*/\1/p' "$demo_out")
	[ "$ns" -gt 20 ]
	[ "$ns" -lt 10000000 ]
	grep -qE "major faults, which wait for a disk: [0-9]+\." "$demo_out"
}

@test "the path of a malloc, and a real program's table" {
	grep -q 'large_block' "$demo_out"
	grep -q "rows: ${DEMO_ROWS:-100000}" "$demo_out"
	grep -q 'Rss .*=' "$demo_out"
	grep -qi 'sqlite3' "$demo_out"
}
