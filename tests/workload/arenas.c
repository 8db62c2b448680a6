// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Threads, one after the other, whose first call of the allocator is malloc() or, of every third, free(). All
 * live until malloc_info() has told how many arenas there are; then "arenas N" and "done" are printed.
 * Every fourth goes on until its arena needs a second heap.
 *
 * usage: arenas [THREADS [wait]]       wait: half of them begin after a line on standard input
 */
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST      256
#define HEAP_SIZE (64UL << 20)
#define BLOCK     (100UL << 10)

static sem_t arrived;
static void *foreign[MOST];

__attribute__((noipa)) static void *site_takes(size_t n)
{
	void *p = malloc(n);

	__asm__ volatile("" : "+r"(p));
	return p;
}

__attribute__((noipa)) static void site_frees(void *p)
{
	free(p);
	__asm__ volatile("");
}

static void *thread(void *arg)
{
	long i = (long)arg;
	size_t room = i % 4 == 3 ? HEAP_SIZE + (HEAP_SIZE >> 1) : BLOCK;

	if (i % 3 == 2)
		site_frees(foreign[i]);
	for (; room >= BLOCK; room -= BLOCK)
		site_takes(BLOCK);
	sem_post(&arrived);
	pause();
	return NULL;
}

static int count_arenas(void)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	int n = 0;

	malloc_info(0, f);
	fclose(f);
	for (char *at = text; (at = strstr(at, "<heap nr=")); at++)
		n++;
	return n;
}

int main(int argc, char **argv)
{
	long threads = argc > 1 ? atoi(argv[1]) : 12, i;
	char line[16];

	if (threads > MOST || sem_init(&arrived, 0, 0))
		return 2;
	mallopt(M_MMAP_THRESHOLD, 1 << 20);
	for (i = 0; i < threads; i++)
		foreign[i] = malloc(2000); /* larger than what a thread's cache keeps */
	for (i = 0; i < threads; i++) {
		pthread_t id;

		if (argc > 2 && i == threads / 2 && read(STDIN_FILENO, line, sizeof(line)) <= 0)
			return 2;
		if (pthread_create(&id, NULL, thread, (void *)i))
			return 2;
		sem_wait(&arrived);
	}
	printf("arenas %d\ndone\n", count_arenas());
	fflush(stdout);
	_exit(0);
}
