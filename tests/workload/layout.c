// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A process whose memory is known to the page: many ways to get, touch and give back memory, each
 * followed by a barrier at which the truth is written (truth.h). layout DIR [SCENARIO...]
 * LAYOUT_MTHP is the size in KiB of the folios that the driver has allowed for the mthp scenarios,
 * LAYOUT_THP=never says that there are no huge pages whoever asks.
 *
 * Every function named site_* calls the allocator itself, so that the direct caller is its name.
 */
#include <pthread.h>
#include <sys/wait.h>

#include "sites.h"
#include "truth.h"

static void drop(int i)
{
	free(truth_end(i));
}

static void must(int failed, const char *what)
{
	if (failed)
		truth_die(what);
}

static void write_pages(void *p, size_t n)
{
	for (volatile char *c = p, *end = c + n; c < end; c += TRUTH_PAGE)
		*c = 1;
	if (n)
		((volatile char *)p)[n - 1] = 1;
}

static void read_pages(const void *p, size_t n)
{
	for (const volatile char *c = p, *end = c + n; c < end; c += TRUTH_PAGE)
		(void)*c;
}

static void touch(int i, size_t n)
{
	write_pages(truth_at(i), n);
}

/* There when the tracer attaches; later scenarios free, move and touch more of it. */
static int before_small[32], before_big, before_half, before_moved;

static void scenario_before(void)
{
	for (int i = 0; i < 32; i++)
		touch(before_small[i] = site_before(5000), 5000);
	touch(before_big = site_before(MIB), MIB);
	touch(before_half = site_before(2 * MIB), MIB);
	touch(before_moved = site_before(40 * KIB), 40 * KIB);
}

static void scenario_before_later(void)
{
	for (int i = 0; i < 32; i += 2)
		drop(before_small[i]);
	drop(before_big);
	write_pages(truth_at(before_half) + MIB, MIB);
	touch(site_realloc(before_moved, 100 * KIB), 100 * KIB);
}

static void scenario_touch(void)
{
	for (int i = 0; i < 100; i++) {
		touch(site_all(10000), 10000);
		touch(site_tenth(50000), 5000);
		site_none(50000);
	}
	touch(site_all(MIB + 10), MIB + 10);
	touch(site_tenth(10 * MIB), MIB);
	site_none(64 * MIB);
}

static void scenario_calloc(void)
{
	int used[64];

	for (int i = 0; i < 64; i++)
		touch(used[i] = site_all(3000), 3000);
	for (int i = 0; i < 64; i++)
		drop(used[i]);
	for (int i = 0; i < 64; i++)
		site_calloc(i % 2 ? 2800 : 72);
	site_calloc(3 * MIB);
	touch(site_calloc(MIB), 100 * KIB);
}

static void scenario_realloc(void)
{
	int top, moved, big, shrunk;

	touch(top = site_realloc(-1, 20 * KIB), 20 * KIB);
	touch(top = site_realloc(top, 60 * KIB), 50 * KIB);
	touch(moved = site_all(8 * KIB), 8 * KIB);
	touch(site_all(100), 100);
	touch(moved = site_realloc(moved, 30 * KIB), 20 * KIB);
	touch(big = site_all(MIB), MIB);
	touch(big = site_realloc(big, 3 * MIB), 2 * MIB);
	big = site_realloc(big, 20 * MIB);
	touch(shrunk = site_all(100 * KIB), 100 * KIB);
	shrunk = site_reallocarray(shrunk, 10 * KIB);
	touch(shrunk = site_all(4 * MIB), 4 * MIB);
	shrunk = site_realloc(shrunk, MIB);
	must(truth_at(top) == NULL, "realloc");
}

static void scenario_align(void)
{
	for (int i = 0; i < 10; i++) {
		touch(site_memalign(4096, 6000), 3000);
		touch(site_posix_memalign(65536, 70000), 35000);
		touch(site_aligned_alloc(256, 1024), 512);
		touch(site_valloc(9000), 4500);
	}
	touch(site_memalign(MIB, 3 * MIB), MIB);
}

