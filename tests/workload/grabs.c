// SPDX-License-Identifier: GPL-2.0-or-later
/* grabs: for each byte on its stdin 100 blocks of 10,000 bytes, asked for in grab() and written to. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void __attribute__((noinline)) grab(void)
{
	volatile char *p = malloc(10000);

	if (!p)
		abort();
	for (int i = 0; i < 10000; i++)
		p[i] = 1;
}

int main(void)
{
	char c;

	for (size_t n = 0; read(0, &c, 1) == 1;) {
		for (int i = 0; i < 100; i++)
			grab();
		n += 100;
		dprintf(1, "%zu\n", n);
	}
	return 0;
}
