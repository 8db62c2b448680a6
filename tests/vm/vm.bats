#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The machinery of the VMs itself, on every supported kernel: results come out as they are, and a
# splat fails the run. About 10 s a boot under emulation.

# VM_TESTS=one: the first kernel only

setup_file()
{
	cd "$BATS_TEST_DIRNAME/../.."
	scripts/setup --vm
}

setup()
{
	cd "$BATS_TEST_DIRNAME/../.."
	first=$(scripts/kernels list | head -n 1)
}

kernels()
{
	scripts/kernels list | if [ "${VM_TESTS:-}" = one ]; then head -n 1; else cat; fi
}

# on_each FUNCTION: it is called with every series, all are tried, the failing ones are named
on_each()
{
	local series bad=
	for series in $(kernels); do
		"$1" "$series" || { echo "# failed on $series"; bad=1; }
	done
	[ -z "$bad" ]
}

# Everything one boot can show.
hands_through()
{
	local out=$BATS_TEST_TMPDIR/out err=$BATS_TEST_TMPDIR/err status=0 release
	release=$(cat "$(scripts/kernels image "$1")/release")
	# shellcheck disable=SC2016 # the guest's shell expands it
	scripts/vm "$1" --module=tests/vm/splat --memory 1G --cpus 1 -- sh -c '
		echo to stderr >&2
		uname -r
		id -u
		pwd
		nproc
		awk "/MemTotal/ { print (\$2 > 700000 && \$2 < 1100000) }" /proc/meminfo
		grep -c "^mp_splat " /proc/modules
		ls -d /sys/kernel/tracing/events /sys/kernel/debug/tracing /sys/fs/bpf
		echo "$1"
		echo kept >"$MALLOCPATH_VM_DIR/kept"
		echo lost >build/vm-was-here
		modprobe dummy && echo dummy
		exit 7' sh "a 'b'  \$c" >"$out" 2>"$err" || status=$?
	cat >"$BATS_TEST_TMPDIR/expected" <<-END
		$release
		0
		$PWD
		1
		1
		1
		/sys/fs/bpf
		/sys/kernel/debug/tracing
		/sys/kernel/tracing/events
		a 'b'  \$c
		dummy
	END
	[ "$status" -eq 7 ] || { cat "$err"; echo "status $status"; return 1; }
	diff "$BATS_TEST_TMPDIR/expected" "$out" || return 1
	[ "$(cat "$err")" = "to stderr" ] || { cat "$err"; return 1; }
	[ "$(cat "build/vm/$1/kept")" = kept ] || return 1
	[ ! -e build/vm-was-here ]
}

@test "output, status, directory, modules, file systems; what is written stays in the guest" {
	on_each hands_through
}

warning_fails()
{
	local status=0
	# shellcheck disable=SC2016 # the guest's shell expands it
	scripts/vm "$1" --module=tests/vm/splat -- sh -c 'rmmod mp_splat &&
		insmod "$MALLOCPATH_VM_DIR/module/mp_splat.ko" how=warn && echo it passed' \
		>"$BATS_TEST_TMPDIR/out" 2>&1 || status=$?
	[ "$status" -eq 120 ] || { cat "$BATS_TEST_TMPDIR/out"; echo "status $status"; return 1; }
	grep -q 'it passed' "$BATS_TEST_TMPDIR/out" &&
		grep -q 'WARNING: .*mp_splat.c' "$BATS_TEST_TMPDIR/out"
}

@test "a warning of the kernel fails a command that passed" {
	on_each warning_fails
}

@test "a panic is a failure of the machine, and shown" {
	run scripts/vm "$first" -- sh -c 'echo before; echo c >/proc/sysrq-trigger; sleep 60'
	[ "$status" -eq 125 ]
	[[ $output == *before* ]]
	[[ $output == *"Kernel panic"* ]]
}

@test "a machine that switches itself off has no result" {
	run scripts/vm "$first" -- sh -c 'echo o >/proc/sysrq-trigger; sleep 60'
	[ "$status" -eq 125 ]
	[[ $output == *"no result"* ]]
}