static void scenario_threshold(void)
{
	int freed;

	touch(site_below(127 * KIB), 127 * KIB);
	touch(site_above(MIB + 300 * KIB), 100 * KIB);
	touch(freed = site_above(2 * MIB), MIB);
	drop(freed); /* the threshold is 2 MiB from here on */
	touch(site_below(MIB), 50 * KIB);
	touch(site_above(33 * MIB), 20 * KIB);
}

static int zero_block, zero_map;

/* Where huge pages come unasked, the write of the block's header or of a neighbour has brought one. */
static void scenario_zero(void)
{
	zero_block = site_zero(40 * MIB);
	read_pages(truth_at(zero_block), MIB);
	truth_expect(truth_at(zero_block) + TRUTH_PAGE, MIB - TRUTH_PAGE, "zero|thp", "user",
		     "fault");
	zero_map = site_mmap(MIB, 0);
	read_pages(truth_at(zero_map), MIB);
	truth_expect(truth_at(zero_map), MIB, "zero|thp", "user", "fault");
}

/* Writing may take the huge zero page away, for a huge page (7.2) or small ones. */
static void scenario_zero_written(void)
{
	char *block = truth_at(zero_block), *map = truth_at(zero_map);

	touch(zero_block, MIB / 2);
	truth_expect(block + TRUTH_PAGE, MIB - TRUTH_PAGE, "zero|cow|thp", "user", "fault");
	truth_expect(block + TRUTH_PAGE, MIB / 2 - TRUTH_PAGE, "cow|thp", "user", "fault");
	touch(zero_map, MIB / 4);
	truth_expect(map, MIB, "zero|cow|thp", "user", "fault");
	truth_expect(map, MIB / 4, "cow|thp", "user", "fault");
}

static void scenario_readsys(void)
{
	int block = site_readsys(40 * MIB), small = site_readsys(20000);
	int fd = truth_open("/proc/self/exe");
	ssize_t n = pread(fd, truth_at(block), 16 * KIB, 0);

	must(n != 16 * KIB, "pread");
	must(pread(fd, truth_at(small), 10000, 0) != 10000, "pread");
	close(fd);
	fd = truth_open("/dev/zero");
	must(read(fd, truth_at(block) + MIB, MIB) != MIB, "read");
	close(fd);
	truth_expect(truth_at(block) + TRUTH_PAGE, 15 * KIB, "anon|thp", "kernel", "fault");
	truth_expect(truth_at(block) + MIB, MIB, "anon|thp", "kernel", "fault");
}

static void scenario_populate(void)
{
	int map = site_mmap(MIB, MAP_POPULATE), locked = site_locked(36 * MIB), advised;

	truth_expect(truth_at(map), MIB, "-", "-", "populate");
	must(mlock(truth_at(locked) + MIB, MIB), "mlock");
	truth_expect(truth_at(locked) + MIB, MIB, "-", "-", "populate");
	advised = site_mmap(2 * MIB, 0);
	touch(site_mmap(MIB, MAP_NORESERVE), MIB / 2);
	if (madvise(truth_at(advised), MIB, MADV_POPULATE_WRITE) && errno == EINVAL)
		return; /* not before Linux 5.14 */
	truth_expect(truth_at(advised), MIB, "-", "-", "populate");
	must(madvise(truth_at(advised) + MIB, MIB / 2, MADV_POPULATE_READ), "MADV_POPULATE_READ");
	truth_expect(truth_at(advised) + MIB, MIB / 2, "-", "-", "populate");
}

static void scenario_dontneed(void)
{
	int block = site_dontneed(34 * MIB), map = site_mmap(MIB, 0);
	char *p = (char *)(((uintptr_t)truth_at(block) + 4095) & ~4095UL);

	touch(block, 2 * MIB);
	must(madvise(p + MIB / 2, MIB, MADV_DONTNEED), "MADV_DONTNEED");
	write_pages(p + MIB / 2, MIB / 4);
	touch(map, MIB);
	must(madvise(truth_at(map), MIB / 2, MADV_FREE), "MADV_FREE");
	must(mprotect(truth_at(map) + MIB / 2, MIB / 4, PROT_NONE), "mprotect");
}

