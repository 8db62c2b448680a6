#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# mallocpath top: the screen, driven by keys in terminals of two sizes, and the plain text.

bats_require_minimum_version 1.5.0

setup()
{
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	cd "$BATS_TEST_DIRNAME/../.."
	program=${MALLOCPATH:-$PWD/build/mallocpath}
	export LC_ALL=C.UTF-8
	unset TMUX
	tmux="tmux -L mallocpath-$$-$BATS_TEST_NUMBER"
	mkfifo "$BATS_TEST_TMPDIR/bytes"
	build/tests/workload/grabs <"$BATS_TEST_TMPDIR/bytes" >"$BATS_TEST_TMPDIR/said" 3>&- &
	pid=$!
	exec 7>"$BATS_TEST_TMPDIR/bytes"
}

teardown()
{
	[ -n "${tmux:-}" ] || return 0
	$tmux kill-server 2>/dev/null || true
	exec 7>&-
	wait "$pid"
}

screen()
{
	$tmux capture-pane -p -t t
}

# until_shown PATTERN: the screen has a line like that, within a minute
until_shown()
{
	local i
	for ((i = 0; i < 300; i++)); do
		! screen | grep -Eq -- "$1" || return 0
		sleep 0.2
	done
	echo "not shown: $1"
	screen
	return 1
}

# opens WIDTHxHEIGHT
opens()
{
	$tmux new-session -d -s t -x "${1%x*}" -y "${1#*x}" \
		"'$program' top -p $pid; echo \"ended with \$?\"; sleep 60" 3>&- 7>&-
	until_shown '^Rss [0-9.]+[KM] = blocks '
	printf x >&7
	until_shown '^ +976\.6 KiB .* grab\+0x'
}

keys()
{
	$tmux send-keys -t t "$@"
}

drive()
{
	opens "$1"
	[ "$(screen | wc -l)" -le "${1#*x}" ]
	[ "$(screen | wc -L)" -le "${1%x*}" ]
	printf x >&7
	until_shown '^ +1\.9 MiB .* grab\+0x'
	keys s s s s s s
	until_shown '^by calls '
	until_shown '^ +200 .* grab\+0x'
	keys /
	keys -l nothing_like_it
	until_shown '^show only: nothing_like_it_'
	until_shown '^no site has this in its name'
	keys Escape
	until_shown '^ +200 .* grab\+0x'
	keys / && keys -l GRAB && keys Enter
	until_shown '^by calls, only GRAB '
	keys Enter
	until_shown '^one site, as it was when opened'
	until_shown 'malloc at grab\+0x'
	keys Down Down
	! screen | grep -q 'malloc at grab' || until_shown 'call stack: who asked'
	keys q
	until_shown '^by calls, only GRAB '
	keys f
	until_shown 'FROZEN'
	printf x >&7
	sleep 1.5
	until_shown '^ +200 .* grab\+0x'
	keys f
	until_shown '^ +300 .* grab\+0x'
	keys h
	until_shown '^mallocpath top: keys'
	keys Escape
	until_shown '^by calls'
	keys q
	until_shown '^ended with 0'
	[ "$(tail -n 1 "$BATS_TEST_TMPDIR/said")" -eq 300 ]
}

@test "a screen of 80x24" {
	drive 80x24
}

@test "a screen of 200x50" {
	drive 200x50
}

@test "a screen that changes its size, and the end of the process" {
	opens 80x24
	$tmux resize-window -t t -x 40 -y 10
	sleep 1
	[ "$(screen | wc -L)" -le 40 ]
	until_shown 'grab\+0x|grab\.\.|976.6 KiB'
	exec 7>&-
	until_shown '^ended with 0'
}

@test "without a terminal: plain text, again and again" {
	"$program" top -q --sort calls --interval 0.3 -p "$pid" >"$BATS_TEST_TMPDIR/text" 3>&- 7>&- &
	local top=$! i
	for ((i = 0; i < 300; i++)); do
		! grep -q '^Rss' "$BATS_TEST_TMPDIR/text" || break
		sleep 0.2
	done
	printf xx >&7
	for ((i = 0; i < 300; i++)); do
		! grep -Eq '^ +200 .* grab\+0x' "$BATS_TEST_TMPDIR/text" || break
		sleep 0.2
	done
	kill -INT "$top"
	wait "$top"
	grep -Eq '^ +200 .* grab\+0x' "$BATS_TEST_TMPDIR/text"
	[ "$(grep -c '^mallocpath: grabs (pid' "$BATS_TEST_TMPDIR/text")" -ge 2 ]
}

@test "mistakes are told" {
	run -2 "$program" top
	[[ $output == *"give -p PID"* ]]
	run -2 "$program" top -- true
	[[ $output == *"would share the terminal"* ]]
	run -2 "$program" top -p 1 -o file
	[[ $output == *"through a pipe"* ]]
	run -2 "$program" top --interval 0 -p 1
	[[ $output == *"--interval 0: give a number of seconds above 0"* ]]
}
