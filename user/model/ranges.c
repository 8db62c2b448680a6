// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/ranges.h"

#include <errno.h>
#include <string.h>

#include "../bpf/event.h"

static void trim_vma(void *elem, uint64_t old_start)
{
	struct mp_vma_rec *vma = elem;

	vma->offset += vma->span.start - old_start;
}

void mp_ranges__init(struct mp_ranges *r, struct mp_mem *mem, struct mp_sites *sites)
{
	*r = (struct mp_ranges){
		.sites = sites,
		.vmas = { .mem = mem, .size = sizeof(struct mp_vma_rec), .trim = trim_vma },
		.mappings = { .mem = mem, .size = sizeof(struct mp_mapping) },
		.heaps = { .mem = mem, .size = sizeof(struct mp_span) },
	};
	_Static_assert(sizeof(struct mp_vma_rec) <= MP_OMAP_ELEM, "omap element");
	_Static_assert(sizeof(struct mp_mapping) <= MP_OMAP_ELEM, "omap element");
}

void mp_ranges__fini(struct mp_ranges *r)
{
	mp_omap__fini(&r->vmas);
	mp_omap__fini(&r->mappings);
	mp_omap__fini(&r->heaps);
}

static void forget_heap_cache(struct mp_ranges *r)
{
	r->heap_lo = 0;
	r->heap_hi = 0;
}

struct mp_vma_rec *mp_ranges__vma(const struct mp_ranges *r, uint64_t addr)
{
	return mp_omap__at(&r->vmas, addr);
}

struct mp_mapping *mp_ranges__mapping(const struct mp_ranges *r, uint64_t addr)
{
	return mp_omap__at(&r->mappings, addr);
}

/* Bytes that @map adds to its site's mapped_bytes. */
static uint64_t counted(const struct mp_mapping *map, uint64_t start, uint64_t end)
{
	return map->anon && !mp_mapping_is_heap(map) ? end - start : 0;
}

static void mapping_gone(void *ctx, const void *elem, uint64_t start, uint64_t end)
{
	const struct mp_mapping *map = elem;
	struct mp_ranges *r = ctx;

	mp_sites__rec(r->sites, map->site)->mapped_bytes -= counted(map, start, end);
}

int mp_ranges__cut_mappings(struct mp_ranges *r, uint64_t start, uint64_t end)
{
	forget_heap_cache(r);
	return mp_omap__cut(&r->mappings, start, end, mapping_gone, r);
}

static int add_heap(struct mp_ranges *r, uint64_t start, uint64_t end)
{
	struct mp_span span = { start, end };

	if (mp_omap__cut(&r->heaps, start, end, NULL, NULL) || !mp_omap__insert(&r->heaps, &span))
		return -ENOMEM;
	return 0;
}

int mp_ranges__note_block(struct mp_ranges *r, uint64_t addr)
{
	struct mp_mapping *map;
	const struct mp_span *span;

	if (addr >= r->heap_lo && addr < r->heap_hi)
		return 0;
	map = mp_ranges__mapping(r, addr);
	if (map) {
		span = &map->span;
		mp_sites__rec(r->sites, map->site)->mapped_bytes -=
			counted(map, span->start, span->end);
		map->heap = !map->in_fn;
	} else {
		span = mp_omap__at(&r->heaps, addr);
		if (!span) {
			const struct mp_vma_rec *vma = mp_ranges__vma(r, addr);

			if (!vma)
				return 0;
			span = &vma->span;
			if (vma->kind != MP_VMA_HEAP && add_heap(r, span->start, span->end))
				return -ENOMEM;
		}
	}
	r->heap_lo = span->start;
	r->heap_hi = span->end;
	return 0;
}

bool mp_ranges__is_heap(const struct mp_ranges *r, uint64_t addr)
{
	const struct mp_mapping *map = mp_ranges__mapping(r, addr);
	const struct mp_vma_rec *vma;

	if (map)
		return mp_mapping_is_heap(map);
	vma = mp_ranges__vma(r, addr);
	return (vma && vma->kind == MP_VMA_HEAP) || mp_omap__at(&r->heaps, addr);
}

int mp_ranges__unmap(struct mp_ranges *r, uint64_t start, uint64_t end)
{
	if (mp_ranges__cut_mappings(r, start, end) ||
	    mp_omap__cut(&r->heaps, start, end, NULL, NULL))
		return -ENOMEM;
	return mp_omap__cut(&r->vmas, start, end, NULL, NULL);
}

static bool joinable(const struct mp_vma_rec *a, const struct mp_vma_rec *b)
{
	return a->span.end == b->span.start && a->kind == b->kind && a->perms == b->perms &&
	       (a->kind == MP_VMA_ANON || a->kind == MP_VMA_HEAP) && a->name == b->name;
}

