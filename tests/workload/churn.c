// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Faults from THREADS threads until it is killed, on memory that is mapped, moved, split, given back
 * and unmapped in between, with a fork now and then. Says "ready" once all threads have begun.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE  4096UL
#define PAGES 64UL

static atomic_int begun;

static char *must_map(void *p)
{
	if (p == MAP_FAILED) {
		perror("churn");
		_exit(1);
	}
	return p;
}

static void touch(volatile char *p, size_t pages)
{
	for (size_t i = 0; i < pages; i++)
		p[i * PAGE] = 1;
}

/* One life of a mapping, from the first touch to its end. */
static void once(void)
{
	char *p = must_map(mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

	touch(p, PAGES);
	mprotect(p + 8 * PAGE, 8 * PAGE, PROT_READ);
	madvise(p + 32 * PAGE, 16 * PAGE, MADV_DONTNEED);
	touch(p + 32 * PAGE, 16);
	mprotect(p + 8 * PAGE, 8 * PAGE, PROT_READ | PROT_WRITE); /* one mapping again */
	p = must_map(mremap(p, PAGES * PAGE, 2 * PAGES * PAGE, MREMAP_MAYMOVE));
	touch(p + PAGES * PAGE, PAGES);
	munmap(p + 40 * PAGE, 4 * PAGE);
	munmap(p, 2 * PAGES * PAGE);
}

static void *run(void *arg)
{
	unsigned int turn = 0;

	atomic_fetch_add(&begun, 1);
	for (;;) {
		once();
		/* Only one of them: a child costs more than all else. */
		if (!arg && ++turn % 64 == 0) {
			pid_t pid = fork();

			if (!pid) {
				once();
				_exit(0);
			}
			waitpid(pid, NULL, 0);
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int nr = argc > 1 ? atoi(argv[1]) : 1;
	pthread_t thread;

	for (intptr_t i = 0; i < nr; i++)
		if (pthread_create(&thread, NULL, run, (void *)i))
			return 1;
	while (atomic_load(&begun) < nr)
		usleep(1000);
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
