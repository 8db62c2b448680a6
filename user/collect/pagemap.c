// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/pagemap.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "collect/folios.h"
#include "collect/procfs.h"

/* Documentation/admin-guide/mm/pagemap.rst: bits of an entry of /proc/PID/pagemap */
#define PM_PFN_MASK  ((1ULL << 55) - 1)
#define PM_EXCLUSIVE (1ULL << 56)
#define PM_UFFD_WP   (1ULL << 57)
#define PM_GUARD     (1ULL << 58)
#define PM_FILE      (1ULL << 61)
#define PM_SWAP      (1ULL << 62)
#define PM_PRESENT   (1ULL << 63)
#define PM_SWAP_TYPE 31U /* low 5 bits of a swapped entry; the offset is above */

/*
 * include/linux/swap.h: the highest of 32 swap types are no swap areas but migration, device memory,
 * poisoned pages and markers; at most 9 of them are taken.
 */
#define SWAP_TYPE_SPECIAL 23U

/* include/uapi/linux/fs.h since Linux 6.7; not in the headers of Debian 12 */
struct scan_region {
	uint64_t start, end, categories;
};
struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define SCAN_IOCTL   _IOWR('f', 16, struct scan_arg)
#define SCAN_PRESENT (1ULL << 3)
#define SCAN_SWAPPED (1ULL << 4)
#define SCAN_HUGE    (1ULL << 6)

#define CHUNK       (64 * 1024) /* entries in one read */
#define REGIONS     512
#define EXPLICIT    4096 /* entries in one event, see MP_PAGES_MAX */
#define HUGE_PAGES  512
#define CONTIG_MIN  16           /* pages worth an event of their own */
#define GAP_MIN     4            /* absent pages worth ending an event for */
#define GAP_MAX     (1ULL << 27) /* pages in one event: what the decoder takes */
#define HUGE_MASK   (HUGE_PAGES * MP_PAGE_SIZE - 1)
#define ENTRY_RULES (MP_PAGE_PRESENT | MP_PAGE_SWAP | MP_PAGE_ZERO)

static int use_scan = 1;

struct reader {
	pid_t pid;
	uint8_t source;
	int pagemap_fd;
	bool scan;
	uint64_t zero_pfn;
	uint64_t huge_zero_pfn; /* of its first page; 0: none seen yet */
	const uint64_t *tool;
	size_t nr_tool;
	mp_emit_fn emit;
	void *ctx;
	int stopped; /* what @emit returned last */

	uint64_t begin_ns;
	bool anon_vma; /* the VMA being read has no file */
	uint64_t *raw; /* CHUNK entries */
	struct scan_region *regions;
	struct mp_ev_pages *ev; /* room for EXPLICIT entries; ev->nr are gathered */
	struct mp_folios folios;
};

int mp_pagemap_use_scan(int use)
{
	int was = use_scan;

	use_scan = use;
	return was;
}

/* ---- events --------------------------------------------------------------------------------- */

static int send(struct reader *r, uint8_t source, uint64_t nr_entries)
{
	struct mp_ev_pages *ev = r->ev;

	ev->h.type = MP_EV_PAGES;
	ev->h.size = (uint16_t)(sizeof(*ev) + nr_entries * sizeof(ev->entries[0]));
	ev->h.ts_ns = mp_mono_ns();
	ev->h.tgid = (uint32_t)r->pid;
	ev->begin_ns = r->begin_ns;
	ev->source = source;
	ev->shares = 1;
	r->stopped = r->emit(r->ctx, &ev->h);
	return r->stopped;
}

/* Sends what was gathered; absent pages at the end of it are worth telling only in a check. */
static int flush(struct reader *r)
{
	int ret = 0;

	while (r->source != MP_SRC_CHECK && r->ev->nr && !r->ev->entries[r->ev->nr - 1])
		r->ev->nr--;
	if (r->ev->nr) {
		r->ev->contig = 0;
		r->ev->order = 0;
		ret = send(r, r->source, r->ev->nr);
	}
	r->ev->nr = 0;
	return ret;
}

