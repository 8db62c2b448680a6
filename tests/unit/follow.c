// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Every process of a tree is held once, at its birth or its new program; and whatever becomes of
 * the tool, the tree computes what it would have.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "collect/hold.h"
#include "fixture.h"
#include "launched.h"

static void test_compiler(void **state)
{
	static const char *const parts[] = { "gcc ", "cc1 ", "as ", "collect2 ", "ld ", "tree2 " };

	(void)state;
	launched_begin();
	launched_start(true, "sh", "-c", "gcc -w -pthread -o tree2 tree.c && ./tree2 fork; exit 0");
	mp_launch__release(run.l);
	assert_int_equal(launched_finish(), 0);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (!strstr(run.names, parts[i]))
			fail_msg("%s not in %s", parts[i], run.names);
	assert_int_equal(mp_launch__traced(run.l), 0);
	launched_end();
}

static void check_tree(const char *what, int status, int forks, int execs, int ends)
{
	launched_begin();
	launched_start(true, "./tree", what, NULL);
	mp_launch__release(run.l);
	assert_int_equal(launched_finish(), status);
	assert_int_equal(run.forks, forks);
	assert_int_equal(run.execs, execs);
	assert_int_equal(run.of_threads, !strcmp(what, "exec"));
	assert_int_equal(run.images, execs - run.of_threads);
	assert_int_equal(run.ends, ends);
	assert_int_equal(mp_launch__traced(run.l), 0);
	launched_end();
}

static void test_births(void **state)
{
	(void)state;
	for (int breakpoints = 1; breakpoints >= 0; breakpoints--) {
		mp_hold_use_breakpoints(breakpoints);
		check_tree("fork", 5 << 8, 1, 0, 2);
		check_tree("thread", 5 << 8, 1, 0, 2);
		check_tree("vfork", 0, 0, 1, 2);
		check_tree("spawn", 0, 0, 1, 2);
		check_tree("exec", 0, 0, 1, 1); /* a thread's exec takes over the process */
		check_tree("dlopen", 4 << 8, 0, 0, 1);
	}
	mp_hold_use_breakpoints(1);
}

/* Children whose constructors tell: how many had run at each hold is how many came before it. */
static void test_children_constructors(void **state)
{
	(void)state;
	launched_begin();
	launched_start(true, "sh", "-c", "./dynamic; ./static; ./p32; ./dynamic; exit 0");
	mp_launch__release(run.l);
	assert_int_equal(launched_finish(), 0);
	assert_int_equal(run.execs, 3); /* not the 32-bit one, which ran all the same */
	assert_int_equal(run.early, 2); /* each hold takes one byte: that of the program before */
	assert_true(launched_ctor_ran());
	assert_false(launched_ctor_ran());
	launched_end();
}

static char state_of(pid_t pid)
{
	char path[64], text[256], *at;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	at = strrchr(text, ')');
	return at ? at[2] : '?';
}

/* A stopped process stays stopped until its SIGCONT although it is traced. */
static void test_group_stop(void **state)
{
	(void)state;
	launched_begin();
	launched_start(true, "./tree", "stop", NULL);
	mp_launch__release(run.l);
	for (int quiet = 0; quiet < 50; quiet++) {
		assert_int_equal(mp_launch__poll(run.l), 0);
		assert_false(mp_launch__ended(run.l, NULL));
		usleep(2000);
	}
	assert_int_equal(state_of(run.pid), 't');
	kill(run.pid, SIGCONT);
	assert_int_equal(launched_finish(), 6 << 8);
	launched_end();
}

static void test_killed_in_hold(void **state)
{
	(void)state;
	launched_begin();
	run.kill_held = 1;
	launched_start(true, "sh", "-c", "exec 2>&-; /bin/true; echo $?; (exit 3); echo $?");
	mp_launch__release(run.l);
	assert_int_equal(launched_finish(), 0);
	assert_string_equal(launched_output(), "137\n137\n");
	assert_int_equal(mp_launch__traced(run.l), 0);
	launched_end();
}

/* ---- a running process ----------------------------------------------------------------------- */

static int ask(struct fixture_program *p, char what)
{
	int answer = -1;

	fputc(what, p->in);
	fflush(p->in);
	for (;;) {
		struct pollfd fds[] = { { .fd = fileno(p->out), .events = POLLIN },
					{ .fd = mp_launch__fd(run.l), .events = POLLIN } };

		assert_true(poll(fds, 2, 60000) > 0);
		mp_launch__poll(run.l);
		if (fds[0].revents)
			break;
	}
	assert_int_equal(fscanf(p->out, "%d", &answer), 1);
	return answer;
}

/* Its threads that were traced are waited for by us, or it could not be. */
static void stop_traced(struct fixture_program *p)
{
	kill(p->pid, SIGKILL);
	while (waitpid(-1, NULL, __WALL) > 0 || errno == EINTR)
		;
	fixture_stop(p);
}

static void test_seize(void **state)
{
	struct fixture_program p = fixture_start("A=1", "./tree live");
	struct mp_err err = { 0 };

	(void)state;
	launched_begin();
	if (mp_launch__seize(run.l, p.pid, &err))
		fail_msg("%s", err.text);
	assert_int_equal(mp_launch__traced(run.l), 4);
	assert_int_equal(ask(&p, 'f'), 0);
	assert_int_equal(run.forks, 1);
	assert_int_equal(ask(&p, 'v'), 0);
	assert_int_equal(run.execs, 1);
	assert_int_equal(ask(&p, 'f'), 0);
	assert_int_equal(run.forks, 2);
	assert_int_equal(mp_launch__traced(run.l), 4);
	mp_launch__free(run.l);
	run.l = NULL;
	/* it goes on, its births stop it once more at the most, and no poll of it was cut short */
	for (int i = 0; i < 3; i++) {
		int answer = -1;

		fputc('f', p.in);
		fflush(p.in);
		assert_int_equal(fscanf(p.out, "%d", &answer), 1);
		assert_int_equal(answer, 0);
	}
	assert_int_equal(run.forks, 2);
	launched_end();
	stop_traced(&p);
}

