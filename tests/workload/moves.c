// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A process whose pages the kernel swaps out, moves and joins, each followed by a barrier at which the
 * truth is written (truth.h). moves DIR [SCENARIO...]
 * MOVES_SWAP=1: there is swap. MOVES_OFFLINE=1: frames can be taken out of use. MOVES_NODES=1: there are two
 * nodes at least. Each scenario fails if the
 * kernel did not do what it is about.
 */
#include <sys/resource.h>
#include <sys/syscall.h>
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

/* What the kernel counted for one read: 1 a major fault, 0 a minor one, -1 none. */
static int read_page(const volatile char *p)
{
	struct rusage before, after;

	getrusage(RUSAGE_SELF, &before);
	(void)*p;
	getrusage(RUSAGE_SELF, &after);
	if (after.ru_majflt != before.ru_majflt)
		return 1;
	return after.ru_minflt == before.ru_minflt ? -1 : 0;
}

/* Reads pages that were swapped out; how many of them by a @major fault. */
static int read_swapped(char *p, size_t n, int major)
{
	int count = 0, swapped_out, came;

	for (char *end = p + n; p < end; p += TRUTH_PAGE) {
		swapped_out = !!(entry_of(p) & PM_SWAP);
		came = read_page(p);
		must(swapped_out && came < 0, "a page came without a fault");
		count += swapped_out && came == major;
		if (swapped_out)
			truth_expect(p, TRUTH_PAGE, came ? "swapin+major" : "swapin+minor", "user",
				     "fault");
	}
	return count;
}

static void scenario_swap_in(void)
{
	char *p = page_up(truth_at(swapped));

	must(!read_swapped(p, MIB / 4, 1), "all was in memory still");
	write_pages(p + MIB / 4, MIB / 8);
}

/* What a child has brought into memory is there still when it is gone: the fault is a minor one. */
static void scenario_swap_minor(void)
{
	char *p = page_up(truth_at(swapped));
	pid_t child;
	int status;

	must(madvise(p, MIB / 4, MADV_PAGEOUT), "MADV_PAGEOUT");
	child = fork();
	must(child < 0, "fork");
	if (!child) {
		for (size_t at = 0; at < MIB / 4; at += TRUTH_PAGE)
			(void)((volatile char *)p)[at];
		_exit(0);
	}
	must(waitpid(child, &status, 0) != child || status, "child");
	must(!read_swapped(p, MIB / 4, 0), "nothing was in memory still");
}

/* ---- pages that may be dropped ------------------------------------------------------------------ */

/* MADV_FREE leaves them where they are; what is written again stays, the rest goes when it is wanted. */
static void scenario_lazy_free(void)
{
	char *p = page_up(truth_at(site_swap(MIB)));

	must(madvise(p, MIB / 2, MADV_NOHUGEPAGE), "MADV_NOHUGEPAGE");
	write_pages(p, MIB / 2);
	must(madvise(p, MIB / 2, MADV_FREE), "MADV_FREE");
	must(count_entries(p, MIB / 2, PM_PRESENT) != MIB / 2 / TRUTH_PAGE, "they went at once");
	write_pages(p, MIB / 8);
	must(madvise(p + MIB / 8, MIB / 8, MADV_PAGEOUT), "MADV_PAGEOUT");
	must(count_entries(p + MIB / 8, MIB / 8, PM_PRESENT | PM_SWAP), "they are there still");
	must(count_entries(p, MIB / 8, PM_PRESENT) != MIB / 8 / TRUTH_PAGE, "too many went");
	read_page(p + MIB / 8); /* what was dropped is empty */
	truth_expect(p + MIB / 8, TRUTH_PAGE, "zero", "user", "fault");
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

static size_t free_bytes(void)
{
	return (size_t)sysconf(_SC_AVPHYS_PAGES) * TRUTH_PAGE;
}

static void write_word(const char *path, const char *word)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	must(fd < 0 || write(fd, word, strlen(word)) != (ssize_t)strlen(word), path);
	close(fd);
}

