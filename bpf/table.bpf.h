/* SPDX-License-Identifier: GPL-2.0 */
/* What one page table holds, as MP_EV_PAGES. */
#ifndef MP_TABLE_BPF_H
#define MP_TABLE_BPF_H

#include "walk.bpf.h"

struct walk_ctx {
	struct mm_struct *mm;
	u64 addr, end;
	u64 caller;
	u32 owner;
	u32 source; /* enum mp_source */
};

static __always_inline struct mp_ev_pages *begin_pages(struct walk_ctx *w, u32 nr, u32 entries)
{
	/* one size for all: a reservation must be of constant size */
	struct mp_ev_pages *ev = entries == 1 ? mp_reserve(sizeof(*ev) + 8)
					      : mp_reserve(sizeof(*ev) + 8 * MP_PAGES_MAX);

	if (!ev)
		return NULL;
	mp_head(&ev->h, MP_EV_PAGES, sizeof(*ev) + 8 * entries, w->owner);
	ev->addr = w->addr;
	ev->begin_ns = ev->h.ts_ns;
	ev->nr = nr;
	ev->source = w->source;
	ev->contig = entries == 1;
	ev->order = 0;
	ev->shares = 0;
	ev->caller = w->caller;
	return ev;
}

/*
 * The MP_EV_PAGES entry for a page-table entry. A function of its own, not static, so that the
 * verifier looks at it once and not for each of 64 entries.
 */
__weak u64 mp_entry_of(u64 pte, u32 wanted)
{
	u64 pfn = pte_pfn(pte), kind;

	if (!wanted)
		return 0;
	if (!pte_present(pte))
		return pte && is_swapped(pte) ? MP_PAGE_SWAP : 0;
	kind = mp_page_kind(pte, pfn);
	if (kind == MP_PAGE_ANON) {
		mp_own(pfn);
		kind |= MP_PAGE_ORDERED | (u64)mp_folio_order(pfn) << MP_PAGE_ORDER_SHIFT;
	}
	return kind ? pfn | kind | MP_PAGE_PRESENT : 0;
}

/*
 * Up to 64 entries of one page table in one read; how many bytes of addresses they are for. A function
 * of its own, as above.
 */
__weak u64 mp_walk_table(u64 pmd, u64 addr, u64 end, u64 caller, u64 owner_source)
{
	struct walk_ctx w = {
		.addr = addr,
		.end = end,
		.caller = caller,
		.owner = (u32)owner_source,
		.source = owner_source >> 32,
	};
	u64 first = addr >> MP_PAGE_SHIFT & 511, nr = 64 - (first & 63), any = 0;
	u64 at = mp_set.page_offset + (pmd & PTE_PFN_MASK) + first * 8;
	struct mp_ev_pages *ev;

	if (nr > (end - addr) >> MP_PAGE_SHIFT)
		nr = (end - addr) >> MP_PAGE_SHIFT;
	ev = begin_pages(&w, nr, MP_PAGES_MAX);
	if (!ev)
		return nr << MP_PAGE_SHIFT;
	if (bpf_probe_read_kernel(ev->entries, 8 * MP_PAGES_MAX, (void *)at)) {
		mp_drop(MP_DROP_WALK);
		bpf_ringbuf_discard(ev, BPF_RB_NO_WAKEUP);
		return nr << MP_PAGE_SHIFT;
	}
	for (u32 i = 0; i < MP_PAGES_MAX; i++) {
		ev->entries[i] = mp_entry_of(ev->entries[i], i < nr);
		any |= ev->entries[i];
	}
	if (any)
		mp_send(ev);
	else
		bpf_ringbuf_discard(ev, BPF_RB_NO_WAKEUP);
	return nr << MP_PAGE_SHIFT;
}

#endif