/* @nr pages that the one @entry stands for. */
static int send_run(struct reader *r, uint8_t source, uint64_t addr, uint64_t nr, uint64_t entry)
{
	int ret = flush(r);

	for (; !ret && nr; nr -= r->ev->nr) {
		r->ev->addr = addr;
		r->ev->nr = (uint32_t)(nr < GAP_MAX ? nr : GAP_MAX);
		r->ev->contig = 1;
		r->ev->order = (entry & MP_PAGE_HUGE) && nr == HUGE_PAGES ? 9 : 0;
		r->ev->entries[0] = entry;
		ret = send(r, source, 1);
		addr += (uint64_t)r->ev->nr * MP_PAGE_SIZE;
	}
	r->ev->nr = 0;
	return ret;
}

static int gather(struct reader *r, uint64_t addr, const uint64_t *entries, size_t nr)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < nr; i++, addr += MP_PAGE_SIZE) {
		if (r->ev->nr == EXPLICIT)
			ret = flush(r);
		if (!r->ev->nr)
			r->ev->addr = addr;
		r->ev->entries[r->ev->nr++] = entries[i];
	}
	return ret;
}

/* How many entries from the first on one contig event can stand for. */
static size_t run_length(uint64_t addr, const uint64_t *e, size_t nr)
{
	uint64_t step = (e[0] & ENTRY_RULES) == MP_PAGE_PRESENT;
	size_t n = 1;

	if (e[0] & MP_PAGE_SWAP)
		return 1;
	if (e[0] & MP_PAGE_HUGE) { /* one mapping an event */
		uint64_t left = (HUGE_MASK + 1 - (addr & HUGE_MASK)) / MP_PAGE_SIZE;

		nr = nr < left ? nr : left;
	}
	while (n < nr && e[n] == e[0] + n * step)
		n++;
	return n;
}

static int send_entries(struct reader *r, uint64_t addr, const uint64_t *e, size_t nr)
{
	bool check = r->source == MP_SRC_CHECK;
	int ret = 0;

	for (size_t i = 0, n; !ret && i < nr; i += n, addr += n * MP_PAGE_SIZE) {
		n = run_length(addr, e + i, nr - i);
		if (!e[i] && !check && (n >= GAP_MIN || !r->ev->nr))
			ret = flush(r);
		else if (n >= CONTIG_MIN)
			ret = send_run(r, r->source, addr, n, e[i]);
		else
			ret = gather(r, addr, e + i, n);
	}
	return ret ? ret : flush(r);
}

/* Copied pages that hold a probe of ours are told first, once each; the rest has them too. */
static int send_tool_pages(struct reader *r, uint64_t addr, const uint64_t *e, size_t nr)
{
	size_t low = 0, high = r->nr_tool, last = nr;
	int ret = 0;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (r->tool[mid] < addr)
			low = mid + 1;
		else
			high = mid;
	}
	for (; !ret && low < r->nr_tool && r->tool[low] < addr + nr * MP_PAGE_SIZE; low++) {
		size_t i = (r->tool[low] - addr) / MP_PAGE_SIZE;

		if (!(e[i] & MP_PAGE_ANON) || i == last)
			continue;
		last = i;
		ret = send_run(r, MP_SRC_TOOL, addr + i * MP_PAGE_SIZE, 1, e[i]);
	}
	return ret;
}

/* ---- what an entry means -------------------------------------------------------------------- */

/*
 * Whether the 512 entries from an aligned address on are the huge zero page: it is only ever mapped
 * whole. There is one at a time, but it can be given back and another be made later.
 */
static bool is_huge_zero(struct reader *r, const uint64_t *raw)
{
	uint64_t pfn = raw[0] & PM_PFN_MASK;

	if (!(raw[0] & PM_PRESENT) || pfn % HUGE_PAGES || !r->anon_vma)
		return false;
	if (pfn == r->huge_zero_pfn)
		return true;
	if ((raw[HUGE_PAGES - 1] & PM_PFN_MASK) != pfn + HUGE_PAGES - 1)
		return false;
	if (r->folios.fd < 0) /* nothing else with this bit can be in memory without a file */
		return raw[0] & PM_FILE;
	if (!mp_folios_is_zero(&r->folios, pfn))
		return false;
	r->huge_zero_pfn = pfn;
	return true;
}

