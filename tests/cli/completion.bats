#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What the shells complete, against what the program takes.

bats_require_minimum_version 1.5.0

setup()
{
	cd "$BATS_TEST_DIRNAME/../.."
	program=$(realpath "${MALLOCPATH:-build/mallocpath}")
	mkdir -p "$BATS_TEST_TMPDIR/bin"
	ln -sf "$program" "$BATS_TEST_TMPDIR/bin/mallocpath"
	PATH=$BATS_TEST_TMPDIR/bin:$PATH
}

# completes WORD...: what bash offers for the last one, sorted
completes()
{
	bash -c 'source scripts/completion/mallocpath.bash
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		_mallocpath
		printf "%s\n" "${COMPREPLY[@]}" | sort' _ mallocpath "$@"
}

@test "commands" {
	[ "$(completes '' | xargs)" = "$(mallocpath --help | tr -s '\n ' ' ' |
		sed -n 's/.*Commands: \([a-z, ]*\);.*/\1/p' | tr -d , | tr ' ' '\n' | sort | xargs)" ]
	[ "$(completes xr)" = xray ]
	[ "$(completes '' | wc -l)" -ge 8 ]
}

@test "every command that is completed exists, and its options are those of its help" {
	for command in $(completes ''); do
		run -0 mallocpath "$command" --help
		[ "$(completes "$command" --)" = "$(grep -Eo -- '--[a-z][a-z-]*' <<<"$output" | sort -u)" ]
	done
	[ "$(completes report --deb)" = --debug-dir ]
}

@test "words that an option takes are accepted by it, and all of them" {
	for option in --view --sort --fault-source; do
		[ "$(completes "$option" '' | wc -l)" -ge 3 ]
		for word in $(completes "$option" ''); do
			run -0 mallocpath "$option" "$word" --version
		done
	done
	[ "$(completes --view js)" = json ]
	[ "$(completes --view = js)" = json ]
	[ "$(completes trace --only fa)" = fault ]
	completes -p '' | grep -qx " *$$"
}

@test "behind -- it is the command's own business" {
	[ -z "$(completes -- --vi)" ]
}

@test "zsh reads its file" {
	zsh -n scripts/completion/_mallocpath
}
