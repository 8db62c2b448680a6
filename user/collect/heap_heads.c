// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sixteen bytes wherever the head of a chunk that is a mapping of its own could be: where a page
 * begins, where one ends (what memalign moved to a page's beginning), and within the first page at
 * every smaller alignment. Which of them hold is found out by heap_mapped.c. What lies inside of a
 * mapping that one of them tells of is passed over, but for the places where memalign can have moved
 * the head to: a buffer of gigabytes is looked at once.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "collect/heap_read.h"
#include "collect/heap_walk.h"

#define IS_MMAPPED 2U
#define CHUNK_HEAD 16U
#define BATCH      32 /* pages one call looks at */
#define HEADS_MAX  (1U << 22)

struct words {
	uint64_t prev_size, size;
};

struct looker {
	const struct mp_heap_memory *m;
	struct mp_heap_image *image;
	struct words words[2 * BATCH]; /* of each page the first and the last */
	uint64_t pages[BATCH];
	size_t nr;
	uint64_t until; /* a mapping that ends above it would be another's too */
	uint64_t past;  /* pages below it are inside of a mapping that was found */
	int ret;
};

static bool may_be_head(const struct words *w)
{
	return (w->size & 7) == IS_MMAPPED && (w->size >> 57) == 0 && (w->prev_size >> 57) == 0 &&
	       (w->size & ~7ULL) != 0;
}

static void add_head(struct looker *l, uint64_t addr, const struct words *w)
{
	struct mp_heap_head head = { addr, w->prev_size, w->size };

	if (!l->ret && may_be_head(w) && l->image->nr_heads < HEADS_MAX)
		l->ret = mp_heap_image_add(&l->image->heads, &l->image->nr_heads, &head,
					   sizeof(head));
}

/* memalign moved it to the first multiple of what was asked for, or the second if that was too near. */
static void look_further(struct looker *l, const struct mp_heap_mapped *m)
{
	for (uint64_t align = MP_PAGE_SIZE; align < m->end - m->start; align *= 2) {
		uint64_t at = (m->start + CHUNK_HEAD + align - 1) & ~(align - 1);

		for (int n = 0; n < 2 && at < m->end; n++, at += align) {
			struct words w;

			if (!mp_heap_memory__read(l->m, at - CHUNK_HEAD, &w, sizeof(w)))
				add_head(l, at - CHUNK_HEAD, &w);
		}
	}
}

/* The two places of a page. */
static void look_at(struct looker *l, uint64_t page, const struct words *first,
		    const struct words *last)
{
	struct mp_heap_head head = { page, first->prev_size, first->size };
	struct mp_heap_mapped m;

	if (page < l->past)
		return;
	add_head(l, page, first);
	if (may_be_head(first) && mp_heap_head_holds(l->image, &head, &m) && m.start == page &&
	    m.end <= l->until) {
		l->past = m.end;
		look_further(l, &m);
	} else {
		add_head(l, page + MP_PAGE_SIZE - CHUNK_HEAD, last);
	}
}

/* The page begins with a head, so memalign may have moved it on within the page. */
static void look_inside(struct looker *l, uint64_t page)
{
	struct words words[MP_PAGE_SIZE / sizeof(struct words)];

	if (mp_heap_memory__read(l->m, page, words, sizeof(words)))
		return;
	for (uint64_t align = 32; align < MP_PAGE_SIZE; align *= 2)
		add_head(l, page + align - 16, &words[align / 16 - 1]);
	if (words[3].prev_size == 48) /* for an alignment of 32 with room left before it */
		add_head(l, page + 48, &words[3]);
}

static uint64_t place_of(const struct looker *l, size_t i)
{
	return l->pages[i / 2] + (i % 2 ? MP_PAGE_SIZE - CHUNK_HEAD : 0);
}

/* What cannot be read stays zeros: no head. */
static void read_slowly(struct looker *l)
{
	for (size_t i = 0; i < 2 * l->nr; i++)
		if (mp_heap_memory__read(l->m, place_of(l, i), &l->words[i], CHUNK_HEAD))
			l->words[i] = (struct words){ 0 };
}

static void read_fast(struct looker *l)
{
	struct iovec local[2 * BATCH], remote[2 * BATCH];
	size_t done = 0, n = 2 * l->nr;
	ssize_t got;

	for (size_t i = 0; i < n; i++) {
		l->words[i] = (struct words){ 0 };
		local[i] = (struct iovec){ &l->words[i], CHUNK_HEAD };
		remote[i] = (struct iovec){ (void *)(uintptr_t)place_of(l, i), CHUNK_HEAD };
	}
	while (done < n) {
		got = process_vm_readv(l->m->pid, local + done, n - done, remote + done, n - done,
				       0);
		done += got > 0 ? (size_t)got / CHUNK_HEAD : 0;
		done += done < n; /* the one that could not be read */
	}
}

static void look(struct looker *l)
{
	if (mp_heap_memory__kind(l->m, l->pages[0], l->nr) == MP_HEAP_EXCLUSIVE)
		read_fast(l);
	else
		read_slowly(l);
	for (size_t i = 0; i < l->nr; i++)
		look_at(l, l->pages[i], &l->words[2 * i], &l->words[2 * i + 1]);
	l->nr = 0;
}

/* Pages of one batch follow each other. */
static void look_at_run(struct looker *l, uint64_t start, uint64_t end)
{
	for (; start < end && !l->ret; start += MP_PAGE_SIZE) {
		if (!l->nr && start < l->past)
			start = l->past < end ? l->past : end - MP_PAGE_SIZE;
		l->pages[l->nr++] = start;
		if (l->nr == BATCH)
			look(l);
	}
	if (l->nr)
		look(l);
}

/* Present memory that is of no arena. */
static void look_around(struct looker *l, const struct mp_heap_span *taken, size_t nr)
{
	size_t t = 0;

	for (size_t i = 0; i < l->image->nr_runs; i++) {
		const struct mp_heap_run *run = &l->image->runs[i];
		uint64_t at = run->start;

		if (run->state != MP_HEAP_PRESENT)
			continue;
		while (at < run->end) {
			uint64_t until = run->end;

			while (t < nr && taken[t].end <= at)
				t++;
			l->until = t < nr ? taken[t].start & MP_PAGE_MASK : UINT64_MAX;
			if (l->until < until)
				until = l->until > at ? l->until : at;
			look_at_run(l, at, until);
			at = until;
			if (t < nr && at >= l->until && at < run->end)
				at = (taken[t].end + MP_PAGE_SIZE - 1) & MP_PAGE_MASK;
		}
	}
}

/* If malloc counts none there is nothing to look for. */
static bool has_mapped(const struct mp_heap_memory *m, const struct mp_glibc *glibc)
{
	uint32_t nr;

	return glibc->at.mp_n_mmaps == MP_GLIBC_NONE ||
	       mp_heap_memory__read(m, glibc->mp + glibc->at.mp_n_mmaps, &nr, sizeof(nr)) || nr;
}

int mp_heap_read_heads(const struct mp_heap_memory *m, struct mp_heap_image *image,
		       const struct mp_heap_arenas *arenas)
{
	struct mp_heap_span *taken = mp_heap_arenas__spans(arenas);
	struct looker *l = calloc(1, sizeof(*l));
	size_t nr;
	int ret = taken && l ? 0 : -ENOMEM;

	if (!ret) {
		l->m = m;
		l->image = image;
		if (has_mapped(m, &image->glibc))
			look_around(l, taken, arenas->nr_parts);
		nr = image->nr_heads;
		for (size_t i = 0; i < nr && !l->ret; i++)
			if (!(image->heads[i].addr & ~MP_PAGE_MASK))
				look_inside(l, image->heads[i].addr);
		ret = l->ret;
	}
	free(taken);
	free(l);
	return ret;
}
