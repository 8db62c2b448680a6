// SPDX-License-Identifier: GPL-2.0-or-later
/* Blocks begin and end. */
#include <errno.h>
#include <string.h>

#include "model/inside.h"

/* Low bits of glibc's chunk size word (malloc.c: PREV_INUSE, IS_MMAPPED, NON_MAIN_ARENA) */
#define CHUNK_FLAGS     7
#define CHUNK_MMAPPED   2
#define CHUNK_OVERHEAD  8  /* the size word; the next chunk's first word is the block's */
#define MAPPED_OVERHEAD 16 /* a mapped chunk has no next one */

static const struct mp_allocator_rec *allocator(const struct mp_process *p, uint16_t index)
{
	size_t i;

	for (i = 0; i < p->nr_allocators; i++)
		if (p->allocators[i].index == index)
			return &p->allocators[i];
	return NULL;
}

static uint64_t usable_of(const struct mp_ev_alloc *ev)
{
	uint64_t size = ev->chunk & ~(uint64_t)CHUNK_FLAGS;
	uint64_t end = ev->addr - MAPPED_OVERHEAD + size;
	/* since 2.43 the size of a mapped chunk is without its head: it ends that much before a page */
	bool whole = ev->chunk & CHUNK_MMAPPED && (end + MAPPED_OVERHEAD) % MP_PAGE_SIZE;
	uint64_t head = whole ? MAPPED_OVERHEAD : CHUNK_OVERHEAD;

	if (!ev->chunk || size < head || size - head < ev->requested)
		return MP_USABLE_UNKNOWN;
	return size - head;
}

static void live(struct mp_model *m, const struct mp_blk *blk, int sign)
{
	struct mp_site_rec *site = mp_sites__rec(&m->sites, blk->site);

	site->live_blocks += sign;
	site->live_bytes += sign * (blk->end - blk->start);
}

/* The block at @addr is gone: no realloc under way has it to end. */
static void close_transits(struct mp_process *p, uint64_t addr)
{
	size_t i;

	for (i = 0; i < p->nr_transits; i++)
		if (p->transits[i].addr == addr)
			p->transits[i].open = false;
}

/* @blk was taken out of the store. */
static void ended(struct mp_model *m, struct mp_process *p, const struct mp_blk *blk)
{
	live(m, blk, -1);
	mp_sites__rec(&m->sites, blk->site)->frees++;
	if (blk->transit)
		close_transits(p, blk->start);
}

/* What a recording without tiers tells: the chunk's flag, and that realloc stayed. */
static uint8_t tiered_by_chunk(const struct mp_ev_alloc *ev, bool stayed)
{
	if (ev->chunk & CHUNK_MMAPPED)
		return MP_TIERED(MP_TIER_MMAP, MP_SURE_CERTAIN);
	return stayed ? MP_TIERED(MP_TIER_INPLACE, MP_SURE_CERTAIN) : 0;
}

static uint8_t tiered_of(const struct mp_allocator_rec *a, const struct mp_ev_alloc *ev,
			 bool stayed)
{
	if (!a)
		return 0;
	if (a->kind != MP_ALLOC_GLIBC)
		return MP_TIERED(MP_TIER_OTHER, MP_SURE_CERTAIN);
	if (!MP_TIER_OF(ev->tiered) || MP_TIER_OF(ev->tiered) >= MP_TIER_NR ||
	    MP_SURE_OF(ev->tiered) >= MP_SURE_NR)
		return tiered_by_chunk(ev, stayed);
	return ev->tiered;
}

uint8_t mp_tiered(const struct mp_process *p, const struct mp_ev_alloc *ev, bool stayed)
{
	return tiered_of(allocator(p, ev->provider), ev, stayed);
}

static void count_tier(struct mp_model *m, struct mp_site_rec *rec, uint8_t tiered, uint64_t bytes)
{
	uint8_t tier = MP_TIER_OF(tiered);

	rec->tiers[tier]++;
	m->tiers[tier].calls++;
	m->tiers[tier].bytes += bytes;
	m->tiers[tier].sure[MP_SURE_OF(tiered)]++;
}

static int begin(struct mp_model *m, struct mp_process *p, const struct mp_ev_alloc *ev,
		 uint32_t site, bool stayed)
{
	const struct mp_allocator_rec *a = allocator(p, ev->provider);
	struct mp_site_rec *rec = mp_sites__rec(&m->sites, site);
	uint8_t tiered = tiered_of(a, ev, stayed);
	struct mp_blk hit, blk = {
		.start = ev->addr,
		.end = ev->addr + ev->requested,
		.usable = MP_USABLE_UNKNOWN,
		.t_ns = ev->h.ts_ns,
		.site = site,
		.tid = ev->h.tid,
		.tiered = tiered,
	};
	int err;

	if (a && a->kind == MP_ALLOC_GLIBC)
		blk.usable = usable_of(ev);
	while ((err = mp_blocks__add(&p->blocks, &blk, &hit)) == 1) {
		/* a block in transit was given back inside realloc: no free of it is missing;
		 * and what was copied as live while this call was under way is this block */
		if (mp_is_seed(&hit))
			p->seed.wrong += ev->h.ts_ns > p->seed.end_ns;
		else
			m->loss.frees_lost += !hit.transit;
		ended(m, p, &hit);
	}
	if (err)
		return err;
	live(m, &blk, 1);
	if (!rec->calls++)
		rec->fn = ev->fn;
	rec->requested_bytes += ev->requested;
	count_tier(m, rec, tiered, ev->requested);
	return mp_ranges__note_block(&p->ranges, ev->addr);
}

