// SPDX-License-Identifier: GPL-2.0-or-later
#include "launched.h"

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
#include <unistd.h>

#include <cmocka.h>

#include "fixture.h"

static const char ctor_source[] =
	"#include <stdlib.h>\n#include <unistd.h>\n"
	"__attribute__((constructor)) static void c(void)\n"
	"{ char *fd = getenv(\"CTOR_FD\"); free(malloc(1)); if (fd) write(atoi(fd), \"c\", 1); }\n"
	"int lib(void) { return 3; }\n";
static const char main_source[] = "int lib(void);\nint main(void) { return lib(); }\n";
static const char audit_source[] =
	"unsigned int la_version(unsigned int v) { return v; }\n"
	"unsigned int la_objopen(void *m, long id, unsigned long *c) { return 3; }\n";
/* What a process can do that is of interest when it is followed. */
static const char tree_source[] =
	"#include <dlfcn.h>\n#include <errno.h>\n#include <pthread.h>\n#include <signal.h>\n"
	"#include <spawn.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"
	"#include <time.h>\n#include <poll.h>\n#include <sys/wait.h>\n#include <unistd.h>\n"
	"extern char **environ;\n"
	"static int end(pid_t p) { int s = -1; return waitpid(p, &s, 0) == p ? s : -1; }\n"
	"static int forks(void) { pid_t p = fork(); if (!p) _exit(5); return end(p) >> 8; }\n"
	"static void *thread(void *x) { *(int *)x = forks(); return 0; }\n"
	"static int threads(void)\n"
	"{ pthread_t t; int r; pthread_create(&t, 0, thread, &r); pthread_join(t, 0); return r; }\n"
	"static int vforks(void)\n"
	"{ pid_t p = vfork(); if (!p) { execl(\"/bin/true\", \"true\", (char *)0); _exit(9); }\n"
	"  return end(p); }\n"
	"static int spawns(void)\n"
	"{ char *a[] = { \"true\", 0 }; pid_t p;\n"
	"  return posix_spawn(&p, \"/bin/true\", 0, 0, a, environ) ? 9 : end(p); }\n"
	"static void *exec_in(void *x) { execl(\"/bin/true\", \"true\", (char *)0); return x; }\n"
	"static int execs(void) { pthread_t t; pthread_create(&t, 0, exec_in, 0); pause(); return 9; }\n"
	"static int stops(void) { raise(SIGSTOP); return 6; }\n"
	"static int opens(void) { return dlopen(\"./libctor.so\", RTLD_NOW) ? 4 : 9; }\n"
	"static void *sleeper(void *x)\n" /* poll is not restarted: an EINTR shows */
	"{ while (poll(0, 0, 20) == 0); *(int *)x = errno; return 0; }\n"
	"static int lives(void)\n"
	"{ pthread_t t[3]; static int bad[3]; int r = 0, i; char c;\n"
	"  for (i = 0; i < 3; i++) pthread_create(&t[i], 0, sleeper, &bad[i]);\n"
	"  puts(\"ready\"); fflush(stdout);\n"
	"  while (read(0, &c, 1) == 1) { if (c == 'f') r |= threads() != 5; \n"
	"    if (c == 'v') r |= vforks(); for (i = 0; i < 3; i++) r |= bad[i];\n"
	"    printf(\"%d\\n\", r); fflush(stdout); }\n"
	"  return r; }\n"
	"int main(int n, char **v) {\n"
	"  if (!strcmp(v[1], \"fork\")) return forks();\n"
	"  if (!strcmp(v[1], \"thread\")) return threads();\n"
	"  if (!strcmp(v[1], \"vfork\")) return vforks();\n"
	"  if (!strcmp(v[1], \"spawn\")) return spawns();\n"
	"  if (!strcmp(v[1], \"exec\")) return execs();\n"
	"  if (!strcmp(v[1], \"stop\")) return stops();\n"
	"  if (!strcmp(v[1], \"dlopen\")) return opens();\n"
	"  if (!strcmp(v[1], \"live\")) return lives();\n"
	"  return 9; }\n";

