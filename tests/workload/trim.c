// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Frees what it has, gives it back to the kernel, and takes and touches it again, some times over. Prints
 * after each round how many page faults it had meanwhile, by getrusage; then "done".
 *
 * usage: trim [ROUNDS [BLOCKS [free]]]    BLOCKS of 64 KiB; free: nothing stays above them, and it is
 *                                         free() that lowers the break
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define BLOCK (64 << 10)
#define MOST  4096

static char *block[MOST];

__attribute__((noipa)) static void site_takes(int i)
{
	block[i] = malloc(BLOCK);
}

/* Apart from malloc, which touches a page at each end: a fault here is of a block's own. */
__attribute__((noipa)) static void site_touches(int i)
{
	memset(block[i], 1, BLOCK);
}

__attribute__((noipa)) static void site_frees(int i)
{
	free(block[i]);
	__asm__ volatile("");
}

__attribute__((noipa)) static int site_trims(void)
{
	int done = malloc_trim(0);

	__asm__ volatile("");
	return done;
}

static long minor_faults(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_minflt;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 3, blocks = argc > 2 ? atoi(argv[2]) : 256, round,
	    i;
	int pinned = argc < 4;
	long before, after;
	void *top = NULL;

	if (blocks > MOST)
		return 2;
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	setvbuf(stdout, NULL, _IONBF, 0);
	mallopt(M_MMAP_THRESHOLD, 1 << 20);
	mallopt(M_TRIM_THRESHOLD, pinned ? 1 << 30 : 1 << 20);
	minor_faults();
	printf("begin\n");
	for (i = 0; i < blocks; i++) {
		site_takes(i);
		site_touches(i);
	}
	if (pinned) { /* what is below it is given back page by page */
		top = malloc(1000);
		memset(top, 1, 1000);
	}
	for (round = 0; round < rounds; round++) {
		for (i = blocks; i-- > 0;)
			site_frees(i);
		if (pinned)
			site_trims();
		before = minor_faults();
		for (i = 0; i < blocks; i++) {
			site_takes(i);
			site_touches(i);
		}
		after = minor_faults();
		printf("refaults %ld\n", after - before);
	}
	free(top);
	printf("done\n");
	return 0;
}
