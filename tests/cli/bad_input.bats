#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Bad input and bad luck: one line that names the thing, the cause and what to do, the right exit
# status (1 failed, 2 usage, 3 the kernel or the privilege lacks something), and nothing left behind.

bats_require_minimum_version 1.5.0

setup()
{
	: "${MALLOCPATH:=$BATS_TEST_DIRNAME/../../build/mallocpath}"
	tests=$BATS_TEST_DIRNAME/..
	workloads=${WORKLOADS:-$tests/../build/tests/workload}
	children=()
	cd "$BATS_TEST_TMPDIR"
}

teardown()
{
	((${#children[@]} == 0)) || kill -KILL "${children[@]}" 2>/dev/null || true
	left=$(python3 "$tests/safety/run" --left-behind)
	[ -z "$left" ] || { echo "left behind: $left"; return 1; }
}

as_root()
{
	[ "$(id -u)" -eq 0 ] || skip "needs root"
}

# fails STATUS WORD ARG...: exit STATUS, nothing on stdout, one line on stderr with WORD (a pattern)
fails()
{
	local want=$1 word=$2
	shift 2
	run --separate-stderr timeout -s KILL 120 "$MALLOCPATH" "$@" </dev/null
	echo "mallocpath $*: status $status"
	echo "stdout: $output"
	echo "stderr: $stderr"
	[ "$status" -eq "$want" ]
	[ -z "$output" ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ "$stderr" == "mallocpath: "* ]]
	[[ "$stderr" =~ $word ]]
}

# background COMMAND...: runs it; $child is its PID
background()
{
	"$@" </dev/null >/dev/null 2>&1 3>&- &
	child=$!
	children+=("$child")
}

# wait_exec PID NAME: until the process runs the program NAME
wait_exec()
{
	for _ in $(seq 500); do
		[ "$(cat "/proc/$1/comm" 2>/dev/null)" != "$2" ] || return 0
		sleep 0.02
	done
	echo "process $1 does not run $2"
	return 1
}

# assembles stdin to the static program $1, for as and ld with the options $2 and $3
assemble()
{
	as "$2" -o "$1.o" - && ld -m "$3" -o "$1" "$1.o"
}

no_malloc()
{
	assemble no_malloc --64 elf_x86_64 <<-'ASM'
		.globl _start
		_start: mov $34, %eax
		syscall
		jmp _start
	ASM
}

@test "no such PID" {
	as_root
	pid=$(cat /proc/sys/kernel/pid_max)
	[ ! -e "/proc/$pid" ]
	fails 1 "no process $pid.*ps -e" -p "$pid"
	fails 1 "no process $pid" record -o trace.mpt -p "$pid"
	run --separate-stderr "$MALLOCPATH" doctor -p "$pid"
	[ "$status" -eq 1 ]
	[ "${#stderr_lines[@]}" -eq 1 ]
	[[ "$stderr" == *"no process $pid"* ]]
}

@test "one of two PIDs does not exist" {
	as_root
	background sleep 100
	fails 1 "no process 4194304" -p "$child,4194304"
	kill -0 "$child"
}

@test "a thread is not a process: its process is named" {
	as_root
	mkdir w
	background "$workloads/steady" "$PWD/w" threads
	tid=
	for _ in $(seq 500); do
		tid=$(ls "/proc/$child/task" | grep -vx "$child" | head -n 1) || true
		[ -z "$tid" ] || break
		sleep 0.02
	done
	fails 1 "$tid is a thread of process $child" -p "$tid"
}

@test "a kernel thread" {
	as_root
	pid=$(ps -o pid= --ppid 2 | head -n 1 | tr -d ' ')
	[ -n "$pid" ] || skip "no kernel thread is visible in this container"
	fails 1 "kernel thread.*user process" -p "$pid"
}

@test "a zombie" {
	as_root
	# The shell becomes a program that never waits for the child the shell had.
	background bash -c '(until grep -qx sleep /proc/$$/comm; do sleep 0.02; done) & exec sleep 100'
	wait_exec "$child" sleep
	zombie=
	for _ in $(seq 500); do
		zombie=$(ps -o pid=,stat= --ppid "$child" | awk '$2 ~ /^Z/ { print $1 }')
		[ -z "$zombie" ] || break
		sleep 0.02
	done
	fails 1 "has ended.*zombie" -p "$zombie"
}

@test "not permitted: exit 3, and what is missing" {
	as_root
	# Where the tree itself may be closed to others.
	open=$(mktemp -d /tmp/mallocpath-nobody-XXXXXX)
	cp "$MALLOCPATH" "$open/mallocpath"
	chmod 755 "$open" "$open/mallocpath"
	background sleep 100
	bad=
	for args in "-p $child" "record -o /dev/null -p $child" "-- true"; do
		# shellcheck disable=SC2086 # the words of $args
		run --separate-stderr setpriv --reuid=65534 --regid=65534 --clear-groups \
			"$open/mallocpath" $args
		echo "$args: $status: $stderr"
		if [ "$status" -ne 3 ] || [ -n "$output" ] || [ "${#stderr_lines[@]}" -ne 1 ] ||
			[[ ! "$stderr" =~ CAP_BPF.*root ]]; then
			bad=1
		fi
	done
	rm -rf "$open"
	[ -z "$bad" ]
}

@test "a process that goes while it is attached to: 0 or 1, never worse" {
	as_root
	local every=3
	[ -z "${FULL:-}" ] || every=1
	for i in $(seq 1 "$every" 20); do
		background sleep "0.$(printf %03d $((i * 23)))"
		run --separate-stderr timeout -s KILL 120 "$MALLOCPATH" --view json -p "$child"
		echo "$i: $status: $stderr"
		case $status in
		0) [[ "$output" == *'"schema"'* ]] ;;
		1) [ -z "$output" ] && [[ "$stderr" == *"process $child"* ]] ;;
		*) return 1 ;;
		esac
	done
}

