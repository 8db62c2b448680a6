// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/history.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "model/process.h"

#define FIRST_ROOM 1024 /* entries; then twice as many each time */
#define LAZY_STEPS 16   /* changes after MADV_FREE that do not hide it */

void mp_history__init(struct mp_history *h, struct mp_mem *mem, size_t max)
{
	*h = (struct mp_history){ .mem = mem, .cap = max, .newest.mem = mem, .gone.mem = mem };
}

void mp_history__fini(struct mp_history *h)
{
	mp_mem_free(h->mem, h->recs);
	mp_map__fini(&h->newest);
	mp_map__fini(&h->gone);
}

/* ---- the ring --------------------------------------------------------------------------------- */

static uint64_t place_of(uint32_t space, uint64_t vpn)
{
	return (uint64_t)space << MP_VPN_BITS | vpn;
}

static struct mp_past_rec *entry(const struct mp_history *h, uint64_t n_1)
{
	return &h->recs[(n_1 - 1) % h->cap];
}

/* Entries from this one on are still there. */
static uint64_t oldest(const struct mp_history *h)
{
	return h->n > h->cap ? h->n - h->cap + 1 : 1;
}

static uint64_t last_of(const struct mp_history *h, uint64_t place)
{
	return (uintptr_t)mp_map__get(&h->newest, place);
}

uint64_t mp_history__last(const struct mp_history *h, uint32_t space, uint64_t vpn)
{
	return last_of(h, place_of(space, vpn));
}

const struct mp_past_rec *mp_history__at(const struct mp_history *h, uint64_t n_1)
{
	return entry(h, n_1);
}

uint64_t mp_history__before(const struct mp_history *h, uint64_t n_1, bool *cut)
{
	const struct mp_past_rec *rec = entry(h, n_1);

	*cut = rec->prev && n_1 - rec->prev < oldest(h);
	return !rec->prev || *cut ? 0 : n_1 - rec->prev;
}

/* Room for one more, or for none beyond what there is. */
static bool make_room(struct mp_history *h)
{
	size_t want = h->room ? h->room * 2 : FIRST_ROOM;
	struct mp_past_rec *recs;

	if (h->n < h->room || h->room == h->cap)
		return h->room;
	if (want > h->cap)
		want = h->cap;
	recs = mp_mem_resize(h->mem, h->recs, want * sizeof(*recs));
	if (recs) {
		h->recs = recs;
		h->room = want;
	} else if (h->room) {
		h->cap = h->room; /* that is all the memory there is */
	}
	return h->room;
}

/* The oldest entry makes room for a new one. */
static void let_go(struct mp_history *h)
{
	uint64_t n_1 = h->n - h->cap + 1, place = entry(h, n_1)->place;

	if (last_of(h, place) == n_1)
		mp_map__del(&h->newest, place);
	h->lost++;
}

static void append(struct mp_history *h, struct mp_past_rec rec)
{
	uint64_t before = last_of(h, rec.place), distance = h->n + 1 - before;

	if (!make_room(h) || mp_map__put(&h->newest, rec.place, (void *)(uintptr_t)(h->n + 1))) {
		h->lost++;
		return;
	}
	rec.prev = before && distance <= UINT32_MAX ? distance : 0;
	if (h->n >= h->cap)
		let_go(h);
	h->n++;
	*entry(h, h->n) = rec;
}

/* ---- who gave whose pages back ---------------------------------------------------------------- */

static void count_gone(struct mp_history *h, struct mp_process *p, const struct mp_past_rec *rec,
		       int64_t n)
{
	uint64_t key = (uint64_t)rec->what << 56 | (uint64_t)rec->owner << 28 | rec->site, had;

	p->departed[rec->what] += n;
	had = (uintptr_t)mp_map__get(&h->gone, key);
	if (rec->owner >= MP_GONE_SITES_MAX || rec->site >= MP_GONE_SITES_MAX ||
	    (!had && (n < 0 || h->gone.n >= MP_GONE_MAX)))
		h->gone_folded += n;
	else if (had + n == 0)
		mp_map__del(&h->gone, key);
	else if (mp_map__put(&h->gone, key, (void *)(uintptr_t)(had + n)))
		h->gone_folded += n;
}

