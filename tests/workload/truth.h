/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a test program knows about its own memory: its blocks, its sites, and its pagemap, written to
 * a file at a barrier. All of it lives in a MAP_SHARED memfd that is faulted in before anything else
 * happens, so that taking the truth adds no private anonymous page and no block.
 */
#ifndef MP_TESTS_TRUTH_H
#define MP_TESTS_TRUTH_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define TRUTH_PAGE    4096ULL
#define TRUTH_BLOCKS  65536
#define TRUTH_SITES   128
#define TRUTH_EXPECTS 256
#define TRUTH_VMAS    512
#define TRUTH_CHUNK   16384 /* pagemap entries read at a time */

/* Documentation/admin-guide/mm/pagemap.rst */
#define PM_PRESENT   (1ULL << 63)
#define PM_SWAP      (1ULL << 62)
#define PM_FILE      (1ULL << 61)
#define PM_EXCLUSIVE (1ULL << 56)
#define PM_PFN       ((1ULL << 55) - 1)
/* include/uapi/linux/kernel-page-flags.h */
#define KPF_HEAD (1ULL << 15)
#define KPF_TAIL (1ULL << 16)
#define KPF_THP  (1ULL << 22)
#define KPF_ZERO (1ULL << 24)
#define KPF_NEAR 64   /* frames whose flags are read together, ... */
#define KPF_FAR  1024 /* ... and where there is a folio: no folio lies across a multiple of it */

struct truth_block {
	uint64_t addr, requested;
	int site;
	char live, before; /* before: allocated before the tracer came */
};

struct truth_site {
	const char *name; /* of the function that calls malloc or mmap */
	int mapping;
	uint64_t calls, frees, requested;
};

struct truth_expect { /* how the pages of a range must have come; "-": anything */
	uint64_t start, end;
	const char *kind, *by, *source;
	int before, order; /* order: of the folio, -1: any */
};

struct truth_vma {
	uint64_t start, end;
	char exec, file;
};

static struct truth {
	struct truth_block blocks[TRUTH_BLOCKS];
	struct truth_site sites[TRUTH_SITES];
	struct truth_expect expects[TRUTH_EXPECTS];
	struct truth_vma vmas[TRUTH_VMAS];
	uint64_t entries[TRUTH_CHUNK];
	char maps[1 << 17], out[1 << 16];
	size_t out_len;
	int nr_blocks, nr_sites, nr_expects, nr_vmas;
	int fd, ready, go, barrier, failed;
	uint64_t tool_pages;
	uint64_t flags[KPF_FAR], flags_pfn, flags_nr; /* of frames from flags_pfn on */
	uint64_t counts[KPF_NEAR], counts_pfn;
	int counts_fd; /* of /proc/kpagecount */
	char dir[256];
} * truth;

static void truth_die(const char *what)
{
	dprintf(2, "workload: %s: %s\n", what, strerror(errno));
	_exit(99);
}

static void truth_flush(void)
{
	size_t done = 0;

	while (done < truth->out_len) {
		ssize_t n = write(truth->fd, truth->out + done, truth->out_len - done);

		if (n <= 0)
			truth_die("write truth");
		done += n;
	}
	truth->out_len = 0;
}

static void __attribute__((format(printf, 1, 2))) truth_say(const char *fmt, ...)
{
	va_list ap;

	if (truth->out_len + 512 > sizeof(truth->out))
		truth_flush();
	va_start(ap, fmt);
	truth->out_len += vsnprintf(truth->out + truth->out_len, 512, fmt, ap);
	va_end(ap);
}

static int truth_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		truth_die(path);
	return fd;
}

static uint64_t truth_flags(int kpf, uint64_t pfn, uint64_t around)
{
	uint64_t first = pfn & ~(around - 1);
	ssize_t got;

	if (pfn - truth->flags_pfn >= truth->flags_nr || truth->flags_nr < around) {
		got = pread(kpf, truth->flags, around * 8, first * 8);
		if (got <= (ssize_t)((pfn - first) * 8))
			truth_die("/proc/kpageflags");
		truth->flags_pfn = first;
		truth->flags_nr = got / 8;
	}
	return truth->flags[pfn - truth->flags_pfn];
}

/* What is told of frames may change from one truth to the next. */
static void truth_forget_flags(void)
{
	truth->flags_nr = 0;
	truth->counts_pfn = 1; /* no multiple of KPF_NEAR */
}

