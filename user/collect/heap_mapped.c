// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Chunks that are mappings of their own. No list of them exists: a page that begins with a head whose
 * size fits is one. memalign moves the head and leaves the old one where it was; both then tell the
 * same mapping, and the later one holds.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "collect/heap_walk.h"

#define CHUNK_HEAD 16U
#define IS_MMAPPED 2U
#define HUGE_MARK  1ULL /* in the first word, where it tells of huge pages */

bool mp_heap_head_holds(const struct mp_heap_image *image, const struct mp_heap_head *head,
			struct mp_heap_mapped *out)
{
	uint64_t size = head->size & ~7ULL, before = head->prev_size & ~HUGE_MARK;
	const struct mp_heap_span *span = mp_heap_image__span(image, head->addr);

	if ((head->size & 7) != IS_MMAPPED || head->addr % 16 || before % 16 || !span ||
	    before > head->addr - span->start)
		return false;
	if (image->glibc.at.mmapped_size_less_16)
		size += CHUNK_HEAD;
	if (size <= CHUNK_HEAD || size > span->end - head->addr)
		return false;
	out->chunk = head->addr;
	out->start = head->addr - before;
	out->end = head->addr + size;
	return !((out->start | out->end) & ~MP_PAGE_MASK);
}

/* By where they begin; of those that begin together the one moved furthest is first. */
static int by_start(const void *a, const void *b)
{
	const struct mp_heap_mapped *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->chunk > y->chunk ? -1 : x->chunk < y->chunk;
}

/* Of those that overlap the first stays. Such memory cannot be an arena's. */
static size_t drop_overlaps(struct mp_heap_mapped *list, size_t nr,
			    const struct mp_heap_span *taken, size_t nr_taken)
{
	size_t kept = 0, next = 0;

	for (size_t i = 0; i < nr; i++) {
		while (next < nr_taken && taken[next].end <= list[i].start)
			next++;
		if (next < nr_taken && taken[next].start < list[i].end)
			continue;
		if (!kept || list[i].start >= list[kept - 1].end)
			list[kept++] = list[i];
	}
	return kept;
}

static bool is_tied(const struct mp_heap_image *image, const struct mp_heap_mapped *first,
		    const struct mp_heap_mapped *last)
{
	const struct mp_heap_span *span = mp_heap_image__span(image, first->start);

	return span && (first->start == span->start || last->end == span->end);
}

/* Chunks of one span that touch its beginning, its end, or others that do; the rest goes behind. */
static size_t tied_first(const struct mp_heap_image *image, struct mp_heap_mapped *list, size_t nr)
{
	struct mp_heap_mapped *rest = calloc(nr, sizeof(*rest));
	size_t kept = 0, left = 0;

	if (!rest)
		return nr;
	for (size_t i = 0, end; i < nr; i = end) { /* [i, end) are end to end */
		for (end = i + 1; end < nr && list[end].start == list[end - 1].end; end++)
			;
		if (is_tied(image, &list[i], &list[end - 1])) {
			memmove(&list[kept], &list[i], (end - i) * sizeof(*list));
			kept += end - i;
		} else {
			memcpy(&rest[left], &list[i], (end - i) * sizeof(*list));
			left += end - i;
		}
	}
	memcpy(&list[kept], rest, left * sizeof(*list));
	free(rest);
	return kept;
}

/* If one is missing to the number that malloc counts, and its size fits one of the rest: that one. */
static size_t drop_rest(const struct mp_heap_image *image, const struct mp_heap_counted *counted,
			struct mp_heap_mapped *list, size_t nr)
{
	size_t kept = tied_first(image, list, nr), fits = nr;
	uint64_t left = counted->bytes;

	for (size_t i = 0; i < kept; i++)
		left -= list[i].end - list[i].start;
	for (size_t i = kept; i < nr && kept + 1 == counted->nr; i++) {
		if (list[i].end - list[i].start != left)
			continue;
		if (fits < nr)
			return kept; /* there are two */
		fits = i;
	}
	if (fits < nr)
		list[kept++] = list[fits];
	if (kept)
		qsort(list, kept, sizeof(*list), by_start);
	return kept;
}

int mp_heap_find_mapped(const struct mp_heap_image *image, const struct mp_heap_arenas *arenas,
			const struct mp_heap_counted *counted, struct mp_heap_mapped **list,
			size_t *nr)
{
	struct mp_heap_span *taken = mp_heap_arenas__spans(arenas);
	struct mp_heap_mapped m;

	*list = NULL;
	*nr = 0;
	if (!taken)
		return -ENOMEM;
	for (size_t i = 0; i < image->nr_heads; i++) {
		if (!mp_heap_head_holds(image, &image->heads[i], &m))
			continue;
		if (mp_heap_image_add(list, nr, &m, sizeof(m))) {
			free(*list);
			free(taken);
			return -ENOMEM;
		}
	}
	if (*nr)
		qsort(*list, *nr, sizeof(**list), by_start);
	*nr = drop_overlaps(*list, *nr, taken, arenas->nr_parts);
	if (*nr > counted->nr)
		*nr = drop_rest(image, counted, *list, *nr);
	free(taken);
	return 0;
}
