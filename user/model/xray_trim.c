// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What malloc_trim(0) would give back of a heap as it is, and how much more it would if all blocks of
 * one owner were freed: of neighbours that are free or one owner's, what is whole pages.
 */
#include "model/xray_inside.h"

/* sizeof(struct malloc_chunk): malloc_trim leaves so much of a free chunk */
#define CHUNK_BYTES 48U
#define MINSIZE     32U

/* Of a free chunk [start, end). */
static uint64_t trimmed(const struct mp_xray *x, uint64_t start, uint64_t end)
{
	uint64_t from = (start + CHUNK_BYTES + MP_PAGE_SIZE - 1) & MP_PAGE_MASK;

	if (!start || end <= from || end - from < MP_PAGE_SIZE)
		return 0;
	return mp_xray_pages_present(x, from, from + ((end - from) & MP_PAGE_MASK));
}

/* Of a top chunk [top, end). Of the other arenas it is not given back, nor what joins it. */
static uint64_t trimmed_top(const struct mp_xray *x, uint64_t top, uint64_t end)
{
	uint64_t unit = x->r.facts.trim_page_bytes, size = end - top, extra;

	if (x->heap.kind != MP_HEAP_MAIN || size <= MINSIZE + 1 || unit < MP_PAGE_SIZE ||
	    unit & (unit - 1))
		return 0;
	extra = (size - MINSIZE - 1) & ~(unit - 1);
	return mp_xray_pages_present(x, end - extra, end);
}

/* ---- one owner's ------------------------------------------------------------------------------ */

static int tell_pinned(struct mp_xray *x, uint64_t bytes)
{
	const struct mp_xray_solo *s = &x->solo;

	if (!s->owned || bytes <= s->freed)
		return 0;
	return x->ops->pinned(x->ctx, s->owner, bytes - s->freed);
}

/* A block at @here; before it malloc_trim would take @freed from the free chunks that end there. */
static int solo_live(struct mp_xray *x, uint64_t here, uint64_t freed, uint32_t owner)
{
	struct mp_xray_solo *s = &x->solo;
	int ret = 0;

	s->freed += freed;
	if (!s->start || (s->owned && s->owner != owner)) {
		if (s->start)
			ret = tell_pinned(x, trimmed(x, s->start, here));
		s->start = x->free_start ? x->free_start : here;
		s->freed = freed;
	}
	s->owned = true;
	s->owner = owner;
	return ret;
}

static int solo_end(struct mp_xray *x, uint64_t here, uint64_t freed)
{
	int ret = 0;

	x->solo.freed += freed;
	if (x->solo.start)
		ret = tell_pinned(x, trimmed(x, x->solo.start, here));
	x->solo = (struct mp_xray_solo){ 0 };
	return ret;
}

static int solo_top(struct mp_xray *x, uint64_t end, uint64_t freed)
{
	int ret = 0;

	x->solo.freed += freed;
	if (x->solo.start)
		ret = tell_pinned(x, trimmed_top(x, x->solo.start, end));
	x->solo = (struct mp_xray_solo){ 0 };
	return ret;
}

/* Its mapping goes with it. */
static int mapped(struct mp_xray *x)
{
	x->solo.owned = true;
	x->solo.owner = x->ops->owner(x->ctx, x->at + 8);
	return tell_pinned(x, mp_xray_pages_present(x, x->heap.start, x->heap.end));
}

/* ---- chunk by chunk --------------------------------------------------------------------------- */

/* Fastbins are emptied first, and so join; thread caches are not. */
int mp_xray_trim_add(struct mp_xray *x, uint64_t end, enum mp_chunk_state state)
{
	uint64_t here = x->at >= 8 ? x->at - 8 : 0, freed;
	int ret = 0;

	if (x->heap.kind == MP_HEAP_MMAPPED)
		return state == MP_CHUNK_LIVE && x->ops ? mapped(x) : 0;
	if (state == MP_CHUNK_BIN || state == MP_CHUNK_FASTBIN) {
		if (!x->free_start)
			x->free_start = here;
		if (!x->solo.start)
			x->solo.start = here;
		return 0;
	}
	if (state == MP_CHUNK_TOP)
		freed = trimmed_top(x, x->free_start ? x->free_start : here, end);
	else
		freed = trimmed(x, x->free_start, here);
	x->sum->trim_bytes += freed;
	if (x->ops) {
		if (state == MP_CHUNK_TOP)
			ret = solo_top(x, end, freed);
		else if (state == MP_CHUNK_LIVE)
			ret = solo_live(x, here, freed, x->ops->owner(x->ctx, x->at + 8));
		else
			ret = solo_end(x, here, freed);
	}
	x->free_start = 0;
	return ret;
}

int mp_xray_trim_end(struct mp_xray *x)
{
	uint64_t here = x->at >= 8 ? x->at - 8 : 0, freed = trimmed(x, x->free_start, here);

	x->sum->trim_bytes += freed;
	x->free_start = 0;
	return x->ops ? solo_end(x, here, freed) : 0;
}