/*
 * Is the page in this one place only? Of what a huge entry maps pagemap says the same for every page,
 * that of the first.
 */
static int truth_is_alone(uint64_t pfn)
{
	uint64_t first = pfn & ~(KPF_NEAR - 1ULL);

	if (first != truth->counts_pfn &&
	    pread(truth->counts_fd, truth->counts, KPF_NEAR * 8, first * 8) != KPF_NEAR * 8)
		truth_die("/proc/kpagecount");
	truth->counts_pfn = first;
	return truth->counts[pfn - first] == 1;
}

static int truth_is_zero(int kpf, uint64_t pfn)
{
	return !!(truth_flags(kpf, pfn, KPF_NEAR) & KPF_ZERO);
}

/* A folio is a head and the tails after it. */
static int truth_order(int kpf, uint64_t pfn)
{
	uint64_t head, end, order = 0;

	if (!(truth_flags(kpf, pfn, KPF_NEAR) & (KPF_HEAD | KPF_TAIL)))
		return 0;
	truth_flags(kpf, pfn, KPF_FAR);
	head = pfn - truth->flags_pfn;
	for (end = head + 1; end < truth->flags_nr && truth->flags[end] & KPF_TAIL;)
		end++;
	while (head && !(truth->flags[head] & KPF_HEAD))
		head--;
	while (head + (1ULL << order) < end)
		order++;
	if (!(truth->flags[head] & KPF_HEAD) || head + (1ULL << order) != end)
		truth_die("a folio's size is no power of two");
	if (order == 9 && !(truth->flags[head] & (KPF_THP | KPF_ZERO)))
		truth_die("a folio of 2 MiB is no huge page");
	return order;
}

static void truth_read_maps(void)
{
	int fd = truth_open("/proc/self/maps");
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, truth->maps + len, sizeof(truth->maps) - 1 - len)) > 0)
		len += n;
	close(fd);
	truth->maps[len] = 0;
	truth->nr_vmas = 0;
	for (char *line = truth->maps; *line; line = strchr(line, '\n') + 1) {
		struct truth_vma *v = &truth->vmas[truth->nr_vmas];
		unsigned long start, end, ino;
		const char *name;
		char perms[8];

		if (sscanf(line, "%lx-%lx %7s %*s %*s %lu", &start, &end, perms, &ino) != 4)
			truth_die("/proc/self/maps");
		if (perms[3] != 'p' || !strncmp(strchr(line, '\n') - 6, "[vdso]", 6))
			continue;
		/* hugetlb is counted beside everything */
		name = strstr(line, "/anon_hugepage");
		if (name && name < strchr(line, '\n'))
			continue;
		*v = (struct truth_vma){ start, end, perms[2] == 'x', ino != 0 };
		if (++truth->nr_vmas == TRUTH_VMAS)
			truth_die("too many VMAs");
	}
}

static void truth_say_page(int kpf, const struct truth_vma *v, uint64_t addr, uint64_t e)
{
	uint64_t pfn = e & PM_PFN;
	int order, alone;

	if (e & PM_SWAP && v->exec)
		return; /* as below, and swapped out */
	if (e & PM_SWAP) {
		truth_say("page %#" PRIx64 " 0 swapped 0 0\n", addr);
		return;
	}
	if (!(e & PM_PRESENT))
		return;
	/* the huge zero page belongs to no process, and is told as if it were a file's */
	if ((e & PM_FILE) && (v->file || !truth_is_zero(kpf, pfn)))
		return;
	if (!pfn) {
		truth->failed = 1;
		truth_say("nopfn %#" PRIx64 "\n", addr);
		return;
	}
	if (v->exec) { /* a private copy of a text page: a probe sits in it */
		truth->tool_pages++;
		return;
	}
	order = truth_order(kpf, pfn);
	alone = order ? truth_is_alone(pfn) : !!(e & PM_EXCLUSIVE);
	truth_say("page %#" PRIx64 " %" PRIu64 " %s %d %d\n", addr, pfn,
		  truth_is_zero(kpf, pfn) ? "zero" : "present", alone, order);
}

