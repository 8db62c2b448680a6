/* SPDX-License-Identifier: GPL-2.0 */
/* What the page table holds of a range, as MP_EV_PAGES: steps of a loop whose kind the kernel decides. */
#ifndef MP_RANGE_BPF_H
#define MP_RANGE_BPF_H

#include "table.bpf.h"

static __always_inline void walk_huge(struct walk_ctx *w, u64 pmd)
{
	u64 first = w->addr >> MP_PAGE_SHIFT & 511, nr = 512 - first;
	u64 pfn = (pte_pfn(pmd) & ~511ULL) + first, kind = mp_page_kind(pmd, pfn);
	struct mp_ev_pages *ev;

	if (nr > (w->end - w->addr) >> MP_PAGE_SHIFT)
		nr = (w->end - w->addr) >> MP_PAGE_SHIFT;
	if (kind) {
		ev = begin_pages(w, nr, 1);
		if (ev) {
			ev->order = 9;
			ev->entries[0] = pfn | kind | MP_PAGE_PRESENT | MP_PAGE_HUGE;
			mp_send(ev);
		}
		if (kind == MP_PAGE_ANON)
			mp_own_huge(pfn & ~511ULL);
	}
	w->addr += nr << MP_PAGE_SHIFT;
}

static long walk_step(u32 i, void *data)
{
	struct walk_ctx *w = data;
	struct mp_leaf leaf;
	u64 size;

	if (w->addr >= w->end)
		return 1;
	if (mp_walk(w->mm, w->addr, true, &leaf)) {
		mp_drop(MP_DROP_WALK);
		return 1;
	}
	if (leaf.val && leaf.shift == 21 && (leaf.val & PTE_PSE)) {
		walk_huge(w, leaf.val);
	} else if (leaf.val && leaf.shift == 21) {
		w->addr += mp_walk_table(leaf.val, w->addr, w->end, w->caller,
					 w->owner | (u64)w->source << 32);
	} else {
		size = 1ULL << (leaf.val ? leaf.shift : leaf.none_shift);
		w->addr = (w->addr & ~(size - 1)) + size;
	}
	return 0;
}

#endif
