// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A crowd of processes: forks NR children, each of which touches PAGES pages and waits. On stdin,
 * "more N" forks N more and answers with their PIDs in one line; "end N" lets the N oldest unmap what
 * they have and exit, and answers "ended" once they have been waited for. At its end all end.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL
#define MOST 4096

static struct member {
	pid_t pid;
	int end; /* closing it is the word to go */
} members[MOST];
static size_t first, next;

static void live(size_t pages, int word)
{
	char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);
	char byte;

	if (p == MAP_FAILED)
		_exit(1);
	madvise(p, pages * PAGE, MADV_NOHUGEPAGE);
	memset(p, 1, pages * PAGE);
	while (read(word, &byte, 1) < 0)
		;
	if (getpid() % 2)
		munmap(p, pages / 2 * PAGE);
	_exit(0);
}

static int add(size_t pages)
{
	int ends[2];
	pid_t pid;

	if (next == MOST || pipe(ends))
		return -1;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(ends[0], STDIN_FILENO);
		close_range(STDERR_FILENO + 1, ~0U, 0); /* the others' words to go too */
		live(pages, STDIN_FILENO);
	}
	close(ends[0]);
	if (pid < 0)
		return -1;
	members[next++] = (struct member){ pid, ends[1] };
	return pid;
}

static void end(size_t nr)
{
	size_t from = first;

	while (nr-- && first < next)
		close(members[first++].end);
	for (; from < first; from++)
		waitpid(members[from].pid, NULL, 0);
}

int main(int argc, char **argv)
{
	size_t pages = argc > 1 ? strtoul(argv[1], NULL, 10) : 16;
	char word[16];
	struct rlimit files = { MOST + 16, MOST + 16 };
	size_t nr;

	setrlimit(RLIMIT_NOFILE, &files);
	while (scanf("%15s %zu", word, &nr) == 2) {
		if (!strcmp(word, "end")) {
			end(nr);
			puts("ended");
		} else {
			while (nr--)
				printf("%d ", add(pages));
			puts("");
		}
		fflush(stdout);
	}
	end(MOST);
	return 0;
}
