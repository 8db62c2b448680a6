/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Reading page tables and struct page (x86-64, 4 KiB pages). Everything rests on mp_set.page_offset
 * and mp_set.vmemmap, which the loader calibrates against its own pagemap before use.
 */
#ifndef MP_WALK_BPF_H
#define MP_WALK_BPF_H

#include "maps.bpf.h"

#define PTE_PRESENT  0x001ULL
#define PTE_PSE      0x080ULL
#define PTE_PROTNONE 0x100ULL /* _PAGE_PROTNONE: present for pte_present(), not for the CPU */
#define PTE_SPECIAL  0x200ULL
#define PTE_PFN_MASK 0x000ffffffffff000ULL

struct mp_leaf {
	u64 val;        /* the raw entry */
	u32 shift;      /* 12 or 21 (30 for gigantic pages): what the entry maps */
	u32 none_shift; /* val 0: this much address space is known to be empty */
};

static __always_inline bool pte_present(u64 pte)
{
	return pte & (PTE_PRESENT | PTE_PROTNONE);
}

/*
 * A swap entry's upper five bits are its type (arch/x86/include/asm/pgtable_64.h); those of migration,
 * poison and markers come after the swap devices' (MAX_SWAPFILES, 23 or more on kernels since 5.10).
 */
static __always_inline bool is_swapped(u64 pte)
{
	return pte >> 59 < 16;
}

/* Entries the CPU may not use keep the PFN inverted (L1TF, arch/x86/include/asm/pgtable-invert.h). */
static __always_inline u64 pte_pfn(u64 pte)
{
	if (pte && !(pte & PTE_PRESENT))
		pte = ~pte;
	return (pte & PTE_PFN_MASK) >> MP_PAGE_SHIFT;
}

static __always_inline int mp_read_entry(u64 table_phys, u64 addr, u32 shift, u64 *out)
{
	u64 at = mp_set.page_offset + (table_phys & PTE_PFN_MASK) + (addr >> shift & 511) * 8;

	return bpf_probe_read_kernel(out, 8, (void *)at);
}

/*
 * Walks down to the entry that maps @addr; with @stop_at_pmd, to the page table that would hold it
 * (then leaf->val is the PMD entry and shift 21). 0, or -1 if kernel memory could not be read.
 */
static __always_inline int mp_walk(struct mm_struct *mm, u64 addr, bool stop_at_pmd,
				   struct mp_leaf *leaf)
{
	u64 e, pgd;

	leaf->val = 0;
	leaf->shift = 12;
	leaf->none_shift = 39;
	pgd = (u64)BPF_CORE_READ(mm, pgd) - mp_set.page_offset;
	if (mp_set.levels == 5) {
		if (mp_read_entry(pgd, addr, 48, &e))
			return -1;
		if (!(e & PTE_PRESENT))
			return 0;
		pgd = e;
	}
	if (mp_read_entry(pgd, addr, 39, &e))
		return -1;
	if (!(e & PTE_PRESENT))
		return 0;
	leaf->none_shift = 30;
	if (mp_read_entry(e, addr, 30, &e))
		return -1;
	if (!pte_present(e))
		return 0;
	if (e & PTE_PSE) {
		leaf->val = e;
		leaf->shift = 30;
		return 0;
	}
	leaf->none_shift = 21;
	if (mp_read_entry(e, addr, 21, &e))
		return -1;
	if (!pte_present(e))
		return 0;
	if ((e & PTE_PSE) || stop_at_pmd) {
		leaf->val = e;
		leaf->shift = 21;
		return 0;
	}
	leaf->none_shift = 12;
	return mp_read_entry(e, addr, 12, &leaf->val) ? -1 : 0;
}

static __always_inline struct page *mp_page(u64 pfn)
{
	return (struct page *)(mp_set.vmemmap + pfn * mp_set.page_struct);
}

static __always_inline u64 mp_page_to_pfn(u64 page)
{
	return (page - mp_set.vmemmap) / mp_set.page_struct;
}