static void scenario_free(void)
{
	int blocks[64], map = site_mmap(2 * MIB, 0);

	for (int i = 0; i < 64; i++)
		touch(blocks[i] = site_returned(60 * KIB), 60 * KIB);
	for (int i = 0; i < 64; i++)
		drop(blocks[i]);
	malloc_trim(0);
	for (int i = 0; i < 8; i++)
		touch(blocks[i] = site_returned(35 * MIB), MIB);
	for (int i = 0; i < 8; i += 2)
		drop(blocks[i]);
	touch(map, 2 * MIB);
	must(munmap(truth_end(map), 2 * MIB), "munmap");
	free(NULL);
}

static void scenario_mremap(void)
{
	int map = site_mmap(MIB, 0), wall = site_mmap(MIB, 0), block = site_all(36 * MIB);

	touch(map, MIB);
	touch(wall, TRUTH_PAGE);
	map = site_mremap(map, MIB, 8 * MIB);
	write_pages(truth_at(map) + 4 * MIB, MIB);
	touch(block, MIB);
	block = site_realloc(block, 80 * MIB);
	write_pages(truth_at(block) + 50 * MIB, MIB);
}

#define THREADS 4
static int thread_blocks[THREADS][64];
static pthread_barrier_t thread_rendezvous;

static void *thread_main(void *arg)
{
	int me = (int)(intptr_t)arg, *mine = thread_blocks[me];

	truth_deepen_stack();
	for (int i = 0; i < 64; i++) {
		size_t n = 500 + 700 * i + 33 * me;

		touch(mine[i] = site_thread(n), i % 3 ? n : n / 2);
	}
	pthread_barrier_wait(&thread_rendezvous);
	for (int i = 0; i < 64; i += 2) /* those of the neighbour */
		drop(thread_blocks[(me + 1) % THREADS][i]);
	pthread_barrier_wait(&thread_rendezvous); /* all stand still from here */
	pthread_barrier_wait(&thread_rendezvous);
	return NULL;
}

static void scenario_threads(void)
{
	pthread_t threads[THREADS];

	pthread_barrier_init(&thread_rendezvous, NULL, THREADS + 1);
	for (intptr_t i = 0; i < THREADS; i++)
		must(pthread_create(&threads[i], NULL, thread_main, (void *)i), "pthread_create");
	pthread_barrier_wait(&thread_rendezvous);
	pthread_barrier_wait(&thread_rendezvous);
	usleep(100000); /* they are on their way into the last barrier */
	truth_barrier("threads");
	pthread_barrier_wait(&thread_rendezvous);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 1; i < 64; i += 4)
		drop(thread_blocks[2][i]);
}

static void scenario_churn(void)
{
	static int slots[3000];
	uint32_t seed = 12345;

	memset(slots, 0xff, sizeof(slots));
	for (int i = 0; i < 40000; i++) {
		size_t n = (seed = seed * 1664525 + 1013904223) >> 20;
		int *slot = &slots[(seed >> 4) % 3000];

		if (*slot >= 0)
			drop(*slot);
		*slot = seed % 5 ? site_churn(n) : -1;
		if (*slot >= 0 && seed % 3)
			touch(*slot, n);
	}
}

/* What comes where huge pages are asked for. */
static void expect_huge(const void *p, uint64_t len, int order)
{
	const char *thp = getenv("LAYOUT_THP");

	if (thp && !strcmp(thp, "never"))
		truth_expect_order(p, len, "anon", "user", "fault", 0);
	else
		truth_expect_order(p, len, "thp", "user", "fault", order);
}

static int huge_block;

