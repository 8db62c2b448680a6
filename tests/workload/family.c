// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Three processes that share memory: the first writes it, each has a child, and each then writes parts
 * of its own copy, so that some pages are mapped by three, some by two, some by one. When all is done
 * the first prints the three numbers, and all wait to be killed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE   4096UL
#define PAGES  1024UL
#define SMALLS 200

static char *big, *small[SMALLS];
static int done[2];

static __attribute__((noipa)) void *site_shared(size_t n)
{
	void *p = malloc(n);

	return p ? memset(p, 1, n) : NULL;
}

static __attribute__((noipa)) void *site_own(size_t n)
{
	void *p = malloc(n);

	return p ? memset(p, 2, n) : NULL;
}

static void write_pages(size_t first, size_t nr)
{
	for (size_t i = first; i < first + nr; i++)
		big[i * PAGE] = 3;
}

static int tell(void)
{
	pid_t pid = getpid();

	return write(done[1], &pid, sizeof(pid)) != sizeof(pid);
}

static void rest(void)
{
	for (;;)
		pause();
}

static int third(void)
{
	write_pages(100, 50);
	if (!site_own(100 * PAGE) || tell())
		return 1;
	rest();
	return 0;
}

static int second(void)
{
	pid_t pid;

	write_pages(50, 100);
	pid = fork();
	if (pid < 0)
		return 1;
	if (!pid)
		return third();
	write_pages(400, 33);
	for (int i = 0; i < SMALLS; i += 7)
		free(small[i]);
	if (tell())
		return 1;
	rest();
	return 0;
}

int main(void)
{
	pid_t pid[2], first;

	big = site_shared(PAGES * PAGE);
	for (int i = 0; i < SMALLS; i++)
		small[i] = site_shared(1000);
	if (!big || pipe(done))
		return 1;
	first = fork();
	if (first < 0)
		return 1;
	if (!first)
		return second();
	write_pages(0, 60);
	if (read(done[0], &pid[0], sizeof(pid_t)) != sizeof(pid_t) ||
	    read(done[0], &pid[1], sizeof(pid_t)) != sizeof(pid_t))
		return 1;
	dprintf(1, "%d %d %d\n", getpid(), first, pid[0] == first ? pid[1] : pid[0]);
	rest();
}
