// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The target of the price of a stack: on "run DEPTH K" it calls sbrk(0) K times, which is a probe on its
 * entry and nothing else, below DEPTH frames of its own, and prints the CPU ns a call took. It is built
 * with frame pointers, so that they can be followed as well. "ready PID" comes first; it ends at end of
 * input.
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define FRAME __attribute__((noinline, noclone))

static void *volatile kept;

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

FRAME static double calls(unsigned long count)
{
	uint64_t begin = cpu_ns();

	for (unsigned long i = 0; i < count; i++)
		kept = sbrk(0);
	return (double)(cpu_ns() - begin) / (double)count;
}

static double even(unsigned int depth, unsigned long count);

/* Three functions that differ, so that no two frames in a row have the same rule. */
FRAME static double third(unsigned int depth, unsigned long count)
{
	volatile char some[200];
	double ns;

	some[depth & 127] = 1;
	ns = depth ? even(depth - 1, count) : calls(count);
	return ns + some[depth & 127] - 1;
}

FRAME static double odd(unsigned int depth, unsigned long count)
{
	double ns = depth ? third(depth - 1, count) : calls(count);

	return ns * 1.0;
}

FRAME static double even(unsigned int depth, unsigned long count)
{
	volatile double ns = depth ? odd(depth - 1, count) : calls(count);

	return ns;
}

int main(void)
{
	unsigned long count;
	unsigned int depth;

	setvbuf(stdout, NULL, _IONBF, 0);
	printf("ready %d\n", (int)getpid());
	while (scanf(" run %u %lu", &depth, &count) == 2 && count)
		printf("%.1f\n", even(depth, count));
	return 0;
}
