// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Real programs, held at their instant and let go. That no constructor has run is seen from
 * outside: the constructor writes into a pipe.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "collect/hold.h"
#include "collect/target.h"
#include "fixture.h"
#include "launched.h"

static int tracer_of(pid_t pid)
{
	return (int)mp_target_status(pid, "TracerPid");
}

/* ---- the instant ----------------------------------------------------------------------------- */

static int is_mapped(pid_t pid, const char *object)
{
	char path[64], line[4500];
	int found = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		found |= strstr(line, object) != NULL;
	fclose(f);
	return found;
}

static void check_instant(const char *command, const char *arg, const char *object)
{
	launched_begin();
	launched_start(false, command, arg, NULL);
	assert_int_equal(tracer_of(run.pid), getpid());
	assert_false(launched_ctor_ran());
	assert_true(is_mapped(run.pid, object));
	assert_int_equal(mp_launch__release(run.l), 0);
	assert_int_equal(launched_finish(), 3 << 8);
	assert_true(launched_ctor_ran());
	assert_int_equal(run.execs + run.forks, 0);
	assert_int_equal(run.ends, 1);
	launched_end();
}

static void test_instant(void **state)
{
	(void)state;
	check_instant("./dynamic", NULL, "libctor.so");
	check_instant("./static", NULL, "/static");
	check_instant("./static-pie", NULL, "/static-pie");
	check_instant("/lib64/ld-linux-x86-64.so.2", "./dynamic", "libctor.so");
}

/* An auditor's own loading is not to be taken for the program's. */
static void test_instant_audited(void **state)
{
	(void)state;
	setenv("LD_AUDIT", fixture_path("libaudit.so"), 1);
	check_instant("./dynamic", NULL, "libctor.so");
	unsetenv("LD_AUDIT");
}

static void test_instant_by_syscall(void **state)
{
	(void)state;
	assert_int_equal(mp_hold_use_breakpoints(0), 1);
	check_instant("./dynamic", NULL, "libctor.so");
	check_instant("./static", NULL, "/static");
	mp_hold_use_breakpoints(1);
}

/* Nothing of it is a page the linker's text was copied for, and nothing traces on. */
static void test_nothing_left(void **state)
{
	char path[64], line[256];
	int text = 0;
	FILE *f;

	(void)state;
	launched_begin();
	launched_start(false, "./tree", "stop", NULL);
	snprintf(path, sizeof(path), "/proc/%d/smaps", run.pid);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (strstr(line, " r-xp "))
			text++;
		else if (strstr(line, " rw") || strstr(line, " r--"))
			text = 0;
		if (text && !strncmp(line, "Anonymous:", 10))
			assert_int_equal(atoi(line + 10), 0);
	}
	fclose(f);
	assert_int_equal(mp_launch__release(run.l), 0);
	assert_int_equal(tracer_of(run.pid), getpid()); /* for its next exec */
	while (mp_launch__poll(run.l) == 0 && kill(run.pid, SIGCONT) == 0)
		usleep(1000);
	assert_int_equal(launched_finish(), 6 << 8);
	launched_end();
}

/* ---- the command is what it would have been --------------------------------------------------- */

static const char reveal[] =
	"tr '\\0' '\\n' </proc/self/cmdline; env | grep -v CTOR_FD; umask; pwd; "
	"grep -E '^(Sig[^Q]|Shd|Cap|Seccomp|NoNew)' /proc/self/status; ulimit -a; "
	"ls /proc/self/fd; cat; ps -o pgid= -p $$; echo \"$@\"";

/* stdin, stdout, arguments, environment, limits, signals: as with a plain fork and exec. */
static void compare_with_plain(char *const argv[], bool follow)
{
	char plain[65536];
	struct mp_err err = { 0 };
	int in = fcntl(0, F_DUPFD_CLOEXEC, 0), file, status;
	pid_t pid;

	fixture_write("in", "some text\nwithout end");
	launched_begin();
	for (int round = 0; round < 2; round++) {
		file = open("in", O_RDONLY);
		dup2(file, 0);
		close(file);
		if (round == 0) {
			sigset_t chld; /* launched_begin() has blocked it */

			sigemptyset(&chld);
			sigaddset(&chld, SIGCHLD);
			pid = fork();
			if (!pid) {
				sigprocmask(SIG_UNBLOCK, &chld, NULL);
				dup2(run.out[1], 1);
				execvp(argv[0], argv);
				_exit(127);
			}
			assert_int_equal(waitpid(pid, &status, 0), pid);
			strcpy(plain, launched_output());
			assert_int_equal(pipe2(run.out, O_CLOEXEC), 0);
		} else {
			if (launched_start_args(argv, follow, &err) < 0)
				fail_msg("%s", err.text);
			assert_int_equal(mp_launch__release(run.l), 0);
			assert_int_equal(launched_finish(), 0);
			assert_string_equal(launched_output(), plain);
		}
	}
	assert_true(plain[0]);
	dup2(in, 0);
	close(in);
	launched_end();
}

static void test_untouched(void **state)
{
	char *argv[] = { "sh", "-c", (char *)(uintptr_t)reveal, "a", "b c", "", "d\n", NULL };

	(void)state;
	compare_with_plain(argv, false);
	compare_with_plain(argv, true);
}