static __always_inline u64 mp_page_flags(struct page *page)
{
	struct page___new *n = (void *)page;

	if (bpf_core_field_exists(n->flags.f))
		return BPF_CORE_READ(n, flags.f);
	return BPF_CORE_READ(page, flags);
}

static __always_inline struct page *mp_head_page(struct page *page)
{
	struct page___info *p = (void *)page;
	u64 head;

	if (bpf_core_field_exists(p->compound_info)) {
		head = BPF_CORE_READ(p, compound_info);
		if (!(head & 1))
			return page;
		return mp_set.head_is_mask ? (struct page *)((u64)page & head)
					   : (struct page *)(head - 1);
	}
	head = BPF_CORE_READ(page, compound_head);
	return head & 1 ? (struct page *)(head - 1) : page;
}

/* Of the folio that @page is the first of; folio_order() in include/linux/mm.h */
static __always_inline u32 mp_head_order(struct page *head)
{
	struct page___order *second = (void *)((u64)head + mp_set.page_struct);
	struct folio___order *o = (void *)head;
	struct folio___flags *f = (void *)head;

	if (!(mp_page_flags(head) >> bpf_core_enum_value(enum pageflags, PG_head) & 1))
		return 0;
	if (bpf_core_field_exists(second->compound_order))
		return BPF_CORE_READ(second, compound_order) & 15;
	if (bpf_core_field_exists(o->_folio_order))
		return BPF_CORE_READ(o, _folio_order) & 15;
	if (bpf_core_field_exists(f->_flags_1)) /* 6.1 has it too, with flags alone in it */
		return BPF_CORE_READ(f, _flags_1) & 15;
	return 0;
}

static __always_inline u32 mp_folio_order(u64 pfn)
{
	return mp_head_order(mp_head_page(mp_page(pfn)));
}

/* What kind of page a present entry maps: MP_PAGE_ANON, MP_PAGE_ZERO, or 0 (file, shmem, device). */
static __always_inline u64 mp_page_kind(u64 pte, u64 pfn)
{
	struct page *page = mp_page(pfn);
	u64 mapping;

	if (pfn == mp_set.zero_pfn)
		return MP_PAGE_ZERO;
	if ((pte & PTE_SPECIAL) && !(pte & PTE_PSE))
		return 0;
	if (pfn >= mp_set.max_pfn)
		return 0;
	page = mp_head_page(page);
	mapping = (u64)BPF_CORE_READ(page, mapping);
	if (mapping & 1) /* PAGE_MAPPING_ANON, include/linux/page-flags.h */
		return MP_PAGE_ANON;
	/* in an anonymous mapping only the huge zero page belongs to nobody */
	if (!mapping && (pte & PTE_PSE))
		return MP_PAGE_ZERO;
	return 0;
}

static __always_inline struct mp_owned *mp_owned_at(u64 pfn)
{
	u32 chunk = pfn >> MP_OWNED_SHIFT;

	return bpf_map_lookup_elem(&owned, &chunk);
}

static __always_inline void mp_own(u64 pfn)
{
	struct mp_owned *o = mp_owned_at(pfn);

	if (o)
		o->page[pfn & 511] = 1;
}

/*
 * The 2 to 256 pages of a folio; like every folio it is aligned to its size. A global function: the
 * verifier looks at its loops once.
 */
__weak u32 mp_own_folio(u64 pfn, u32 nr)
{
	struct mp_owned *o = mp_owned_at(pfn);
	u32 word = (pfn & 511) / 8;

	if (!o)
		return 0;
	for (u32 i = 0; nr < 8 && i < 4; i++)
		if (i < nr)
			o->page[(pfn + i) & 511] = 1;
	for (u32 i = 0; i < 32; i++) {
		if (i >= nr / 8)
			break;
		((u64 *)o->page)[(word + i) & 63] = 0x0101010101010101ULL;
	}
	return nr;
}

/* All 512 pages of a PMD mapping; @pfn is 512-aligned. */
static __always_inline void mp_own_huge(u64 pfn)
{
	struct mp_owned *o = mp_owned_at(pfn);

	for (int i = 0; o && i < 64; i++)
		((u64 *)o->page)[i] = 0x0101010101010101ULL;
}

#endif
