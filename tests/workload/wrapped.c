// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Allocates through a wrapper of its own from two functions, one of them also by an inlined step, and
 * has the kernel be the first to touch a buffer.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 100000
#define BIG   (8 << 20) /* by mmap: nothing of it is touched before read(2) */

static volatile int sink;

__attribute__((noinline)) static char *my_own_alloc(size_t size)
{
	char *p = malloc(size);

	if (!p)
		abort();
	sink++;
	return p;
}

__attribute__((noinline)) static char *from_here(void)
{
	char *p = my_own_alloc(BLOCK);

	memset(p, 1, BLOCK);
	return p;
}

static inline __attribute__((always_inline)) char *small_step(void)
{
	char *p = my_own_alloc(BLOCK / 2);

	memset(p, 2, BLOCK / 2);
	return p;
}

__attribute__((noinline)) static char *from_there(void)
{
	char *p = small_step();

	sink++;
	return p;
}

__attribute__((noinline)) static char *read_into(int fd)
{
	char *p = my_own_alloc(BIG);

	if (read(fd, p, BIG) != BIG)
		abort();
	sink++;
	return p;
}

int main(void)
{
	int i, fd = open("/dev/zero", O_RDONLY);

	for (i = 0; i < 10; i++) {
		from_here();
		from_there();
	}
	read_into(fd);
	return 0;
}
