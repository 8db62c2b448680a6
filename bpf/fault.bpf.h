/* SPDX-License-Identifier: GPL-2.0 */
/* What every row of the fault stage shares: from a fault's scratch to its event. */
#ifndef MP_FAULT_BPF_H
#define MP_FAULT_BPF_H

#include "table.bpf.h"
#include "unwind.bpf.h"

#define MOST_READS 9 /* pieces of 64 entries that a folio of up to 512 pages can lie in */

static __always_inline u32 clamp32(u64 ns)
{
	return ns > ~0U ? ~0U : ns;
}

/* The user's side of a fault taken in a system call. */
static __always_inline void from_syscall(struct mp_ev_fault *ev)
{
	struct mp_regs *regs = mp_user_regs();
	u64 nr = 0;

	bpf_probe_read_kernel(&ev->ip, 8, &regs->rip);
	bpf_probe_read_kernel(&nr, 8, &regs->orig_rax);
	ev->syscall = nr;
}

static __always_inline void from_start(struct mp_ev_fault *ev, struct mp_thread *t, u64 addr)
{
	u32 top = t->depth - 1;

	if (top < MP_FRAMES) {
		ev->flags |= MP_FAULT_IN_ALLOC;
		ev->caller = mp_frame_at(t, top)->caller;
		ev->in_fn = MP_COOKIE_FN(mp_frame_at(t, top)->cookie);
	}
	if (!t->in_fault || (t->fault_addr ^ addr) >> MP_PAGE_SHIFT) {
		mp_drop(MP_DROP_FAULT_START);
		return;
	}
	ev->flags |= t->fault_flags | MP_FAULT_TIMED;
	ev->ip = t->fault_ip;
	ev->fault_ns = clamp32(ev->h.ts_ns - t->fault_ns);
}

/* The allocation of this fault that holds @pfn; a fault may also allocate page tables. */
static __always_inline void from_allocs(struct mp_ev_fault *ev, struct mp_thread *t)
{
	for (u32 i = 0; i < MP_FAULT_ALLOCS; i++) {
		struct mp_page_alloc *a = &t->allocs[i];

		if (i >= t->nr_allocs || ev->pfn - a->pfn >= 1ULL << (a->order & 15))
			continue;
		ev->flags |= MP_FAULT_ALLOC;
		ev->alloc_ns = clamp32(a->ts_ns - t->fault_ns);
		ev->gfp = a->gfp;
		ev->node = a->node;
		ev->zone = a->zone;
		ev->order = a->order;
		ev->migratetype = a->migratetype;
		ev->page_ns = a->page_ns;
		ev->stage = a->stage;
	}
}

static __always_inline bool is_anon(u64 pfn)
{
	return (u64)BPF_CORE_READ(mp_page(pfn), mapping) & 1; /* as in mp_page_kind() */
}

/* Where in its mapping a folio begins, in pages; of anonymous memory that goes by the address. */
static __always_inline u64 first_index(struct page *head)
{
	struct page___folio_index *n = (void *)head;

	if (bpf_core_field_exists(n->__folio_index))
		return BPF_CORE_READ(n, __folio_index);
	if (bpf_core_field_exists(head->index))
		return BPF_CORE_READ(head, index);
	return 0;
}

/* Is what was allocated anonymous memory for the very place that page @pfn is mapped at? */
static __always_inline bool is_for(const struct mp_page_alloc *a, u64 pfn)
{
	struct page *head = mp_head_page(mp_page(pfn));
	u64 index = first_index(head) + pfn - mp_page_to_pfn((u64)head);

	return is_anon(a->pfn) && index - first_index(mp_page(a->pfn)) < 1ULL << (a->order & 15);
}

/*
 * The page that the fault took from the page allocator must be the one it mapped. Not where it gave
 * it back because another thread was first (userfaultfd: then it soon is a page elsewhere), nor where
 * none of its pages is anonymous (the zero page, page tables, a file's pages on their way into the cache).
 */
static __always_inline void check_chain(struct mp_ev_fault *ev, struct mp_thread *t)
{
	if (!(ev->flags & MP_FAULT_ANON) || !(ev->flags & MP_FAULT_TIMED))
		return;
	if (ev->flags & MP_FAULT_ALLOC) {
		ev->flags |= MP_FAULT_CHAIN;
		return;
	}
	for (u32 i = 0; i < MP_FAULT_ALLOCS; i++)
		if (i < t->nr_allocs && is_for(&t->allocs[i], ev->pfn))
			ev->flags |= MP_FAULT_CHAIN;
}

