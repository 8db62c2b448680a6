// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Takes memory in some ways, writes the truth at a barrier (truth.h), and then ends without touching
 * anything more. dies DIR HOW [DIR2 HOW2]
 *
 * HOW: killed (waits for it), kill (itself), segv, abort, thread (exit_group by another than the first),
 * exit, exec (itself: dies DIR2 HOW2); less: takes more, which is the most it ever has, and after the
 * barrier gives most of it back and exits; busy: killed as well, while four threads take pages all the
 * time, of which there is no truth but the kernel's counters.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "sites.h"
#include "truth.h"

#define STATUS 42

static int to_thread[2];

static void must(int failed, const char *what)
{
	if (failed)
		truth_die(what);
}

static void write_pages(char *p, size_t n)
{
	for (volatile char *c = p, *end = p + n; c < end; c += TRUTH_PAGE)
		*c = 1;
}

static void take_memory(void)
{
	int gone[64], map;

	for (int i = 0; i < 200; i++)
		write_pages(truth_at(site_all(3 * KIB)), 3 * KIB);
	write_pages(truth_at(site_tenth(10 * MIB)), MIB);
	site_none(MIB);
	for (int i = 0; i < 64; i++) {
		gone[i] = site_churn(8 * KIB);
		write_pages(truth_at(gone[i]), 8 * KIB);
	}
	for (int i = 0; i < 64; i += 2)
		free(truth_end(gone[i]));
	map = site_mmap(4 * MIB, 0);
	write_pages(truth_at(map), 2 * MIB);
	madvise(truth_at(map) + MIB, MIB / 2, MADV_DONTNEED);
	for (size_t i = 0; i < MIB / 4; i += TRUTH_PAGE) /* the zero page */
		(void)*(volatile char *)(truth_at(map) + 3 * MIB + i);
}

static void *end_by_thread(void *arg)
{
	char c;

	(void)arg;
	if (read(to_thread[0], &c, 1) == 1)
		syscall(SYS_exit_group, STATUS);
	return NULL;
}

static void *take_forever(void *arg)
{
	size_t size = 64 * MIB;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)arg;
	for (; p != MAP_FAILED;) {
		write_pages(p, size);
		madvise(p, size, MADV_DONTNEED);
	}
	return NULL;
}

static void start_threads(const char *how)
{
	int nr = !strcmp(how, "thread") ? 1 : !strcmp(how, "busy") ? 4 : 0;
	pthread_t thread;

	must(pipe(to_thread), "pipe");
	for (int i = 0; i < nr; i++)
		must(pthread_create(&thread, NULL, nr == 1 ? end_by_thread : take_forever, NULL),
		     "thread");
	if (nr == 1)
		usleep(200000); /* until it waits, its stack is not all there */
}

int main(int argc, char **argv)
{
	const struct rlimit none = { 0, 0 };
	const char *how = argc > 2 ? argv[2] : "";
	int more = -1;

	if (argc < 3 || (!strcmp(how, "exec") && argc < 5)) {
		dprintf(2, "usage: dies DIR HOW [DIR2 HOW2]\n");
		return 99;
	}
	must(setrlimit(RLIMIT_CORE, &none), "no core file");
	truth_start(argv[1]);
	take_memory();
	if (strcmp(how, "busy"))
		start_threads(how);
	if (!strcmp(how, "less"))
		more = site_above(4 * MIB);
	for (size_t i = 0; more >= 0 && i < 4 * MIB; i += TRUTH_PAGE)
		truth_at(more)[i] = 1;
	truth_barrier(how);
	if (!strcmp(how, "busy")) /* while pages come and go no truth can be written */
		start_threads(how);
	if (more >= 0) {
		free(truth_end(more));
		_exit(STATUS);
	}
	if (!strcmp(how, "kill"))
		syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
	if (!strcmp(how, "segv"))
		*(volatile int *)8 = 1;
	if (!strcmp(how, "abort"))
		abort();
	if (!strcmp(how, "thread"))
		must(write(to_thread[1], "e", 1) != 1, "pipe");
	if (!strcmp(how, "exec"))
		execl("/proc/self/exe", argv[0], argv[3], argv[4], (char *)NULL);
	if (!strcmp(how, "exit"))
		_exit(STATUS);
	for (;;)
		pause();
}
