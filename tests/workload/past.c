// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A process that keeps a list of what it has done to each of its pages: how the page came, what changed
 * it, how it went, by which function, and the frame that pagemap said it had then. past DIR [SCENARIO...]
 * At each barrier the list so far is written to DIR/past.N: "past ADDR WHAT PFN WHO OWNER OTHER", oldest
 * first; "-": anything. PAST_SWAP=1, PAST_OFFLINE=1, PAST_COLLAPSE=1: the kernel can do that.
 */
#include <sys/wait.h>

#include "sites.h"
#include "truth.h"

#ifndef MADV_FREE
#define MADV_FREE 8
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif

#define STEPS 65536
/* A call in the last place of a function would be a jump, and the function on no stack. */
#define DOES  static __attribute__((noipa)) void
#define GIVES static __attribute__((noipa)) char *

struct step {
	uint64_t addr, pfn, other;
	const char *what, *who, *owner;
};

static struct steps {
	struct step s[STEPS];
	int n, pagemap;
} * steps;

static void must(int failed, const char *what)
{
	if (failed)
		truth_die(what);
}

/* ---- the list --------------------------------------------------------------------------------- */

static uint64_t entry_of(const char *p)
{
	uint64_t entry = 0;

	must(pread(steps->pagemap, &entry, 8, (uintptr_t)p / TRUTH_PAGE * 8) != 8, "pagemap");
	return entry;
}

static int is_there(const char *p)
{
	return !!(entry_of(p) & PM_PRESENT);
}

/* No frame and no swap; there are other bits (soft-dirty). */
static int is_gone(const char *p)
{
	return !(entry_of(p) & (PM_PRESENT | PM_SWAP));
}

static const struct step *last_of(const char *p)
{
	for (int i = steps->n; i--;)
		if (steps->s[i].addr == (uintptr_t)p)
			return &steps->s[i];
	return NULL;
}

static struct step *add(const char *p, const char *what, const char *who)
{
	const struct step *last = last_of(p);
	struct step *s = &steps->s[steps->n++];

	must(steps->n == STEPS, "too many steps");
	*s = (struct step){ .addr = (uintptr_t)p,
			    .what = what,
			    .who = who,
			    .pfn = last ? last->pfn : 0,
			    .owner = last ? last->owner : "null" };
	return s;
}

/* It has a frame now that it had not before. */
static void came(const char *p, size_t pages, const char *what, const char *who, const char *owner)
{
	for (; pages--; p += TRUTH_PAGE) {
		struct step *s = add(p, what, who);

		must(!is_there(p), what);
		s->pfn = entry_of(p) & PM_PFN;
		if (owner)
			s->owner = owner;
	}
}

/* Whether it went or goes on, its frame is the one it had. */
static void met(const char *p, size_t pages, const char *what, const char *who)
{
	for (; pages--; p += TRUTH_PAGE)
		add(p, what, who);
}

/* Those that were on the list and are gone by what pagemap says; how many. */
static size_t went(const char *p, size_t pages, const char *what, const char *who)
{
	size_t n = 0;

	for (; pages--; p += TRUTH_PAGE) {
		const struct step *last = last_of(p);

		if (!last || !is_gone(p) ||
		    (strncmp(last->what, "fault", 5) && strcmp(last->what, "madv_free")))
			continue;
		add(p, what, who);
		n++;
	}
	return n;
}

static void barrier(const char *scenario)
{
	char path[320];

	snprintf(path, sizeof(path), "%s/past.%d", truth->dir, truth->barrier);
	truth->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	must(truth->fd < 0, path);
	for (int i = 0; i < steps->n; i++) {
		const struct step *s = &steps->s[i];

		truth_say("past %#" PRIx64 " %s %" PRIu64 " %s %s %#" PRIx64 "\n", s->addr, s->what,
			  s->pfn, s->who, s->owner, s->other);
	}
	truth_flush();
	close(truth->fd);
	truth_barrier(scenario);
}

/* ---- who does it ------------------------------------------------------------------------------ */

