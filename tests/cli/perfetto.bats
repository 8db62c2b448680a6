#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The timeline, decoded by protoc: its slices nest, and it tells the same as the report of the same file.

bats_require_minimum_version 1.5.0

setup()
{
	: "${MALLOCPATH:=$BATS_TEST_DIRNAME/../../build/mallocpath}"
	: "${WORKLOADS:=$BATS_TEST_DIRNAME/../../build/tests/workload}"
	tests=$BATS_TEST_DIRNAME/..
	cd "$BATS_TEST_TMPDIR"
}

# agrees FILE [--falls]: its timeline with its report; --falls: live bytes must have been more than at the end
agrees()
{
	"$MALLOCPATH" report "$1" --view perfetto -o timeline
	"$MALLOCPATH" report "$1" --view json --blocks -n 0 -o report.json
	python3 "$tests/cli/timeline.py" timeline report.json "${@:2}"
}

@test "traces with faults, forks, lost events and a process that is killed" {
	python3 "$tests/golden/make.py" .
	for trace in lazy attached forked stacked killed trimmed; do
		agrees $trace.mpt
		[ "$(stat -c %a timeline)" = 600 ]
	done
}

@test "a program's threads, calls and names" {
	[ "$(id -u)" -eq 0 ] || skip "tracing needs root"
	"$MALLOCPATH" record -q -o t.mpt -- "$WORKLOADS/wrapped"
	agrees t.mpt
	protoc -I"$tests/cli" --decode=perfetto.protos.Trace "$tests/cli/perfetto.proto" <timeline >text
	for word in 'process_name: "wrapped"' 'name: "fault anon"' 'name: "page allocation"' 'name: "brk inside malloc"' \
		'name: "live bytes"' 'str: "my_own_alloc'; do
		grep -q "$word" text || { echo "no $word"; return 1; }
	done
}

@test "programs that give back, and one whose live bytes end below their peak" {
	[ "$(id -u)" -eq 0 ] || skip "tracing needs root"
	"$MALLOCPATH" record -q -o t.mpt -- "$WORKLOADS/trim"
	agrees t.mpt
	# much within the last moment, too, and of more than a moment's length
	PYTHONMALLOC=malloc "$MALLOCPATH" record -q -o t.mpt -- \
		python3 -c 'strings = [str(i) for i in range(100000)]'
	agrees t.mpt --falls
}

@test "it is a view of recordings: others say so; a full disk is told" {
	run --separate-stderr "$MALLOCPATH" --view perfetto -- true
	[ "$status" -eq 2 ]
	[[ "$stderr" == *"mallocpath report FILE --view perfetto"* ]]
	python3 "$tests/golden/make.py" .
	run --separate-stderr "$MALLOCPATH" report lazy.mpt --view perfetto -o /dev/full
	[ "$status" -eq 1 ]
	[[ "$stderr" == *"No space left on device"* ]]
	run --separate-stderr "$MALLOCPATH" report /nonexistent --view perfetto
	[ "$status" -eq 1 ]
	[ "${#stderr_lines[@]}" -eq 1 ]
}
