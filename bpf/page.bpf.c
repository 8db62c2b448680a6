// SPDX-License-Identifier: GPL-2.0
/* The buddy allocator's tracepoints: which page a fault got, and which of ours it got back. */
#include "walk.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/*
 * Pages came from the buddy lists: to refill this CPU's list, or directly. Without it the list had
 * one. Fires before mm_page_alloc of the same allocation.
 */
SEC("raw_tp/mm_page_alloc_zone_locked")
int mp_zone_locked(struct bpf_raw_tracepoint_args *ctx)
{
	struct mp_thread *t = mp_current() ? mp_thread_get() : NULL;

	if (t && t->in_fault && mp_set.refill_told)
		t->stage |= (u32)ctx->args[3] ? MP_STAGE_REFILL : MP_STAGE_BUDDY;
	return 0;
}

/* Remembered until the fault's end, where the page table tells which of them was the page. */
SEC("raw_tp/mm_page_alloc")
int mp_page_alloc(struct bpf_raw_tracepoint_args *ctx)
{
	u64 page = ctx->args[0], flags;
	struct mp_page_alloc *a;
	struct mp_thread *t;

	if (!page || !mp_current())
		return 0;
	t = mp_thread_get();
	if (!t || !t->in_fault)
		return 0;
	if (!mp_set.gup_seen)
		mp_hit(MP_HIT_ALLOC_PAGES);
	a = &t->allocs[t->nr_allocs & (MP_FAULT_ALLOCS - 1)];
	t->nr_allocs++;
	flags = mp_page_flags((struct page *)page);
	a->pfn = mp_page_to_pfn(page);
	a->ts_ns = bpf_ktime_get_ns();
	a->order = ctx->args[1];
	a->gfp = ctx->args[2];
	a->migratetype = ctx->args[3];
	a->node = flags >> mp_set.node_shift & mp_set.node_mask;
	a->zone = flags >> mp_set.zone_shift & mp_set.zone_mask;
	a->stage = !mp_set.refill_told ? 0 : t->stage ? t->stage : MP_STAGE_PCP;
	a->page_ns = 0;
	t->stage = 0;
	return 0;
}

static __always_inline void send_page_free(u64 pfn, u32 order)
{
	struct mp_ev_page_free *ev = mp_reserve(sizeof(*ev));

	if (!ev)
		return;
	mp_head(&ev->h, MP_EV_PAGE_FREE, sizeof(*ev), 0);
	ev->pfn = pfn;
	ev->order = order;
	ev->pad = 0;
	mp_send(ev);
}

/* Eight pages at a time; @pfn is aligned to them. */
static __always_inline u64 disown_chunk(u64 pfn, u64 nr)
{
	struct mp_owned *o = mp_owned_at(pfn);
	u64 was = 0;

	for (u32 i = 0; o && i < 64; i++) {
		u32 word = ((pfn & 511) >> 3) + i;

		if (i * 8 >= nr || word >= 64)
			break;
		was |= ((u64 *)o->page)[word & 63];
		((u64 *)o->page)[word & 63] = 0;
	}
	return was;
}

/* Forgets 2^order pages from @pfn; true if one was ours. */
static __always_inline bool disown(u64 pfn, u32 order)
{
	u64 nr = 1ULL << (order & 15), was = 0;
	struct mp_owned *o;

	if (order >= 3) {
		was = disown_chunk(pfn, nr);
		if (nr > 512) /* order 10, the largest there is */
			was |= disown_chunk(pfn + 512, 512);
		return was;
	}
	o = mp_owned_at(pfn);
	for (u32 i = 0; o && i < 4; i++) {
		if (i >= nr)
			break;
		was |= o->page[(pfn + i) & 511];
		o->page[(pfn + i) & 511] = 0;
	}
	return was;
}

static __always_inline int page_free(u64 page, u32 order)
{
	u64 pfn = mp_page_to_pfn(page);
	struct mp_proc_val *p;

	if (!disown(pfn, order))
		return 0;
	p = mp_current();
	if (p && (p->flags & MP_PROC_EXITING))
		return 0;
	send_page_free(pfn, order);
	return 0;
}

/*
 * Runs for every page the machine frees: one byte decides. A program does not run inside itself, so an
 * interrupt that frees pages in the middle of it would go unseen; a second one, for which the first
 * has mostly cleared the byte, hears of those.
 */
SEC("raw_tp/mm_page_free")
int mp_page_free(struct bpf_raw_tracepoint_args *ctx)
{
	return page_free(ctx->args[0], ctx->args[1]);
}

SEC("raw_tp/mm_page_free")
int mp_page_free_2(struct bpf_raw_tracepoint_args *ctx)
{
	return page_free(ctx->args[0], ctx->args[1]);
}