@test "a 32-bit program, running and launched" {
	as_root
	assemble prog32 --32 elf_i386 <<-'ASM'
		.globl _start
		_start: mov $29, %eax
		int $0x80
		jmp _start
	ASM
	background ./prog32
	wait_exec "$child" prog32 || skip "this kernel runs no 32-bit programs"
	fails 1 "32-bit programs are not supported.*64-bit" -p "$child"
	kill -0 "$child"
	fails 1 "32-bit" -- ./prog32
}

@test "a program without malloc, running and launched" {
	as_root
	no_malloc
	background ./no_malloc
	wait_exec "$child" no_malloc
	fails 1 "malloc.*--alloc" -p "$child"
	kill -0 "$child"
	fails 1 "malloc.*--alloc" -- ./no_malloc
}

@test "a program without malloc: its pages with --alloc=none" {
	as_root
	no_malloc
	background ./no_malloc
	wait_exec "$child" no_malloc
	run --separate-stderr "$MALLOCPATH" --alloc=none --view json -d 0.2 -p "$child"
	echo "$status: $stderr"
	[ "$status" -eq 0 ]
	jq -e '.processes[0].books.rss_bytes >= 4096 and .host.alloc_probes == "none"' <<<"$output"
}

@test "a static program: its malloc is found; stripped: it is said" {
	as_root
	gcc -O1 -static -o static "$tests/workload/lazy.c"
	run --separate-stderr "$MALLOCPATH" --view json -- ./static 3 <<<$'\n\n\n\n'
	echo "$status: $stderr"
	[ "$status" -eq 0 ]
	jq -se '.[-1].tiers | map(.calls) | add >= 1' <<<"${output#*freed}"
	strip -o stripped static
	fails 1 "stripped.*--alloc" -- ./stripped 3
}

@test "no debug info: object and offset instead of a name" {
	as_root
	cp "$workloads/sparse" bare
	strip bare
	run --separate-stderr "$MALLOCPATH" --view json -o report.json -- ./bare <<<''
	echo "$status: $stderr"
	[ "$status" -eq 0 ]
	jq -e '[.sites[] | select(.requested_bytes == 1073741824).frames[0]] | length == 1 and
		(.[0] | .function == null and (.object | endswith("/bare")) and
		 .offset != null)' report.json
}

