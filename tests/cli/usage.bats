#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# How the command line answers: help, versions, wrong words, and where its output goes.

bats_require_minimum_version 1.5.0

setup()
{
	: "${MALLOCPATH:=$BATS_TEST_DIRNAME/../../build/mallocpath}"
	cd "$BATS_TEST_TMPDIR"
}

# usage_error ARG...: exit 2, nothing on stdout, and at least one line that names the program
usage_error()
{
	run --separate-stderr "$MALLOCPATH" "$@"
	echo "status $status, stderr: $stderr"
	[ "$status" -eq 2 ]
	[ -z "$output" ]
	[[ "$stderr" == *mallocpath* ]]
}

@test "--help: exit 0, on stdout, with every command and the common options" {
	run --separate-stderr "$MALLOCPATH" --help
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
	for word in "Usage:" -p --view --output --duration record report doctor; do
		[[ "$output" == *"$word"* ]] || { echo "not told: $word"; return 1; }
	done
}

@test "every command has --help" {
	for command in record report doctor; do
		run --separate-stderr "$MALLOCPATH" "$command" --help
		[ "$status" -eq 0 ] || { echo "$command"; return 1; }
		[[ "$output" == *"Usage:"* ]]
	done
}

@test "--version: one line, exit 0" {
	run --separate-stderr "$MALLOCPATH" --version
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq 1 ]
	[[ "$output" == mallocpath* ]]
}

@test "nothing asked: usage, exit 2" {
	usage_error
}

@test "an unknown option is named" {
	usage_error --no-such-option
	[[ "$stderr" == *no-such-option* ]]
}

@test "--cgroup: one target, for tracing and for record" {
	usage_error --cgroup
	usage_error --cgroup ''
	[[ "$stderr" == *"/proc/PID/cgroup"* ]]
	usage_error --cgroup foo -p 1
	[[ "$stderr" == *"--cgroup PATH or -p PID, not both"* ]]
	usage_error --cgroup foo -- true
	[[ "$stderr" == *"--cgroup PATH or -- CMD, not both"* ]]
	for command in doctor vmas xray; do
		usage_error "$command" --cgroup foo
		[[ "$stderr" == *"'--cgroup'"* ]]
	done
}

@test "what a command would not look at it does not take" {
	local commands option words
	# an option, the commands that have it, and what else it wants
	while IFS=: read -r option commands; do
		for command in record report symbolize trace top explain diff doctor vmas xray; do
			run -0 "$MALLOCPATH" "$command" --help
			if [[ " $commands " == *" $command "* ]]; then
				[[ "$output" == *"$option"* ]]
				continue
			fi
			[[ "$output" != *"$option"* ]]
			words=("$option")
			[[ $option != *= ]] || words=("${option}1")
			usage_error "$command" "${words[@]}"
			[[ "$stderr" == *"unrecognized option '${words[0]}'"* ]]
		done
	done <<-END
		--view=:report diff vmas xray
		--history:report
		--fail-over=:diff
		--fail-if=:report
		--only=:trace
		--min-size=:trace
		--function=:trace
		--interval=:top
		--compress=:record symbolize
		--freeze:xray
		--metric=:report top diff
		--pages:report xray
	END
}

@test "--at: one of now, exit, peak; the peak is found in a recording" {
	usage_error --at later -p 1
	[[ "$stderr" == *"now, exit, peak"* ]]
	usage_error --at peak -- true
	[[ "$stderr" == *"mallocpath report FILE --at peak"* ]]
	usage_error record -o x.mpt --at peak -- true
	[ ! -e x.mpt ]
}

@test "an unknown command is named" {
	usage_error frobnicate
	[[ "$stderr" == *frobnicate* ]]
}

@test "an option without its value" {
	usage_error -p
	usage_error -p 1 -o
	usage_error -p 1 --view
}

@test "a PID that is not one is named" {
	for pid in abc 0 -1 1x '' 99999999999999999999 ' ' 1,,2 1, ,1 0x10; do
		usage_error -p "$pid"
		[[ "$stderr" == *"$pid"* ]]
	done
}

@test "a duration that is not one" {
	for seconds in abc -1 nan 1x '' inf 1e99; do
		usage_error -p $$ -d "$seconds"
	done
}

