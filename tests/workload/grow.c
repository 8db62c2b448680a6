// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Keeps 4 MiB of small blocks, and then takes and touches blocks of 48 KiB until the kernel has no more
 * to give.
 *
 * usage: grow [wait [fork]]     wait: begins at a line on standard input; fork: a child does it all, and
 *                              the parent tells by what signal it ended, then waits for another line
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEPT_BYTES (4 << 20)

__attribute__((noipa)) static void *site_kept(size_t n)
{
	void *p = malloc(n);

	return p ? memset(p, 1, n) : p;
}

__attribute__((noipa)) static void *site_grows(size_t n)
{
	void *p = malloc(n);

	return p ? memset(p, 1, n) : p;
}

static void wait_for_line(void)
{
	char line[16];

	if (read(STDIN_FILENO, line, sizeof(line)) <= 0)
		exit(2);
}

static void grow(void)
{
	for (size_t i = 0; i < KEPT_BYTES / 1024; i++)
		site_kept(1024);
	while (site_grows(48 << 10))
		;
}

int main(int argc, char **argv)
{
	int status;

	(void)argv;
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); /* khugepaged collapses what nobody is told of */
	if (argc > 1)
		wait_for_line();
	if (argc < 3 || !fork()) {
		grow();
		return 1;
	}
	wait(&status);
	printf("%d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	fflush(stdout);
	wait_for_line();
	return 0;
}
