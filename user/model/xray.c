// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/xray.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/xray_inside.h"

struct mp_xray *mp_xray__new(unsigned int want)
{
	struct mp_xray *x = calloc(1, sizeof(*x));

	if (x)
		x->want = want;
	return x;
}

void mp_xray__watch(struct mp_xray *x, const struct mp_xray_ops *ops, void *ctx)
{
	x->ops = ops;
	x->ctx = ctx;
}

void mp_xray__free(struct mp_xray *x)
{
	if (!x)
		return;
	mp_mem_free(&x->mem, x->r.arenas);
	mp_mem_free(&x->mem, x->r.runs);
	mp_mem_free(&x->mem, x->r.blocks);
	mp_mem_free(&x->mem, x->told);
	free(x);
}

/* ---- what holds the top ----------------------------------------------------------------------- */

static void follow_holder(struct mp_xray *x, uint64_t end, enum mp_chunk_state state)
{
	if (state == MP_CHUNK_TOP) {
		x->sum->holder = x->last;
		return;
	}
	if (state == MP_CHUNK_BIN) {
		x->bin_before = end - x->at;
		return;
	}
	x->last = (struct mp_xray_holder){ .addr = x->at + 8,
					   .bytes = end - x->at,
					   .free_below = x->bin_before,
					   .state = (uint8_t)state };
	x->bin_before = 0;
}

/* ---- events ----------------------------------------------------------------------------------- */

static int add_block(struct mp_xray *x, uint64_t end)
{
	struct mp_xray_report *r = &x->r;

	if (!(x->want & MP_XRAY_WANT_BLOCKS) || end - x->at < 8)
		return 0;
	if (mp_mem_grow(&x->mem, &r->blocks, &x->blocks_cap, r->nr_blocks + 1, sizeof(*r->blocks)))
		return -ENOMEM;
	r->blocks[r->nr_blocks++] = (struct mp_xray_block){ x->at + 8, end - x->at - 8 };
	return 0;
}

static int add_chunk(struct mp_xray *x, uint64_t bytes, enum mp_chunk_state state)
{
	uint64_t end = x->at + bytes;
	int ret;

	x->sum->chunks[state]++;
	ret = mp_xray_trim_add(x, end, state);
	follow_holder(x, end, state);
	if (!ret && state == MP_CHUNK_LIVE)
		ret = add_block(x, end);
	return ret ? ret : mp_xray_pages_add(x, end, state);
}

static int apply_chunks(struct mp_xray *x, const struct mp_ev_chunks *ev)
{
	int ret = 0;

	if (!x->inside || ev->addr != x->at) {
		x->r.refused++;
		return 0;
	}
	for (uint32_t i = 0; !ret && i < ev->nr; i++) {
		uint64_t bytes = MP_CHUNK_BYTES(ev->entries[i]);

		if (bytes > x->heap.end - x->at || !bytes) {
			x->r.refused++;
			return 0;
		}
		ret = add_chunk(x, bytes, ev->entries[i] >> MP_CHUNK_SHIFT);
	}
	return ret;
}

static int apply_pages(struct mp_xray *x, const struct mp_ev_part_pages *ev)
{
	struct mp_xray_told told = { .start = ev->addr,
				     .end = ev->addr + ev->nr * MP_PAGE_SIZE,
				     .state = ev->state,
				     .huge = ev->huge };

	if (!x->inside || x->at != x->heap.start || !ev->nr ||
	    (x->nr_told && told.start < x->told[x->nr_told - 1].end)) {
		x->r.refused++;
		return 0;
	}
	if (mp_mem_grow(&x->mem, &x->told, &x->told_cap, x->nr_told + 1, sizeof(told)))
		return -ENOMEM;
	x->told[x->nr_told++] = told;
	return 0;
}

static void note_break(struct mp_xray *x, const struct mp_ev_part *ev)
{
	struct mp_xray_report *r = &x->r;

	x->sum->broken++;
	if (r->nr_breaks < MP_XRAY_BREAKS)
		r->breaks[r->nr_breaks++] = (struct mp_xray_break){ x->heap.start, x->heap.end,
								    ev->broken, x->heap.arena,
								    ev->how };
}

/* What is missing at the end was not told: it is not known. */
static int end_heap(struct mp_xray *x, const struct mp_ev_part *ev)
{
	int ret = 0;

	if (x->at < x->heap.end)
		ret = add_chunk(x, x->heap.end - x->at, MP_CHUNK_UNKNOWN);
	if (!ret)
		ret = mp_xray_trim_end(x);
	if (!ret)
		ret = mp_xray_pages_end(x);
	x->inside = false;
	if (ev && ev->how != MP_HEAP_CLOSED)
		note_break(x, ev);
	return ret;
}

