// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Many threads that each take, fill and free a buffer of 11 MiB, three times over. The first free() of one
 * raises glibc's threshold, and from then on such buffers are cut out of the heaps, which keep them. At the
 * end all are freed: prints "ready", and ends at a line on standard input.
 *
 * usage: buffers [THREADS]       begins at a line on standard input too
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define BUFFER (11UL << 20)
#define ROUNDS 3

static pthread_barrier_t all;

__attribute__((noipa)) static void *site_takes(size_t n)
{
	void *p = malloc(n);

	return p ? memset(p, 1, n) : p;
}

__attribute__((noipa)) static void site_frees(void *p)
{
	free(p);
	__asm__ volatile("");
}

static void *thread(void *arg)
{
	for (int i = 0; i < ROUNDS; i++)
		site_frees(site_takes(BUFFER));
	pthread_barrier_wait(&all); /* it lives, and so its arena stays with it */
	pause();
	return arg;
}

static void wait_for_line(void)
{
	char line[16];

	if (read(STDIN_FILENO, line, sizeof(line)) <= 0)
		exit(2);
}

int main(int argc, char **argv)
{
	int threads = argc > 1 ? atoi(argv[1]) : 64, i;
	pthread_t id;

	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	if (pthread_barrier_init(&all, NULL, threads + 1))
		return 2;
	wait_for_line();
	for (i = 0; i < threads; i++)
		if (pthread_create(&id, NULL, thread, NULL))
			return 2;
	pthread_barrier_wait(&all);
	printf("ready\n");
	fflush(stdout);
	wait_for_line();
	_exit(0);
}
