#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# mallocpath vmas without and, in a virtual machine (scripts/vm K --module), with the kernel module.

bats_require_minimum_version 1.5.0

setup()
{
	: "${MALLOCPATH:=$BATS_TEST_DIRNAME/../../build/mallocpath}"
	[ "$(id -u)" -eq 0 ] # run them as root
	# a machine without systemd may not have done so
	[ "$(stat -fc %t /sys/kernel/debug)" = 64626720 ] || mount -t debugfs debugfs /sys/kernel/debug
	root=/sys/kernel/debug/mallocpath
	sleep 300 3>&- &
	pid=$!
}

teardown()
{
	kill "$pid"
}

without_module()
{
	[ ! -e $root ] || skip "the kernel module is loaded"
}

with_module()
{
	[ -e $root/status ] || skip "the kernel module is not loaded: scripts/vm K --module"
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

@test "without the module: what to do, and 3" {
	without_module
	run --separate-stderr "$MALLOCPATH" vmas -p "$pid"
	refused 3 insmod modprobe docs/MODULE.md
}

@test "without debugfs: what to do, and 3" {
	run --separate-stderr unshare -m sh -c 'umount -l /sys/kernel/debug 2>/dev/null
		exec "$@"' - "$MALLOCPATH" vmas -p "$pid"
	refused 3 "mount -t debugfs"
}

@test "without the privilege: 3" {
	run --separate-stderr setpriv --reuid=65534 --clear-groups --bounding-set=-all \
		--inh-caps=-all "$MALLOCPATH" vmas -p "$pid"
	refused 3 "ermi" sudo
}

@test "a command, another view, a file that cannot be written, no target" {
	run --separate-stderr "$MALLOCPATH" vmas -- true
	refused 2 "-p PID"
	run --separate-stderr "$MALLOCPATH" vmas -p "$pid" --view tree
	refused 2 table json
	run --separate-stderr "$MALLOCPATH" vmas -p "$pid" -o /nonexistent/x
	refused 1 /nonexistent/x
	run --separate-stderr "$MALLOCPATH" vmas
	[ "$status" -eq 2 ]
}

@test "doctor tells whether the module is there" {
	run "$MALLOCPATH" doctor
	[ "$status" -eq 0 ]
	if [ -e $root/status ]; then
		[[ $output == *"kernel module: loaded, version "* ]]
	else
		[[ $output == *"kernel module: not loaded"*docs/MODULE.md* ]]
	fi
}

@test "a report without the module says so in JSON, and nothing else" {
	without_module
	run --separate-stderr "$MALLOCPATH" --view json -- true
	[ "$status" -eq 0 ]
	jq -e '.host.module == false and .loss.module_mismatch_pages == null and
		(has("module_mismatches") | not)' <<<"$output"
	run --separate-stderr "$MALLOCPATH" -- true
	[[ $output != *audit* && $stderr != *module* ]]
}

@test "the table: every mapping of maps, and nothing is tracked before or after" {
	with_module
	run --separate-stderr "$MALLOCPATH" vmas -p "$pid"
	[ "$status" -eq 0 ]
	[[ $stderr == *"-d SEC"* ]]
	diff <(cut -d' ' -f1 "/proc/$pid/maps" | grep -v ^ffffffff) \
		<(grep -oE '^[0-9a-f]+-[0-9a-f]+' <<<"$output")
	[[ $output == *"[heap]"*"[stack]"*"total"* ]]
	[ "$(wc -l <$root/track)" -eq 1 ]
}

@test "JSON: pages are those of smaps; faults are counted from when it is tracked" {
	with_module
	echo "$pid" >$root/track
	run --separate-stderr "$MALLOCPATH" vmas -p "$pid" --view json
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
	rss=$(awk '/^Rss:/ { n += $2 } END { print n / 4 }' "/proc/$pid/smaps")
	anon=$(awk '/^Anonymous:/ { n += $2 } END { print n / 4 }' "/proc/$pid/smaps")
	jq -e --argjson rss "$rss" --argjson anon "$anon" '.schema == "mallocpath.vmas/1" and
		([.processes[0].vmas[].present_pages] | add) == $rss and
		([.processes[0].vmas[].anon_pages] | add) == $anon and
		.processes[0].tracked_since_ns > 0 and .processes[0].tracked_since_ns < .t_ns and
		(.processes[0] | has("gone") and has("unplaced"))' <<<"$output"
	grep -q "^$pid " $root/track # it was not we who tracked it
	echo "-$pid" >$root/track
}

@test "-d counts faults for so long, and Ctrl-C ends it with the numbers" {
	with_module
	sh -c 'while :; do x=$(echo a); done' 3>&- &
	busy=$!
	run --separate-stderr "$MALLOCPATH" vmas -p $busy -d 2 --view json
	[ "$status" -eq 0 ]
	jq -e '[.processes[0] | (.vmas[], .gone) | .minor] | add > 0' <<<"$output"
	run --separate-stderr timeout -s INT 3 "$MALLOCPATH" vmas -p $busy -d 100
	kill $busy
	[ "$status" -eq 124 ]
	[[ $output == *"total"* ]]
	[ "$(wc -l <$root/track)" -eq 1 ]
}

@test "with the module: no such process, a kernel thread, one that ended" {
	with_module
	run --separate-stderr "$MALLOCPATH" vmas -p 2
	refused 1 "process 2" "kernel thread"
	run --separate-stderr "$MALLOCPATH" vmas -p 999999
	refused 1 "process 999999" "ps -e"
	sleep 1 3>&- &
	run --separate-stderr "$MALLOCPATH" vmas -p $! -d 3
	[ "$status" -eq 1 ]
	[[ $stderr == *"ended"* ]]
}

@test "with the module: too much is tracked" {
	with_module
	ko=${MALLOCPATH_VM_DIR:?}/module/mallocpath.ko
	rmmod mallocpath
	insmod "$ko" memory_limit=4096
	run --separate-stderr "$MALLOCPATH" vmas -p "$pid"
	rmmod mallocpath
	insmod "$ko"
	refused 1 memory_limit
}

@test "reports are audited: of a living process in table and JSON, at an exit not" {
	with_module
	run --separate-stderr "$MALLOCPATH" -p "$pid" -d 1
	[ "$status" -eq 0 ]
	[[ $output =~ audit:\ the\ kernel\ module\ walked\ [0-9,]+\ pages,\ and\ agrees ]]
	run --separate-stderr "$MALLOCPATH" --view json -p "$pid" -d 1
	jq -e '.host.module and .loss.module_mismatch_pages == 0 and .checks.module_pages > 0 and
		.module_mismatches == []' <<<"$output"
	run --separate-stderr "$MALLOCPATH" --view json -- true
	jq -e '.host.module and .loss.module_mismatch_pages == null and
		.module_mismatches == null' <<<"$output"
	[ "$(wc -l <$root/track)" -eq 1 ]
}