@test "full disk: -o and standard output" {
	as_root
	mkdir full
	mount -t tmpfs -o size=64k tmpfs full
	head -c 200000 /dev/zero >full/filler || true
	background sleep 100
	wait_exec "$child" sleep
	run --separate-stderr "$MALLOCPATH" -q -d 0.1 --view json --pages -o full/report -p "$child"
	umount_after=$status
	first="$status: $stderr"
	run --separate-stderr "$MALLOCPATH" record -q -d 0.1 -o full/trace -p "$child"
	second="$status: $stderr"
	umount full
	echo "report $first"
	echo "record $second"
	[ "$umount_after" -eq 1 ]
	[[ "$first" =~ full/report.*"No space left".*free.*-o ]]
	[ "$status" -eq 1 ]
	[[ "$stderr" =~ full/trace.*"No space left".*free.*-o ]]
	[ "${#stderr_lines[@]}" -eq 1 ]
	run bash -c '"$0" -q -d 0.1 -p "$1" >/dev/full' "$MALLOCPATH" "$child"
	echo "stdout: $status: $output"
	[ "$status" -eq 1 ]
	[[ "$output" == *"No space left"* ]]
}

@test "-o to a device: its mode stays as it was" {
	as_root
	mknod null c 1 3
	chmod 666 null
	background sleep 100
	wait_exec "$child" sleep
	run "$MALLOCPATH" -q -d 0.1 -o null -p "$child"
	echo "$status: $output"
	[ "$status" -eq 0 ]
	[ "$(stat -c %a null)" = 666 ]
	run "$MALLOCPATH" record -q -d 0.1 -o null -p "$child"
	[ "$status" -eq 0 ]
	[ "$(stat -c %a null)" = 666 ]
}

@test "-o into a directory that is not there: told, and the command is not run" {
	as_root
	fails 1 "no/such/dir.*No such file.*-o" -o no/such/dir/report -- touch ran
	fails 1 "no/such/dir.*No such file.*-o" record -o no/such/dir/trace -- touch ran
	[ ! -e ran ]
}

@test "files hold addresses: -o makes them for their owner only" {
	as_root
	touch report.json
	chmod 644 report.json
	"$MALLOCPATH" -q -o report.json --view json -- true
	[ "$(stat -c %a report.json)" = 600 ]
	"$MALLOCPATH" record -q -o trace.mpt -- true
	[ "$(stat -c %a trace.mpt)" = 600 ]
}

@test "a trace cut anywhere: what is whole is shown, and the cut is told; never a crash" {
	as_root
	"$MALLOCPATH" record -q --compress 0 -o whole.mpt -- true
	size=$(stat -c %s whole.mpt)
	[ "$size" -gt 1000 ]
	for cut in 1 7 $((size / 3)) $((size / 2 + 3)) $((size - 1000)); do
		head -c $((size - cut)) whole.mpt >cut.mpt
		run --separate-stderr "$MALLOCPATH" report cut.mpt
		echo "$cut bytes less: $status: $stderr"
		[ "$status" -eq 0 ] || [ "$status" -eq 1 ]
		[ "${#stderr_lines[@]}" -le 1 ]
	done
	head -c $((size - 1)) whole.mpt >cut.mpt
	run --separate-stderr "$MALLOCPATH" report cut.mpt
	[ "$status" -eq 0 ]
	[[ "$stderr" == *cut.mpt*"not written to its end"* ]]
	[ -n "$output" ]
	head -c 20 whole.mpt >cut.mpt
	fails 1 "cut.mpt" report cut.mpt
	for cut in 40 80 120 200 400; do # of one that is compressed: within the end, the index, the events
		"$MALLOCPATH" record -q -o whole.mpt -- true
		head -c $(($(stat -c %s whole.mpt) - cut)) whole.mpt >cut.mpt
		run --separate-stderr "$MALLOCPATH" report cut.mpt
		[ "$status" -eq 0 ]
		[[ "$stderr" == *cut.mpt*"not written to its end"* ]]
	done
}

