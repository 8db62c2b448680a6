// SPDX-License-Identifier: GPL-2.0-or-later
/* malloc(MIB MiB), touched only when told. Says a word at each step, goes on at each line of stdin. */
#include <stdio.h>
#include <stdlib.h>

static void step(const char *word)
{
	printf("%s\n", word);
	fflush(stdout);
	if (getchar() == EOF)
		exit(1);
}

int main(int argc, char **argv)
{
	size_t size = (argc > 1 ? strtoul(argv[1], NULL, 10) : 100) << 20;
	char *volatile p;

	step("start");
	p = malloc(size);
	if (!p)
		return 1;
	step("malloced");
	for (size_t i = 0; i < size; i += 4096)
		p[i] = 'x';
	step("touched");
	free(p);
	step("freed");
	return 0;
}