/* Where no function is hooked, what stands in for two of the five (doctor shows the counts). */
static __always_inline void count_stand_ins(struct mp_ev_fault *ev)
{
	if (mp_set.gup_seen)
		return;
	mp_hit(MP_HIT_HANDLE_MM_FAULT);
	if (ev->flags & MP_FAULT_ANON)
		mp_hit(MP_HIT_ANONYMOUS);
}

static __always_inline void from_page(struct mp_ev_fault *ev)
{
	u64 flags = mp_page_flags(mp_page(ev->pfn));

	ev->node = flags >> mp_set.node_shift & mp_set.node_mask;
	ev->zone = flags >> mp_set.zone_shift & mp_set.zone_mask;
}

/* Reads the entry that the fault has set. */
static __always_inline void from_table(struct mp_ev_fault *ev, struct mm_struct *mm)
{
	struct mp_leaf leaf;
	u64 kind;

	if (mp_walk(mm, ev->addr, false, &leaf)) {
		mp_drop(MP_DROP_WALK);
		return;
	}
	ev->flags |= MP_FAULT_WALKED;
	if (!pte_present(leaf.val))
		return;
	ev->flags |= MP_FAULT_PRESENT | MP_FAULT_KIND_KNOWN;
	ev->pfn = pte_pfn(leaf.val);
	if (leaf.shift > 12) {
		ev->pfn = (ev->pfn & ~511ULL) + (ev->addr >> MP_PAGE_SHIFT & 511);
		ev->flags |= MP_FAULT_PMD;
		ev->order = 9;
	}
	kind = mp_page_kind(leaf.val, ev->pfn);
	ev->flags |= kind == MP_PAGE_ANON   ? MP_FAULT_ANON
		     : kind == MP_PAGE_ZERO ? MP_FAULT_ZERO
					    : MP_FAULT_SHARED_PFN;
	from_page(ev);
}

static __always_inline void own_fault(struct mp_ev_fault *ev)
{
	if (!(ev->flags & MP_FAULT_ANON))
		return;
	if (ev->flags & MP_FAULT_PMD)
		mp_own_huge(ev->pfn & ~511ULL);
	else
		mp_own(ev->pfn);
}

/* A folio of an order between 1 and 8 (mTHP): the fault has mapped all of it. */
static __always_inline void send_folio(struct mp_ev_fault *fault, struct mm_struct *mm)
{
	u64 nr = 1ULL << (fault->order & 15);
	u64 start = fault->addr & ~(nr * MP_PAGE_SIZE - 1);
	struct mp_ev_pages *ev;
	u64 pfn, first = fault->pfn - (fault->addr - start) / MP_PAGE_SIZE;
	struct mp_leaf leaf;

	if (mp_walk(mm, start, false, &leaf) || !pte_present(leaf.val))
		return;
	pfn = pte_pfn(leaf.val);
	if (pfn != first)
		return; /* not mapped as a whole: only the faulting page is known */
	ev = mp_reserve(sizeof(*ev) + 8);
	if (!ev)
		return;
	mp_head(&ev->h, MP_EV_PAGES, sizeof(*ev) + 8, fault->h.tgid);
	ev->addr = start;
	ev->begin_ns = fault->h.ts_ns;
	ev->nr = nr;
	ev->source = MP_SRC_FAULT;
	ev->contig = 1;
	ev->order = fault->order;
	ev->shares = 0;
	ev->caller = 0;
	ev->entries[0] = first | MP_PAGE_PRESENT | MP_PAGE_ANON;
	mp_own_folio(first, nr);
	mp_send(ev);
}

/*
 * A folio that comes back from swap is mapped whole if all of it was out (do_swap_page() in mm/memory.c,
 * since Linux 6.11): the page table tells which of its pages are there.
 */
static __always_inline void send_swapped_in(const struct mp_ev_fault *fault, struct mm_struct *mm)
{
	u64 nr = 1ULL << (fault->order & 15), from_start = fault->pfn & (nr - 1);
	u64 addr = (fault->addr & MP_PAGE_MASK) - from_start * MP_PAGE_SIZE;
	u64 end = addr + nr * MP_PAGE_SIZE;
	struct mp_leaf leaf;

	if (mp_walk(mm, addr, true, &leaf) || leaf.shift != 21 || leaf.val & PTE_PSE)
		return;
	for (u32 i = 0; i < MOST_READS && addr < end; i++)
		addr += mp_walk_table(leaf.val, addr, end, 0,
				      fault->h.tgid | (u64)MP_SRC_FAULT << 32);
}

/* Of a folio of several pages that are mapped one by one: the pages beside the one that was touched. */
static __always_inline void send_neighbours(struct mp_ev_fault *fault, struct mm_struct *mm)
{
	if (!(fault->flags & MP_FAULT_ANON) || fault->flags & MP_FAULT_PMD || !fault->order)
		return;
	if (fault->flags & MP_FAULT_SWAPIN)
		send_swapped_in(fault, mm);
	else if (fault->flags & MP_FAULT_ALLOC)
		send_folio(fault, mm);
}