static void truth_say_pages(int pm, int kpf)
{
	truth->tool_pages = 0;
	for (int i = 0; i < truth->nr_vmas; i++) {
		const struct truth_vma *v = &truth->vmas[i];
		uint64_t at = v->start;

		truth_say("vma %#" PRIx64 " %#" PRIx64 " %s\n", v->start, v->end,
			  v->exec   ? "exec"
			  : v->file ? "file"
				    : "anon");
		while (at < v->end) {
			uint64_t nr = (v->end - at) / TRUTH_PAGE;
			ssize_t got;

			if (nr > TRUTH_CHUNK)
				nr = TRUTH_CHUNK;
			got = pread(pm, truth->entries, nr * 8, at / TRUTH_PAGE * 8);
			if (got <= 0) /* vvar and its like have no pagemap */
				break;
			for (ssize_t k = 0; k < got / 8; k++, at += TRUTH_PAGE)
				truth_say_page(kpf, v, at, truth->entries[k]);
		}
	}
	truth_say("tool_pages %" PRIu64 "\n", truth->tool_pages);
}

/* Bytes of [addr, addr + len) that lie on present pages which are not the zero page. */
static uint64_t truth_resident(int pm, int kpf, uint64_t addr, uint64_t len)
{
	uint64_t end = addr + len, sum = 0;

	while (addr < end) {
		uint64_t page = addr & ~(TRUTH_PAGE - 1), nr = (end - page + 4095) / TRUTH_PAGE;
		ssize_t got;

		if (nr > TRUTH_CHUNK)
			nr = TRUTH_CHUNK;
		got = pread(pm, truth->entries, nr * 8, page / TRUTH_PAGE * 8);
		if (got != (ssize_t)(nr * 8))
			truth_die("pagemap of a block");
		for (uint64_t k = 0; k < nr; k++, page += TRUTH_PAGE) {
			uint64_t e = truth->entries[k];
			uint64_t to = page + TRUTH_PAGE < end ? page + TRUTH_PAGE : end;

			if ((e & PM_PRESENT) && !truth_is_zero(kpf, e & PM_PFN))
				sum += to - addr;
			addr = to;
		}
	}
	return sum;
}

static void truth_say_blocks(int pm, int kpf)
{
	for (int i = 0; i < truth->nr_blocks; i++) {
		const struct truth_block *b = &truth->blocks[i];
		const char *word = truth->sites[b->site].mapping ? "map" : "block";

		if (!b->live)
			continue;
		truth_say("%s %#" PRIx64 " %" PRIu64 " %" PRIu64 " %s %d\n", word, b->addr,
			  b->requested, truth_resident(pm, kpf, b->addr, b->requested),
			  truth->sites[b->site].name, b->before);
	}
}

/* Writes DIR/truth.N[suffix]; the name of the scenario is its first line. */
static void truth_dump(const char *scenario, const char *suffix)
{
	int pm = truth_open("/proc/self/pagemap"), kpf = truth_open("/proc/kpageflags");
	char path[320];

	snprintf(path, sizeof(path), "%s/truth.%d%s", truth->dir, truth->barrier, suffix);
	truth->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (truth->fd < 0)
		truth_die(path);
	truth_forget_flags();
	truth->counts_fd = truth_open("/proc/kpagecount");
	truth_say("scenario %s\npid %d\n", scenario, getpid());
	truth_read_maps();
	truth_say_blocks(pm, kpf);
	truth_say_pages(pm, kpf);
	for (int i = 0; i < truth->nr_sites; i++) {
		const struct truth_site *s = &truth->sites[i];

		truth_say("site %s %s %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", s->name,
			  s->mapping ? "mmap" : "malloc", s->calls, s->frees, s->requested);
	}
	for (int i = 0; i < truth->nr_expects; i++) {
		const struct truth_expect *e = &truth->expects[i];

		truth_say("expect %#" PRIx64 " %#" PRIx64 " %s %s %s %d %d\n", e->start, e->end,
			  e->kind, e->by, e->source, e->before, e->order);
	}
	truth_say("end\n");
	truth_flush();
	close(truth->fd);
	close(pm);
	close(kpf);
	close(truth->counts_fd);
}

/* The tracer comes now: what exists was before, and the counts of the sites begin anew. */
static void truth_reset(void)
{
	for (int i = 0; i < truth->nr_blocks; i++)
		truth->blocks[i].before = 1;
	for (int i = 0; i < truth->nr_expects; i++)
		truth->expects[i].before = 1;
	for (int i = 0; i < truth->nr_sites; i++)
		truth->sites[i].calls = truth->sites[i].frees = truth->sites[i].requested = 0;
}

