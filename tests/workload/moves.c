// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A process whose pages the kernel swaps out, moves and joins, each followed by a barrier at which the
 * truth is written (truth.h). moves DIR [SCENARIO...]
 * MOVES_SWAP=1: there is swap. MOVES_OFFLINE=1: frames can be taken out of use. Each scenario fails if the
 * kernel did not do what it is about.
 */
#include <sys/wait.h>
#include <time.h>

#include "sites.h"
#include "truth.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif
#define PATIENCE_S 120

static void must(int failed, const char *what)
{
	if (failed)
		truth_die(what);
}

static void write_pages(void *p, size_t n)
{
	for (volatile char *c = p, *end = c + n; c < end; c += TRUTH_PAGE)
		*c = 1;
}

static char *page_up(char *p)
{
	return (char *)(((uintptr_t)p + TRUTH_PAGE - 1) & ~(TRUTH_PAGE - 1));
}

static char *huge_up(char *p)
{
	return (char *)(((uintptr_t)p + HUGE - 1) & ~(HUGE - 1));
}

static uint64_t entry_of(const char *p)
{
	int pm = truth_open("/proc/self/pagemap");
	uint64_t entry = 0;

	must(pread(pm, &entry, 8, (uintptr_t)p / TRUTH_PAGE * 8) != 8, "pagemap");
	close(pm);
	return entry;
}

static size_t count_entries(char *p, size_t n, uint64_t flag)
{
	size_t count = 0;

	for (char *end = p + n; p < end; p += TRUTH_PAGE)
		count += !!(entry_of(p) & flag);
	return count;
}

/* ---- swap ------------------------------------------------------------------------------------- */

static int swapped;

static void scenario_swap_out(void)
{
	char *p = page_up(truth_at(swapped = site_swap(MIB)));

	write_pages(p, MIB - TRUTH_PAGE);
	must(madvise(p, MIB / 2, MADV_PAGEOUT), "MADV_PAGEOUT");
	must(count_entries(p, MIB / 2, PM_SWAP) < MIB / 2 / TRUTH_PAGE / 2,
	     "little was swapped out");
}

static void scenario_swap_in(void)
{
	char *p = page_up(truth_at(swapped));

	for (size_t at = 0; at < MIB / 4; at += TRUTH_PAGE)
		(void)((volatile char *)p)[at];
	truth_expect(p, MIB / 4, "-", "-", "fault");
	write_pages(p + MIB / 4, MIB / 8);
}

static void scenario_swap_free(void)
{
	free(truth_end(swapped));
}

/* ---- migration -------------------------------------------------------------------------------- */

#define SHIFTED 64 /* pages */

static char *shifted;

/* Takes every second frame of [@p, @p + SHIFTED pages) out of use: what is there moves elsewhere. */
static void shift(char *p)
{
	uint64_t frame;

	for (int i = 0; i < SHIFTED; i += 2) {
		frame = entry_of(p + i * TRUTH_PAGE) & PM_PFN;
		must(madvise(p + i * TRUTH_PAGE, TRUTH_PAGE, MADV_SOFT_OFFLINE),
		     "MADV_SOFT_OFFLINE");
		must(frame == (entry_of(p + i * TRUTH_PAGE) & PM_PFN), "it has not moved");
	}
}

static void scenario_migrate(void)
{
	shifted = page_up(truth_at(site_shifted((2 * SHIFTED + 1) * TRUTH_PAGE)));
	write_pages(shifted, 2 * SHIFTED * TRUTH_PAGE);
	truth_expect(shifted, 2 * SHIFTED * TRUTH_PAGE, "anon", "user", "fault");
	shift(shifted);
}

/* The child's pages are the parent's: both are told of the frames that they move to. */
static void scenario_fork_migrate(void)
{
	int down[2], status;
	pid_t child;
	char byte;

	must(pipe(down), "pipe");
	child = fork();
	must(child < 0, "fork");
	if (!child) {
		close(down[1]);
		_exit(read(down[0], &byte, 1) != 0);
	}
	close(down[0]);
	shift(shifted + SHIFTED * TRUTH_PAGE);
	truth_barrier("fork_migrate");
	close(down[1]);
	must(waitpid(child, &status, 0) != child || status, "child");
}

/* ---- collapse --------------------------------------------------------------------------------- */

static int is_huge(char *p)
{
	int kpf = truth_open("/proc/kpageflags"), order;
	uint64_t entry = entry_of(p);

	truth_forget_flags();
	order = entry & PM_PRESENT ? truth_order(kpf, entry & PM_PFN) : 0;
	close(kpf);
	return order == 9;
}

/* Every third page is there; the collapser makes two huge pages of them, all of which is memory. */
static void scenario_collapse(void)
{
	const struct timespec nap = { .tv_nsec = 20000000 };
	char *p = huge_up(truth_at(site_collapse(4 * HUGE)));
	time_t end = time(NULL) + PATIENCE_S;

	must(madvise(p, 2 * HUGE, MADV_NOHUGEPAGE), "MADV_NOHUGEPAGE");
	for (size_t at = 0; at < 2 * HUGE; at += 3 * TRUTH_PAGE)
		p[at] = 1;
	must(madvise(p, 2 * HUGE, MADV_HUGEPAGE), "MADV_HUGEPAGE");
	while ((!is_huge(p) || !is_huge(p + HUGE)) && time(NULL) < end)
		nanosleep(&nap, NULL);
	must(!is_huge(p) || !is_huge(p + HUGE), "khugepaged has collapsed nothing");
}

static const struct {
	const char *name;
	void (*run)(void);
	int own_barrier;
	const char *needs; /* set in the environment */
} scenarios[] = {
	{ "swap_out", scenario_swap_out, 0, "MOVES_SWAP" },
	{ "swap_in", scenario_swap_in, 0, "MOVES_SWAP" },
	{ "swap_free", scenario_swap_free, 0, "MOVES_SWAP" },
	{ "migrate", scenario_migrate, 0, "MOVES_OFFLINE" },
	{ "fork_migrate", scenario_fork_migrate, 1, "MOVES_OFFLINE" },
	{ "collapse", scenario_collapse, 0, NULL },
};

int main(int argc, char **argv)
{
	char after[64];

	if (argc != 2) {
		dprintf(2, "usage: moves DIR\n");
		return 99;
	}
	truth_start(argv[1]);
	truth_barrier("begin");
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		if (scenarios[i].needs && !getenv(scenarios[i].needs))
			continue;
		scenarios[i].run();
		snprintf(after, sizeof(after), "%s%s", scenarios[i].name,
			 scenarios[i].own_barrier ? "_after" : "");
		truth_barrier(after);
	}
	_exit(truth->failed ? 97 : 42);
}