static uint64_t entry_of(const struct reader *r, uint64_t raw)
{
	uint64_t pfn = raw & PM_PFN_MASK;

	if (raw & PM_PRESENT) {
		if (pfn == r->zero_pfn)
			return MP_PAGE_PRESENT | MP_PAGE_ZERO | pfn;
		if (raw & PM_FILE)
			return 0;
		return MP_PAGE_PRESENT | MP_PAGE_ANON | pfn |
		       (raw & PM_EXCLUSIVE ? 0 : MP_PAGE_SHARED);
	}
	if (!(raw & PM_SWAP) || raw & PM_GUARD || (raw & PM_SWAP_TYPE) >= SWAP_TYPE_SPECIAL)
		return 0;
	return MP_PAGE_SWAP | (pfn >> 5);
}

/* Adds the orders of their folios to @nr entries of anonymous pages whose PFNs count up. */
static void add_orders(struct reader *r, uint64_t *e, size_t nr)
{
	uint8_t orders[MP_FOLIOS_RUN];
	bool told = mp_folios_orders(&r->folios, e[0] & MP_PAGE_PFN, nr, orders);

	for (size_t i = 0; told && i < nr; i++)
		e[i] |= MP_PAGE_ORDERED | (uint64_t)orders[i] << MP_PAGE_ORDER_SHIFT;
}

static void find_orders(struct reader *r, uint64_t *e, size_t nr)
{
	for (size_t i = 0, n; i < nr; i += n) {
		n = 1;
		if (!(e[i] & MP_PAGE_ANON))
			continue;
		while (i + n < nr && n < MP_FOLIOS_RUN && e[i + n] == e[i] + n)
			n++;
		add_orders(r, e + i, n);
	}
}

/* Turns what the kernel said into wire entries, in place. */
static void convert(struct reader *r, uint64_t addr, uint64_t *e, size_t nr, bool huge)
{
	size_t i = 0;

	while (i < nr) {
		bool aligned = !((addr + i * MP_PAGE_SIZE) & HUGE_MASK);

		if (aligned && nr - i >= HUGE_PAGES && is_huge_zero(r, e + i)) {
			for (size_t end = i + HUGE_PAGES; i < end; i++)
				e[i] = (e[i] & PM_PFN_MASK) | MP_PAGE_PRESENT | MP_PAGE_ZERO |
				       MP_PAGE_HUGE;
			continue;
		}
		e[i] = entry_of(r, e[i]);
		if (huge && e[i] & MP_PAGE_ANON)
			e[i] |= MP_PAGE_HUGE;
		i++;
	}
	find_orders(r, e, nr);
}

/* ---- reading -------------------------------------------------------------------------------- */

/* A page under migration looks like swap for some microseconds. */
static bool in_migration(uint64_t raw)
{
	return (raw & (PM_PRESENT | PM_SWAP | PM_GUARD | PM_UFFD_WP)) == PM_SWAP &&
	       (raw & PM_SWAP_TYPE) >= SWAP_TYPE_SPECIAL;
}

static int read_raw(struct reader *r, uint64_t addr, size_t nr)
{
	for (int tries = 0; tries < 4; tries++) {
		size_t got = 0, i = 0;

		r->begin_ns = mp_mono_ns();
		while (got < nr * sizeof(*r->raw)) {
			ssize_t n = pread(r->pagemap_fd, (char *)r->raw + got,
					  nr * sizeof(*r->raw) - got,
					  (off_t)(addr / MP_PAGE_SIZE * sizeof(*r->raw) + got));

			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0)
				return n < 0 ? -errno : -ESRCH;
			got += (size_t)n;
		}
		while (i < nr && !in_migration(r->raw[i]))
			i++;
		if (i == nr)
			break;
		sched_yield();
	}
	return 0;
}

