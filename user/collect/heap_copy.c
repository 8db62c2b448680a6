// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "collect/emit.h"
#include "collect/heap_read.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* include/uapi/asm-generic/mman-common.h since Linux 5.14 */
#endif
#define HUGE_BYTES  (2ULL << 20)
#define GROWS_BYTES (64ULL << 20) /* that a part may grow by before it is copied */
#define MP_PAR_MAX  512U          /* more bytes than struct malloc_par has in any version */

struct buffer { /* for the part of a heap that begins at @start */
	uint64_t start;
	uint8_t *bytes;
	size_t size;
};

struct mp_heap_buffers {
	struct buffer *list;
	size_t nr;
};

/* ---- room ----------------------------------------------------------------------------------- */

struct mp_heap_buffers *mp_heap_buffers__new(void)
{
	return calloc(1, sizeof(struct mp_heap_buffers));
}

void mp_heap_buffers__free(struct mp_heap_buffers *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->nr; i++)
		munmap(b->list[i].bytes, b->list[i].size);
	free(b->list);
	free(b);
}

/* Room for [start, end), kept since the last time or new. NULL: there is none. */
static uint8_t *buffer_for(struct mp_heap_buffers *b, uint64_t start, uint64_t end)
{
	uint64_t offset = start % HUGE_BYTES;
	struct buffer new = { .start = start, .size = end - start + GROWS_BYTES + 2 * HUGE_BYTES };
	uint8_t *bytes;

	for (size_t i = 0; i < b->nr; i++) {
		bytes = b->list[i].bytes;
		bytes += (offset - (uintptr_t)bytes) % HUGE_BYTES;
		if (b->list[i].start == start &&
		    end - start <= b->list[i].size - (size_t)(bytes - b->list[i].bytes))
			return bytes;
	}
	new.bytes = mmap(NULL, new.size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (new.bytes == MAP_FAILED)
		return NULL;
	madvise(new.bytes, new.size, MADV_HUGEPAGE);
	if (mp_heap_image_add(&b->list, &b->nr, &new, sizeof(new))) {
		munmap(new.bytes, new.size);
		return NULL;
	}
	/* its huge pages are to lie as the process's */
	return new.bytes + (offset - (uintptr_t) new.bytes) % HUGE_BYTES;
}

/* ---- what is to be copied ------------------------------------------------------------------- */

/* Pages of @part that are in memory, as [@from, @to): 0 when there are no more from run *@i on. */
static int next_run(const struct mp_heap_image *image, const struct mp_heap_part *part, size_t *i,
		    uint64_t *from, uint64_t *to)
{
	uint64_t low = part->start & MP_PAGE_MASK;
	uint64_t high = (part->end + MP_PAGE_SIZE - 1) & MP_PAGE_MASK;

	for (; *i < image->nr_runs && image->runs[*i].start < high; ++*i) {
		const struct mp_heap_run *run = &image->runs[*i];

		if (run->state == MP_HEAP_SWAPPED || run->end <= low)
			continue;
		*from = run->start > low ? run->start : low;
		*to = run->end < high ? run->end : high;
		++*i;
		return 1;
	}
	return 0;
}

/* A copy of [addr, addr + len), all of it or none. */
static int copy_small(const struct mp_heap_memory *m, struct mp_heap_image *image, uint64_t addr,
		      size_t len)
{
	struct mp_heap_copy copy = { .start = addr, .end = addr + len, .bytes = malloc(len) };
	int ret = -ENOMEM;

	if (!copy.bytes)
		return ret;
	ret = mp_heap_memory__read(m, addr, copy.bytes, len);
	if (!ret)
		ret = mp_heap_image_add(&image->copies, &image->nr_copies, &copy, sizeof(copy));
	if (ret)
		free(copy.bytes);
	return ret == -ENOMEM ? ret : 0;
}

static size_t par_bytes(const struct mp_glibc_layout *at)
{
	const uint16_t members[] = { at->mp_trim_threshold, at->mp_mmap_threshold,
				     at->mp_hp_pagesize,    at->mp_n_mmaps,
				     at->mp_mmapped_mem,    at->mp_sbrk_base };
	size_t most = 0;

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (members[i] < MP_PAR_MAX && members[i] + 8U > most)
			most = members[i] + 8U;
	return most;
}

struct pieces {
	struct mp_heap_piece *list;
	size_t nr;
	uint64_t bytes, limit;
};

/* The part's copy, empty yet, and the pieces that fill it. */
static int add_part(struct mp_heap_buffers *b, struct mp_heap_image *image,
		    const struct mp_heap_part *part, struct pieces *p)
{
	uint64_t low = part->start & MP_PAGE_MASK, from, to;
	uint64_t high = (part->end + MP_PAGE_SIZE - 1) & MP_PAGE_MASK;
	struct mp_heap_copy copy = { .start = low, .end = high };
	size_t i = mp_heap_image__run(image, low);
	int ret;

	copy.bytes = buffer_for(b, low, high);
	copy.have = calloc(((high - low) / MP_PAGE_SIZE + 63) / 64, sizeof(*copy.have));
	copy.borrowed = true;
	if (!copy.bytes || !copy.have ||
	    mp_heap_image_add(&image->copies, &image->nr_copies, &copy, sizeof(copy))) {
		free(copy.have);
		return -ENOMEM;
	}
	while (next_run(image, part, &i, &from, &to)) {
		for (uint64_t len; from < to; from += len) {
			struct mp_heap_piece piece = { .addr = from,
						       .to = copy.bytes + (from - low) };

			len = to - from < MP_HEAP_PIECE ? to - from : MP_HEAP_PIECE;
			piece.len = len;
			if (p->bytes + len > p->limit) {
				image->flags |= MP_XRAY_TOO_LARGE;
				return 0;
			}
			p->bytes += len;
			ret = mp_heap_image_add(&p->list, &p->nr, &piece, sizeof(piece));
			if (ret)
				return ret;
		}
	}
	return 0;
}

/* Tells the copies which of their pages they have. */
static void note_pages(struct mp_heap_image *image, const struct pieces *p)
{
	for (size_t i = 0; i < p->nr; i++) {
		const struct mp_heap_piece *piece = &p->list[i];
		struct mp_heap_copy *copy = mp_heap_image__at(image, piece->addr);
		uint64_t first;

		if (!copy || !copy->have)
			continue;
		first = (piece->addr - copy->start) / MP_PAGE_SIZE;
		for (uint64_t n = 0; n < piece->got / MP_PAGE_SIZE; n++)
			copy->have[(first + n) / 64] |= 1ULL << ((first + n) % 64);
	}
}

/* ---- the whole ------------------------------------------------------------------------------ */

static int fail_copy(pid_t pid, int ret, struct mp_err *err)
{
	if (ret == -ENOMEM)
		return mp_fail(err, MP_EXIT_FAILED, ENOMEM,
			       "no memory for a copy of the heap of process %d", pid);
	if (ret == -EACCES || ret == -EPERM)
		return mp_fail(err, MP_EXIT_LACKS, EACCES,
			       "process %d: its memory may not be read; run as its user or as root",
			       pid);
	return mp_fail(err, MP_EXIT_FAILED, -ret, "process %d: it ended while its heap was copied",
		       pid);
}

/* Reads all that is small, and finds the parts of heaps. */
static int look(const struct mp_heap_memory *m, struct mp_heap_image *image,
		struct mp_heap_arenas *arenas)
{
	const struct mp_glibc *g = &image->glibc;
	int ret;

	ret = copy_small(m, image, g->main_arena, mp_heap_state_bytes(&g->at));
	if (!ret)
		ret = copy_small(m, image, g->mp, par_bytes(&g->at));
	if (!ret)
		ret = mp_heap_read_threads(m, image);
	if (!ret)
		ret = mp_heap_arenas__find(image, mp_heap_memory__read, m, arenas);
	return ret;
}

int mp_heap_buffers__prepare(struct mp_heap_buffers *b, pid_t pid, const struct mp_glibc *glibc,
			     uint64_t limit, struct mp_err *err)
{
	struct mp_heap_image image = { .glibc = *glibc };
	struct mp_heap_arenas arenas = { .nr = 0 };
	struct mp_heap_memory m;
	int ret;

	ret = mp_heap_read_pages(pid, &image, err);
	if (ret)
		return ret;
	ret = mp_heap_memory__open(&m, pid);
	if (!ret)
		ret = mp_heap_arenas__find(&image, mp_heap_memory__read, &m, &arenas);
	for (size_t i = 0; !ret && i < arenas.nr_parts; i++) {
		const struct mp_heap_part *part = &arenas.parts[i];
		uint64_t low = part->start & MP_PAGE_MASK, from, to;
		uint64_t high = (part->end + MP_PAGE_SIZE - 1) & MP_PAGE_MASK;
		size_t run = mp_heap_image__run(&image, low);
		uint8_t *bytes = buffer_for(b, low, high);

		while (bytes && limit && next_run(&image, part, &run, &from, &to)) {
			uint64_t len = to - from < limit ? to - from : limit;

			madvise(bytes + (from - low), len, MADV_POPULATE_WRITE);
			limit -= len;
		}
	}
	mp_heap_arenas__clear(&arenas);
	mp_heap_memory__close(&m);
	mp_heap_image__clear(&image);
	return ret ? fail_copy(pid, ret, err) : 0;
}

static int copy_parts(struct mp_heap_buffers *b, const struct mp_heap_memory *m,
		      const struct mp_heap_arenas *arenas, uint64_t limit,
		      struct mp_heap_image *image)
{
	struct pieces p = { .limit = limit };
	int ret = 0;

	for (size_t i = 0; !ret && i < arenas->nr_parts; i++)
		ret = add_part(b, image, &arenas->parts[i], &p);
	if (!ret) {
		mp_heap_memory__copy(m, p.list, p.nr);
		ret = mp_heap_read_heads(m, image, arenas);
		mp_heap_image__sort(image);
		note_pages(image, &p);
	}
	free(p.list);
	return ret;
}

int mp_heap_copy(struct mp_heap_buffers *b, pid_t pid, const struct mp_glibc *glibc, uint64_t limit,
		 struct mp_heap_image *image, struct mp_err *err)
{
	struct mp_heap_arenas arenas = { .nr = 0 };
	struct mp_heap_memory m;
	int ret;

	memset(image, 0, sizeof(*image));
	image->glibc = *glibc;
	image->begin_ns = mp_mono_ns();
	ret = mp_heap_read_pages(pid, image, err);
	if (ret) {
		mp_heap_image__clear(image);
		return ret;
	}
	ret = mp_heap_memory__open(&m, pid);
	if (!ret)
		ret = look(&m, image, &arenas);
	if (!ret)
		ret = copy_parts(b, &m, &arenas, limit, image);
	image->end_ns = mp_mono_ns();
	mp_heap_arenas__clear(&arenas);
	mp_heap_memory__close(&m);
	if (ret)
		mp_heap_image__clear(image);
	return ret ? fail_copy(pid, ret, err) : 0;
}
