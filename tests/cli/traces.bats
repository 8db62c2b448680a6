#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Trace files as the tool writes them: read by another reader, and what is left of one that was not
# written to its end.

bats_require_minimum_version 1.5.0

setup()
{
	: "${MALLOCPATH:=$BATS_TEST_DIRNAME/../../build/mallocpath}"
	tests=$BATS_TEST_DIRNAME/..
	children=()
	cd "$BATS_TEST_TMPDIR"
	[ "$(id -u)" -eq 0 ] || skip "needs root"
}

teardown()
{
	((${#children[@]} == 0)) || kill -KILL "${children[@]}" 2>/dev/null || true
}

# as_version_1 FILE OUT: by the other reader, which checks all that can be checked
as_version_1()
{
	{ printf 'MPTRACE\n\1\0\0\0\4\3\2\1' && head -c 16 /dev/zero && python3 "$tests/mpt.py" events "$1"; } >"$2"
}

json()
{
	"$MALLOCPATH" report "$1" --view json --pages --blocks
}

@test "what record writes is as docs/FORMAT.md has it, at every level" {
	for level in 0 1; do
		"$MALLOCPATH" record -q --compress $level -o t.mpt -- bash -c :
		as_version_1 t.mpt old.mpt
		[ "$(json t.mpt | md5sum)" = "$(json old.mpt | md5sum)" ]
		[ "$(json t.mpt | jq '[.sites[].calls] | add')" -gt 100 ]
		if ((level)); then
			(($(stat -c %s t.mpt) * 4 < $(stat -c %s old.mpt)))
		else
			(($(stat -c %s t.mpt) > $(stat -c %s old.mpt)))
		fi
	done
	run "$MALLOCPATH" record --compress 13 -o t.mpt -- true
	[ "$status" -eq 2 ]
	[[ "$output" == *"--compress 13"* ]]
}

@test "the recorder is killed: what it wrote until a second before can be read" {
	python3 -c 'import time
while True:
	keep = [bytearray(20000) for _ in range(50)]
	time.sleep(0.01)' 3>&- &
	children+=($!)
	"$MALLOCPATH" record -q -o t.mpt -p $! 3>&- &
	recorder=$!
	children+=("$recorder")
	for _ in $(seq 600); do # frames behind the header, and more of them as time goes by
		[ ! -e t.mpt ] || (($(stat -c %s t.mpt) < 20000)) || break
		sleep 0.1
	done
	kill -KILL "$recorder"
	wait "$recorder" || true
	run --separate-stderr "$MALLOCPATH" report t.mpt --view json
	[ "$status" -eq 0 ]
	[[ "$stderr" == *"t.mpt was not written to its end"* ]]
	[ "$(jq '[.sites[].calls] | add' <<<"$output")" -gt 100 ]
}

@test "the disk is full: it is told, and what was written can be read" {
	mkdir small
	mount -t tmpfs -o size=320k tmpfs small || skip "no tmpfs can be mounted"
	run --separate-stderr "$MALLOCPATH" record -q --compress 0 -o small/t.mpt -- \
		bash -c 'for i in {1..5000}; do a[i]=$i; done'
	told=$stderr recorded=$status
	run --separate-stderr "$MALLOCPATH" report small/t.mpt --view json
	umount small
	[ "$recorded" -eq 1 ]
	[[ "$told" == *"cannot write small/t.mpt: No space left on device"*"free space or choose another -o"* ]]
	[ "$status" -eq 0 ]
	[[ "$stderr" == *"small/t.mpt was not written to its end"* ]]
	[ "$(jq '[.sites[].calls] | add' <<<"$output")" -gt 100 ]
}
