#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# A trace where the objects are not, or are no longer the same: names that were put into the file, and
# objects found by build id.

bats_require_minimum_version 1.5.0

setup()
{
	[ "$(id -u)" -eq 0 ] || skip "tracing needs root"
	: "${MALLOCPATH:=$BATS_TEST_DIRNAME/../../build/mallocpath}"
	: "${WORKLOADS:=$BATS_TEST_DIRNAME/../../build/tests/workload}"
	cd "$BATS_TEST_TMPDIR"
	cp "$WORKLOADS/wrapped" program
	"$MALLOCPATH" record -q -o t.mpt -- "$PWD/program"
	json t.mpt >before
	grep -q '"my_own_alloc"' before
	grep -q 'wrapped.c' before
}

json()
{
	"$MALLOCPATH" report "$1" --view json -n 0 "${@:2}"
}

# A program of the same name, another build.
put_another()
{
	rm program
	cp "$WORKLOADS/lazy" program
}

@test "symbolize: the file then tells the names itself, inlined functions and lines included" {
	"$MALLOCPATH" symbolize -q t.mpt -o named.mpt
	"$MALLOCPATH" symbolize -q t.mpt --compress 0 -o plain.mpt
	put_another
	run bash -c "'$MALLOCPATH' report t.mpt --view json -n 0 | grep -c my_own_alloc"
	[ "$output" -eq 0 ]
	cmp before <(json named.mpt)
	cmp before <(json plain.mpt)
	"$MALLOCPATH" trace -q named.mpt --stacks >steps
	grep -q small_step steps
	# what is named stays so, whatever objects there are now
	"$MALLOCPATH" symbolize -q named.mpt
	[ "$(stat -c %a named.mpt)" = 600 ]
	cmp before <(json named.mpt)
	[ -z "$(compgen -G '*.new')" ]
	"$MALLOCPATH" symbolize -q --compress 0 named.mpt -o again.mpt
	cmp <(python3 "$BATS_TEST_DIRNAME/../mpt.py" events plain.mpt) \
		<(python3 "$BATS_TEST_DIRNAME/../mpt.py" events again.mpt)
}

@test "an object is found by its build id: replaced by a copy, or kept in a directory for that" {
	mv program kept
	cp kept program
	cmp before <(json t.mpt)
	put_another
	run bash -c "'$MALLOCPATH' report t.mpt --view json -n 0 | grep -c my_own_alloc"
	[ "$output" -eq 0 ]
	mkdir -p "elsewhere/$PWD" ids/.build-id
	cp kept "elsewhere/$PWD/program"
	cmp before <(json t.mpt --debug-dir "$PWD/elsewhere")
	id=$(readelf -n kept | sed -n 's/.*Build ID: //p')
	mkdir "ids/.build-id/${id:0:2}"
	cp kept "ids/.build-id/${id:0:2}/${id:2}"
	cmp before <(json t.mpt --debug-dir "$PWD/ids")
	# one that only says so by its name
	cp "$WORKLOADS/lazy" "ids/.build-id/${id:0:2}/${id:2}"
	run bash -c "'$MALLOCPATH' report t.mpt --debug-dir '$PWD/ids' --view json -n 0 | grep -c my_own_alloc"
	[ "$output" -eq 0 ]
}

@test "symbolize of what cannot be: one line, status 1, and the file stays" {
	cp t.mpt whole.mpt
	for out in /nonexistent/out /dev/full; do
		run --separate-stderr "$MALLOCPATH" symbolize t.mpt -o $out
		[ "$status" -eq 1 ]
		[ "${#stderr_lines[@]}" -eq 1 ]
		[[ "$stderr" == *"$out"* ]]
	done
	head -c 1000 t.mpt >cut.mpt
	run --separate-stderr "$MALLOCPATH" symbolize cut.mpt
	[ "$status" -eq 0 ]
	[[ "$stderr" == *"not written to its end"* ]]
	"$MALLOCPATH" report cut.mpt >/dev/null
	printf x >bad.mpt
	run --separate-stderr "$MALLOCPATH" symbolize bad.mpt
	[ "$status" -eq 1 ]
	[ "$(cat bad.mpt)" = x ]
	[ -z "$(compgen -G '*.new')" ]
	cmp t.mpt whole.mpt
}
