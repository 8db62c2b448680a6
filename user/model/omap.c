// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/omap.h"

#include <errno.h>
#include <string.h>

#define CHUNK  64 /* elements */
#define SPARSE 16 /* a chunk with fewer is joined with its neighbour, if that leaves room */

struct mp_omap_chunk {
	size_t n;
	unsigned char data[];
};

static struct mp_span *elem(const struct mp_omap *map, size_t chunk, size_t i)
{
	return (struct mp_span *)(map->chunks[chunk]->data + i * map->size);
}

/* Last chunk whose first element starts at or before @addr; the first chunk if there is none. */
static size_t chunk_of(const struct mp_omap *map, uint64_t addr)
{
	size_t lo = 0, hi = map->nr;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (elem(map, mid, 0)->start <= addr)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

/* Number of elements of @chunk that start at or before @addr. */
static size_t upto(const struct mp_omap *map, size_t chunk, uint64_t addr)
{
	size_t lo = 0, hi = map->chunks[chunk]->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (elem(map, chunk, mid)->start <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void *mp_omap__floor(const struct mp_omap *map, uint64_t addr)
{
	size_t c, i;

	if (!map->nr)
		return NULL;
	c = chunk_of(map, addr);
	i = upto(map, c, addr);
	return i ? elem(map, c, i - 1) : NULL;
}

void *mp_omap__ceil(const struct mp_omap *map, uint64_t addr)
{
	size_t c, i;

	if (!map->nr)
		return NULL;
	c = chunk_of(map, addr);
	i = upto(map, c, addr);
	if (i && elem(map, c, i - 1)->start == addr)
		return elem(map, c, i - 1);
	if (i < map->chunks[c]->n)
		return elem(map, c, i);
	return c + 1 < map->nr ? elem(map, c + 1, 0) : NULL;
}

void *mp_omap__at(const struct mp_omap *map, uint64_t addr)
{
	struct mp_span *e = mp_omap__floor(map, addr);

	return e && e->end > addr ? e : NULL;
}

void *mp_omap__overlap(const struct mp_omap *map, uint64_t start, uint64_t end)
{
	struct mp_span *e = mp_omap__at(map, start);

	if (!e)
		e = mp_omap__ceil(map, start);
	return e && e->start < end ? e : NULL;
}

static int add_chunk(struct mp_omap *map, size_t at)
{
	struct mp_omap_chunk *c;

	if (mp_mem_grow(map->mem, &map->chunks, &map->cap, map->nr + 1, sizeof(*map->chunks)))
		return -ENOMEM;
	c = mp_mem_alloc(map->mem, sizeof(*c) + CHUNK * map->size);
	if (!c)
		return -ENOMEM;
	c->n = 0;
	memmove(&map->chunks[at + 1], &map->chunks[at], (map->nr - at) * sizeof(*map->chunks));
	map->chunks[at] = c;
	map->nr++;
	return 0;
}

static int split_chunk(struct mp_omap *map, size_t at)
{
	struct mp_omap_chunk *from, *to;
	/* ascending insertions are the rule: leave a full chunk behind them */
	size_t keep = at + 1 == map->nr ? CHUNK - 1 : CHUNK / 2;

	if (add_chunk(map, at + 1))
		return -ENOMEM;
	from = map->chunks[at];
	to = map->chunks[at + 1];
	to->n = from->n - keep;
	memcpy(to->data, from->data + keep * map->size, to->n * map->size);
	from->n = keep;
	return 0;
}

void *mp_omap__insert(struct mp_omap *map, const void *new)
{
	const struct mp_span *span = new;
	size_t c, i;

	if (!map->nr && add_chunk(map, 0))
		return NULL;
	c = chunk_of(map, span->start);
	if (map->chunks[c]->n == CHUNK) {
		if (split_chunk(map, c))
			return NULL;
		c = chunk_of(map, span->start);
	}
	i = upto(map, c, span->start);
	memmove(elem(map, c, i + 1), elem(map, c, i), (map->chunks[c]->n - i) * map->size);
	memcpy(elem(map, c, i), new, map->size);
	map->chunks[c]->n++;
	map->n++;
	return elem(map, c, i);
}

static void drop_chunk(struct mp_omap *map, size_t at)
{
	mp_mem_free(map->mem, map->chunks[at]);
	map->nr--;
	memmove(&map->chunks[at], &map->chunks[at + 1], (map->nr - at) * sizeof(*map->chunks));
}

static void join_chunks(struct mp_omap *map, size_t at)
{
	struct mp_omap_chunk *a, *b;

	if (at + 1 >= map->nr)
		return;
	a = map->chunks[at];
	b = map->chunks[at + 1];
	if (a->n + b->n > CHUNK - SPARSE)
		return;
	memcpy(a->data + a->n * map->size, b->data, b->n * map->size);
	a->n += b->n;
	drop_chunk(map, at + 1);
}

void mp_omap__erase(struct mp_omap *map, uint64_t start)
{
	struct mp_omap_chunk *chunk;
	size_t c, i;

	if (!map->nr)
		return;
	c = chunk_of(map, start);
	i = upto(map, c, start);
	if (!i || elem(map, c, i - 1)->start != start)
		return;
	chunk = map->chunks[c];
	memmove(elem(map, c, i - 1), elem(map, c, i), (chunk->n - i) * map->size);
	chunk->n--;
	map->n--;
	if (!chunk->n)
		drop_chunk(map, c);
	else if (chunk->n < SPARSE)
		join_chunks(map, c);
}

/* Leaves [e->start, start) and [end, e->end) of @e. */
static int split_elem(struct mp_omap *map, struct mp_span *e, uint64_t start, uint64_t end)
{
	unsigned char tail[MP_OMAP_ELEM] __attribute__((aligned(8)));
	struct mp_span *t = (struct mp_span *)tail;
	uint64_t old = e->start;

	memcpy(tail, e, map->size);
	t->start = end;
	e->end = start;
	t = mp_omap__insert(map, tail);
	if (!t)
		return -ENOMEM;
	if (map->trim)
		map->trim(t, old);
	return 0;
}

int mp_omap__cut(struct mp_omap *map, uint64_t start, uint64_t end,
		 void (*gone)(void *ctx, const void *elem, uint64_t start, uint64_t end), void *ctx)
{
	struct mp_span *e;

	while (start < end && (e = mp_omap__overlap(map, start, end))) {
		uint64_t lo = e->start > start ? e->start : start;
		uint64_t hi = e->end < end ? e->end : end;
		uint64_t old = e->start;

		if (gone)
			gone(ctx, e, lo, hi);
		if (lo > e->start && hi < e->end)
			return split_elem(map, e, lo, hi);
		if (lo > e->start) {
			e->end = lo;
		} else if (hi < e->end) {
			e->start = hi;
			if (map->trim)
				map->trim(e, old);
		} else {
			mp_omap__erase(map, old);
		}
	}
	return 0;
}

int mp_omap__copy(struct mp_omap *to, const struct mp_omap *from)
{
	struct mp_omap_iter it = mp_omap__iter(from);
	const void *e;

	while ((e = mp_omap_iter__next(&it)))
		if (!mp_omap__insert(to, e))
			return -ENOMEM;
	return 0;
}

void mp_omap__fini(struct mp_omap *map)
{
	while (map->nr)
		mp_mem_free(map->mem, map->chunks[--map->nr]);
	mp_mem_free(map->mem, map->chunks);
	map->chunks = NULL;
	map->cap = 0;
	map->n = 0;
}

struct mp_omap_iter mp_omap__iter(const struct mp_omap *map)
{
	return (struct mp_omap_iter){ .map = map };
}

void *mp_omap_iter__next(struct mp_omap_iter *it)
{
	if (it->chunk >= it->map->nr)
		return NULL;
	if (it->i >= it->map->chunks[it->chunk]->n) {
		it->i = 0;
		if (++it->chunk >= it->map->nr)
			return NULL;
	}
	return elem(it->map, it->chunk, it->i++);
}
