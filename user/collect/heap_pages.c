// SPDX-License-Identifier: GPL-2.0-or-later
/* Where a process's private writable memory is, and which of its pages are there. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "collect/heap_read.h"
#include "collect/pagemap.h"
#include "collect/procfs.h"

/* Documentation/admin-guide/mm/pagemap.rst: bits of an entry of /proc/PID/pagemap */
#define PM_PFN_MASK  ((1ULL << 55) - 1)
#define PM_GUARD     (1ULL << 58)
#define PM_SWAP      (1ULL << 62)
#define PM_PRESENT   (1ULL << 63)
#define PM_SWAP_TYPE 31U
/* include/linux/swap.h: types from here on are no swap areas but markers and pages in motion */
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
#define SCAN_ZERO    (1ULL << 5)
#define SCAN_HUGE    (1ULL << 6)

#define REGIONS 1024
#define ENTRIES 65536

static int use_scan = 1;

int mp_heap_use_scan(int use)
{
	int was = use_scan;

	use_scan = use;
	return was;
}

static int add_run(struct mp_heap_image *image, const struct mp_heap_run *run)
{
	struct mp_heap_run *last = image->nr_runs ? &image->runs[image->nr_runs - 1] : NULL;

	if (last && last->end == run->start && last->state == run->state &&
	    last->huge == run->huge) {
		last->end = run->end;
		return 0;
	}
	return mp_heap_image_add(&image->runs, &image->nr_runs, run, sizeof(*run));
}

/* ---- the ioctl ------------------------------------------------------------------------------ */

static int add_region(struct mp_heap_image *image, const struct scan_region *r)
{
	struct mp_heap_run run = { .start = r->start,
				   .end = r->end,
				   .state = MP_HEAP_PRESENT,
				   .huge = r->categories & SCAN_HUGE ? 1 : 0 };

	if (!(r->categories & SCAN_PRESENT))
		run.state = MP_HEAP_SWAPPED;
	else if (r->categories & SCAN_ZERO)
		run.state = MP_HEAP_ZERO;
	return add_run(image, &run);
}

/* -ENOTTY: this kernel has no such ioctl. */
static int scan_span(int fd, struct mp_heap_image *image, const struct mp_heap_span *span)
{
	struct scan_region regions[REGIONS];
	uint64_t start = span->start;
	int ret = 0;

	while (!ret && start < span->end) {
		struct scan_arg arg = { .size = sizeof(arg),
					.start = start,
					.end = span->end,
					.vec = (uintptr_t)regions,
					.vec_len = REGIONS,
					.category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED,
					.return_mask = SCAN_PRESENT | SCAN_SWAPPED | SCAN_ZERO |
						       SCAN_HUGE };
		int nr = ioctl(fd, SCAN_IOCTL, &arg);

		if (nr < 0 && errno == EINTR)
			continue;
		if (nr < 0)
			return errno == EINVAL ? -ENOTTY : -errno;
		for (int i = 0; !ret && i < nr; i++)
			ret = add_region(image, &regions[i]);
		if (arg.walk_end <= start)
			break;
		start = arg.walk_end;
	}
	return ret;
}

/* ---- plain reading -------------------------------------------------------------------------- */

static uint8_t state_of(uint64_t entry, uint64_t zero_pfn)
{
	if (entry & PM_PRESENT)
		return zero_pfn && (entry & PM_PFN_MASK) == zero_pfn ? MP_HEAP_ZERO
								     : MP_HEAP_PRESENT;
	if (entry & PM_SWAP && !(entry & PM_GUARD) && (entry & PM_SWAP_TYPE) < SWAP_TYPE_SPECIAL)
		return MP_HEAP_SWAPPED;
	return 0;
}

static int read_span(int fd, struct mp_heap_image *image, const struct mp_heap_span *span,
		     uint64_t zero_pfn, uint64_t *entries)
{
	int ret = 0;

	for (uint64_t addr = span->start; !ret && addr < span->end;) {
		uint64_t want = (span->end - addr) / MP_PAGE_SIZE;
		ssize_t n;

		want = want < ENTRIES ? want : ENTRIES;
		n = pread(fd, entries, want * 8, (off_t)(addr / MP_PAGE_SIZE * 8));
		if (n < 8)
			return n < 0 ? -errno : -ESRCH;
		for (ssize_t i = 0; !ret && i < n / 8; i++, addr += MP_PAGE_SIZE) {
			struct mp_heap_run run = { .start = addr,
						   .end = addr + MP_PAGE_SIZE,
						   .state = state_of(entries[i], zero_pfn) };

			ret = run.state ? add_run(image, &run) : 0;
		}
	}
	return ret;
}

static int read_spans(int fd, struct mp_heap_image *image)
{
	uint64_t *entries = malloc(ENTRIES * sizeof(*entries)), zero_pfn = 0;
	int ret = entries ? 0 : -ENOMEM;

	if (mp_pagemap_zero_pfn(&zero_pfn))
		image->flags |= MP_XRAY_ZERO_IN;
	for (size_t i = 0; !ret && i < image->nr_spans; i++)
		ret = read_span(fd, image, &image->spans[i], zero_pfn, entries);
	free(entries);
	return ret;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static int add_span(struct mp_heap_image *image, const struct mp_map *map)
{
	struct mp_heap_span *last = image->nr_spans ? &image->spans[image->nr_spans - 1] : NULL;
	struct mp_heap_span span = { map->start, map->end };

	if ((map->kind != MP_VMA_ANON && map->kind != MP_VMA_HEAP) || map->perms & 8 ||
	    !(map->perms & 2))
		return 0;
	if (last && last->end == map->start) {
		last->end = map->end;
		return 0;
	}
	return mp_heap_image_add(&image->spans, &image->nr_spans, &span, sizeof(span));
}

static int read_runs(pid_t pid, struct mp_heap_image *image)
{
	char path[64];
	int fd, ret = use_scan ? 0 : -ENOTTY;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (size_t i = 0; !ret && i < image->nr_spans; i++)
		ret = scan_span(fd, image, &image->spans[i]);
	if (ret == -ENOTTY) {
		image->nr_runs = 0;
		free(image->runs);
		image->runs = NULL;
		ret = read_spans(fd, image);
	}
	close(fd);
	return ret;
}

int mp_heap_read_pages(pid_t pid, struct mp_heap_image *image, struct mp_err *err)
{
	struct mp_maps maps;
	int ret = mp_maps_read(pid, false, &maps, err);

	if (ret)
		return ret;
	for (size_t i = 0; !ret && i < maps.nr; i++)
		ret = add_span(image, &maps.map[i]);
	mp_maps_free(&maps);
	if (!ret)
		ret = read_runs(pid, image);
	if (!ret)
		return 0;
	if (ret == -EACCES || ret == -EPERM)
		return mp_fail(err, MP_EXIT_LACKS, EACCES,
			       "process %d: its pages may not be seen; run as its user or as root",
			       pid);
	if (ret == -ENOMEM)
		return mp_fail(err, MP_EXIT_FAILED, ENOMEM, "no memory");
	return mp_fail(err, MP_EXIT_FAILED, ESRCH, "process %d: it ended while its pages were read",
		       pid);
}
