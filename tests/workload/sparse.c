// SPDX-License-Identifier: GPL-2.0-or-later
/* malloc(1 GiB), one byte written. */
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
	char *volatile huge = malloc(1UL << 30);

	if (!huge)
		return 1;
	huge[0] = 'a';
	printf("%p\n", (void *)huge);
	fflush(stdout);
	(void)getchar();
	return 0;
}
