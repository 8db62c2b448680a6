/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An ordered map of disjoint, non-empty address ranges: a sorted list of small sorted chunks.
 * Elements are plain structs that begin with struct mp_span. A pointer to an element holds until
 * the next insert, erase or cut.
 */
#ifndef MP_MODEL_OMAP_H
#define MP_MODEL_OMAP_H

#include <stddef.h>
#include <stdint.h>

#include "model/mem.h"

struct mp_span {
	uint64_t start, end;
};

struct mp_omap_chunk;

struct mp_omap {
	struct mp_mem *mem;
	size_t size; /* bytes of an element, at most MP_OMAP_ELEM */
	/* Told after a cut moved an element's start up from @old_start. May be NULL. */
	void (*trim)(void *elem, uint64_t old_start);
	struct mp_omap_chunk **chunks;
	size_t nr, cap;
	uint64_t n; /* elements */
};
#define MP_OMAP_ELEM 128

struct mp_omap_iter {
	const struct mp_omap *map;
	size_t chunk, i;
};

/* Last element that starts at or before @addr; NULL if none. */
void *mp_omap__floor(const struct mp_omap *map, uint64_t addr);
/* First element that starts at or after @addr; NULL if none. */
void *mp_omap__ceil(const struct mp_omap *map, uint64_t addr);
/* The element that holds @addr; NULL if none. */
void *mp_omap__at(const struct mp_omap *map, uint64_t addr);
/* First element that overlaps [start, end); NULL if none. */
void *mp_omap__overlap(const struct mp_omap *map, uint64_t start, uint64_t end);

/* Copies @elem in; its range must be free. NULL without memory. */
void *mp_omap__insert(struct mp_omap *map, const void *elem);
/* Takes out the element that starts at @start, if there is one. */
void mp_omap__erase(struct mp_omap *map, uint64_t start);
/*
 * Takes [start, end) out of every element. @gone (may be NULL) hears of each piece before it goes.
 * 0 or -ENOMEM (an element had to be split).
 */
int mp_omap__cut(struct mp_omap *map, uint64_t start, uint64_t end,
		 void (*gone)(void *ctx, const void *elem, uint64_t start, uint64_t end),
		 void *ctx);
/* Appends copies of all of @from to the empty @to. 0 or -ENOMEM. */
int mp_omap__copy(struct mp_omap *to, const struct mp_omap *from);
void mp_omap__fini(struct mp_omap *map);

/* for (it = mp_omap__iter(map); (e = mp_omap_iter__next(&it));) ...; do not change @map meanwhile */
struct mp_omap_iter mp_omap__iter(const struct mp_omap *map);
void *mp_omap_iter__next(struct mp_omap_iter *it);

#endif