/* The process whose address space @ps is: there are no others. */
static struct mp_process *process_of(const struct mp_pages *ps)
{
	return (struct mp_process *)((char *)ps - offsetof(struct mp_process, pages));
}

/* Whose block the page's first byte is, or its last. 0: nobody's. */
static uint32_t block_owner(struct mp_process *p, uint64_t vpn)
{
	uint64_t addr = vpn << MP_PAGE_SHIFT;
	struct mp_blk blk;

	if (mp_blocks__at(&p->blocks, addr, &blk) ||
	    mp_blocks__at(&p->blocks, addr + MP_PAGE_SIZE - 1, &blk))
		return blk.site;
	return 0;
}

static uint32_t mapping_owner(const struct mp_process *p, uint64_t vpn)
{
	const struct mp_mapping *map = mp_ranges__mapping(&p->ranges, vpn << MP_PAGE_SHIFT);

	return map && !mp_mapping_is_heap(map) ? map->site : 0;
}

static uint32_t owner_of_arrival(const struct mp_history *h, const struct mp_pages *ps,
				 uint64_t vpn)
{
	struct mp_process *p = process_of(ps);
	uint32_t owner;

	if (h->cause.touched == vpn && h->cause.owner)
		return h->cause.owner;
	owner = block_owner(p, vpn);
	if (!owner)
		owner = h->cause.owner;
	return owner ? owner : mapping_owner(p, vpn);
}

/* ---- what the ledger tells -------------------------------------------------------------------- */

static struct mp_past_rec about(const struct mp_history *h, const struct mp_pages *ps, uint64_t vpn,
				int what, const struct mp_page_rec *rec)
{
	uint64_t last = mp_history__last(h, ps->space, vpn);

	return (struct mp_past_rec){
		.t_ns = h->cause.t_ns,
		.pfn = rec->pfn,
		.order = rec->order,
		.what = what,
		.by = 7,
		.place = place_of(ps->space, vpn),
		.kind = 15,
		.owner = last ? entry(h, last)->owner : 0,
	};
}

static int what_came(const struct mp_history *h, const struct mp_page_rec *rec)
{
	static const uint8_t sources[] = {
		[MP_SRC_FAULT] = MP_PAST_FAULT,        [MP_SRC_POPULATE] = MP_PAST_POPULATE,
		[MP_SRC_SEEDED] = MP_PAST_SEEDED,      [MP_SRC_RECONCILED] = MP_PAST_RECONCILED,
		[MP_SRC_CHECK] = MP_PAST_RECONCILED,   [MP_SRC_TOOL] = MP_PAST_TOOL,
		[MP_SRC_WITNESS] = MP_PAST_RECONCILED, [MP_SRC_MOVED] = MP_PAST_RECONCILED,
	};

	if (h->cause.what == MP_PAST_FORK)
		return MP_PAST_FORK;
	if (h->cause.what == MP_PAST_MREMAP)
		return MP_PAST_MREMAP_IN;
	return rec->source < sizeof(sources) ? sources[rec->source] : MP_PAST_RECONCILED;
}

/* What the kernel did on its own. NR: nothing that is told of. */
static int what_changed(const struct mp_page_rec *old, const struct mp_page_rec *rec)
{
	if (!old)
		return rec->order == 9 && rec->state != MP_STATE_ZERO ? MP_PAST_COLLAPSE
								      : MP_PAST_RECONCILED;
	if (rec->state == MP_STATE_SWAPPED)
		return old->state != MP_STATE_SWAPPED ? MP_PAST_SWAP_OUT : MP_PAST_NR;
	if (!rec->pfn)
		return MP_PAST_NR; /* it is about to get another frame */
	if (rec->state == MP_STATE_ZERO && old->state != MP_STATE_ZERO)
		return MP_PAST_SPLIT;
	if (rec->order == 9 && old->order != 9)
		return MP_PAST_COLLAPSE;
	if (rec->pfn != old->pfn)
		return MP_PAST_MIGRATE;
	return rec->order < old->order ? MP_PAST_SPLIT : MP_PAST_NR;
}

