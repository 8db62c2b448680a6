#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What the tree promises about itself.

setup()
{
	cd "$BATS_TEST_DIRNAME/../.."
	. scripts/lib.sh
}

# sees FILE: the local headers it includes, as paths from the top of the tree
sees()
{
	sed -nE 's/^[ \t]*#[ \t]*include[ \t]+"([^"]+)".*/\1/p' "$1" | while read -r header; do
		case $header in
		*.skel.h) ;; # generated
		../bpf/*) echo "${header#../}" ;;
		*/*) echo "user/$header" ;;
		*) echo "$(dirname "$1")/$header" ;;
		esac
	done
}

# foreign ROOM ALLOWED...: includes of the room's files from rooms that are not allowed
foreign()
{
	local room=$1 file header allowed bad=
	shift
	for file in user/"$room"/*.[ch]; do
		[ -e "$file" ] || continue
		for header in $(sees "$file"); do
			for allowed in bpf "user/$room" "${@/#/user/}"; do
				[[ $header == "$allowed"/* ]] && continue 2
			done
			echo "$file includes $header"
			bad=1
		done
	done
	[ -z "$bad" ]
}

@test "one direction: every room includes only what lies to its left" {
	foreign base
	foreign collect base
	foreign trace base collect
	foreign model base collect trace
	foreign symbol base
	foreign view base collect trace model symbol
}

@test "the model library has no kernel side in it" {
	run foreign trace base
	[ "$status" -eq 0 ] || { echo "$output"; return 1; }
	run foreign model base trace
	[ "$status" -eq 0 ] || { echo "$output"; return 1; }
}

@test "the model is pure: it calls no I/O and no clock" {
	[ -e build/libmallocpath-model.a ]
	run bash -c "nm build/user/model/*.o 2>/dev/null | awk '\$1 == \"U\" { print \$2 }' | sort -u |
		grep -xE 'f?open(64)?|f?read|f?write|close|ioctl|socket|system|popen|time|clock|clock_gettime|gettimeofday|printf|puts|getenv|rand|random'"
	[ -z "$output" ]
}

@test "every source file says its licence first" {
	for file in $(tracked '*.c' '*.h' '*.cc' 'scripts/*' 'Makefile' '*.bats'); do
		head -n 2 "$file" | grep -q 'SPDX-License-Identifier:' || { echo "$file"; bad=1; }
	done
	[ -z "${bad:-}" ]
}

@test "no file of code has 600 lines or more" {
	for file in $(tracked '*.c' '*.h' '*.cc' 'scripts/*' '*.bats'); do
		[ "$(wc -l <"$file")" -lt 600 ] || { wc -l "$file"; bad=1; }
	done
	[ -z "${bad:-}" ]
}

@test "program names fit the kernel's 15 characters" {
	[ -e build/bpf/mallocpath.linked.o ]
	# Functions outside .text are programs; those in it are called by them.
	run bash -c "llvm-objdump -t build/bpf/mallocpath.linked.o |
		awk '/ F / && !/ F \.text/ && length(\$NF) > 15 { print \$NF }'"
	[ -z "$output" ]
}
