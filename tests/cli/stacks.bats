#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The call stacks of a program whose functions we know, in every view.

bats_require_minimum_version 1.5.0

setup_file()
{
	[ "$EUID" -eq 0 ] || skip "tracing needs root"
	: "${MALLOCPATH:=$BATS_TEST_DIRNAME/../../build/mallocpath}"
	: "${WORKLOADS:=$BATS_TEST_DIRNAME/../../build/tests/workload}"
	export MALLOCPATH
	export trace=$BATS_FILE_TMPDIR/trace.mpt
	"$MALLOCPATH" record -o "$trace" -- "$WORKLOADS/wrapped" 2>"$BATS_FILE_TMPDIR/stderr"
	"$MALLOCPATH" report "$trace" --view json -n 0 >"$BATS_FILE_TMPDIR/all.json"
}

# says FILTER: it holds for the JSON report
says()
{
	jq -e "$1" "$BATS_FILE_TMPDIR/all.json"
}

# sum_of PATTERN ARG...: calls in the table's rows that match
sum_of()
{
	local pattern=$1
	shift
	"$MALLOCPATH" report "$trace" -n 0 -v --bytes "$@" | awk -v p="$pattern" '$0 ~ p { n += $4 } END { print n + 0 }'
}

@test "json: from malloc's caller out to main, inlined functions where they are" {
	says '[.sites[] | select(.frames[0].function == "my_own_alloc" and .calls > 0) | .frames | map(.function) |
		.[0:index("main") + 1]] | sort == [
			["my_own_alloc", "from_here", "main"],
			["my_own_alloc", "read_into", "main"],
			["my_own_alloc", "small_step", "from_there", "main"]]'
	says '[.sites[].frames[] | select(.function == "small_step") | .inlined] | length > 0 and all'
	says '[.sites[] | select(.frames[0].function == "my_own_alloc" and .calls > 0) | .stack_end == "whole" and
		.shown == 0 and .frames[-1].object != null] | all'
	says '[.sites[] | select(.frames[0].function == "my_own_alloc") | .calls] | add == 21'
}

@test "json: almost all stacks are whole" {
	says '.loss.stack_ends | .whole / add > 0.95'
	says '.loss.stacks_truncated == (.loss.stack_ends | add - .whole)'
}

@test "table: one row a shown frame; --stacks shows them one by one" {
	[ "$(sum_of 'my_own_alloc')" -eq 21 ]
	[ "$("$MALLOCPATH" report "$trace" -n 0 | grep -c 'my_own_alloc')" -eq 1 ]
	[ "$("$MALLOCPATH" report "$trace" -n 0 --stacks | grep -A1 'B .* my_own_alloc' |
		grep -c '^ *< \(from_here\|small_step\|read_into\)[+ ]')" -eq 3 ]
	[ "$("$MALLOCPATH" report "$trace" -n 0 --stacks | grep -c '< main+')" -ge 3 ]
}

@test "--skip: a wrapper's sites are shown by who called it" {
	[ "$(sum_of 'my_own_alloc' --skip 'my_own_*')" -eq 0 ]
	[ "$(sum_of ' from_here' --skip 'my_own_*')" -eq 10 ]
	[ "$(sum_of ' small_step' --skip 'my_own_*')" -eq 10 ]
	[ "$(sum_of ' from_there' --skip 'my_own_*' --skip small_step)" -eq 10 ]
	[ "$("$MALLOCPATH" report "$trace" --view json --skip 'my_own_*' |
		jq '[.sites[] | select(.frames[0].function == "my_own_alloc" and .calls > 0) | .shown] | add')" -eq 3 ]
}

@test "read(2) touched what it read into" {
	says '[.sites[] | select(.frames[0].function == "read(2)") |
		[.frames[].function] | index("read_into") != null and index("main") != null] | any'
	run -0 "$MALLOCPATH" report "$trace" --view tree --skip 'my_own_*' \
		--site "$(jq '.sites[] | select(.frames[1].function == "read_into" and .calls > 0).id' "$BATS_FILE_TMPDIR/all.json")"
	[[ "$output" == *"pages first touched at read(2), from read_into+"*"wrapped.c:"* ]]
	[[ "$output" == *"call stack"*"read_into+"*"wrapped.c:"*"main+"*"wrapped.c:"* ]]
}