static int read_range(struct reader *r, uint64_t start, uint64_t end, bool huge)
{
	int ret = 0;

	/* chunks begin at multiples of their size, so that no huge page lies across two */
	for (uint64_t addr = start, nr; !ret && addr < end; addr += nr * MP_PAGE_SIZE) {
		nr = CHUNK - addr / MP_PAGE_SIZE % CHUNK;
		if (nr > (end - addr) / MP_PAGE_SIZE)
			nr = (end - addr) / MP_PAGE_SIZE;
		ret = read_raw(r, addr, nr);
		if (ret)
			break;
		convert(r, addr, r->raw, nr, huge);
		if (!r->anon_vma)
			ret = send_tool_pages(r, addr, r->raw, nr);
		if (!ret)
			ret = send_entries(r, addr, r->raw, nr);
	}
	return ret;
}

static int tell_absent(struct reader *r, uint64_t start, uint64_t end, uint64_t begin_ns)
{
	if (r->source != MP_SRC_CHECK || start >= end)
		return 0;
	r->begin_ns = begin_ns;
	return send_run(r, r->source, start, (end - start) / MP_PAGE_SIZE, 0);
}

/* Reads only where the kernel says that something is; holes cost nothing then. */
static int scan_range(struct reader *r, uint64_t start, uint64_t end)
{
	int ret = 0;

	while (!ret && start < end) {
		struct scan_arg arg = { .size = sizeof(arg),
					.start = start,
					.end = end,
					.vec = (uintptr_t)r->regions,
					.vec_len = REGIONS,
					.category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED,
					.return_mask = SCAN_HUGE };
		uint64_t begin_ns = mp_mono_ns();
		int nr = ioctl(r->pagemap_fd, SCAN_IOCTL, &arg);

		if (nr < 0 && errno == EINTR)
			continue;
		if (nr < 0 || arg.walk_end <= start || arg.walk_end > end)
			return read_range(r, start, end, false);
		for (int i = 0; !ret && i < nr; i++) {
			const struct scan_region *region = &r->regions[i];

			ret = tell_absent(r, start, region->start, begin_ns);
			if (!ret)
				ret = read_range(r, region->start, region->end,
						 region->categories & SCAN_HUGE);
			start = region->end;
		}
		if (!ret)
			ret = tell_absent(r, start, arg.walk_end, begin_ns);
		start = arg.walk_end;
	}
	return ret;
}

/* Private memory; a file system object without a path (a device's ring) has no anonymous pages. */
static bool wanted(const struct mp_map *map)
{
	if (map->perms & 8 || map->kind == MP_VMA_SPECIAL || map->kind == MP_VMA_HUGETLB)
		return false;
	return map->kind != MP_VMA_FILE || map->name[0] == '/';
}

/*
 * Without the ioctl a reserved range costs as much to read as a full one: a TiB takes 10 seconds.
 * One that smaps knows to be empty, and that nobody can have read into, is passed over.
 */
static bool known_empty(const struct mp_map *map)
{
	return !(map->perms & 7) && !map->rss_bytes && !map->swap_bytes;
}

/* @begin_ns: before @maps were read */
static int read_maps(struct reader *r, const struct mp_maps *maps, uint64_t begin_ns)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < maps->nr; i++) {
		const struct mp_map *map = &maps->map[i];

		if (!wanted(map))
			continue;
		r->anon_vma = map->kind == MP_VMA_ANON || map->kind == MP_VMA_HEAP ||
			      map->kind == MP_VMA_STACK;
		if (r->scan)
			ret = scan_range(r, map->start, map->end);
		else if (known_empty(map))
			ret = tell_absent(r, map->start, map->end, begin_ns);
		else
			ret = read_range(r, map->start, map->end, false);
	}
	return ret;
}

/* ---- set-up --------------------------------------------------------------------------------- */

int mp_pagemap_self(const void *addr, uint64_t *pfn)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t raw;
	ssize_t n;
	int ret;

	if (fd < 0)
		return -errno;
	n = pread(fd, &raw, sizeof(raw), (off_t)((uintptr_t)addr / MP_PAGE_SIZE * sizeof(raw)));
	ret = n < 0 ? -errno : n != sizeof(raw) ? -EIO : 0;
	close(fd);
	if (ret)
		return ret;
	if (!(raw & PM_PRESENT))
		return -ENOENT;
	if (!(raw & PM_PFN_MASK))
		return -EPERM;
	*pfn = raw & PM_PFN_MASK;
	return 0;
}