/* A block that no address space could hold is as good as a failed call. */
static bool impossible(const struct mp_ev_alloc *ev)
{
	return ev->addr >= MP_ADDR_END || ev->requested > MP_ADDR_END - ev->addr;
}

int mp_on_alloc(struct mp_model *m, struct mp_process *p, const struct mp_ev_alloc *ev)
{
	uint32_t site;

	if (mp_process_site(m, p, ev->stack, ev->caller, MP_PLACE_RETURN, &site))
		return -ENOMEM;
	if (!ev->addr || impossible(ev)) {
		mp_sites__rec(&m->sites, site)->failed++;
		return mp_refusals_failed(m, p, ev, site);
	}
	mp_refusals_returned(p, ev);
	return begin(m, p, ev, site, false);
}

/*
 * A free() by the allocator's own code, of what it took without malloc(): glibc ends a thread's cache
 * so (malloc.c, tcache_thread_shutdown). The rest of libc calls free() from the same object, so a
 * block of its own that was missed is missed here too.
 */
static bool by_allocator(const struct mp_process *p, uint64_t caller)
{
	const struct mp_vma_rec *vma = mp_ranges__vma(&p->ranges, caller);

	for (size_t i = 0; vma && i < p->nr_allocators; i++)
		if (!strcmp(p->allocators[i].object, vma->name))
			return true;
	return false;
}

int mp_on_free(struct mp_model *m, struct mp_process *p, const struct mp_ev_free *ev)
{
	struct mp_blk blk;

	if (mp_blocks__take(&p->blocks, ev->addr, &blk))
		ended(m, p, &blk);
	else if (p->whole &&
		 !by_allocator(p, ev->caller)) /* else it may be older than the tracing */
		m->loss.frees_unmatched++;
	else
		return mp_seed_note_free(m, p, ev->addr);
	return 0;
}

static struct mp_transit *transit_of(struct mp_process *p, uint32_t tid)
{
	size_t i;

	for (i = 0; i < p->nr_transits; i++)
		if (p->transits[i].tid == tid)
			return &p->transits[i];
	return NULL;
}

/* The thread's entry, made if need be. One whose return was lost is used again. */
static struct mp_transit *make_transit(struct mp_model *m, struct mp_process *p, uint32_t tid)
{
	struct mp_transit *t = transit_of(p, tid);
	size_t i;

	if (t)
		return t;
	if (p->nr_transits == MP_TRANSITS_MAX) {
		for (i = 1; i < p->nr_transits; i++)
			p->transits[i - 1] = p->transits[i];
		return &p->transits[p->nr_transits - 1];
	}
	if (mp_mem_grow(&m->mem, &p->transits, &p->cap_transits, p->nr_transits + 1,
			sizeof(*p->transits)))
		return NULL;
	return &p->transits[p->nr_transits++];
}

int mp_on_realloc(struct mp_model *m, struct mp_process *p, const struct mp_ev_free *ev)
{
	struct mp_transit *t = make_transit(m, p, ev->h.tid);
	struct mp_blk blk;

	if (!t)
		return -ENOMEM;
	*t = (struct mp_transit){ .tid = ev->h.tid, .addr = ev->addr };
	if (mp_blocks__start(&p->blocks, ev->addr, &blk)) {
		mp_blocks__set_transit(&p->blocks, ev->addr, true);
		t->open = true;
	} else if (p->whole) {
		m->loss.frees_unmatched++;
	}
	return 0;
}

/* Takes the thread's transit entry away. True if the old block is this realloc's to end. */
static bool arrive(struct mp_process *p, const struct mp_ev_realloc_done *ev)
{
	struct mp_transit *t = transit_of(p, ev->a.h.tid);
	struct mp_blk blk;
	bool mine;

	if (t && t->addr == ev->old) {
		/* it may have become known only after the entry */
		mine = t->open || (mp_blocks__start(&p->blocks, ev->old, &blk) &&
				   mp_is_seed(&blk) && !blk.transit);
		*t = p->transits[--p->nr_transits];
		return mine;
	}
	/* the entry was lost */
	return mp_blocks__start(&p->blocks, ev->old, &blk) && !blk.transit;
}

int mp_on_realloc_done(struct mp_model *m, struct mp_process *p,
		       const struct mp_ev_realloc_done *ev)
{
	bool mine = arrive(p, ev);
	struct mp_blk blk;
	uint32_t site;

	if (mp_process_site(m, p, ev->a.stack, ev->a.caller, MP_PLACE_RETURN, &site))
		return -ENOMEM;
	if ((!ev->a.addr && ev->a.requested) || impossible(&ev->a)) {
		mp_sites__rec(&m->sites, site)->failed++;
		if (mine)
			mp_blocks__set_transit(&p->blocks, ev->old, false);
		return mp_refusals_failed(m, p, &ev->a, site);
	}
	mp_refusals_returned(p, &ev->a);
	if (mine && mp_blocks__take(&p->blocks, ev->old, &blk))
		ended(m, p, &blk);
	return ev->a.addr ? begin(m, p, &ev->a, site, ev->a.addr == ev->old) : 0;
}

static int for_all(struct mp_model *m, struct mp_process *p, int sign)
{
	struct mp_blocks_iter it;
	struct mp_blk blk;

	if (mp_blocks_iter__init(&it, &p->blocks))
		return -ENOMEM;
	while (mp_blocks_iter__next(&it, &blk))
		live(m, &blk, sign);
	mp_blocks_iter__fini(&it);
	return 0;
}

int mp_heap_uncount(struct mp_model *m, struct mp_process *p)
{
	return for_all(m, p, -1);
}

int mp_heap_count(struct mp_model *m, struct mp_process *p)
{
	return for_all(m, p, 1);
}