GIVES own_pages(size_t pages)
{
	char *p = mmap(NULL, pages * TRUTH_PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(p == MAP_FAILED, "mmap");
	return p;
}

GIVES filled_pages(size_t pages)
{
	char *p = mmap(NULL, pages * TRUTH_PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	must(p == MAP_FAILED, "MAP_POPULATE");
	return p;
}

GIVES big_block(size_t n)
{
	char *p = malloc(n);

	must(!p, "malloc");
	return p;
}

GIVES small_block(size_t n)
{
	char *p = malloc(n);

	must(!p, "malloc");
	return p;
}

DOES touch_first(char *p, size_t pages)
{
	for (; pages--; p += TRUTH_PAGE)
		*(volatile char *)p = 1;
}

DOES touch_again(char *p, size_t pages)
{
	for (; pages--; p += TRUTH_PAGE)
		*(volatile char *)p = 2;
}

DOES read_first(const char *p, size_t pages)
{
	for (; pages--; p += TRUTH_PAGE)
		(void)*(const volatile char *)p;
}

DOES drop_pages(char *p, size_t pages)
{
	must(madvise(p, pages * TRUTH_PAGE, MADV_DONTNEED), "MADV_DONTNEED");
}

DOES unmap_pages(char *p, size_t pages)
{
	must(munmap(p, pages * TRUTH_PAGE), "munmap");
}

DOES map_over(char *p, size_t pages)
{
	must(mmap(p, pages * TRUTH_PAGE, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != p,
	     "MAP_FIXED");
}

DOES move_pages(char *p, char *to, size_t pages)
{
	must(mremap(p, pages * TRUTH_PAGE, pages * TRUTH_PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) !=
		     to,
	     "mremap");
}

DOES leave_pages(char *p, size_t pages)
{
	must(madvise(p, pages * TRUTH_PAGE, MADV_FREE), "MADV_FREE");
}

DOES page_out(char *p, size_t pages)
{
	must(madvise(p, pages * TRUTH_PAGE, MADV_PAGEOUT), "MADV_PAGEOUT");
}

DOES free_big(char *p)
{
	free(p);
	__asm__ volatile("");
}

DOES free_small(char *p)
{
	free(p);
	__asm__ volatile("");
}

DOES trim_heap(void)
{
	malloc_trim(0);
	__asm__ volatile("");
}

GIVES move_break(long pages)
{
	char *p = sbrk(pages * (long)TRUTH_PAGE);

	must(p == (void *)-1, "sbrk");
	return p;
}

static char *page_up(char *p)
{
	return (char *)(((uintptr_t)p + TRUTH_PAGE - 1) & ~(TRUTH_PAGE - 1));
}

/* ---- scenarios -------------------------------------------------------------------------------- */

static void scenario_dontneed(void)
{
	char *p = own_pages(16);

	touch_first(p, 16);
	came(p, 16, "fault/anon", "touch_first", "own_pages");
	drop_pages(p, 4);
	met(p, 4, "madv_dontneed", "drop_pages");
	touch_again(p, 2);
	came(p, 2, "fault/anon", "touch_again", "own_pages");
	drop_pages(p, 1);
	met(p, 1, "madv_dontneed", "drop_pages");
	unmap_pages(p + 8 * TRUTH_PAGE, 8);
	met(p + 8 * TRUTH_PAGE, 8, "munmap", "unmap_pages");
}

static void scenario_chunk(void)
{
	char *block = big_block(MIB), *p = page_up(block);

	touch_first(p, 64);
	came(p, 64, "fault/anon", "touch_first", "big_block");
	free_big(block);
	met(p, 64, "chunk", "free_big");
}

#define SMALLS 80

static size_t went_of(char **blocks, const char *who)
{
	size_t n = 0;

	for (int i = 0; i < SMALLS; i++)
		n += went(page_up(blocks[i]), 8, "trim", who);
	return n;
}

/* What the heap keeps of them is its own affair: pagemap tells which pages went. */
static void scenario_trim(void)
{
	char *blocks[SMALLS], *p;
	size_t n = 0;

	mallopt(M_TRIM_THRESHOLD, 128 << 10);
	for (int i = 0; i < SMALLS; i++) {
		blocks[i] = small_block(10 * TRUTH_PAGE);
		p = page_up(blocks[i]);
		touch_first(p, 8); /* the next block's header lies on the tenth */
		came(p, 8, "fault/anon", "touch_first", "small_block");
	}
	for (int i = SMALLS; i--;) {
		if (i < SMALLS / 2 && i % 2)
			continue; /* it keeps what is below from the top */
		free_small(blocks[i]);
		n += went_of(blocks, "free_small");
	}
	must(n < 8 * SMALLS / 4, "free() trimmed little");
	trim_heap();
	must(went_of(blocks, "trim_heap") < 8 * SMALLS / 8, "malloc_trim() trimmed little");
}

static void scenario_mremap(void)
{
	char *p = own_pages(8), *to = own_pages(8);

	touch_first(p, 6);
	came(p, 6, "fault/anon", "touch_first", "own_pages");
	touch_first(to, 2);
	came(to, 2, "fault/anon", "touch_first", "own_pages");
	move_pages(p, to, 8);
	met(to, 2, "mremap", "move_pages");
	for (int i = 0; i < 6; i++) {
		add(p + i * TRUTH_PAGE, "mremap", "move_pages")->other =
			(uintptr_t)to + i * TRUTH_PAGE;
		came(to + i * TRUTH_PAGE, 1, "mremap_in", "move_pages", "own_pages");
		steps->s[steps->n - 1].other = (uintptr_t)p + i * TRUTH_PAGE;
	}
}

static void scenario_cow(void)
{
	char *p = own_pages(8), byte;
	int down[2], status;
	pid_t child;

	read_first(p + 4 * TRUTH_PAGE, 4);
	came(p + 4 * TRUTH_PAGE, 4, "fault/zero", "read_first", "own_pages");
	touch_first(p, 4);
	came(p, 4, "fault/anon", "touch_first", "own_pages");
	must(pipe(down), "pipe");
	child = fork();
	must(child < 0, "fork");
	if (!child) {
		close(down[1]);
		_exit(read(down[0], &byte, 1) != 0);
	}
	close(down[0]);
	touch_again(p, 2);
	came(p, 2, "fault/cow", "touch_again", "own_pages");
	close(down[1]);
	must(waitpid(child, &status, 0) != child || status, "child");
	touch_again(p + 4 * TRUTH_PAGE, 2);
	came(p + 4 * TRUTH_PAGE, 2, "fault/cow", "touch_again", "own_pages");
	/* nobody shares it any more: the write lifts the protection only; 5.10 may copy all the same */
	p += 2 * TRUTH_PAGE;
	touch_again(p, 1);
	if ((entry_of(p) & PM_PFN) != last_of(p)->pfn)
		came(p, 1, "fault/cow", "touch_again", "own_pages");
}

static void scenario_populate(void)
{
	char *p = filled_pages(8);

	came(p, 8, "populate|fault/anon", "filled_pages|-", "filled_pages");
	unmap_pages(p, 8);
	met(p, 8, "munmap", "unmap_pages");
}

static void scenario_fixed(void)
{
	char *p = own_pages(8);

	touch_first(p, 8);
	came(p, 8, "fault/anon", "touch_first", "own_pages");
	map_over(p, 4);
	met(p, 4, "mmap", "map_over");
	touch_again(p, 2);
	came(p, 2, "fault/anon", "touch_again", "map_over");
	truth_expect(p, 2 * TRUTH_PAGE, "anon", "user", "fault");
}

static void scenario_lazy(void)
{
	char *p = own_pages(16);

	touch_first(p, 16);
	came(p, 16, "fault/anon", "touch_first", "own_pages");
	leave_pages(p, 12);
	met(p, 12, "madv_free", "leave_pages");
	page_out(p, 8);
	must(went(p, 8, "reclaim", "leave_pages") < 4, "little was reclaimed");
	touch_again(p, 4);
	for (int i = 0; i < 4; i++)
		if (!strcmp(last_of(p + i * TRUTH_PAGE)->what, "reclaim"))
			came(p + i * TRUTH_PAGE, 1, "fault/anon", "touch_again", "own_pages");
	unmap_pages(p + 4 * TRUTH_PAGE, 12);
	for (int i = 4; i < 16; i++)
		if (strcmp(last_of(p + i * TRUTH_PAGE)->what, "reclaim"))
			met(p + i * TRUTH_PAGE, 1, "munmap", "unmap_pages");
}

static void scenario_brk(void)
{
	char *p;

	move_break(1024); /* beyond all that the heap has had */
	p = page_up(move_break(0)) - 8 * TRUTH_PAGE;
	touch_first(p, 7);
	came(p, 7, "fault/anon", "touch_first", "move_break");
	move_break(-8);
	must(!went(p, 7, "brk", "move_break"), "the break did not move");
}

/* ---- the kernel's own doing ------------------------------------------------------------------- */

static void scenario_swap(void)
{
	char *p = own_pages(64);
	int n = 0;

	touch_first(p, 64);
	came(p, 64, "fault/anon", "touch_first", "own_pages");
	page_out(p, 64);
	for (int i = 0; i < 64; i++)
		if (entry_of(p + i * TRUTH_PAGE) & PM_SWAP) {
			add(p + i * TRUTH_PAGE, "swap_out", "null");
			n++;
		}
	must(n < 32, "little was swapped out");
	touch_again(p, 32);
	for (int i = 0; i < 32; i++)
		if (!strcmp(last_of(p + i * TRUTH_PAGE)->what, "swap_out"))
			came(p + i * TRUTH_PAGE, 1, "fault/swapin", "touch_again", "own_pages");
	leave_pages(p + 48 * TRUTH_PAGE, 16);
	for (int i = 48; i < 64; i++) {
		int swapped = !strcmp(last_of(p + i * TRUTH_PAGE)->what, "swap_out");
		struct step *s =
			add(p + i * TRUTH_PAGE, swapped ? "reclaim" : "madv_free", "leave_pages");

		s->pfn = swapped ? 0 : s->pfn;
		must(swapped && !is_gone(p + i * TRUTH_PAGE), "MADV_FREE left what was in swap");
	}
	unmap_pages(p, 64);
	for (int i = 0; i < 64; i++) {
		if (!strcmp(last_of(p + i * TRUTH_PAGE)->what, "reclaim"))
			continue;
		int swapped = !strcmp(last_of(p + i * TRUTH_PAGE)->what, "swap_out");
		struct step *s = add(p + i * TRUTH_PAGE, "munmap", "unmap_pages");

		s->pfn = swapped ? 0 : s->pfn; /* it was in none */
	}
}

static void scenario_migrate(void)
{
	char *p = own_pages(16);

	touch_first(p, 16);
	came(p, 16, "fault/anon", "touch_first", "own_pages");
	for (int i = 0; i < 16; i += 2) {
		must(madvise(p + i * TRUTH_PAGE, TRUTH_PAGE, MADV_SOFT_OFFLINE),
		     "MADV_SOFT_OFFLINE");
		must(last_of(p + i * TRUTH_PAGE)->pfn == (entry_of(p + i * TRUTH_PAGE) & PM_PFN),
		     "it has not moved");
		came(p + i * TRUTH_PAGE, 1, "migrate", "null", NULL);
	}
}

static char *huge_pages(size_t huge)
{
	char *p = own_pages((huge + 1) * HUGE / TRUTH_PAGE);

	p = (char *)(((uintptr_t)p + HUGE - 1) & ~(HUGE - 1));
	must(madvise(p, huge * HUGE, MADV_HUGEPAGE), "MADV_HUGEPAGE");
	return p;
}

/* MADV_FREE of some pages of a huge one needs folios of their own for them. */
static void scenario_split(void)
{
	char *p = huge_pages(1);

	touch_first(p, 512); /* pages that hold nothing would be given up for the zero page */
	came(p, 512, "fault/thp", "touch_first", "own_pages");
	leave_pages(p, 4);
	/* which is told first, and whether the call is told with it, depends on what is seen of the kernel */
	met(p, 4, "madv_free|split", "leave_pages|null");
	met(p, 4, "split|madv_free", "leave_pages|null");
	met(p + 4 * TRUTH_PAGE, 508, "split", "leave_pages|null");
}

static void scenario_collapse(void)
{
	char *p = huge_pages(1);

	must(madvise(p, HUGE, MADV_NOHUGEPAGE), "MADV_NOHUGEPAGE");
	touch_first(p, 100);
	came(p, 100, "fault/anon", "touch_first", "own_pages");
	must(madvise(p, HUGE, MADV_HUGEPAGE), "MADV_HUGEPAGE");
	must(madvise(p, HUGE, MADV_COLLAPSE), "MADV_COLLAPSE");
	came(p, 512, "collapse", "null", "own_pages");
}

static const struct {
	const char *name;
	void (*run)(void);
	const char *needs; /* set in the environment */
} scenarios[] = {
	{ "dontneed", scenario_dontneed, NULL },
	{ "chunk", scenario_chunk, NULL },
	{ "trim", scenario_trim, NULL },
	{ "mremap", scenario_mremap, NULL },
	{ "cow", scenario_cow, NULL },
	{ "populate", scenario_populate, NULL },
	{ "fixed", scenario_fixed, NULL },
	{ "lazy", scenario_lazy, NULL },
	{ "brk", scenario_brk, NULL },
	{ "split", scenario_split, NULL },
	{ "swap", scenario_swap, "PAST_SWAP" },
	{ "migrate", scenario_migrate, "PAST_OFFLINE" },
	{ "collapse", scenario_collapse, "PAST_COLLAPSE" },
};

static void prepare(const char *dir)
{
	truth_start(dir);
	steps = mmap(NULL, sizeof(*steps), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	must(steps == MAP_FAILED, "memory for the list");
	steps->pagemap = truth_open("/proc/self/pagemap");
}

/* "exec" as the last: the process becomes another program, this one with nothing to do. */
int main(int argc, char **argv)
{
	if (argc < 2) {
		dprintf(2, "usage: past DIR [SCENARIO...]\n");
		return 99;
	}
	prepare(argv[1]);
	barrier("begin");
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		int wanted = argc == 2;

		for (int k = 2; k < argc; k++)
			wanted |= !strcmp(argv[k], scenarios[i].name);
		if (!wanted || (scenarios[i].needs && !getenv(scenarios[i].needs)))
			continue;
		scenarios[i].run();
		barrier(scenarios[i].name);
	}
	if (argc > 2 && !strcmp(argv[argc - 1], "exec"))
		execl("/proc/self/exe", argv[0], argv[1], "nothing", NULL);
	_exit(truth->failed ? 97 : 42);
}
