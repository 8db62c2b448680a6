// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who may be traced: each refusal has its line, its cause, its remedy and its exit status.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "collect/target.h"
#include "fixture.h"
#include "trace/trace.h"

/* The smallest programs: pause(2) for ever. i386's system call 29, x86-64's 34. */
static const char pause32[] = ".globl _start\n_start: mov $29, %eax\nint $0x80\njmp _start\n";
static const char pause64[] = ".globl _start\n_start: mov $34, %eax\nsyscall\njmp _start\n";

static int set_up(void **state)
{
	(void)state;
	assert_int_equal(geteuid(), 0);
	fixture_begin();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fixture_end();
	return 0;
}

static pid_t start(char *const argv[])
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execvp(argv[0], argv);
		_exit(127);
	}
	return pid;
}

static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static size_t read_file(pid_t pid, const char *what, char *text, size_t len)
{
	char path[64];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, what);
	f = fopen(path, "r");
	assert_non_null(f);
	n = fread(text, 1, len - 1, f);
	fclose(f);
	text[n] = '\0';
	return n;
}

/* Until the child has become @name; its arguments come a little after its name. */
static void wait_name(pid_t pid, const char *name)
{
	char text[32];

	while (!read_file(pid, "comm", text, sizeof(text)) || strncmp(text, name, strlen(name)))
		usleep(1000);
	while (!read_file(pid, "cmdline", text, sizeof(text)))
		usleep(1000);
}

static void refused(pid_t pid, int error, int exit, const char *why)
{
	struct mp_err err = { 0 };

	assert_int_equal(mp_target_check(pid, &err), -error);
	assert_int_equal(err.exit, exit);
	if (!strstr(err.text, why) || strchr(err.text, '\n'))
		fail_msg("\"%s\" does not say \"%s\" in one line", err.text, why);
}

static pid_t free_pid(void)
{
	pid_t pid = 4194303; /* the largest there can be */

	while (kill(pid, 0) == 0 || errno != ESRCH)
		pid--;
	return pid;
}

static void test_no_process(void **state)
{
	char text[64];
	pid_t pid = free_pid();

	(void)state;
	snprintf(text, sizeof(text), "no process %d: it does not exist", pid);
	refused(pid, ESRCH, MP_EXIT_FAILED, text);
	refused(0, EINVAL, MP_EXIT_USAGE, "no process ID");
	refused(-5, EINVAL, MP_EXIT_USAGE, "no process ID");
	refused(getpid(), EINVAL, MP_EXIT_USAGE, "itself");
	refused(2, EINVAL, MP_EXIT_FAILED, "kernel thread");
}

static void *wait_here(void *tid)
{
	__atomic_store_n((pid_t *)tid, (pid_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	pause();
	return NULL;
}

/* A thread's number is a directory in /proc too. */
static void test_thread(void **state)
{
	char want[64];
	pid_t tid = 0;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, wait_here, &tid), 0);
	while (!__atomic_load_n(&tid, __ATOMIC_SEQ_CST))
		sched_yield();
	snprintf(want, sizeof(want), "thread of process %d", getpid());
	refused(tid, EINVAL, MP_EXIT_FAILED, want);
	pthread_cancel(thread);
	pthread_join(thread, NULL);
}

static void test_zombie(void **state)
{
	siginfo_t info;
	pid_t pid = fork();

	(void)state;
	if (!pid)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	refused(pid, ESRCH, MP_EXIT_FAILED, "zombie");
	waitpid(pid, NULL, 0);
}

static void test_programs(void **state)
{
	char *argv[] = { NULL, NULL };
	struct mp_err err = { 0 };
	pid_t pid;

	(void)state;
	fixture_write("p32.s", pause32);
	fixture_write("p64.s", pause64);
	fixture_shell("as --32 -o p32.o p32.s && ld -m elf_i386 -o p32 p32.o");
	fixture_shell("as --64 -o p64.o p64.s && ld -o p64 p64.o");
	argv[0] = (char *)(uintptr_t)fixture_path("p64");
	pid = start(argv);
	wait_name(pid, "p64");
	if (mp_target_check(pid, &err))
		fail_msg("%s", err.text);
	stop(pid);
	argv[0] = (char *)(uintptr_t)fixture_path("p32");
	pid = start(argv);
	wait_name(pid, "p32");
	refused(pid, ENOEXEC, MP_EXIT_FAILED, "32-bit programs are not supported");
	/* its file may be gone from the directory tree */
	assert_int_equal(unlink(argv[0]), 0);
	refused(pid, ENOEXEC, MP_EXIT_FAILED, "32-bit programs are not supported");
	stop(pid);
}

/* Runs @check in a child without privilege; it must find exit status LACKS and @why. */
static int unprivileged(pid_t pid, const char *why, int nested)
{
	struct mp_err err = { 0 };
	int status, ret;
	pid_t child = fork();

	if (child) {
		assert_int_equal(waitpid(child, &status, 0), child);
		return status;
	}
	if (nested) { /* a PID namespace takes effect for children */
		if (unshare(CLONE_NEWPID | CLONE_NEWNS))
			_exit(2);
		child = fork();
		if (child) {
			waitpid(child, &status, 0);
			_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 3);
		}
	} else if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)) {
		_exit(2);
	}
	ret = pid ? mp_target_check(pid, &err) : mp_target_privilege(&err);
	if (ret == -EPERM && err.exit == MP_EXIT_LACKS && strstr(err.text, why))
		_exit(0);
	fprintf(stderr, "%d %d %s\n", ret, err.exit, err.text);
	_exit(1);
}

