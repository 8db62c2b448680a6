// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Takes memory from everybody else: writes to MIB MiB of its own, over and over, and by that swaps.
 *
 * usage: hog MIB       reads words, and says each when it is done: "full" touches all once, "go" goes on
 *                      doing so, "stop" does not, "gone" gives all back. Ends with its standard input.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB   1048576UL
#define PAGE  4096
#define CHUNK (256UL * PAGE)

static char *memory;
static size_t bytes;

static void touch(size_t from, size_t n)
{
	for (size_t i = from; i < from + n && i < bytes; i += PAGE)
		memory[i]++;
}

static int obey(const char *word)
{
	if (!strcmp(word, "full"))
		touch(0, bytes);
	if (!strcmp(word, "gone") && madvise(memory, bytes, MADV_DONTNEED))
		exit(1);
	puts(word);
	return !strcmp(word, "go");
}

int main(int argc, char **argv)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	char word[16] = "";
	int going = 0;

	bytes = argc == 2 ? strtoul(argv[1], NULL, 10) * MIB : 0;
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || madvise(memory, bytes, MADV_NOHUGEPAGE))
		return 2;
	setvbuf(stdin, NULL, _IONBF, 0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t at = 0;; at = (at + CHUNK) % bytes) {
		if (!poll(&in, 1, going ? 0 : -1)) {
			touch(at, CHUNK);
			continue;
		}
		if (scanf("%15s", word) != 1)
			return 0;
		going = obey(word);
	}
}
