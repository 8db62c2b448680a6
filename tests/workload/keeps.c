// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Few blocks that keep much: of N blocks each 64th stays, by keep_one() in the first half and by it
 * and keep_other() in turn in the second; and map_some() has mappings of which a part was touched.
 *
 * usage: keeps N
 *
 * Says "ready", then obeys lines and repeats each when it is done: "make"; "trim" (malloc_trim(0));
 * "one", "other", "some" free the blocks of that function, and trim. Ends with its input.
 */
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EACH    64
#define SIZE    200
#define MAPPED  20
#define MAP_LEN (3UL << 20)

struct kept {
	char **list;
	unsigned long nr;
};

static struct kept one, other, some;

static void *filled(size_t size, size_t touched)
{
	char *block = malloc(size);

	if (!block)
		exit(1);
	memset(block, 1, touched);
	return block;
}

static void keep(struct kept *k, void *block)
{
	k->list[k->nr++] = block;
}

__attribute__((noinline)) static void keep_one(void)
{
	keep(&one, filled(SIZE, SIZE));
}

__attribute__((noinline)) static void keep_other(void)
{
	keep(&other, filled(SIZE, SIZE));
}

__attribute__((noinline)) static void map_some(void)
{
	keep(&some, filled(MAP_LEN, MAP_LEN / 3));
}

static void make(unsigned long n)
{
	char **freed = calloc(n, sizeof(*freed));
	unsigned long i, nr = 0;

	if (!freed)
		exit(1);
	for (i = 0; i < n; i++) {
		if (i % EACH)
			freed[nr++] = filled(SIZE, SIZE);
		else if (i > n / 2 && i / EACH % 2)
			keep_other();
		else
			keep_one();
	}
	while (nr)
		free(freed[--nr]);
	free(freed);
	for (i = 0; i < MAPPED; i++)
		map_some();
}

static void let_go(struct kept *k)
{
	while (k->nr)
		free(k->list[--k->nr]);
	malloc_trim(0);
}

static bool obey(const char *word, unsigned long n)
{
	if (!strcmp(word, "make"))
		make(n);
	else if (!strcmp(word, "trim"))
		malloc_trim(0);
	else if (!strcmp(word, "one"))
		let_go(&one);
	else if (!strcmp(word, "other"))
		let_go(&other);
	else if (!strcmp(word, "some"))
		let_go(&some);
	else
		return false;
	return true;
}

int main(int argc, char **argv)
{
	unsigned long n = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
	char word[16];

	one.list = calloc(n / EACH + 1, sizeof(char *));
	other.list = calloc(n / EACH + 1, sizeof(char *));
	some.list = calloc(MAPPED, sizeof(char *));
	if (!n || !one.list || !other.list || !some.list)
		return 2;
	puts("ready");
	fflush(stdout);
	while (scanf(" %15s", word) == 1) {
		if (!obey(word, n))
			return 2;
		puts(word);
		fflush(stdout);
	}
	return 0;
}
