// SPDX-License-Identifier: GPL-2.0-or-later
/* Readings of page tables enter the ledger, and pages given back to the kernel leave it. */
#include <errno.h>

#include "model/inside.h"

/*
 * Pages one event may bring: what 2^18 adjacent PFNs span is 1 GiB, more than any sender joins.
 * The rest of a longer run is taken for damage; absent runs may be as long as they like.
 */
#define RUN_MAX (1U << 18)
/* The largest block the buddy allocator gives or takes (MAX_PAGE_ORDER, include/linux/mmzone.h) */
#define BUDDY_ORDER_MAX 10

/* What all pages of one event have in common. */
struct reading {
	struct mp_model *m;
	struct mp_process *p;
	const struct mp_ev_pages *ev;
	struct mp_page_rec base;
	bool late;   /* read at begin_ns, told later: what happened since then stands */
	bool strays; /* pages nobody was known to map were freed since then */
};

static struct mp_page_rec base_rec(struct mp_model *m, const struct mp_ev_pages *ev)
{
	const struct mp_page_rec *fault = NULL;
	struct mp_page_rec rec = {
		.t_ns = ev->begin_ns ? ev->begin_ns : ev->h.ts_ns,
		.order = ev->order < 9 ? ev->order : 9,
		.kind = MP_KIND_NONE,
		.by = MP_BY_NONE,
		.source = ev->source,
	};

	switch (ev->source) {
	case MP_SRC_FAULT:
		fault = mp_last_fault(m, &ev->h);
		if (fault)
			return *fault;
		rec.kind = ev->order ? MP_KIND_MTHP : MP_KIND_ANON;
		rec.t_ns = ev->h.ts_ns;
		break;
	case MP_SRC_POPULATE:
		rec.by = MP_BY_GUP;
		rec.t_ns = ev->h.ts_ns;
		break;
	case MP_SRC_MOVED:
		rec.t_ns = ev->h.ts_ns;
		break;
	case MP_SRC_CHECK:
		rec.source = MP_SRC_RECONCILED;
		break;
	}
	return rec;
}

uint8_t mp_entry_state(uint64_t entry)
{
	if (entry & MP_PAGE_PRESENT)
		return entry & MP_PAGE_ZERO   ? MP_STATE_ZERO
		       : entry & MP_PAGE_ANON ? MP_STATE_PRESENT
					      : MP_STATE_GONE;
	return entry & MP_PAGE_SWAP ? MP_STATE_SWAPPED : MP_STATE_GONE;
}

bool mp_page_agrees(const struct mp_page_rec *old, const struct mp_page_rec *now)
{
	bool shared = old->state == MP_STATE_SHARED_COW && now->state == MP_STATE_PRESENT;

	return (old->state == now->state || shared) && (old->pfn == now->pfn || !old->pfn);
}

/* The same page as the ledger has it: what was not known is filled in, and what its folio became. */
static int confirm(struct reading *r, uint64_t vpn, struct mp_page_rec *old,
		   const struct mp_page_rec *now, uint64_t entry)
{
	bool ordered = entry & MP_PAGE_ORDERED && entry & MP_PAGE_ANON;
	struct mp_page_rec rec;

	if (ordered && old->pfn == now->pfn && old->order != now->order) {
		old->order = now->order; /* its folio was split */
		if (r->m->history)
			mp_history__split(r->m->history, &r->p->pages, vpn, old);
		r->m->loss.moved_unseen_pages += r->ev->source == MP_SRC_CHECK;
	}
	mp_sharing_learn(r->p, old, entry, r->ev);
	if (old->pfn == now->pfn) {
		if (now->source == MP_SRC_TOOL)
			old->source = now->source;
		return 0;
	}
	rec = *old;
	rec.pfn = now->pfn;
	rec.source = now->source;
	return mp_pages__set(&r->p->pages, vpn, &rec);
}