/* That of any memory read before it was written. */
int mp_pagemap_zero_pfn(uint64_t *pfn)
{
	size_t len = MP_PAGE_SIZE;
	volatile char *page = mmap(NULL, len, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ret;

	if (page == MAP_FAILED)
		return -errno;
	(void)*page;
	ret = mp_pagemap_self((const void *)page, pfn);
	munmap((void *)page, len);
	return ret;
}

/* Tries the ioctl on one page of ours. */
static bool scan_works(void)
{
	struct scan_region region;
	struct scan_arg arg = { .size = sizeof(arg),
				.start = (uintptr_t)&region & MP_PAGE_MASK,
				.vec = (uintptr_t)&region,
				.vec_len = 1,
				.category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED,
				.return_mask = SCAN_HUGE };
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	bool works;

	if (fd < 0)
		return false;
	memset(&region, 0, sizeof(region)); /* present from here on */
	arg.end = arg.start + MP_PAGE_SIZE;
	works = ioctl(fd, SCAN_IOCTL, &arg) == 1 && arg.walk_end == arg.end;
	close(fd);
	return works;
}

static int fail(pid_t pid, int error, struct mp_err *err)
{
	if (error == EPERM || error == EACCES)
		return mp_fail(
			err, MP_EXIT_LACKS, EPERM,
			"/proc/%d/pagemap shows no physical pages: CAP_SYS_ADMIN is missing; "
			"run as root (sudo)",
			pid);
	if (error == ENOENT || error == ESRCH)
		return mp_fail(err, MP_EXIT_FAILED, ESRCH,
			       "process %d ended while its pages were read; list with ps -e", pid);
	return mp_fail(err, MP_EXIT_FAILED, error, "/proc/%d/pagemap: %s; try again", pid,
		       strerror(error));
}

static int open_reader(struct reader *r)
{
	char path[64];
	int ret = mp_pagemap_zero_pfn(&r->zero_pfn);

	if (ret)
		return ret == -ENOENT ? -EIO : ret;
	snprintf(path, sizeof(path), "/proc/%d/pagemap", r->pid);
	r->pagemap_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (r->pagemap_fd < 0)
		return -errno;
	mp_folios_init(&r->folios, open("/proc/kpageflags", O_RDONLY | O_CLOEXEC));
	r->raw = malloc(CHUNK * sizeof(*r->raw));
	r->regions = malloc(REGIONS * sizeof(*r->regions));
	r->ev = calloc(1, sizeof(*r->ev) + EXPLICIT * sizeof(r->ev->entries[0]));
	return r->raw && r->regions && r->ev ? 0 : -ENOMEM;
}

static void close_reader(struct reader *r)
{
	if (r->pagemap_fd >= 0)
		close(r->pagemap_fd);
	if (r->folios.fd >= 0)
		close(r->folios.fd);
	free(r->raw);
	free(r->regions);
	free(r->ev);
}

int mp_pagemap_read(pid_t pid, enum mp_source source, const uint64_t *tool, size_t nr_tool,
		    mp_emit_fn emit, void *ctx, struct mp_err *err)
{
	struct reader r = { .pid = pid,
			    .source = (uint8_t)source,
			    .pagemap_fd = -1,
			    .folios = { .fd = -1 },
			    .tool = tool,
			    .nr_tool = nr_tool,
			    .emit = emit,
			    .ctx = ctx };
	struct mp_maps maps = { 0 };
	uint64_t begin_ns = mp_mono_ns();
	int ret;

	r.scan = use_scan && scan_works();
	ret = mp_maps_read(pid, !r.scan, &maps, err);
	if (ret)
		return ret;
	ret = open_reader(&r);
	if (!ret)
		ret = read_maps(&r, &maps, begin_ns);
	if (ret < 0 && !r.stopped)
		ret = fail(pid, -ret, err);
	close_reader(&r);
	mp_maps_free(&maps);
	return ret;
}
