// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sixteen bytes wherever the head of a chunk that is a mapping of its own could be: where a page
 * begins, where one ends (what memalign moved to a page's beginning), and within the first page at
 * every smaller alignment. Which of them hold is found out by heap_mapped.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "collect/heap_read.h"

#define IS_MMAPPED 2U
#define BATCH      512 /* pages one call looks at */
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

static void look(struct looker *l)
{
	struct iovec local[2 * BATCH], remote[2 * BATCH];
	size_t done = 0, n = 2 * l->nr;
	ssize_t got;

	for (size_t i = 0; i < n; i++) {
		uint64_t addr = l->pages[i / 2] + (i % 2 ? MP_PAGE_SIZE - 16 : 0);

		local[i] = (struct iovec){ &l->words[i], 16 };
		remote[i] = (struct iovec){ (void *)(uintptr_t)addr, 16 };
	}
	while (done < n) {
		got = process_vm_readv(l->m->pid, local + done, n - done, remote + done, n - done,
				       0);
		for (ssize_t k = 0; k < got / 16; k++, done++)
			add_head(l, (uint64_t)(uintptr_t)remote[done].iov_base, &l->words[done]);
		done += got < 0 || done < n; /* the one that could not be read */
	}
	l->nr = 0;
}

static void look_at_run(struct looker *l, uint64_t start, uint64_t end)
{
	for (; start < end && !l->ret; start += MP_PAGE_SIZE) {
		l->pages[l->nr++] = start;
		if (l->nr == BATCH)
			look(l);
	}
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
			if (t < nr && taken[t].start < until)
				until = taken[t].start > at ? taken[t].start & MP_PAGE_MASK : at;
			look_at_run(l, at, until);
			at = until;
			if (t < nr && at >= (taken[t].start & MP_PAGE_MASK) && at < run->end)
				at = (taken[t].end + MP_PAGE_SIZE - 1) & MP_PAGE_MASK;
		}
	}
	if (l->nr)
		look(l);
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