bool mp_freed_since(const struct mp_model *m, uint64_t pfn, uint64_t since_ns)
{
	uint64_t i, n = m->nr_strays < MP_STRAY_FREES ? m->nr_strays : MP_STRAY_FREES;

	for (i = 0; i < n; i++)
		if (m->strays[i].ts_ns > since_ns && pfn - m->strays[i].pfn < m->strays[i].nr)
			return true;
	return false;
}

static bool any_stray(const struct mp_model *m, uint64_t since_ns)
{
	return m->nr_strays && m->strays[(m->nr_strays - 1) % MP_STRAY_FREES].ts_ns > since_ns;
}

/* @now_ns as the time of a change to @rec: readings begun before it tell what was. */
static void note_change(struct mp_page_rec *rec, uint64_t now_ns)
{
	uint64_t units = (now_ns - rec->t_ns + MP_MOVED_UNIT_NS - 1) / MP_MOVED_UNIT_NS;

	if (now_ns > rec->t_ns)
		rec->moved = units < UINT32_MAX ? (uint32_t)units : UINT32_MAX;
}

/*
 * The kernel has given the page another frame, or has taken it out to swap: it came as it came. What
 * was not there before (a collapse fills up its huge page) has come now, and nobody touched it. The
 * event's place in the stream was taken before the entry was read, so nothing told before is newer.
 */
static int apply_moved(struct reading *r, uint64_t vpn, uint64_t entry)
{
	const struct mp_page_rec *old = mp_pages__get(&r->p->pages, vpn);
	struct mp_page_rec rec = old ? *old : r->base;

	if (!entry || (entry & MP_PAGE_MOVING && (!old || old->state == MP_STATE_SWAPPED)))
		return 0;
	if (!(entry & MP_PAGE_MOVING)) {
		rec.state = mp_entry_state(entry);
		if (rec.state == MP_STATE_GONE)
			return 0;
		if (old && old->state == MP_STATE_SHARED_COW && rec.state == MP_STATE_PRESENT)
			rec.state = MP_STATE_SHARED_COW;
		if (entry & MP_PAGE_ORDERED)
			rec.order = MP_PAGE_ORDER(entry) < 9 ? MP_PAGE_ORDER(entry) : 9;
		if (entry & MP_PAGE_HUGE)
			rec.order = 9;
	}
	rec.pfn = entry & (MP_PAGE_MOVING | MP_PAGE_SWAP) ? 0 : entry & MP_PAGE_PFN;
	if (old && old->pfn == rec.pfn && old->state == rec.state && old->order == rec.order)
		return 0;
	if (old && rec.state == MP_STATE_ZERO && old->state != MP_STATE_ZERO) {
		/* a folio was taken apart, and this page of it held nothing: the kernel has put it there */
		rec = r->base;
		rec.state = MP_STATE_ZERO;
		rec.pfn = entry & MP_PAGE_PFN;
		return mp_pages__shift(&r->p->pages, vpn, &rec);
	}
	if (old && old->pfn != rec.pfn)
		rec.flags &= ~MP_PAGE_NODE; /* the frame may be another node's */
	note_change(&rec, r->ev->h.ts_ns);
	return mp_pages__shift(&r->p->pages, vpn, &rec);
}

