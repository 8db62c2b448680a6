// SPDX-License-Identifier: GPL-2.0-or-later
#include "fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];
static pid_t running[32];
static size_t nr_running;

void fixture_begin(void)
{
	strcpy(dir, "/tmp/mallocpath-unit-XXXXXX");
	assert_non_null(mkdtemp(dir));
}

void fixture_end(void)
{
	char command[128];

	while (nr_running) {
		kill(running[--nr_running], SIGKILL);
		waitpid(running[nr_running], NULL, 0);
	}
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	assert_int_equal(system(command), 0);
}

const char *fixture_path(const char *name)
{
	static char paths[8][256];
	static unsigned int next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

void fixture_write(const char *name, const char *text)
{
	FILE *f = fopen(fixture_path(name), "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void format(char *command, size_t size, const char *fmt, va_list ap)
{
	int n = snprintf(command, size, "cd '%s' && ", dir);

	vsnprintf(command + n, size - (size_t)n, fmt, ap);
}

void fixture_shell(const char *fmt, ...)
{
	char command[2048];
	va_list ap;

	va_start(ap, fmt);
	format(command, sizeof(command), fmt, ap);
	va_end(ap);
	if (system(command))
		fail_msg("failed: %s", command);
}

void fixture_output(char *buf, size_t size, const char *fmt, ...)
{
	char command[2048];
	va_list ap;
	size_t n;
	FILE *f;

	va_start(ap, fmt);
	format(command, sizeof(command), fmt, ap);
	va_end(ap);
	f = popen(command, "r");
	assert_non_null(f);
	n = fread(buf, 1, size - 1, f);
	buf[n] = '\0';
	if (pclose(f))
		fail_msg("failed: %s", command);
}

static void run(const char *env, const char *command, int in, int out)
{
	char text[1024], *words[32];
	int n = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(in, 0);
	dup2(out, 1);
	snprintf(text, sizeof(text), "env -i %s %s", env, command);
	for (char *w = strtok(text, " "); w && n < 31; w = strtok(NULL, " "))
		words[n++] = w;
	words[n] = NULL;
	if (!chdir(dir))
		execvp(words[0], words);
	_exit(127);
}

struct fixture_program fixture_start(const char *env, const char *command)
{
	struct fixture_program p;
	int in[2], out[2];
	char line[64];

	assert_true(nr_running < sizeof(running) / sizeof(running[0]));
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	p.pid = fork();
	assert_true(p.pid >= 0);
	if (!p.pid)
		run(env, command, in[0], out[1]);
	close(in[0]);
	close(out[1]);
	running[nr_running++] = p.pid;
	p.in = fdopen(in[1], "w");
	p.out = fdopen(out[0], "r");
	assert_non_null(p.in);
	assert_non_null(p.out);
	if (!fgets(line, sizeof(line), p.out) || strcmp(line, "ready\n"))
		fail_msg("%s %s: did not start", env, command);
	return p;
}

void fixture_stop(struct fixture_program *p)
{
	kill(p->pid, SIGKILL);
	waitpid(p->pid, NULL, 0);
	for (size_t i = 0; i < nr_running; i++)
		if (running[i] == p->pid)
			running[i] = running[--nr_running];
	fclose(p->in);
	fclose(p->out);
}
