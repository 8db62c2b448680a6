// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Every way into the allocator and every place it takes from, the same way each time.
 *
 * usage: mix THREADS STEPS [SEED [ROUND]]    the threads hand blocks to each other if there are several;
 *                                            sizes from 1600 on are multiples of ROUND
 */
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS  2048
#define SHARED 256

static int nr_threads, nr_steps;
static uint64_t first_seed;
static size_t step = 1;
static void *_Atomic shared[SHARED];

struct mix {
	uint64_t seed;
	void *slots[SLOTS];
};

static uint64_t next(struct mix *m)
{
	m->seed ^= m->seed << 13;
	m->seed ^= m->seed >> 7;
	m->seed ^= m->seed << 17;
	return m->seed;
}

/* Mostly small, now and then large, seldom with a mapping of its own. */
static size_t size_of(struct mix *m)
{
	uint64_t r = next(m) % 1000;

	if (r < 500)
		return 8 + next(m) % 120;
	if (r < 850)
		return 128 + next(m) % 1500;
	if (r < 990)
		return (1600 + next(m) % 40000 + step - 1) / step * step;
	return (40000 + next(m) % 400000 + step - 1) / step * step;
}

static void *get(struct mix *m, void *old)
{
	size_t size = size_of(m);
	uint64_t how = next(m) % 100;
	void *p = NULL;

	if (how < 70) {
		free(old);
		return malloc(size);
	}
	if (how < 85)
		return realloc(old, size);
	free(old);
	if (how < 95)
		return calloc(1, size);
	if (how < 98)
		return memalign(64 << next(m) % 4, size);
	if (posix_memalign(&p, 128, size))
		return NULL;
	return p;
}

static void *run(void *arg)
{
	struct mix *m = arg;

	for (int i = 0; i < nr_steps; i++) {
		size_t n = next(m) % SLOTS;

		if (next(m) % 3 == 0) {
			free(m->slots[n]);
			m->slots[n] = NULL;
		} else {
			m->slots[n] = get(m, m->slots[n]);
			memset(m->slots[n], 0x5a, 16 < malloc_usable_size(m->slots[n]) ? 16 : 8);
		}
		if (nr_threads > 1 && next(m) % 16 == 0)
			m->slots[n] = atomic_exchange(&shared[next(m) % SHARED], m->slots[n]);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	nr_threads = argc > 1 ? atoi(argv[1]) : 1;
	nr_steps = argc > 2 ? atoi(argv[2]) : 100000;
	first_seed = argc > 3 ? strtoull(argv[3], NULL, 0) : 88172645463325252ULL;
	step = argc > 4 ? strtoull(argv[4], NULL, 0) : 1;
	pthread_t threads[nr_threads];
	struct mix *mixes[nr_threads];

	for (int i = 0; i < nr_threads; i++) {
		mixes[i] = calloc(1, sizeof(*mixes[i]));
		mixes[i]->seed = first_seed + 7919 * (uint64_t)i;
	}
	if (nr_threads == 1)
		return run(mixes[0]) != NULL;
	for (int i = 0; i < nr_threads; i++)
		pthread_create(&threads[i], NULL, run, mixes[i]);
	for (int i = 0; i < nr_threads; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