static int begin_heap(struct mp_xray *x, const struct mp_ev_part *ev)
{
	int ret = x->inside ? end_heap(x, NULL) : 0;
	struct mp_xray_report *r = &x->r;

	x->heap = *ev;
	x->sum = &r->mapped;
	if (ev->kind != MP_HEAP_MMAPPED) {
		if (!r->nr_arenas || r->arenas[r->nr_arenas - 1].index != ev->arena) {
			r->refused++;
			return ret;
		}
		x->sum = &r->arenas[r->nr_arenas - 1];
	}
	x->sum->parts++;
	x->inside = true;
	x->free_start = x->bin_before = 0;
	x->solo = (struct mp_xray_solo){ 0 };
	x->last = (struct mp_xray_holder){ 0 };
	mp_xray_pages_begin(x);
	return ret;
}

static int apply_heap(struct mp_xray *x, const struct mp_ev_part *ev)
{
	if (ev->phase == MP_XRAY_BEGINS)
		return begin_heap(x, ev);
	if (x->inside && ev->start == x->heap.start)
		return end_heap(x, ev);
	x->r.refused++;
	return 0;
}

static int apply_arena(struct mp_xray *x, const struct mp_ev_arena *ev)
{
	struct mp_xray_report *r = &x->r;
	int ret = x->inside ? end_heap(x, NULL) : 0;

	if (ret ||
	    mp_mem_grow(&x->mem, &r->arenas, &x->arenas_cap, r->nr_arenas + 1, sizeof(*r->arenas)))
		return -ENOMEM;
	r->arenas[r->nr_arenas++] = (struct mp_xray_arena){ .addr = ev->addr,
							    .system_bytes = ev->system_bytes,
							    .top = ev->top,
							    .index = ev->index,
							    .flags = ev->flags,
							    .threads = ev->threads };
	return 0;
}

int mp_xray__apply(struct mp_xray *x, const struct mp_ev *ev)
{
	switch (ev->type) {
	case MP_EV_PROC:
		x->r.pid = ev->tgid;
		memcpy(x->r.comm, ((const struct mp_ev_proc *)ev)->comm, sizeof(x->r.comm));
		return 0;
	case MP_EV_XRAY:
		memcpy(&x->r.facts, ev, sizeof(x->r.facts));
		return 0;
	case MP_EV_ARENA:
		return apply_arena(x, (const struct mp_ev_arena *)ev);
	case MP_EV_PART:
		return apply_heap(x, (const struct mp_ev_part *)ev);
	case MP_EV_PART_PAGES:
		return apply_pages(x, (const struct mp_ev_part_pages *)ev);
	case MP_EV_CHUNKS:
		return apply_chunks(x, (const struct mp_ev_chunks *)ev);
	}
	return 0;
}

/* ---- the report ------------------------------------------------------------------------------- */

static void add_up(struct mp_xray_arena *to, const struct mp_xray_arena *a)
{
	for (int i = 0; i < MP_CHUNK_STATES; i++) {
		to->chunks[i] += a->chunks[i];
		to->by[i].bytes += a->by[i].bytes;
		to->by[i].present += a->by[i].present;
		to->by[i].zero += a->by[i].zero;
		to->by[i].swapped += a->by[i].swapped;
	}
	for (int i = 0; i < MP_XRAY_PINS; i++)
		to->pages.pins[i] += a->pages.pins[i];
	to->pages.present += a->pages.present;
	to->pages.zero += a->pages.zero;
	to->pages.swapped += a->pages.swapped;
	to->pages.idle += a->pages.idle;
	to->pages.cached += a->pages.cached;
	to->pages.huge += a->pages.huge;
	to->pages.huge_idle += a->pages.huge_idle;
	to->system_bytes += a->system_bytes;
	to->parts += a->parts;
	to->broken += a->broken;
	to->trim_bytes += a->trim_bytes;
}

const struct mp_xray_report *mp_xray__report(struct mp_xray *x)
{
	struct mp_xray_report *r = &x->r;

	memset(&r->total, 0, sizeof(r->total));
	for (size_t i = 0; i < r->nr_arenas; i++)
		add_up(&r->total, &r->arenas[i]);
	add_up(&r->total, &r->mapped);
	return r;
}