/* The frame of the page that a fault copied can be freed before the fault is told. */
static bool was_replaced(struct mp_history *h, const struct mp_pages *ps, uint64_t vpn,
			 struct mp_past_rec came)
{
	uint64_t last = mp_history__last(h, ps->space, vpn);
	struct mp_past_rec *rec = last ? entry(h, last) : NULL;

	if (!h->cause.replaces || !rec || rec->what != MP_PAST_UNKNOWN)
		return false;
	count_gone(h, process_of(ps), rec, -1);
	came.prev = rec->prev;
	*rec = came;
	return true;
}

static void arrived(struct mp_history *h, const struct mp_pages *ps, uint64_t vpn,
		    const struct mp_page_rec *old, const struct mp_page_rec *rec)
{
	struct mp_past_rec came = about(h, ps, vpn, what_came(h, rec), rec);
	uint64_t last = mp_history__last(h, ps->space, vpn);

	if (old && old->t_ns == rec->t_ns && came.what != MP_PAST_MREMAP_IN) {
		/* the same arrival, of which more is known now */
		if (last && entry(h, last)->t_ns == rec->t_ns) {
			entry(h, last)->pfn = rec->pfn;
			entry(h, last)->order = rec->order;
		}
		return;
	}
	came.site = came.what == MP_PAST_FAULT ? rec->toucher : h->cause.site;
	if (came.what == MP_PAST_MREMAP_IN)
		came.other = h->cause.from + (vpn - h->cause.to);
	else if (came.what != MP_PAST_FORK)
		came.t_ns = rec->t_ns;
	if (came.what == MP_PAST_FAULT && rec->kind < MP_KIND_NR)
		came.kind = rec->kind;
	if (came.what <= MP_PAST_POPULATE && rec->by < MP_BY_NR)
		came.by = rec->by;
	came.owner = owner_of_arrival(h, ps, vpn);
	if (came.what == MP_PAST_MREMAP_IN && !came.owner) {
		last = mp_history__last(h, ps->space, came.other);
		came.owner = last ? entry(h, last)->owner : 0;
	}
	if (old || !was_replaced(h, ps, vpn, came))
		append(h, came);
}

void mp_history__put(struct mp_history *h, const struct mp_pages *ps, uint64_t vpn,
		     const struct mp_page_rec *old, const struct mp_page_rec *rec, bool shifted)
{
	struct mp_past_rec changed;
	int what;

	if (!shifted) {
		arrived(h, ps, vpn, old, rec);
		return;
	}
	what = what_changed(old, rec);
	if (what == MP_PAST_NR)
		return;
	changed = about(h, ps, vpn, what, what == MP_PAST_SWAP_OUT && old ? old : rec);
	if (!old)
		changed.owner = owner_of_arrival(h, ps, vpn);
	append(h, changed);
}

/* Has it been left to the kernel to take since it came? By whom. */
static bool is_lazy(const struct mp_history *h, uint64_t last, uint32_t *site)
{
	bool cut;
	int i;

	for (i = 0; last && i < LAZY_STEPS; i++, last = mp_history__before(h, last, &cut)) {
		const struct mp_past_rec *rec = entry(h, last);

		*site = rec->site;
		if (rec->what == MP_PAST_MADV_FREE)
			return true;
		if (rec->what < MP_PAST_COLLAPSE || mp_past_is_end(rec->what))
			return false;
	}
	return false;
}