static void test_privilege(void **state)
{
	struct mp_err err = { 0 };
	char *argv[] = { "sleep", "1000", NULL };
	pid_t pid = start(argv);

	(void)state;
	if (mp_target_privilege(&err))
		fail_msg("%s", err.text);
	assert_int_equal(
		unprivileged(0, "CAP_BPF CAP_PERFMON CAP_SYS_PTRACE CAP_SYS_ADMIN missing", 0), 0);
	assert_int_equal(unprivileged(pid, "sudo", 0), 0);
	/* the numbers in /proc are not its own there */
	assert_int_equal(unprivileged(0, "namespace", 1), 0);
	stop(pid);
}

static void test_end_is_told(void **state)
{
	char *argv[] = { "sleep", "1000", NULL };
	struct mp_err err = { 0 };
	pid_t pid = start(argv);
	struct pollfd fd = { .fd = mp_target_open(pid, &err), .events = POLLIN };

	(void)state;
	assert_true(fd.fd >= 0);
	assert_int_equal(fcntl(fd.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(poll(&fd, 1, 0), 0);
	kill(pid, SIGKILL);
	assert_int_equal(poll(&fd, 1, 60000), 1);
	close(fd.fd);
	waitpid(pid, NULL, 0);
	assert_int_equal(mp_target_open(free_pid(), &err), -ESRCH);
	assert_int_equal(err.exit, MP_EXIT_FAILED);
}

static int keep(void *ctx, const struct mp_ev *ev)
{
	assert_int_equal(mp_decode(ev, ev->size), ev->size);
	memcpy(ctx, ev, ev->size);
	return 5;
}

static void test_proc_event(void **state)
{
	char *argv[] = { "sleep", "1000", NULL };
	struct mp_ev_proc *ev = calloc(1, MP_EV_SIZE_MAX);
	char *args = malloc(100001), *many[] = { "sh", "-c", "kill -STOP $$", args, NULL };
	pid_t pid = start(argv);

	(void)state;
	wait_name(pid, "sleep");
	assert_int_equal(mp_target_proc(pid, true, keep, ev), 5);
	assert_int_equal(ev->h.type, MP_EV_PROC);
	assert_int_equal(ev->h.tgid, pid);
	assert_int_equal(ev->launched, 1);
	assert_string_equal(ev->comm, "sleep");
	assert_int_equal(ev->cmdline_len, 11);
	assert_memory_equal(ev->cmdline, "sleep\0001000", 11);
	stop(pid);
	assert_int_equal(mp_target_proc(pid, true, keep, ev), -ENOENT);
	/* longer than an event can be */
	memset(args, 'a', 100000);
	args[100000] = '\0';
	pid = start(many);
	wait_name(pid, "sh");
	assert_int_equal(mp_target_proc(pid, false, keep, ev), 5);
	assert_int_equal(ev->launched, 0);
	assert_int_equal(ev->h.size, MP_EV_SIZE_MAX);
	assert_int_equal(ev->cmdline_len, MP_EV_SIZE_MAX - sizeof(*ev));
	assert_int_equal(ev->cmdline[ev->cmdline_len - 1], 'a');
	stop(pid);
	free(args);
	free(ev);
}

/* A name can look like anything in stat and status. */
static void test_hostile_name(void **state)
{
	static const char *const names[] = { "x) Z 1 2", "a\nTgid:\t1", "\nState: Z", ")" };
	struct mp_ev_proc *ev = calloc(1, MP_EV_SIZE_MAX);
	struct mp_err err = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int ready[2];
		char go;
		pid_t pid;

		assert_int_equal(pipe(ready), 0);
		pid = fork();
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			prctl(PR_SET_NAME, names[i]);
			if (write(ready[1], "", 1) == 1)
				pause();
			_exit(1);
		}
		assert_int_equal(read(ready[0], &go, 1), 1);
		if (mp_target_check(pid, &err))
			fail_msg("%s", err.text);
		assert_int_equal(mp_target_proc(pid, false, keep, ev), 5);
		assert_string_equal(ev->comm, names[i]);
		stop(pid);
		close(ready[0]);
		close(ready[1]);
	}
	free(ev);
}

#define HELD (512UL << 20)

/* Executed by a process that holds much: the program's peak is its own. */
static void test_peak_is_own(void **state)
{
	char *held = mmap(NULL, HELD, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long bytes = 0;
	FILE *told;

	(void)state;
	assert_ptr_not_equal(held, MAP_FAILED);
	memset(held, 1, HELD);
	told = popen("exec /proc/$PPID/exe peak", "r");
	assert_non_null(told);
	assert_int_equal(fscanf(told, "%lu", &bytes), 1);
	assert_int_equal(pclose(told), 0);
	munmap(held, HELD);
	assert_in_range(bytes, 1 << 20, HELD - 1);
}

static int print_peak(void)
{
	uint64_t bytes = 0;

	mp_own_cpu_ns(&bytes);
	return printf("%" PRIu64 "\n", bytes) < 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_process),  cmocka_unit_test(test_thread),
		cmocka_unit_test(test_zombie),      cmocka_unit_test(test_programs),
		cmocka_unit_test(test_privilege),   cmocka_unit_test(test_end_is_told),
		cmocka_unit_test(test_proc_event),  cmocka_unit_test(test_hostile_name),
		cmocka_unit_test(test_peak_is_own),
	};

	if (argc > 1 && !strcmp(argv[1], "peak"))
		return print_peak();
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
