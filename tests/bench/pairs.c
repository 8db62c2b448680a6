// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The target of the price comparison: on "run K" it makes K malloc/free pairs and prints
 * "WALL CPU", the ns a pair took by CLOCK_MONOTONIC and by the thread's own CPU clock (which other
 * programs on the machine do not disturb). "ready PID" comes first; it ends at end of input.
 *
 * Sizes are mixed and small, and 32 blocks stay live, so that thread cache and bins both serve.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define LIVE 32

static const unsigned short sizes[] = { 24, 40, 8, 64, 16, 120, 200, 32, 48, 512, 96, 1000, 72 };

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

__attribute__((noinline)) static void make_pairs(unsigned long count)
{
	static char *live[LIVE];
	unsigned long i;

	for (i = 0; i < count; i++) {
		char **slot = &live[i % LIVE];

		free(*slot);
		*slot = malloc(sizes[i % (sizeof(sizes) / sizeof(sizes[0]))]);
		if (*slot)
			**slot = (char)i;
	}
}

int main(void)
{
	unsigned long count;

	setvbuf(stdout, NULL, _IONBF, 0);
	make_pairs(LIVE);
	printf("ready %d\n", (int)getpid());
	while (scanf(" run %lu", &count) == 1 && count) {
		uint64_t wall = now_ns(CLOCK_MONOTONIC), cpu = now_ns(CLOCK_THREAD_CPUTIME_ID);

		make_pairs(count);
		cpu = now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
		wall = now_ns(CLOCK_MONOTONIC) - wall;
		printf("%.1f %.1f\n", (double)wall / (double)count, (double)cpu / (double)count);
	}
	return 0;
}