void mp_history__gone(struct mp_history *h, const struct mp_pages *ps, uint64_t vpn,
		      const struct mp_page_rec *old)
{
	int what = mp_past_is_end(h->cause.what)        ? h->cause.what
		   : h->cause.what == MP_PAST_MADV_FREE ? MP_PAST_RECLAIM /* it was in swap */
							: MP_PAST_UNKNOWN;
	struct mp_past_rec went = about(h, ps, vpn, what, old);
	struct mp_process *p = process_of(ps);
	uint32_t owner = block_owner(p, vpn), freed_by;

	if (owner)
		went.owner = owner;
	if (what == MP_PAST_UNKNOWN) {
		if (is_lazy(h, mp_history__last(h, ps->space, vpn), &freed_by)) {
			went.what = MP_PAST_RECLAIM;
			went.site = freed_by;
		}
	} else {
		went.site = h->cause.site;
		went.fn = h->cause.fn;
	}
	if (what == MP_PAST_MREMAP && vpn - h->cause.from < h->cause.nr)
		went.other = h->cause.to + (vpn - h->cause.from);
	if (what != MP_PAST_MREMAP || !went.other)
		count_gone(h, p, &went, 1);
	append(h, went);
}

void mp_history__split(struct mp_history *h, const struct mp_pages *ps, uint64_t vpn,
		       const struct mp_page_rec *rec)
{
	struct mp_past_rec split = about(h, ps, vpn, MP_PAST_SPLIT, rec);

	split.site = h->cause.site;
	append(h, split);
}

void mp_history__lazy(struct mp_history *h, const struct mp_pages *ps, uint64_t vpn,
		      const struct mp_page_rec *rec)
{
	struct mp_past_rec lazy = about(h, ps, vpn, MP_PAST_MADV_FREE, rec);

	lazy.site = h->cause.site;
	lazy.fn = h->cause.fn;
	append(h, lazy);
}

void mp_history__explain(struct mp_history *h, const struct mp_pages *ps, uint64_t vpn,
			 uint64_t since_ns)
{
	uint64_t last = mp_history__last(h, ps->space, vpn);
	bool cut;

	for (; last; last = mp_history__before(h, last, &cut)) {
		struct mp_past_rec *rec = entry(h, last);

		if (mp_past_is_end(rec->what) && rec->t_ns < since_ns)
			return;
		if (rec->what != MP_PAST_UNKNOWN && rec->what != MP_PAST_RECLAIM)
			continue;
		count_gone(h, process_of(ps), rec, -1);
		rec->what = h->cause.what;
		rec->site = h->cause.site;
		rec->fn = h->cause.fn;
		count_gone(h, process_of(ps), rec, 1);
	}
}

void mp_history__claim(struct mp_history *h, const struct mp_pages *ps, uint64_t vpn,
		       uint64_t since_ns)
{
	uint64_t last = mp_history__last(h, ps->space, vpn);
	struct mp_past_rec *rec = last ? entry(h, last) : NULL;

	if (rec && rec->what < MP_PAST_COLLAPSE && rec->t_ns >= since_ns && !rec->owner)
		rec->owner = h->cause.site;
}

void mp_history__explain_all(struct mp_history *h, const struct mp_pages *ps, uint64_t since_ns)
{
	size_t i;

	for (i = 0; i < mp_map__room(&h->newest); i++) {
		const struct mp_map_slot *slot = &h->newest.slots[i];

		if (slot->val && slot->key >> MP_VPN_BITS == ps->space)
			mp_history__explain(h, ps, slot->key & ((1ULL << MP_VPN_BITS) - 1),
					    since_ns);
	}
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

uint64_t *mp_history__pages(const struct mp_history *h, uint32_t space, size_t *nr)
{
	uint64_t *pages = mp_mem_alloc(h->mem, (h->newest.n + 1) * sizeof(*pages));
	size_t i;

	*nr = 0;
	for (i = 0; pages && i < mp_map__room(&h->newest); i++) {
		const struct mp_map_slot *slot = &h->newest.slots[i];

		if (slot->val && slot->key >> MP_VPN_BITS == space)
			pages[(*nr)++] = slot->key & ((1ULL << MP_VPN_BITS) - 1);
	}
	if (pages)
		qsort(pages, *nr, sizeof(*pages), by_number);
	return pages;
}
