// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * 8 MiB written, then fork: parent and child share every page until the parent writes the first
 * quarter of them. Says a word at each step, goes on at each line of stdin; the child just waits.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE (8UL << 20)

static void step(const char *word)
{
	printf("%s\n", word);
	fflush(stdout);
	if (getchar() == EOF)
		exit(1);
}

int main(void)
{
	char *p = malloc(SIZE);
	int life[2];
	pid_t child;
	char c;

	if (!p || pipe(life))
		return 1;
	memset(p, 1, SIZE);
	step("written");
	child = fork();
	if (child < 0)
		return 1;
	if (!child) {
		close(life[1]);
		_exit(read(life[0], &c, 1) != 0);
	}
	close(life[0]);
	step("forked");
	for (size_t i = 0; i < SIZE / 4; i += 4096)
		p[i] = 2;
	step("rewritten");
	close(life[1]);
	waitpid(child, NULL, 0);
	return 0;
}