static void scenario_huge(void)
{
	char *p;

	huge_block = site_huge(8 * HUGE);
	p = truth_at(huge_block);
	must(madvise(p, 8 * HUGE, MADV_HUGEPAGE), "MADV_HUGEPAGE");
	p[100] = 1;
	p[HUGE + 5000] = 1;
	read_pages(p + 2 * HUGE, TRUTH_PAGE);
	read_pages(p + 3 * HUGE, TRUTH_PAGE);
	p[5 * HUGE] = 1;
	expect_huge(p, 2 * HUGE, 9);
	truth_expect(p + 2 * HUGE, 2 * HUGE, "zero", "user", "fault");
	expect_huge(p + 5 * HUGE, HUGE, 9);
}

static void scenario_huge_split(void)
{
	char *p = truth_at(huge_block);

	must(madvise(p + HUGE + 64 * KIB, 128 * KIB, MADV_DONTNEED), "split");
	p[3 * HUGE + 7] = 1;                                    /* write after the huge zero page */
	truth_expect(p + 3 * HUGE, HUGE, "-", "user", "fault"); /* kernels differ in how */
	must(madvise(p + 5 * HUGE, HUGE, MADV_DONTNEED), "MADV_DONTNEED");
	must(mprotect(p + 6 * HUGE, HUGE / 2, PROT_READ), "mprotect");
	read_pages(p + 6 * HUGE, HUGE / 2);
}

/*
 * Giving part of a huge page back for later takes it apart at once, in small pages; some kernels
 * then put the zero page in the place of those that hold nothing.
 */
static void scenario_huge_free(void)
{
	char *p = truth_at(site_huge(3 * HUGE));

	must(madvise(p, 3 * HUGE, MADV_HUGEPAGE), "MADV_HUGEPAGE");
	write_pages(p, 2 * HUGE);
	p[2 * HUGE] = 1;
	must(madvise(p + HUGE + 256 * KIB, 64 * KIB, MADV_FREE), "MADV_FREE");
	must(madvise(p + 2 * HUGE + 64 * KIB, HUGE / 2, MADV_FREE), "MADV_FREE");
	expect_huge(p, HUGE, 9);
	expect_huge(p + HUGE, HUGE, 0);
	expect_huge(p + 2 * HUGE, TRUTH_PAGE, 0);
}

static void scenario_no_huge(void)
{
	int block = site_no_huge(4 * HUGE), advised = site_no_huge(4 * HUGE);

	must(madvise(truth_at(block), 4 * HUGE, MADV_NOHUGEPAGE), "MADV_NOHUGEPAGE");
	touch(block, HUGE + 10 * KIB);
	truth_expect(truth_at(block), HUGE, "anon", "user", "fault");
	must(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), "PR_SET_THP_DISABLE");
	must(madvise(truth_at(advised), 4 * HUGE, MADV_HUGEPAGE), "MADV_HUGEPAGE");
	touch(advised, HUGE);
	truth_expect(truth_at(advised), HUGE, "anon", "user", "fault");
	must(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0), "PR_SET_THP_DISABLE");
}

/* Only asked for where the driver has set one size to "madvise" and all others to "never". */
static void scenario_mthp(void)
{
	size_t size = strtoul(getenv("LAYOUT_MTHP"), NULL, 10) * KIB;
	int block = site_mthp(10 * HUGE), order = __builtin_ctzl(size / TRUTH_PAGE);
	char *p = truth_at(block), *read = p + 8 * HUGE;

	must(madvise(p, 10 * HUGE, MADV_HUGEPAGE), "MADV_HUGEPAGE");
	for (size_t i = 0; i < 8; i += 2) {
		p[i * size + 9000] = 1;
		truth_expect_order(p + i * size, size, "mthp", "user", "fault", order);
	}
	read_pages(read, 64 * KIB);
	truth_expect_order(read, 64 * KIB, "zero", "user", "fault", 0);
	must(madvise(p + size / 4, size / 2, MADV_DONTNEED), "MADV_DONTNEED");
}

/* What the kernel may drop must be its own folio: it takes those apart that reach beyond it. */
static void scenario_mthp_split(void)
{
	size_t size = strtoul(getenv("LAYOUT_MTHP"), NULL, 10) * KIB;
	char *p = truth_at(site_mthp(2 * HUGE));

	must(madvise(p, 2 * HUGE, MADV_HUGEPAGE), "MADV_HUGEPAGE");
	write_pages(p, size);
	must(madvise(p + size / 2, size / 2, MADV_FREE), "MADV_FREE");
	truth_expect_order(p, size, "mthp", "user", "fault", 0);
}