/* Takes the truth, tells the driver, and stands still until it is told to go on. */
static void truth_barrier(const char *scenario)
{
	char word, line[16];

	truth_dump(scenario, "");
	snprintf(line, sizeof(line), "%d\n", truth->barrier++);
	if (write(truth->ready, line, strlen(line)) < 0)
		truth_die("ready");
	if (read(truth->go, &word, 1) != 1)
		_exit(98);
	if (word == 'r')
		truth_reset();
	if (word == 'q')
		_exit(truth->failed ? 97 : 42);
}

static int truth_site(const char *name, int mapping)
{
	int i;

	for (i = 0; i < truth->nr_sites; i++)
		if (!strcmp(truth->sites[i].name, name))
			return i;
	if (i == TRUTH_SITES)
		truth_die("too many sites");
	truth->sites[i].name = name;
	truth->sites[i].mapping = mapping;
	truth->nr_sites++;
	return i;
}

/* Notes a block (or mapping) made by @name; gives its number. */
static int truth_new(const char *name, int mapping, void *p, uint64_t requested)
{
	static volatile char lock;
	int site, i;

	if (!p || p == MAP_FAILED)
		truth_die(name);
	while (__atomic_test_and_set(&lock, __ATOMIC_ACQUIRE))
		;
	site = truth_site(name, mapping);
	for (i = truth->nr_blocks; i && !truth->blocks[i - 1].live; i--)
		truth->nr_blocks--;
	i = truth->nr_blocks++;
	truth->sites[site].calls++;
	truth->sites[site].requested += requested;
	truth->blocks[i] = (struct truth_block){ (uintptr_t)p, requested, site, 1, 0 };
	__atomic_clear(&lock, __ATOMIC_RELEASE);
	if (i >= TRUTH_BLOCKS - 64)
		truth_die("too many blocks");
	return i;
}

/* Notes that block @i is about to end; gives its address. */
static void *truth_end(int i)
{
	struct truth_block *b = &truth->blocks[i];
	void *p = (void *)(uintptr_t)b->addr;

	if (!b->before)
		__atomic_fetch_add(&truth->sites[b->site].frees, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&b->live, 0, __ATOMIC_RELEASE);
	return p;
}

static __attribute__((unused)) char *truth_at(int i)
{
	return (char *)(uintptr_t)truth->blocks[i].addr;
}

/* The pages wholly inside [p, p + len) came so, in such folios; later words about a page win. */
static void truth_expect_order(const void *p, uint64_t len, const char *kind, const char *by,
			       const char *source, int order)
{
	uint64_t start = ((uintptr_t)p + TRUTH_PAGE - 1) & ~(TRUTH_PAGE - 1);
	uint64_t end = ((uintptr_t)p + len) & ~(TRUTH_PAGE - 1);
	struct truth_expect *last = truth->nr_expects ? &truth->expects[truth->nr_expects - 1]
						      : NULL;

	if (last && last->end == start && !last->before && last->order == order &&
	    !strcmp(last->kind, kind) && !strcmp(last->by, by) && !strcmp(last->source, source)) {
		last->end = end;
		return;
	}
	if (truth->nr_expects == TRUTH_EXPECTS)
		truth_die("too many expectations");
	truth->expects[truth->nr_expects++] =
		(struct truth_expect){ start, end, kind, by, source, 0, order };
}

static __attribute__((unused)) void truth_expect(const void *p, uint64_t len, const char *kind,
						 const char *by, const char *source)
{
	truth_expect_order(p, len, kind, by, source, -1);
}

static void __attribute__((noinline)) truth_deepen_stack(void)
{
	volatile char deep[256 << 10];

	for (size_t i = 0; i < sizeof(deep); i += TRUTH_PAGE)
		deep[i] = 1;
}

static void truth_start(const char *dir)
{
	int fd = memfd_create("truth", MFD_CLOEXEC);
	char path[300];

	if (fd < 0 || ftruncate(fd, sizeof(*truth)))
		truth_die("memfd");
	truth = mmap(NULL, sizeof(*truth), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
		     0);
	close(fd);
	if (truth == MAP_FAILED)
		truth_die("mmap");
	snprintf(truth->dir, sizeof(truth->dir), "%s", dir);
	snprintf(path, sizeof(path), "%s/ready", dir);
	truth->ready = open(path, O_WRONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "%s/go", dir);
	truth->go = open(path, O_RDONLY | O_CLOEXEC);
	if (truth->ready < 0 || truth->go < 0)
		truth_die(path);
	truth_deepen_stack();
	truth_dump("warm-up", ".warm"); /* touches every page that taking the truth touches */
}

#endif