/* Another process takes half of the memory that is free, until the pipe is closed. */
static int take_half(pid_t *child)
{
	int down[2];
	char byte, *p;

	must(pipe2(down, O_CLOEXEC), "pipe");
	*child = fork();
	must(*child < 0, "fork");
	if (*child) {
		close(down[0]);
		return down[1];
	}
	close(down[1]);
	p = mmap(NULL, free_bytes() / 2, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	_exit(p == MAP_FAILED || read(down[0], &byte, 1) != 0);
}

#define LOOSE (16 * MIB)

/* Memory half of whose frames are free again. */
static char *make_holes(void)
{
	char *p = truth_at(site_mmap(LOOSE, 0));

	must(madvise(p, LOOSE, MADV_NOHUGEPAGE) || madvise(p, LOOSE, MADV_DONTFORK), "madvise");
	write_pages(p, LOOSE);
	truth_expect(p, LOOSE, "anon", "user", "fault");
	for (size_t at = 0; at < LOOSE; at += 2 * TRUTH_PAGE)
		must(madvise(p + at, TRUTH_PAGE, MADV_DONTNEED), "MADV_DONTNEED");
	return p;
}

static void read_frames(const char *p, uint64_t *entries)
{
	int pm = truth_open("/proc/self/pagemap");

	must(pread(pm, entries, LOOSE / TRUTH_PAGE * 8, (uintptr_t)p / TRUTH_PAGE * 8) !=
		     (ssize_t)(LOOSE / TRUTH_PAGE * 8),
	     "pagemap");
	close(pm);
}

/*
 * Compaction moves what lies low to what is free above. Between one range and the other half of the
 * memory is taken, and then given back: there is room on one side of it or the other.
 */
static size_t compact(uint64_t *frames)
{
	size_t size = LOOSE / TRUTH_PAGE, moved = 0;
	uint64_t *now = frames + 2 * size;
	char *p[2];
	pid_t child;
	int fd, status;

	p[0] = make_holes();
	fd = take_half(&child);
	p[1] = make_holes();
	close(fd);
	must(waitpid(child, &status, 0) != child || status, "child");
	for (int i = 0; i < 2; i++)
		read_frames(p[i], frames + i * size);
	write_word("/proc/sys/vm/compact_memory", "1");
	for (int i = 0; i < 2; i++) {
		read_frames(p[i], now);
		for (size_t k = 1; k < size; k += 2)
			moved += (now[k] & PM_PFN) != (frames[i * size + k] & PM_PFN);
	}
	return moved;
}

/* It depends on what the machine did before: not each round moves something. */
static void scenario_compact(void)
{
	size_t bytes = 3 * LOOSE / TRUTH_PAGE * 8, moved = 0;
	uint64_t *frames = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	must(frames == MAP_FAILED, "mmap");
	for (int round = 0; !moved && round < 5; round++)
		moved = compact(frames);
	must(!moved, "nothing was compacted");
	munmap(frames, bytes);
}

/* From one node to another, by the process itself; there are two of them. */
static void scenario_numa(void)
{
	char *p = page_up(truth_at(site_shifted(65 * TRUTH_PAGE)));
	void *pages[64];
	int nodes[64], status[64];

	write_pages(p, 64 * TRUTH_PAGE);
	truth_expect(p, 64 * TRUTH_PAGE, "anon|thp", "user", "fault");
	for (int i = 0; i < 64; i++) {
		pages[i] = p + i * TRUTH_PAGE;
		nodes[i] = i % 2;
	}
	must(syscall(SYS_move_pages, 0, 64, pages, nodes, status, 2 /* MPOL_MF_MOVE */) < 0,
	     "move_pages");
	must(syscall(SYS_move_pages, 0, 64, pages, NULL, status, 0) < 0, "move_pages");
	for (int i = 0; i < 64; i++)
		must(status[i] != i % 2, "it is on another node");
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
	{ "swap_minor", scenario_swap_minor, 0, "MOVES_SWAP" },
	{ "swap_free", scenario_swap_free, 0, "MOVES_SWAP" },
	{ "migrate", scenario_migrate, 0, "MOVES_OFFLINE" },
	{ "fork_migrate", scenario_fork_migrate, 1, "MOVES_OFFLINE" },
	{ "lazy_free", scenario_lazy_free, 0, NULL },
	{ "compact", scenario_compact, 0, NULL },
	{ "numa", scenario_numa, 0, "MOVES_NODES" },
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