static void test_seize_refused(void **state)
{
	struct fixture_program p = fixture_start("A=1", "./tree live");
	struct mp_err err = { 0 };
	int ready[2];
	pid_t other;
	char go;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	other = fork();
	if (!other) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (ptrace(PTRACE_SEIZE, p.pid, 0, 0) || write(ready[1], "", 1) != 1)
			_exit(1);
		pause();
	}
	assert_int_equal(read(ready[0], &go, 1), 1);
	launched_begin();
	assert_int_equal(mp_launch__seize(run.l, p.pid, &err), -EPERM);
	assert_int_equal(err.exit, MP_EXIT_FAILED);
	assert_non_null(strstr(err.text, "traced by process"));
	kill(other, SIGKILL);
	waitpid(other, NULL, 0);
	stop_traced(&p);
	assert_int_equal(mp_launch__seize(run.l, p.pid, &err), -ESRCH);
	launched_end();
	close(ready[0]);
	close(ready[1]);
}

/* ---- the tool is killed ---------------------------------------------------------------------- */

static int wait_in_hold(void *ctx, pid_t pid, enum mp_held why)
{
	(void)pid;
	(void)why;
	if (write(*(int *)ctx, "h", 1) == 1)
		pause();
	return 0;
}

enum kill_at { IN_OWN_HOLD, IN_FOLLOWED_HOLD, ANY_TIME };

/* Plays the tool in a process of its own. Writes a byte to @tell when it is where it is to be
 * killed, or (ANY_TIME) when CMD was let go. */
static void __attribute__((noreturn)) be_tool(int tell, enum kill_at at, const char *command)
{
	struct mp_launch_ops ops = { .held = at == IN_FOLLOWED_HOLD ? wait_in_hold : NULL };
	char *argv[] = { "sh", "-c", (char *)(uintptr_t)command, NULL };
	struct mp_launch *l = mp_launch__new(&ops, &tell, NULL);

	dup2(run.out[1], 1);
	close(run.out[1]);
	if (!l || mp_launch__start(l, argv, true, NULL) < 0)
		_exit(1);
	if (at == IN_OWN_HOLD) {
		wait_in_hold(&tell, 0, MP_HELD_EXEC);
		_exit(1);
	}
	mp_launch__release(l);
	if (at == ANY_TIME && write(tell, "r", 1) != 1)
		_exit(1);
	while (!mp_launch__ended(l, NULL)) {
		struct pollfd fd = { .fd = mp_launch__fd(l), .events = POLLIN };

		poll(&fd, 1, -1);
		mp_launch__poll(l);
	}
	_exit(0);
}

/* Kills the tool there; whether CMD had been let go or held. @after: microseconds, ANY_TIME. */
static int kill_tool(enum kill_at at, useconds_t after, const char *command)
{
	int tell[2], told;
	pid_t tool;
	char c;

	assert_int_equal(pipe2(run.out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(tell, O_CLOEXEC), 0);
	tool = fork();
	if (!tool)
		be_tool(tell[1], at, command);
	close(tell[1]);
	if (at != ANY_TIME)
		assert_int_equal(read(tell[0], &c, 1), 1);
	usleep(after);
	kill(tool, SIGKILL);
	waitpid(tool, NULL, 0);
	told = at != ANY_TIME || read(tell[0], &c, 1) == 1;
	close(tell[0]);
	return told;
}

static void check_killed_in_hold(enum kill_at at, const char *command, const char *want)
{
	kill_tool(at, 0, command);
	assert_string_equal(launched_output(), want); /* waits until all of CMD's tree has ended */
	close(run.out[0]);
}

/* In CMD's own hold, in that of a new program, in that of a forked child. */
static void test_tool_killed_in_hold(void **state)
{
	static const char work[] = "./tree dlopen; echo $?; ./tree fork; echo $?";

	(void)state;
	unsetenv("CTOR_FD");
	check_killed_in_hold(IN_OWN_HOLD, work, "4\n5\n");
	check_killed_in_hold(IN_FOLLOWED_HOLD, work, "4\n5\n");
	check_killed_in_hold(IN_FOLLOWED_HOLD, "(echo 1); echo 2; ./tree dlopen; echo $?",
			     "1\n2\n4\n");
}

/* Between any two of its steps: CMD does all that it would have, or was not begun yet. */
static void test_tool_killed_anytime(void **state)
{
	static const char work[] =
		"for i in 1 2 3 4 5; do ./tree dlopen; echo $?; ./tree vfork; done";
	int begun = 0;

	(void)state;
	unsetenv("CTOR_FD");
	/* a slow machine begins late */
	for (useconds_t after = 100; after < 40000 || begun < 10; after += 577 + after / 70) {
		int told = kill_tool(ANY_TIME, after, work);
		const char *text = launched_output();

		if (told || *text)
			assert_string_equal(text, "4\n4\n4\n4\n4\n");
		begun += told;
		close(run.out[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compiler),
		cmocka_unit_test(test_births),
		cmocka_unit_test(test_children_constructors),
		cmocka_unit_test(test_group_stop),
		cmocka_unit_test(test_killed_in_hold),
		cmocka_unit_test(test_seize),
		cmocka_unit_test(test_seize_refused),
		cmocka_unit_test(test_tool_killed_in_hold),
		cmocka_unit_test(test_tool_killed_anytime),
	};

	return cmocka_run_group_tests(tests, launched_set_up, launched_tear_down);
}
