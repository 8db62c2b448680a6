// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The target of the X-ray's measurement: COUNT live blocks of mixed small sizes, 102 bytes a chunk
 * on average, with a free one after every 20 of them. "ready PID" comes when they are there; it ends
 * at end of input.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOLES 21 /* of so many blocks one is freed */

static const unsigned short sizes[] = { 24, 200, 40, 100, 72, 56, 152, 24, 88, 168 };

static int fill(unsigned long count)
{
	unsigned long i, all = count / (HOLES - 1) * HOLES;
	char **blocks = calloc(all, sizeof(*blocks));

	if (!blocks)
		return -1;
	for (i = 0; i < all; i++) {
		size_t size = sizes[i % (sizeof(sizes) / sizeof(sizes[0]))];

		blocks[i] = malloc(size);
		if (!blocks[i])
			return -1;
		memset(blocks[i], (int)i, size);
	}
	for (i = HOLES - 1; i < all; i += HOLES)
		free(blocks[i]);
	free(blocks);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 2 || fill(strtoul(argv[1], NULL, 10)))
		return 1;
	printf("ready %d\n", (int)getpid());
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