@test "a trace with broken bytes: an error with its offset, or a report; never a crash" {
	as_root
	"$MALLOCPATH" record -q -o whole.mpt -- true
	size=$(stat -c %s whole.mpt)
	for at in 0 8 12 32 34 40 100 $((size / 4)) $((size / 2)) $((size / 4 * 3)); do
		cp whole.mpt broken.mpt
		printf '\377\377\377\377\377\377\377\377' |
			dd of=broken.mpt bs=1 seek="$at" conv=notrunc status=none
		for view in table tree json html; do
			run --separate-stderr "$MALLOCPATH" report broken.mpt --view $view
			echo "at $at, $view: $status: $stderr"
			[ "$status" -eq 0 ] || [ "$status" -eq 1 ]
			[ "$status" -eq 0 ] || [[ "$stderr" == *broken.mpt* ]]
		done
	done
	cp whole.mpt broken.mpt
	printf '\1\0' | dd of=broken.mpt bs=1 seek=34 conv=notrunc status=none
	fails 1 "broken.mpt is corrupt at offset 32" report broken.mpt
	cp whole.mpt broken.mpt
	printf '\11' | dd of=broken.mpt bs=1 seek=8 conv=notrunc status=none
	fails 1 "version 9" report broken.mpt
	fails 1 "not a mallocpath trace" report "$(command -v bash)"
}

@test "a command that cannot be run: why, before anything else" {
	as_root
	echo 'int main;' >plain
	chmod 644 plain
	printf '#!/no/such/interpreter\n' >script
	chmod 755 script
	mkdir dir
	fails 1 "no-such-command.*not found" -- no-such-command
	fails 1 "no/such/path.*[nN]o such file" -- ./no/such/path
	fails 1 "plain.*not executable" -- ./plain
	fails 1 "dir" -- ./dir
	fails 1 "script.*interpreter" -- ./script
	fails 1 "" record -o trace.mpt -- no-such-command
}

@test "the command's own status, 0 to 255, and 128 + signal" {
	as_root
	for want in 0 1 2 3 4 42 255; do
		run "$MALLOCPATH" -q -- bash -c "exit $want"
		[ "$status" -eq "$want" ]
	done
	run "$MALLOCPATH" -q -- bash -c 'kill -TERM $$'
	[ "$status" -eq 143 ]
}

@test "--cgroup: none there, not a cgroup, threaded" {
	as_root
	fails 1 'no such cgroup; .*/proc/PID/cgroup' --cgroup no-such-cgroup -d 1
	fails 1 'no such cgroup' --cgroup /sys/fs/cgroup/no-such-cgroup -d 1
	mkdir dir
	fails 1 'of another file system; give one below' --cgroup "$PWD/dir" -d 1
	root=$(awk '/ - cgroup2 / { print $5; exit }' /proc/self/mountinfo)
	if [ -z "$root" ]; then
		root=$PWD/cgroup2
		mkdir "$root"
		mount -t cgroup2 none "$root"
	fi
	group=$root/mallocpath-bats-$$
	mkdir "$group" "$group/threads"
	echo threaded >"$group/threads/cgroup.type"
	fails 1 'it is threaded: .*give that one' --cgroup "${group##*/}/threads" -d 1
	rmdir "$group/threads" "$group"
	[ "$root" != "$PWD/cgroup2" ] || umount "$root"
}

@test "--cgroup of none: waits as long as it is told, and reports nobody; --at exit says who lives" {
	as_root
	root=$(awk '/ - cgroup2 / { print $5; exit }' /proc/self/mountinfo)
	[ -n "$root" ] || skip "no cgroup2 is mounted"
	group=$root/mallocpath-bats-$$
	mkdir "$group"
	run --separate-stderr "$MALLOCPATH" --cgroup "${group##*/}" -d 0.2 --view json
	[ "$status" -eq 0 ]
	[[ "$stderr" == *"0 processes now"* ]]
	[ "$(jq '.processes | length' <<<"$output")" -eq 0 ]
	background sleep 100
	echo "$child" >"$group/cgroup.procs"
	run --separate-stderr "$MALLOCPATH" --cgroup "/${group##*/}" -d 0.2 --at exit --view json
	[ "$status" -eq 0 ]
	[[ "$stderr" == *"1 process now"* ]]
	[[ "$stderr" == *"--at exit: 1 process has not ended: shown as of now"* ]]
	[ "$(jq -r '.processes[].at' <<<"$output")" = now ]
	kill -KILL "$child"
	wait "$child" || true
	rmdir "$group"
}