@test "an unknown view is named, with those there are" {
	usage_error -p $$ --view nonsense
	[[ "$stderr" == *nonsense* && "$stderr" == *table* && "$stderr" == *json* ]]
}

@test "numbers are checked: --top" {
	for n in abc -1 '' 1x 99999999999999999999; do
		usage_error -p $$ --top "$n"
	done
}

@test "a PID and a command exclude each other" {
	usage_error -p $$ -- true
}

@test "report: needs a file, and one only" {
	usage_error report
	usage_error report a b
}

@test "report: a file that does not exist: exit 1, one line, its name and why" {
	run --separate-stderr "$MALLOCPATH" report no-such-file.mpt
	[ "$status" -eq 1 ]
	[ -z "$output" ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ "$stderr" == *no-such-file.mpt* && "$stderr" == *"No such file"* ]]
}

@test "report: a directory, an empty file, text: exit 1, one line" {
	mkdir dir
	: >empty
	echo "just text, not a trace" >text
	for file in dir empty text; do
		run --separate-stderr "$MALLOCPATH" report "$file"
		echo "$file: $status $stderr"
		[ "$status" -eq 1 ]
		[ -z "$output" ]
		[ "${#stderr_lines[@]}" -eq 1 ]
		[[ "$stderr" == *"$file"* ]]
	done
}

@test "record: needs -o" {
	usage_error record -p $$
	[[ "$stderr" == *-o* ]]
}

@test "help to a full device: exit 1, not silence" {
	[ -w /dev/full ]
	run bash -c '"$0" --help >/dev/full' "$MALLOCPATH"
	[ "$status" -eq 1 ]
	[[ "$output" == *"No space left"* ]]
}

# golden_trace NAME: the trace of that name among the golden tests
golden_trace()
{
	echo "$BATS_TEST_DIRNAME/../fuzz/corpus/decode/$1.mpt"
}

@test "--fail-if: exit 1 and a line that says why, only when the condition holds" {
	local trace value
	trace=$(golden_trace lazy)
	value=$("$MALLOCPATH" report --view json "$trace" | jq '[.processes[].books.block_bytes] | add')
	[ "$value" -gt 0 ]
	for held in "block_bytes<$((value + 1))" "block_bytes<=$value" "block_bytes>=$value" \
		"block_bytes>$((value - 1))"; do
		run --separate-stderr "$MALLOCPATH" report --fail-if "$held" "$trace"
		[ "$status" -eq 1 ] || { echo "$held: status $status"; return 1; }
		[[ "$stderr" == *"failed: block_bytes is"* ]]
		[ -n "$output" ] # the report is there all the same
	done
	for not in "block_bytes<$value" "block_bytes>$value" "block_bytes>=$((value + 1))"; do
		run --separate-stderr "$MALLOCPATH" report --fail-if "$not" "$trace"
		[ "$status" -eq 0 ] || { echo "$not: status $status"; return 1; }
		[[ "$stderr" != *failed* ]]
	done
	run "$MALLOCPATH" report --fail-if "block_bytes<$value" --fail-if "block_bytes>=$value" "$trace"
	[ "$status" -eq 1 ]
}

@test "--fail-if: what is no metric, no comparison or no number is wrong usage" {
	for wrong in "blocks<1" "block_bytes" "block_bytes=1" "block_bytes<" "block_bytes<1x" "<1" \
		"coverage<nan"; do
		usage_error report --fail-if "$wrong" "$(golden_trace lazy)"
	done
}

@test "-d with a command: the report is of that instant, the status the command's own" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	local begin=$SECONDS
	run -7 --separate-stderr "${MALLOCPATH:-build/mallocpath}" -d 0.5 --view json -o "$BATS_TEST_TMPDIR/out" \
		-- sh -c 'until [ -s "$0" ]; do sleep 0.1; done; exit 7' "$BATS_TEST_TMPDIR/out"
	jq -e '.processes[0] | .at == "now" and (.exited | not)' "$BATS_TEST_TMPDIR/out"
	[[ $stderr == *" for 0.5 s, or until it ends"* ]]
	((SECONDS - begin < 60))
}
