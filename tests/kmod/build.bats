#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The module is built as a user builds it: from the tree, and by DKMS, against headers that are
# installed here. scripts/kernels builds it for the other supported kernels, in tests/vm.

setup()
{
	cd "$BATS_TEST_DIRNAME/../.."
	kdir=$(printf '%s\n' /lib/modules/*/build/Makefile | sort -V | tail -n 1)
	kdir=${kdir%/Makefile}
	release=$(basename "${kdir%/build}")
}

# is_module FILE: a module of ours for $release
is_module()
{
	[ "$(/sbin/modinfo -F name "$1")" = mallocpath ] || return 1
	[[ $(/sbin/modinfo -F vermagic "$1") == "$release "* ]]
}

# planted MISTAKE [WORD...]: make kmod WORD... of a copy of the tree with a function of that body
planted()
{
	mkdir "$BATS_TEST_TMPDIR/tree"
	cp -r Makefile Kbuild kmod scripts "$BATS_TEST_TMPDIR/tree/"
	printf '\nvoid planted(void);\nvoid planted(void)\n{\n%s\n}\n' "$1" \
		>>"$BATS_TEST_TMPDIR/tree/kmod/main.c"
	run make -C "$BATS_TEST_TMPDIR/tree" kmod KDIR="$kdir" "${@:2}"
	echo "$output"
}

@test "make kmod: a module, and not a warning of W=1 or sparse about our files" {
	run make kmod KDIR="$kdir" WERROR=1
	echo "$output"
	[ "$status" -eq 0 ]
	is_module "build/kmod/$release/mallocpath.ko"
}

@test "what only W=1 warns of is seen, every time" {
	planted 'int set_only; set_only = 1;' WERROR=1
	[ "$status" -ne 0 ]
	[[ $output == *"kmod/main.c:"*set_only* ]]
	run make -C "$BATS_TEST_TMPDIR/tree" kmod KDIR="$kdir" WERROR=1
	[ "$status" -ne 0 ]
}

@test "what only sparse warns of is seen" {
	planted 'int __user *there = (int *)&mp_max_active; (void)there;' WERROR=1
	[ "$status" -ne 0 ]
	[[ $output == *"kmod/main.c:"*"different address spaces"* ]]
}

@test "without WERROR=1 it is told, and there is a module" {
	planted 'int set_only; set_only = 1;'
	[ "$status" -eq 0 ]
	[[ $output == *"kmod/main.c:"*set_only* ]]
	is_module "$BATS_TEST_TMPDIR/tree/build/kmod/$release/mallocpath.ko"
}

@test "DKMS builds and signs what make install-dkms installs, and removes it" {
	make install-dkms DESTDIR="$BATS_TEST_TMPDIR"
	mkdir "$BATS_TEST_TMPDIR/dkms"
	trees=(--dkmstree "$BATS_TEST_TMPDIR/dkms" --sourcetree "$BATS_TEST_TMPDIR/usr/src")
	export mok_signing_key=$BATS_TEST_TMPDIR/key mok_certificate=$BATS_TEST_TMPDIR/certificate
	run dkms build mallocpath/1 -k "$release" "${trees[@]}"
	echo "$output"
	[ "$status" -eq 0 ]
	module=$(find "$BATS_TEST_TMPDIR/dkms" -path "*/module/*" -name 'mallocpath.ko*')
	is_module "$module"
	[ "$(tail -c 28 "$module")" = "~Module signature appended~" ]
	[[ $(dkms status "${trees[@]}") == "mallocpath/1, $release, "*": built" ]]
	run dkms remove mallocpath/1 --all "${trees[@]}"
	echo "$output"
	[ "$status" -eq 0 ]
	[ ! -e "$BATS_TEST_TMPDIR/dkms/mallocpath" ]
}