int mp_ranges__add_vma(struct mp_ranges *r, const struct mp_vma_rec *vma)
{
	forget_heap_cache(r);
	if (vma->span.start >= vma->span.end)
		return 0;
	if (mp_omap__cut(&r->vmas, vma->span.start, vma->span.end, NULL, NULL))
		return -ENOMEM;
	return mp_omap__insert(&r->vmas, vma) ? 0 : -ENOMEM;
}

int mp_ranges__put_vma(struct mp_ranges *r, const struct mp_vma_rec *vma)
{
	struct mp_vma_rec *left, *right, copy = *vma;

	forget_heap_cache(r);
	if (copy.span.start >= copy.span.end)
		return 0;
	if (mp_omap__cut(&r->vmas, copy.span.start, copy.span.end, NULL, NULL))
		return -ENOMEM;
	right = mp_ranges__vma(r, copy.span.end);
	if (right && joinable(&copy, right)) {
		copy.span.end = right->span.end;
		mp_omap__erase(&r->vmas, right->span.start);
	}
	left = copy.span.start ? mp_ranges__vma(r, copy.span.start - 1) : NULL;
	if (left && joinable(left, &copy)) {
		left->span.end = copy.span.end;
		return 0;
	}
	return mp_omap__insert(&r->vmas, &copy) ? 0 : -ENOMEM;
}

/* Growths only: what is no heap yet may become one piece by piece. */
static bool alike(const struct mp_mapping *a, const struct mp_mapping *b)
{
	return a->span.end == b->span.start && a->site == b->site && a->flags == b->flags &&
	       a->op == b->op && a->in_fn && a->in_fn == b->in_fn && a->anon == b->anon;
}

int mp_ranges__put_mapping(struct mp_ranges *r, const struct mp_mapping *map)
{
	struct mp_mapping *left;

	if (map->span.start >= map->span.end)
		return 0;
	if (mp_ranges__cut_mappings(r, map->span.start, map->span.end) ||
	    mp_omap__cut(&r->heaps, map->span.start, map->span.end, NULL, NULL))
		return -ENOMEM;
	/* a heap that grows step by step from one place stays one entry */
	left = map->span.start ? mp_ranges__mapping(r, map->span.start - 1) : NULL;
	if (left && alike(left, map)) {
		left->span.end = map->span.end;
		left->t_ns = map->t_ns;
	} else if (!mp_omap__insert(&r->mappings, map)) {
		return -ENOMEM;
	}
	mp_sites__rec(r->sites, map->site)->mapped_bytes +=
		counted(map, map->span.start, map->span.end);
	return 0;
}

int mp_ranges__protect(struct mp_ranges *r, uint64_t start, uint64_t end, uint8_t perms)
{
	struct mp_vma_rec *vma, copy;

	while (start < end && (vma = mp_omap__overlap(&r->vmas, start, end))) {
		uint8_t now = (vma->perms & 8) | perms;

		copy = *vma;
		if (copy.span.start < start) {
			copy.offset += start - copy.span.start;
			copy.span.start = start;
		}
		if (copy.span.end > end)
			copy.span.end = end;
		start = copy.span.end;
		if (now == copy.perms)
			continue;
		copy.perms = now;
		if (mp_ranges__put_vma(r, &copy))
			return -ENOMEM;
	}
	return 0;
}

int mp_ranges__move_vmas(struct mp_ranges *r, uint64_t from, uint64_t len, uint64_t to)
{
	const struct mp_vma_rec *vma = mp_omap__overlap(&r->vmas, from, from + len);
	struct mp_vma_rec copy;

	if (!vma)
		return 0;
	copy = *vma;
	if (copy.span.start < from)
		copy.offset += from - copy.span.start;
	copy.span = (struct mp_span){ to, to + len };
	return mp_ranges__put_vma(r, &copy);
}

static void count_mappings(struct mp_ranges *r)
{
	struct mp_omap_iter it = mp_omap__iter(&r->mappings);
	const struct mp_mapping *map;

	while ((map = mp_omap_iter__next(&it)))
		mp_sites__rec(r->sites, map->site)->mapped_bytes +=
			counted(map, map->span.start, map->span.end);
}

int mp_ranges__copy(struct mp_ranges *to, const struct mp_ranges *from)
{
	if (mp_omap__copy(&to->vmas, &from->vmas) || mp_omap__copy(&to->heaps, &from->heaps) ||
	    mp_omap__copy(&to->mappings, &from->mappings))
		return -ENOMEM;
	count_mappings(to);
	return 0;
}

void mp_ranges__clear(struct mp_ranges *r)
{
	mp_ranges__cut_mappings(r, 0, UINT64_MAX);
	mp_ranges__fini(r);
}

void mp_ranges__clear_vmas(struct mp_ranges *r)
{
	forget_heap_cache(r);
	mp_omap__fini(&r->vmas);
}
