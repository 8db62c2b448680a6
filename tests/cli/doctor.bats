#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# doctor shows the five hooks, or what stands in for them, firing by name while a malloc workload of
# its own runs. (tests/vm/hooks asserts the same of the fentry and the kprobe row.)

bats_require_minimum_version 1.5.0

setup()
{
	: "${MALLOCPATH:=$BATS_TEST_DIRNAME/../../build/mallocpath}"
	[ "$(id -u)" -eq 0 ] # these tests trace: run them as root
}

# field FIRST LAST WANTED: columns of the table's line for that kernel function
field()
{
	awk -v first="$1" -v last="$2" -v wanted="$3" \
		'substr($0, 22, length(wanted) + 1) == wanted " " {
			text = substr($0, first, last - first + 1)
			gsub(/^ +| +$/, "", text)
			print text
		}' <<<"$output"
}

# above LEAST WANTED: it was hit at least so often, by something that is named
above()
{
	local hits
	hits=$(field 56 61 "$2")
	[[ $hits =~ ^[0-9]+$ ]] && ((hits >= $1)) || { echo "$2: '$hits' hits"; return 1; }
	[ -n "$(field 45 54 "$2")" ] && [ "$(field 45 54 "$2")" != - ]
	[ -n "$(field 64 200 "$2")" ]
}

# The workload maps and touches 64 pages without huge pages (user/collect/exercise.c).
@test "the tracepoint row: what stands in for each of the five hooks fires" {
	run --separate-stderr "$MALLOCPATH" doctor --fault-source tracepoint
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
	above 64 handle_mm_fault
	above 64 do_anonymous_page
	above 64 __alloc_pages
	above 1 do_brk_flags
	above 1 mmap_region
	# what this row cannot count is told as not known
	[ "$(field 56 61 get_page_from_freelist)" = - ]
}

@test "the row that is chosen by itself fires too, and is named" {
	run --separate-stderr "$MALLOCPATH" doctor
	[ "$status" -eq 0 ]
	[[ "${lines[0]}" =~ "faults by the "(fentry|kprobe|tracepoint)" row" ]]
	for hook in handle_mm_fault do_anonymous_page __alloc_pages do_brk_flags mmap_region; do
		above 1 $hook
	done
}

@test "nothing of the workload stays behind" {
	run --separate-stderr "$MALLOCPATH" doctor
	[ "$status" -eq 0 ]
	[ -z "$(jobs -p)" ]
	run python3 "$BATS_TEST_DIRNAME/../safety/run" --left-behind
	[ -z "$output" ]
}

@test "whom the out-of-memory killer chooses is seen" {
	run --separate-stderr "$MALLOCPATH" doctor
	[ "$status" -eq 0 ]
	grep -qE '^out of memory +- +tracepoint +- +mark_victim' <<<"$output"
}