@test "the time is limited, and no machine is left" {
	run scripts/vm "$first" --timeout 25 --kopt mallocpath_test="$$" -- sleep 1000
	[ "$status" -eq 125 ]
	[[ $output == *"no result"* ]]
	run pgrep -f "qemu-system.*mallocpath_test=$$ "
	[ "$status" -eq 1 ]
}

@test "killed, it takes the machine with it" {
	scripts/vm "$first" --kopt mallocpath_test="$$" -- sleep 1000 3>&- &
	vm=$!
	until pgrep -f "qemu-system.*mallocpath_test=$$ "; do
		kill -0 "$vm"
		sleep 0.2
	done
	kill "$vm"
	run wait "$vm"
	for _ in $(seq 50); do
		pgrep -f "qemu-system.*mallocpath_test=$$ " || return 0
		sleep 0.2
	done
	return 1
}

@test "--all: a line for each kernel, the failing one fails it" {
	# shellcheck disable=SC2016 # the guest's shell expands it
	run scripts/vm --all -- sh -c 'case $(uname -r) in 6.1.*) exit 9 ;; esac'
	echo "$output"
	[ "$status" -eq 1 ]
	[ "$(grep -cE '^[0-9.]+ +ok ' <<<"$output")" -eq "$(($(scripts/kernels list | wc -l) - 1))" ]
	[ "$(grep -cE '^6\.1 +FAILED 9 ' <<<"$output")" -eq 1 ]
}

@test "what is there is used without the network" {
	mkdir "$BATS_TEST_TMPDIR/bin"
	printf '#!/bin/sh\necho "$0 called" >&2\nexit 1\n' >"$BATS_TEST_TMPDIR/bin/apt-get"
	chmod +x "$BATS_TEST_TMPDIR/bin/apt-get"
	cp "$BATS_TEST_TMPDIR/bin/apt-get" "$BATS_TEST_TMPDIR/bin/apt-cache"
	PATH=$BATS_TEST_TMPDIR/bin:$PATH run unshare --net scripts/vm "$first" -- true
	[ "$status" -eq 0 ]
	[ -z "$output" ]
}

# builds_with SERIES LINE: a module with that line in a function of its own
builds_with()
{
	local dir=$BATS_TEST_TMPDIR/planted
	mkdir -p "$dir"
	printf 'obj-m := planted.o\n' >"$dir/Kbuild"
	printf '#include <linux/module.h>\nMODULE_LICENSE("GPL");\nMODULE_DESCRIPTION("planted");\n%s\n' \
		"static int __init planted(void) { $2 return 0; } module_init(planted);" >"$dir/planted.c"
	run scripts/kernels module "$1" "$dir" "$BATS_TEST_TMPDIR/out"
	echo "$output"
}

only_the_right_module_is_built()
{
	builds_with "$1" 'pr_info("fine");'
	[ "$status" -eq 0 ] || return 1
	builds_with "$1" 'int set_only; set_only = 1;'
	[ "$status" -eq 1 ] && [[ $output == *planted.c*set_only* ]] || return 1
	builds_with "$1" 'if ((int __user *)4096 == (int *)4096) return 1;'
	[ "$status" -eq 1 ] && [[ $output == *planted.c*"different address spaces"* ]]
}

@test "a module is built without a warning of W=1 or sparse, or not at all" {
	on_each only_the_right_module_is_built
}

@test "wrong use is said, and costs no boot" {
	run scripts/vm
	[ "$status" -eq 2 ]
	[[ $output == *"which kernel?"*"$first"* ]]
	run scripts/vm 1.0 -- true
	[ "$status" -eq 125 ]
	[[ $output == *"no supported kernel is called '1.0'"* ]]
	run scripts/vm "$first" --
	[ "$status" -eq 2 ]
	run scripts/vm "$first" --nonsense
	[ "$status" -eq 2 ]
	run scripts/vm --all
	[ "$status" -eq 2 ]
	run scripts/vm "$first" --module="$BATS_TEST_TMPDIR" -- true
	[ "$status" -eq 125 ]
	[[ $output == *"no module to build"* ]]
}
