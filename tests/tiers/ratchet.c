// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Blocks with mappings of their own, freed one after the other: which free() raises the threshold is
 * known from glibc's manual (M_MMAP_THRESHOLD: it is adjusted to the largest such block freed). Prints,
 * before each free, the block's address and whether it will; then "done".
 *
 * usage: ratchet [fixed]      fixed: with mallopt(M_MMAP_THRESHOLD), so that none does
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t threshold = 128 << 10;

__attribute__((noipa)) static void raises(void *p)
{
	printf("raises %p %zu\n", p, malloc_usable_size(p));
	free(p);
	__asm__ volatile(""); /* no jump to free: then it would be called by our caller */
}

__attribute__((noipa)) static void stays(void *p)
{
	printf("stays %p\n", p);
	free(p);
	__asm__ volatile("");
}

static void one(size_t size)
{
	char *p = malloc(size);
	int mapped;

	__asm__("" : "+r"(p)); /* the word before it is ours to read */
	/* malloc.c, IS_MMAPPED: what the heap has room for is taken from there, however large */
	mapped = (((size_t *)p)[-1] & 2) != 0;
	memset(p, 1, 64);
	if (mapped && size > threshold && size < 32 << 20) {
		threshold = size;
		raises(p);
	} else {
		stays(p);
	}
}

int main(int argc, char **argv)
{
	static const size_t sizes[] = { 1000,    200000,  199000,   100000,   300 << 10, 250 << 10,
					2 << 20, 1 << 20, 11 << 20, 33 << 20, 12 << 20 };

	setvbuf(stdout, NULL, _IONBF, 0);
	if (argc > 1 && !strcmp(argv[1], "fixed")) {
		mallopt(M_MMAP_THRESHOLD, 128 << 10);
		threshold = 64 << 20;
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		one(sizes[i]);
	printf("done\n");
	return 0;
}