static int apply_entry(struct reading *r, uint64_t vpn, uint64_t entry)
{
	bool ordered = entry & MP_PAGE_ORDERED && entry & MP_PAGE_ANON;
	struct mp_page_rec *old = mp_pages__get(&r->p->pages, vpn);
	bool check = r->ev->source == MP_SRC_CHECK;
	struct mp_page_rec rec = r->base;

	if (r->ev->source == MP_SRC_MOVED)
		return apply_moved(r, vpn, entry);
	rec.state = mp_entry_state(entry);
	rec.pfn = rec.state == MP_STATE_SWAPPED ? 0 : entry & MP_PAGE_PFN;
	if (ordered)
		rec.order = MP_PAGE_ORDER(entry) < 9 ? MP_PAGE_ORDER(entry) : 9;
	if (entry & MP_PAGE_HUGE) {
		rec.order = 9;
		if (r->base.source == MP_SRC_FAULT)
			rec.kind = MP_KIND_THP;
	}
	if (r->late && mp_pages__changed_ns(&r->p->pages, vpn) > r->ev->begin_ns)
		return 0;
	if (rec.state == MP_STATE_GONE) {
		if (check && old) {
			r->m->loss.moved_unseen_pages++;
			mp_pages__drop(&r->p->pages, vpn, r->ev->h.ts_ns);
		}
		return 0;
	}
	if (old && mp_page_agrees(old, &rec))
		return confirm(r, vpn, old, &rec, entry);
	if (r->strays && mp_freed_since(r->m, rec.pfn, r->ev->begin_ns))
		return 0;
	/* a copy of its own would have come by a fault: it moved, and is shared as before */
	if (check && old && old->state == MP_STATE_SHARED_COW && rec.state == MP_STATE_PRESENT)
		rec.state = MP_STATE_SHARED_COW;
	mp_sharing_learn(r->p, &rec, entry, r->ev);
	r->m->loss.moved_unseen_pages += check;
	return mp_pages__set(&r->p->pages, vpn, &rec);
}

static void apply_absent(struct reading *r, uint64_t vpn, uint64_t nr)
{
	const struct mp_ev_pages *ev = r->ev;

	if (ev->source == MP_SRC_CHECK)
		r->m->loss.moved_unseen_pages += mp_pages__drop_unchanged(
			&r->p->pages, vpn, nr, ev->begin_ns + 1, ev->h.ts_ns);
}

/* The PFN of neighbours counts up; only the zero page is the same everywhere. */
uint64_t mp_entry_nth(uint64_t first, uint64_t i)
{
	return first & MP_PAGE_SWAP || (first & MP_PAGE_ZERO && !(first & MP_PAGE_HUGE))
		       ? first
		       : (first & ~MP_PAGE_PFN) | ((first + i) & MP_PAGE_PFN);
}

int mp_on_pages(struct mp_model *m, struct mp_process *p, const struct mp_ev_pages *ev)
{
	struct reading r = { .m = m, .p = p, .ev = ev, .base = base_rec(m, ev) };
	uint64_t vpn = ev->addr >> MP_PAGE_SHIFT, end = vpn + ev->nr, i;

	bool changed;

	if (!ev->nr || end > MP_ADDR_END >> MP_PAGE_SHIFT)
		return 0;
	mp_cause_pages(m, ev);
	r.late = ev->source != MP_SRC_FAULT && ev->source != MP_SRC_MOVED && ev->begin_ns;
	r.strays = r.late && any_stray(m, ev->begin_ns);
	changed = r.late && mp_changed_since(p, ev->addr, end << MP_PAGE_SHIFT, ev->begin_ns);
	if (ev->contig && !ev->entries[0] && !(changed && ev->source == MP_SRC_CHECK)) {
		apply_absent(&r, vpn, ev->nr);
		return 0;
	}
	for (i = 0; i < ev->nr && i < RUN_MAX; i++) {
		uint64_t addr = (vpn + i) << MP_PAGE_SHIFT;

		if (changed && mp_changed_since(p, addr, addr + MP_PAGE_SIZE, ev->begin_ns))
			continue;
		if (apply_entry(&r, vpn + i,
				ev->contig ? mp_entry_nth(ev->entries[0], i) : ev->entries[i]))
			return -ENOMEM;
	}
	return 0;
}

int mp_on_page_free(struct mp_model *m, const struct mp_ev_page_free *ev)
{
	unsigned int order = ev->order < BUDDY_ORDER_MAX ? ev->order : BUDDY_ORDER_MAX;
	uint64_t pfn = ev->pfn & MP_PAGE_PFN;
	bool found;

	mp_ledger__free_pfns(&m->ledger, pfn, 1ULL << order, ev->h.ts_ns, &found);
	if (!found)
		m->strays[m->nr_strays++ % MP_STRAY_FREES] =
			(struct mp_stray_free){ pfn, 1ULL << order, ev->h.ts_ns };
	return 0;
}