static void wait_for_byte(int fd)
{
	char word;

	must(read(fd, &word, 1) != 1, "pipe");
}

static void tell_byte(int fd)
{
	must(write(fd, "c", 1) != 1, "pipe");
}

static void fork_child(char *p, int to_parent, int from_parent)
{
	write_pages(p + 3 * MIB, MIB / 2);
	tell_byte(to_parent);
	wait_for_byte(from_parent);
	truth_dump("fork_child", ".child");
	tell_byte(to_parent);
	wait_for_byte(from_parent);
	_exit(0);
}

/* The child writes an eighth, the parent a quarter; then the child goes and the parent writes on. */
static void scenario_fork(void)
{
	int block = site_cow(40 * MIB), up[2], down[2], status;
	char *p = truth_at(block);
	pid_t child;

	must(pipe2(up, O_CLOEXEC) || pipe2(down, O_CLOEXEC), "pipe");
	touch(block, 4 * MIB);
	child = fork();
	must(child < 0, "fork");
	if (!child)
		fork_child(p, up[1], down[0]);
	wait_for_byte(up[0]);
	touch(block, MIB);
	tell_byte(down[1]);
	wait_for_byte(up[0]);
	truth_expect(p + TRUTH_PAGE, MIB - TRUTH_PAGE, "cow", "user", "fault");
	truth_barrier("fork");
	tell_byte(down[1]);
	must(waitpid(child, &status, 0) != child || status, "child");
	write_pages(p + MIB, MIB);
	for (int i = 0; i < 2; i++) {
		close(up[i]);
		close(down[i]);
	}
}

static const struct {
	const char *name;
	void (*run)(void);
	int own_barrier; /* has one inside, with the same name; the last is NAME_after */
} scenarios[] = {
	{ "before", scenario_before, 0 },
	{ "touch", scenario_touch, 0 },
	{ "calloc", scenario_calloc, 0 },
	{ "realloc", scenario_realloc, 0 },
	{ "align", scenario_align, 0 },
	{ "threshold", scenario_threshold, 0 },
	{ "zero", scenario_zero, 0 },
	{ "zero_written", scenario_zero_written, 0 },
	{ "readsys", scenario_readsys, 0 },
	{ "populate", scenario_populate, 0 },
	{ "dontneed", scenario_dontneed, 0 },
	{ "free", scenario_free, 0 },
	{ "mremap", scenario_mremap, 0 },
	{ "before_later", scenario_before_later, 0 },
	{ "threads", scenario_threads, 1 },
	{ "churn", scenario_churn, 0 },
	{ "huge", scenario_huge, 0 },
	{ "huge_split", scenario_huge_split, 0 },
	{ "huge_free", scenario_huge_free, 0 },
	{ "no_huge", scenario_no_huge, 0 },
	{ "fork", scenario_fork, 1 },
	{ "mthp", scenario_mthp, 0 },
	{ "mthp_split", scenario_mthp_split, 0 },
};

static void run(int i)
{
	char after[64];

	scenarios[i].run();
	snprintf(after, sizeof(after), "%s%s", scenarios[i].name,
		 scenarios[i].own_barrier ? "_after" : "");
	truth_barrier(after);
}

int main(int argc, char **argv)
{
	int n = sizeof(scenarios) / sizeof(scenarios[0]);

	if (argc < 2) {
		dprintf(2, "usage: layout DIR [SCENARIO...]\n");
		return 99;
	}
	truth_start(argv[1]);
	for (int i = 0; i < n; i++) {
		int wanted = argc == 2 && strncmp(scenarios[i].name, "mthp", 4);

		for (int k = 2; k < argc; k++)
			wanted |= !strcmp(argv[k], scenarios[i].name);
		if (wanted)
			run(i);
	}
	_exit(truth->failed ? 97 : 42);
}
