// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Takes page faults and says what they cost: maps PAGES pages, writes to each for the first time,
 * unmaps them, over and over. Every line "ROUNDS" on stdin is answered by one line of
 *
 *	faults touch_ns unmap_ns all_ns
 *
 * where touch and unmap are the thread's CPU time (what runs in the target: its own instructions,
 * the kernel's fault handler, and the programs hooked into it) and all is the time on the clock, in
 * which a reader of events on the same CPU had its turns too. "loop N" answers "0 cpu_ns 0 all_ns" of
 * 2 N instructions, so that a clock that counts instructions can be told from one that does not.
 */
/* perf and bpftrace walk user stacks by frame pointers: without them their stacks would cost less */
#pragma GCC optimize("no-omit-frame-pointer")

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define PAGE  4096UL
#define PAGES 1024UL /* two page tables' worth: their price is 1/512 a fault */

static uint64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static __attribute__((noipa)) void touch(volatile char *p)
{
	for (size_t i = 0; i < PAGES; i++)
		p[i * PAGE] = 1;
}

static __attribute__((noipa)) char *map(void)
{
	char *p = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);

	/* one page a fault, whatever the machine's huge pages are set to */
	if (p == MAP_FAILED || madvise(p, PAGES * PAGE, MADV_NOHUGEPAGE)) {
		perror("faults");
		exit(1);
	}
	return p;
}

static void faults(uint64_t rounds)
{
	uint64_t start = now_ns(CLOCK_MONOTONIC), touch_ns = 0, unmap_ns = 0;

	for (uint64_t i = 0; i < rounds; i++) {
		char *p = map();
		uint64_t begin = now_ns(CLOCK_THREAD_CPUTIME_ID), touched;

		touch(p);
		touched = now_ns(CLOCK_THREAD_CPUTIME_ID);
		munmap(p, PAGES * PAGE);
		touch_ns += touched - begin;
		unmap_ns += now_ns(CLOCK_THREAD_CPUTIME_ID) - touched;
	}
	printf("%lu %lu %lu %lu\n", (unsigned long)(rounds * PAGES), (unsigned long)touch_ns,
	       (unsigned long)unmap_ns, (unsigned long)(now_ns(CLOCK_MONOTONIC) - start));
}

static void loop(uint64_t n)
{
	uint64_t start = now_ns(CLOCK_MONOTONIC), begin = now_ns(CLOCK_THREAD_CPUTIME_ID), end;

	__asm__ volatile("1: dec %0\n\tjnz 1b" : "+r"(n) : : "cc");
	end = now_ns(CLOCK_THREAD_CPUTIME_ID);
	printf("0 %lu 0 %lu\n", (unsigned long)(end - begin),
	       (unsigned long)(now_ns(CLOCK_MONOTONIC) - start));
}

int main(void)
{
	char line[64];

	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		if (!strncmp(line, "loop ", 5))
			loop(strtoull(line + 5, NULL, 10));
		else
			faults(strtoull(line, NULL, 10));
	}
	return 0;
}
