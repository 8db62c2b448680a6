// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Allocates, fills, checks and frees until DIR/stop appears, then computes a fixed sum, writes it to
 * DIR/result and exits with 42. Any harm done by a tracer shows as another sum, status or signal.
 *
 * steady DIR MODE: plain, threads (4 of them), signals (a 1 kHz timer), block (stands in read(2) on
 * stdin; an EINTR there is an error), exec or fork (when DIR/go appears, then plain).
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define SLOTS  400
#define ROUNDS 4000
#define GOOD   42
#define BAD    13

static const char *dir;
static volatile sig_atomic_t ticks;

static int there(const char *name)
{
	char path[400];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return access(path, F_OK) == 0;
}

static _Noreturn void harm(const char *what)
{
	dprintf(2, "steady: harmed: %s: %s\n", what, strerror(errno));
	_exit(BAD);
}

struct slot {
	unsigned char *p;
	size_t n;
	unsigned char fill;
};

static void check_and_free(struct slot *s)
{
	for (size_t i = 0; i < s->n; i += 61)
		if (s->p[i] != s->fill)
			harm("memory changed");
	free(s->p);
	s->p = NULL;
}

static uint64_t rounds(int count, uint32_t seed)
{
	struct slot slots[SLOTS] = { 0 };
	uint64_t sum = 0;

	for (int i = 0; i < count; i++) {
		struct slot *s = &slots[(seed >> 8) % SLOTS];

		seed = seed * 1664525 + 1013904223;
		if (s->p)
			check_and_free(s);
		s->n = seed % 97 ? seed >> 20 : seed >> 14;
		s->fill = (unsigned char)seed;
		s->p = seed & 64 ? malloc(s->n) : calloc(1, s->n);
		if (!s->p && s->n)
			harm("malloc");
		memset(s->p, s->fill, s->n);
		sum = sum * 31 + s->n + s->fill;
	}
	for (int i = 0; i < SLOTS; i++)
		if (slots[i].p)
			check_and_free(&slots[i]);
	return sum;
}

static void *until_stop(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg;

	while (!there("stop"))
		rounds(ROUNDS, seed++);
	return NULL;
}

static void until_go(void)
{
	while (!there("go"))
		rounds(ROUNDS, 5);
}

static void run_threads(void)
{
	pthread_t threads[4];

	for (uintptr_t i = 0; i < 4; i++)
		if (pthread_create(&threads[i], NULL, until_stop, (void *)(i * 1000)))
			harm("pthread_create");
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

static void tick(int sig)
{
	(void)sig;
	ticks++;
}

static void run_signals(void)
{
	struct itimerval often = { { 0, 1000 }, { 0, 1000 } };
	struct sigaction act = { .sa_handler = tick, .sa_flags = SA_RESTART };

	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	until_stop(NULL);
	if (!ticks)
		harm("no signal came");
}

static void run_block(void)
{
	char c;

	if (read(0, &c, 1) < 0)
		harm("read");
}

static void run_fork(void)
{
	uint64_t want = rounds(ROUNDS, 9);

	until_go();
	for (int i = 0; i < 5; i++) {
		pid_t child = fork();
		int status;

		if (!child)
			_exit(rounds(ROUNDS, 9) == want ? GOOD : BAD);
		if (waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
		    WEXITSTATUS(status) != GOOD)
			harm("child");
	}
	until_stop(NULL);
}

static void write_result(void)
{
	char path[400], text[64];
	int fd, n = snprintf(text, sizeof(text), "%016llx\n",
			     (unsigned long long)rounds(10 * ROUNDS, 1));

	snprintf(path, sizeof(path), "%s/result", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, text, n) != n || close(fd) || write(1, text, n) != n)
		harm("result");
}

int main(int argc, char **argv)
{
	const char *mode = argc > 2 ? argv[2] : "";

	dir = argc > 1 ? argv[1] : "";
	if (!strcmp(mode, "threads")) {
		run_threads();
	} else if (!strcmp(mode, "signals")) {
		run_signals();
	} else if (!strcmp(mode, "block")) {
		run_block();
	} else if (!strcmp(mode, "fork")) {
		run_fork();
	} else if (!strcmp(mode, "exec")) {
		until_go();
		execl("/proc/self/exe", argv[0], dir, "plain", NULL);
		harm("exec");
	} else if (!strcmp(mode, "plain")) {
		until_stop(NULL);
	} else {
		dprintf(2, "usage: steady DIR plain|threads|signals|block|exec|fork\n");
		return 2;
	}
	write_result();
	return GOOD;
}
