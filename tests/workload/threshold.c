// SPDX-License-Identifier: GPL-2.0-or-later
/* One malloc of 1 KiB, one of 256 KiB: glibc asks the kernel for them in two ways. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static __attribute__((noipa)) char *small_block(void)
{
	char *p = malloc(1024);

	return p ? memset(p, 1, 1024) : NULL;
}

static __attribute__((noipa)) char *large_block(void)
{
	char *p = malloc(256 * 1024);

	return p ? memset(p, 1, 256 * 1024) : NULL;
}

int main(void)
{
	char *small = small_block(), *large = large_block();
	char line[128];

	snprintf(line, sizeof(line), "small %p\nlarge %p\n", (void *)small, (void *)large);
	fputs(line, stdout);
	fflush(stdout);
	(void)getchar();
	return 0;
}