int launched_set_up(void **state)
{
	(void)state;
	assert_int_equal(geteuid(), 0);
	fixture_begin();
	fixture_write("ctor.c", ctor_source);
	fixture_write("main.c", main_source);
	fixture_write("audit.c", audit_source);
	fixture_write("tree.c", tree_source);
	fixture_shell("gcc -w -shared -fPIC -o libctor.so ctor.c");
	fixture_shell("gcc -w -shared -fPIC -o libaudit.so audit.c");
	fixture_shell("gcc -o dynamic main.c ./libctor.so");
	fixture_shell("gcc -static -w -o static main.c ctor.c");
	fixture_shell("gcc -static-pie -w -o static-pie main.c ctor.c");
	fixture_shell("gcc -w -pthread -o tree tree.c");
	fixture_write("p32.s", ".globl _start\n_start: mov $1, %eax\nxor %ebx, %ebx\nint $0x80\n");
	fixture_shell("as --32 -o p32.o p32.s && ld -m elf_i386 -o p32 p32.o");
	assert_int_equal(chdir(fixture_path("")), 0);
	return 0;
}

int launched_tear_down(void **state)
{
	(void)state;
	signal(SIGCHLD, SIG_DFL);
	fixture_end();
	return 0;
}

struct launched run;

int launched_ctor_ran(void)
{
	struct pollfd fd = { .fd = run.ctor[0], .events = POLLIN };
	char c;

	return poll(&fd, 1, 0) == 1 && read(run.ctor[0], &c, 1) == 1;
}

static int held(void *ctx, pid_t pid, enum mp_held why)
{
	char path[64], comm[32] = "?";
	FILE *f;

	assert_ptr_equal(ctx, &run);
	run.forks += why == MP_HELD_FORK;
	run.execs += why == MP_HELD_EXEC;
	run.images += why == MP_HELD_IMAGE;
	run.of_threads += why == MP_HELD_IMAGE_OF_THREAD;
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_non_null(fgets(comm, sizeof(comm), f));
	fclose(f);
	comm[strcspn(comm, "\n")] = ' ';
	if (why == MP_HELD_EXEC && strlen(run.names) < sizeof(run.names) - 40)
		strcat(run.names, comm);
	run.early += launched_ctor_ran();
	if (run.kill_held)
		kill(pid, SIGKILL);
	return 0;
}

static void ended(void *ctx, pid_t pid, int status)
{
	(void)ctx;
	(void)pid;
	(void)status;
	run.ends++;
}

static const struct mp_launch_ops ops = { .held = held, .ended = ended };

void launched_begin(void)
{
	struct mp_err err = { 0 };
	char fd[16];

	memset(&run, 0, sizeof(run));
	assert_int_equal(pipe(run.ctor), 0);
	assert_int_equal(pipe2(run.out, O_CLOEXEC), 0);
	snprintf(fd, sizeof(fd), "%d", run.ctor[1]);
	setenv("CTOR_FD", fd, 1);
	run.l = mp_launch__new(&ops, &run, &err);
	assert_non_null(run.l);
}

/* The command's stdout is run.out. */
pid_t launched_start_args(char *const argv[], bool follow, struct mp_err *err)
{
	int out = fcntl(1, F_DUPFD_CLOEXEC, 0);

	fflush(stdout);
	dup2(run.out[1], 1);
	run.pid = mp_launch__start(run.l, argv, follow, err);
	dup2(out, 1);
	close(out);
	return run.pid;
}

void launched_start(bool follow, const char *command, const char *arg, const char *arg2)
{
	char *argv[] = { (char *)(uintptr_t)command, (char *)(uintptr_t)arg,
			 (char *)(uintptr_t)arg2, NULL };
	struct mp_err err = { 0 };

	if (launched_start_args(argv, follow, &err) < 0)
		fail_msg("%s", err.text);
}

/* Until CMD has ended; its status. */
int launched_finish(void)
{
	int status = -1;

	while (!mp_launch__ended(run.l, &status)) {
		struct pollfd fd = { .fd = mp_launch__fd(run.l), .events = POLLIN };

		if (poll(&fd, 1, 60000) != 1)
			fail_msg("%d does not end", run.pid);
		assert_int_equal(mp_launch__poll(run.l), 0);
	}
	assert_int_equal(mp_launch__poll(run.l), 0);
	return status;
}

void launched_end(void)
{
	mp_launch__free(run.l);
	signal(SIGCHLD, SIG_DFL);
	close(run.ctor[0]);
	close(run.ctor[1]);
	close(run.out[0]);
	close(run.out[1]);
}

char *launched_output(void)
{
	static char text[65536];
	size_t len = 0;
	ssize_t n;

	close(run.out[1]);
	run.out[1] = -1;
	while ((n = read(run.out[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	return text;
}