/* Blocked and ignored signals are inherited. No shell here: it changes its own. */
static void test_untouched_signals(void **state)
{
	char *argv[] = { "grep", "-E", "^(Sig[^Q]|Shd)", "/proc/self/status", NULL };
	sigset_t set, before;

	(void)state;
	compare_with_plain(argv, false);
	sigemptyset(&set);
	sigaddset(&set, SIGURG); /* the one our breakpoint uses */
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, &before);
	compare_with_plain(argv, false);
	compare_with_plain(argv, true);
	sigprocmask(SIG_SETMASK, &before, NULL);
	signal(SIGURG, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	compare_with_plain(argv, true);
	signal(SIGURG, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
}

/* A signal that was ignored when we were started is ignored in CMD: nohup, and SIGCHLD too. */
static void test_ignored_chld(void **state)
{
	char *argv[] = { "grep", "^SigIgn", "/proc/self/status", NULL };
	struct mp_err err = { 0 };
	unsigned long long ignored;

	(void)state;
	signal(SIGCHLD, SIG_IGN);
	launched_begin();
	if (launched_start_args(argv, false, &err) < 0)
		fail_msg("%s", err.text);
	mp_launch__release(run.l);
	assert_int_equal(launched_finish(), 0); /* we get its status all the same */
	assert_int_equal(sscanf(launched_output(), "SigIgn: %llx", &ignored), 1);
	assert_true(ignored >> (SIGCHLD - 1) & 1);
	launched_end();
}

static void test_statuses(void **state)
{
	(void)state;
	for (int follow = 0; follow < 2; follow++) {
		launched_begin();
		launched_start(follow, "sh", "-c", "exit 7");
		mp_launch__release(run.l);
		assert_int_equal(launched_finish(), 7 << 8);
		launched_end();
		launched_begin();
		launched_start(follow, "sh", "-c", "kill -TERM $$");
		mp_launch__release(run.l);
		assert_int_equal(launched_finish(), SIGTERM);
		launched_end();
	}
}

/* What CMD executes is held too, its children are not; nor what another thread of it executes. */
static void test_next_program(void **state)
{
	(void)state;
	launched_begin();
	launched_start(false, "sh", "-c", "./static; exec ./dynamic");
	mp_launch__release(run.l);
	assert_int_equal(launched_finish(), 3 << 8); /* ./dynamic's */
	assert_int_equal(run.images, 1);
	assert_int_equal(run.execs, 1);
	assert_string_equal(run.names, "dynamic ");
	assert_int_equal(run.forks + run.of_threads, 0);
	assert_int_equal(run.early, 1); /* ./static's */
	assert_true(launched_ctor_ran());
	launched_end();
	launched_begin();
	launched_start(false, "./tree", "exec", NULL);
	mp_launch__release(run.l);
	assert_int_equal(launched_finish(), 0);
	assert_int_equal(run.images + run.of_threads + run.execs, 0);
	launched_end();
}

static void test_not_started(void **state)
{
	static const struct {
		const char *command, *why;
		int error;
	} cases[] = {
		{ "nosuch-command", "not found in PATH", ENOENT },
		{ "/nosuch/command", "no such file", ENOENT },
		{ "/etc/passwd", "not executable", EACCES },
		{ "/", "not executable", EACCES },
		{ "./script", "interpreter", ENOENT },
		{ "./p32", "32-bit", ENOEXEC },
	};

	(void)state;
	fixture_write("script", "#!/nosuch/interpreter\n");
	assert_int_equal(chmod("script", 0755), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *argv[] = { (char *)(uintptr_t)cases[i].command, NULL };
		struct mp_err err = { 0 };

		launched_begin();
		assert_int_equal(launched_start_args(argv, i % 2, &err), -cases[i].error);
		assert_int_equal(err.exit, MP_EXIT_FAILED);
		if (!strstr(err.text, cases[i].why))
			fail_msg("%s", err.text);
		assert_int_equal(mp_launch__traced(run.l), 0);
		assert_int_equal(run.ends, 0);
		assert_int_equal(waitpid(-1, NULL, WNOHANG | __WALL), -1); /* no child left */
		launched_end();
	}
}

/* ---- signals and ends in the hold ------------------------------------------------------------- */

static void test_signal_in_hold(void **state)
{
	(void)state;
	for (int follow = 0; follow < 2; follow++) {
		launched_begin();
		launched_start(follow, "sleep", "1000", NULL);
		kill(run.pid, SIGUSR1);
		assert_int_equal(mp_launch__poll(run.l), 0);
		assert_false(mp_launch__ended(run.l, NULL)); /* it stands still */
		mp_launch__release(run.l);
		assert_int_equal(launched_finish(), SIGUSR1);
		launched_end();
	}
}

static void test_killed_in_hold(void **state)
{
	(void)state;
	for (int follow = 0; follow < 2; follow++) {
		launched_begin();
		launched_start(follow, "sleep", "1000", NULL);
		kill(run.pid, SIGKILL);
		mp_launch__release(run.l);
		assert_int_equal(launched_finish(), SIGKILL);
		assert_int_equal(mp_launch__traced(run.l), 0);
		launched_end();
	}
}

static void test_never_released(void **state)
{
	(void)state;
	launched_begin();
	launched_start(true, "./dynamic", NULL, NULL);
	mp_launch__free(run.l);
	assert_int_equal(kill(run.pid, 0), -1);
	assert_false(launched_ctor_ran());
	run.l = NULL;
	launched_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_instant),
		cmocka_unit_test(test_instant_audited),
		cmocka_unit_test(test_instant_by_syscall),
		cmocka_unit_test(test_nothing_left),
		cmocka_unit_test(test_untouched),
		cmocka_unit_test(test_untouched_signals),
		cmocka_unit_test(test_ignored_chld),
		cmocka_unit_test(test_statuses),
		cmocka_unit_test(test_next_program),
		cmocka_unit_test(test_not_started),
		cmocka_unit_test(test_signal_in_hold),
		cmocka_unit_test(test_killed_in_hold),
		cmocka_unit_test(test_never_released),
	};

	return cmocka_run_group_tests(tests, launched_set_up, launched_tear_down);
}
