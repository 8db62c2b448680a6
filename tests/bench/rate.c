// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Makes malloc/free pairs at a steady rate: rate PAIRS_PER_SECOND SECONDS. Starts at a line on
 * stdin, prints "ready PID" before and "PAIRS NS" after: pairs made, and in what time. Every
 * millisecond gets its share; what is late is caught up, so the total is always exact.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

__attribute__((noinline)) static void make_pairs(uint64_t count)
{
	uint64_t i;

	for (i = 0; i < count; i++) {
		char *volatile block = malloc(16 + i % 500);

		free(block);
	}
}

int main(int argc, char **argv)
{
	uint64_t rate = argc == 3 ? strtoull(argv[1], NULL, 10) : 0;
	uint64_t ms, total_ms = argc == 3 ? strtoull(argv[2], NULL, 10) * 1000 : 0;
	uint64_t begin, made = 0;

	if (!rate || !total_ms) {
		fprintf(stderr, "usage: rate PAIRS_PER_SECOND SECONDS\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IONBF, 0);
	printf("ready %d\n", (int)getpid());
	if (getchar() == EOF)
		return 1;
	begin = now_ns();
	for (ms = 1; ms <= total_ms; ms++) {
		uint64_t due = begin + ms * 1000000, now;
		uint64_t upto = rate * ms / 1000;

		make_pairs(upto - made);
		made = upto;
		now = now_ns();
		if (now < due) {
			struct timespec rest = { 0, (long)(due - now) };

			nanosleep(&rest, NULL);
		}
	}
	printf("%" PRIu64 " %" PRIu64 "\n", made, now_ns() - begin);
	getchar();
	return 0;
}