static __always_inline void forget_stall(struct mp_thread *t)
{
	__builtin_memset(&t->stall, 0, sizeof(t->stall));
}

/* There is no memory for the fault under way. */
static __always_inline void unmet(struct mp_thread *t)
{
	if (!t->stall.told)
		t->stall.unmet = t->stall.last ?: MP_UNMET_UNKNOWN;
	t->stall.told = 1;
}

static __always_inline void send_stall(const struct mp_ev_fault *fault, struct mp_thread *t)
{
	struct mp_stall *s = &t->stall;
	struct mp_ev_stall *ev;

	if (!(s->reclaims | s->memcg_reclaims | s->compactions | s->wakes | s->unmet))
		return;
	ev = mp_reserve(sizeof(*ev));
	if (ev) {
		mp_head(&ev->h, MP_EV_STALL, sizeof(*ev), fault->h.tgid);
		ev->addr = fault->addr;
		ev->caller = fault->caller;
		ev->stack = fault->stack;
		ev->flags = fault->flags;
		ev->reclaim_ns = s->reclaim_ns;
		ev->memcg_ns = s->memcg_ns;
		ev->compact_ns = s->compact_ns;
		ev->reclaims = s->reclaims;
		ev->memcg_reclaims = s->memcg_reclaims;
		ev->compactions = s->compactions;
		ev->wakes = s->wakes;
		ev->in_fn = fault->in_fn;
		ev->unmet = s->unmet;
		__builtin_memset(ev->pad, 0, sizeof(ev->pad));
		mp_send(ev);
	}
	s->reclaim_ns = s->memcg_ns = s->compact_ns = 0;
	s->reclaims = s->memcg_reclaims = s->compactions = s->wakes = s->unmet = 0;
}

_Static_assert(sizeof(struct mp_ev_fault) == sizeof(((struct mp_thread *)0)->fault_event), "room");

/*
 * An event begins to be filled in the thread's scratch: of what memory holds the verifier knows nothing,
 * so it does not follow each way from one part to the next.
 */
static __always_inline struct mp_ev_fault *begin_event(struct mp_thread *t, u32 owner, u64 addr,
						       u32 flags, u32 stack)
{
	struct mp_ev_fault *ev = (void *)t->fault_event;

	__builtin_memset(ev, 0, sizeof(*ev));
	mp_head(&ev->h, MP_EV_FAULT, sizeof(*ev), owner);
	ev->addr = addr;
	ev->syscall = -1;
	ev->flags = flags;
	ev->stack = stack;
	from_start(ev, t, addr);
	return ev;
}

/* The fault at @addr in @mm, a space of @owner's, is done: one event, and the folio if it is one. */
static __always_inline int send_fault(struct mm_struct *mm, u32 owner, u64 addr, u32 flags)
{
	struct mp_thread *t = mp_thread_make();
	struct mp_proc_val *p = mp_current();
	u32 stack = p && p->owner == owner ? mp_stack_of_user(p) : 0; /* told before the event */
	struct mp_ev_fault *ev, *copy;

	mp_hit(MP_HIT_FAULT);
	ev = t ? mp_reserve(sizeof(*ev)) : NULL;
	if (!ev)
		return 0;
	copy = begin_event(t, owner, addr, flags, stack);
	if (t->in_fault == MP_IN_FAILED) {
		t->in_fault = 0;
		bpf_ringbuf_discard(ev, BPF_RB_NO_WAKEUP);
		send_stall(copy, t);
		return 0;
	}
	from_table(copy, mm);
	from_allocs(copy, t);
	if ((copy->flags & (MP_FAULT_ANON | MP_FAULT_ALLOC | MP_FAULT_PMD)) == MP_FAULT_ANON)
		copy->order = mp_folio_order(copy->pfn); /* an older page, mapped anew */
	check_chain(copy, t);
	count_stand_ins(copy);
	if (copy->flags & MP_FAULT_KERNEL)
		from_syscall(copy);
	own_fault(copy);
	t->in_fault = 0;
	*ev = *copy;
	mp_send(ev);
	send_stall(copy, t);
	send_neighbours(copy, mm);
	return 0;
}

/* What was there before: COW needs a present entry, swap-in that of a swapped page. */
static __always_inline u32 mp_entry_before(struct mm_struct *mm, u64 addr)
{
	struct mp_leaf leaf;

	if (mp_walk(mm, addr, false, &leaf) || !leaf.val)
		return 0;
	if (pte_present(leaf.val))
		return MP_FAULT_PROT;
	return is_swapped(leaf.val) ? MP_FAULT_SWAPIN : 0;
}

#endif
