// SPDX-License-Identifier: GPL-2.0-or-later
#include "model_naive_inside.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct naive *naive_new(size_t keep)
{
	struct naive *n = calloc(1, sizeof(*n));

	if (!n)
		abort();
	n->keep = keep;
	return n;
}

void naive_free(struct naive *n)
{
	free(n->past);
	free(n);
}

uint32_t naive_caller(uint64_t addr)
{
	return addr ? (addr - NAIVE_CODE) / 16 : 0;
}

/* ---- pages ------------------------------------------------------------------------------------ */

bool naive_indexed(const struct page *g)
{
	return g->there && g->pfn &&
	       (g->state == MP_STATE_PRESENT || g->state == MP_STATE_SHARED_COW);
}

static void drop(struct naive *n, struct page *g, uint64_t now)
{
	bool was = naive_indexed(g) && g->state == MP_STATE_SHARED_COW;
	uint64_t pfn = g->pfn;

	naive_past_went(n, g);
	*g = (struct page){ .changed_ns = now };
	if (was)
		naive_unshare(n, pfn);
}

static void set(struct naive *n, struct page *g, struct page now)
{
	bool was = naive_indexed(g) && g->state == MP_STATE_SHARED_COW;
	uint64_t pfn = g->pfn;

	now.there = true;
	now.changed_ns = now.moved_ns ? now.moved_ns : now.t_ns;
	naive_past_came(n, g, &now);
	*g = now;
	if (was)
		naive_unshare(n, pfn);
}

/* A huge zero page that is mapped in parts from now on: each part is the zero page itself. */
static void split_zero(struct proc *p, uint64_t page)
{
	int i;

	if (!p->pages[page].there || p->pages[page].order != 9 ||
	    p->pages[page].state != MP_STATE_ZERO)
		return;
	for (i = 0; i < NAIVE_PAGES; i++)
		if (p->pages[i].there && p->pages[i].order == 9 &&
		    p->pages[i].state == MP_STATE_ZERO) {
			p->pages[i].order = 0;
			p->pages[i].pfn = NAIVE_ZERO_PFN;
		}
}

static void split_end(struct proc *p, uint64_t page)
{
	if (page % NAIVE_PAGES)
		split_zero(p, page);
}

static int fault_kind(const struct mp_ev_fault *ev)
{
	if (ev->flags & MP_FAULT_ZERO)
		return MP_KIND_ZERO;
	if (ev->flags & MP_FAULT_PMD)
		return MP_KIND_THP;
	if (ev->flags & MP_FAULT_PROT && ev->flags & MP_FAULT_WRITE)
		return MP_KIND_COW;
	if (ev->flags & MP_FAULT_MAJOR && !(ev->flags & MP_FAULT_PROT))
		return MP_KIND_SWAPIN;
	return ev->order && ev->order < 9 ? MP_KIND_MTHP : MP_KIND_ANON;
}

static void fault_page(struct naive *n, struct page *g, struct page now)
{
	if (now.state == MP_STATE_PRESENT && naive_indexed(g) && g->pfn == now.pfn)
		g->state = MP_STATE_PRESENT; /* nothing arrived */
	else
		set(n, g, now);
}

static uint32_t fault_owner(struct proc *p, const struct mp_ev_fault *ev)
{
	uint64_t page = (ev->addr - NAIVE_BASE) / MP_PAGE_SIZE;
	int i;

	if (ev->flags & MP_FAULT_IN_ALLOC && ev->in_fn != MP_FN_MMAP)
		return naive_caller(ev->caller);
	for (i = 0; i < BLOCKS; i++)
		if (p->blocks[i].live && ev->addr - p->blocks[i].start < p->blocks[i].size)
			return p->blocks[i].caller;
	if (p->maps[page].id && !p->maps[page].growth && !p->maps[page].heap)
		return p->maps[page].caller;
	return 0;
}

static void on_fault(struct naive *n, struct proc *p, const struct mp_ev_fault *ev)
{
	uint64_t page = (ev->addr - NAIVE_BASE) / MP_PAGE_SIZE, i;
	int kind = fault_kind(ev), slot = ev->h.tid % TIDS + (ev->h.tgid - 1) * TIDS;
	struct page g = { .state = kind == MP_KIND_ZERO ? MP_STATE_ZERO : MP_STATE_PRESENT,
			  .kind = kind,
			  .by = ev->flags & MP_FAULT_GUP      ? MP_BY_GUP
				: ev->flags & MP_FAULT_KERNEL ? MP_BY_KERNEL
							      : MP_BY_USER,
			  .source = MP_SRC_FAULT,
			  .order = ev->order,
			  .pfn = ev->pfn,
			  .t_ns = ev->h.ts_ns,
			  .toucher = naive_caller(ev->ip) };
	struct caller *c = &n->callers[fault_owner(p, ev)];

	naive_past_fault(n, ev, fault_owner(p, ev));
	c->faults[kind]++;
	c->by[g.by]++;
	n->last_fault[slot].page = g;
	n->last_fault[slot].awaited = g.order && !(ev->flags & MP_FAULT_PMD) &&
				      kind != MP_KIND_ZERO;
	if (!(ev->flags & MP_FAULT_PMD)) {
		split_zero(p, page);
		fault_page(n, &p->pages[page], g);
		return;
	}
	for (i = 0; i < NAIVE_PAGES; i++) { /* the window is one huge page */
		g.pfn = ev->pfn - page + i;
		g.order = 9;
		fault_page(n, &p->pages[i], g);
	}
}

static bool call_since(const struct proc *p, uint64_t page, uint64_t since)
{
	uint64_t addr = NAIVE_BASE + page * MP_PAGE_SIZE;
	size_t i, count = p->nr_ranges < RANGES ? p->nr_ranges : RANGES;

	for (i = 0; i < count; i++)
		if (p->ranges[i].ts_ns > since && p->ranges[i].start < addr + MP_PAGE_SIZE &&
		    p->ranges[i].end > addr)
			return true;
	return false;
}

static bool stray_since(const struct naive *n, uint64_t pfn, uint64_t since)
{
	size_t i;

	for (i = 0; i < 256; i++)
		if (n->strays[i].ts_ns > since && pfn >= n->strays[i].pfn &&
		    pfn < n->strays[i].pfn + n->strays[i].nr)
			return true;
	return false;
}

static struct page page_of_entry(struct naive *n, const struct mp_ev_pages *ev, uint64_t e)
{
	int slot = ev->h.tid % TIDS + (ev->h.tgid - 1) * TIDS;
	struct page g = { .kind = MP_KIND_NONE,
			  .by = MP_BY_NONE,
			  .source = ev->source,
			  .t_ns = ev->begin_ns,
			  .order = ev->order };

	if (ev->source == MP_SRC_FAULT) {
		if (n->last_fault[slot].awaited) {
			g = n->last_fault[slot].page;
		} else {
			g.kind = ev->order ? MP_KIND_MTHP : MP_KIND_ANON;
			g.t_ns = ev->h.ts_ns;
		}
	}
	if (ev->source == MP_SRC_POPULATE) {
		g.by = MP_BY_GUP;
		g.t_ns = ev->h.ts_ns;
	}
	if (ev->source == MP_SRC_MOVED)
		g.t_ns = ev->h.ts_ns;
	if (ev->source == MP_SRC_CHECK)
		g.source = MP_SRC_RECONCILED;
	g.there = e;
	g.pfn = e & MP_PAGE_SWAP ? 0 : e & MP_PAGE_PFN;
	g.state = e & MP_PAGE_SWAP   ? MP_STATE_SWAPPED
		  : e & MP_PAGE_ZERO ? MP_STATE_ZERO
				     : MP_STATE_PRESENT;
	return g;
}

#define MOVED_UNIT_NS (1U << 20) /* a change is kept so exactly */

static void apply_moved(struct naive *n, struct page *old, const struct mp_ev_pages *ev, uint64_t e)
{
	struct page g = page_of_entry(n, ev, e), kept = *old;
	uint64_t after;

	if (!e || (e & MP_PAGE_MOVING && (!old->there || old->state == MP_STATE_SWAPPED)))
		return;
	if (e & MP_PAGE_ORDERED)
		kept.order = g.order = MP_PAGE_ORDER(e);
	if (e & MP_PAGE_HUGE)
		kept.order = g.order = 9;
	if (!old->there) {
		g.changed_ns = g.t_ns;
		naive_past_changed(n, old, &g);
		*old = g;
		return;
	}
	kept.pfn = e & MP_PAGE_MOVING ? 0 : g.pfn;
	if (!(e & MP_PAGE_MOVING)) {
		kept.state = g.state;
		if (old->state == MP_STATE_SHARED_COW && g.state == MP_STATE_PRESENT)
			kept.state = MP_STATE_SHARED_COW;
	}
	if (kept.pfn == old->pfn && kept.state == old->state && kept.order == old->order)
		return;
	if (kept.state == MP_STATE_ZERO &&
	    old->state != MP_STATE_ZERO) { /* the kernel has put it there */
		kept = g;
		kept.there = true;
		kept.changed_ns = kept.t_ns;
		kept.order = ev->order;
		naive_past_changed(n, old, &kept);
		*old = kept;
		return;
	}
	after = ev->h.ts_ns > kept.t_ns ? ev->h.ts_ns - kept.t_ns : 0;
	if (after)
		kept.moved_ns =
			kept.t_ns + (after + MOVED_UNIT_NS - 1) / MOVED_UNIT_NS * MOVED_UNIT_NS;
	kept.there = true;
	kept.changed_ns = kept.moved_ns ? kept.moved_ns : kept.t_ns;
	naive_past_changed(n, old, &kept);
	*old = kept; /* those that share it move along */
}

static void apply_entry(struct naive *n, struct proc *p, const struct mp_ev_pages *ev,
			uint64_t page, uint64_t e)
{
	struct page *old = &p->pages[page], g = page_of_entry(n, ev, e);
	bool check = ev->source == MP_SRC_CHECK, late = ev->source != MP_SRC_FAULT, same;

	if (ev->source == MP_SRC_MOVED) {
		apply_moved(n, old, ev, e);
		return;
	}
	if (late && (old->changed_ns > ev->begin_ns || call_since(p, page, ev->begin_ns)))
		return;
	if (!e) {
		if (check && old->there) {
			n->moved++;
			drop(n, old, ev->h.ts_ns);
		}
		return;
	}
	same = old->there && (old->pfn == g.pfn || !old->pfn) &&
	       (old->state == g.state ||
		(old->state == MP_STATE_SHARED_COW && g.state == MP_STATE_PRESENT));
	if (same && (ev->source == MP_SRC_TOOL || old->pfn != g.pfn))
		old->source = g.source;
	if (same && old->pfn != g.pfn) {
		struct page more = *old;

		more.pfn = g.pfn;
		naive_past_came(n, old, &more);
	}
	if (same)
		naive_learn_sharing(p, old, ev, e);
	if (same)
		old->pfn = g.pfn;
	if (same || (late && stray_since(n, g.pfn, ev->begin_ns)))
		return;
	if (check && old->there && old->state == MP_STATE_SHARED_COW && g.state == MP_STATE_PRESENT)
		g.state = MP_STATE_SHARED_COW;
	naive_learn_sharing(p, &g, ev, e);
	n->moved += check;
	set(n, old, g);
}

static void on_pages(struct naive *n, struct proc *p, const struct mp_ev_pages *ev)
{
	uint64_t first = (ev->addr - NAIVE_BASE) / MP_PAGE_SIZE, i, e;
	bool absent = ev->source == MP_SRC_CHECK && ev->contig && !ev->entries[0];

	naive_past_pages(n, ev);
	for (i = 0; i < ev->nr; i++)
		absent = absent && !call_since(p, first + i, ev->begin_ns);
	if (absent) {
		split_end(p, first);
		split_end(p, first + ev->nr);
	}

	for (i = 0; i < ev->nr; i++) {
		e = ev->contig ? ev->entries[0] : ev->entries[i];
		if (ev->contig && e && !(e & (MP_PAGE_ZERO | MP_PAGE_SWAP)))
			e += i;
		apply_entry(n, p, ev, first + i, e);
	}
}

static void on_page_free(struct naive *n, const struct mp_ev_page_free *ev)
{
	uint64_t nr = 1ULL << ev->order;
	bool found = false;
	int p, i;

	for (p = 0; p < NAIVE_PROCS; p++)
		for (i = 0; !n->procs[p].exited && i < NAIVE_PAGES; i++) {
			struct page *g = &n->procs[p].pages[i];

			if (!naive_indexed(g) || g->pfn - ev->pfn >= nr)
				continue;
			found = true;
			naive_past_went(n, g);
			*g = (struct page){ .changed_ns = ev->h.ts_ns };
		}
	if (found)
		return;
	n->strays[n->nr_strays % 256].pfn = ev->pfn;
	n->strays[n->nr_strays % 256].nr = nr;
	n->strays[n->nr_strays++ % 256].ts_ns = ev->h.ts_ns;
}

/* ---- system calls ----------------------------------------------------------------------------- */

static void drop_range(struct naive *n, struct proc *p, uint64_t first, uint64_t nr,
		       const struct mp_ev_range *ev)
{
	uint64_t i;

	split_end(p, first);
	split_end(p, first + nr);
	for (i = first; i < first + nr; i++)
		if (p->pages[i].there && p->pages[i].t_ns < ev->enter_ns)
			drop(n, &p->pages[i], ev->h.ts_ns);
}

static void map_range(struct naive *n, struct proc *p, uint64_t first, uint64_t nr, bool anon,
		      const struct mp_ev_range *ev)
{
	struct map map = { .id = ++n->next_map,
			   .caller = naive_caller(ev->caller),
			   .growth = ev->in_fn && ev->in_fn != MP_FN_MMAP,
			   .anon = anon,
			   .stack = ev->op == MP_OP_MMAP && ev->flags & MAP_STACK };
	uint64_t i;

	for (i = first; i < first + nr; i++)
		p->maps[i] = map;
	if (map.growth || !anon || !nr)
		return;
	n->callers[map.caller].calls++;
	n->callers[map.caller].requested += nr * MP_PAGE_SIZE;
}

static void on_mremap(struct naive *n, struct proc *p, const struct mp_ev_range *ev)
{
	uint64_t from = (ev->old - NAIVE_BASE) / MP_PAGE_SIZE, old = ev->old_len / MP_PAGE_SIZE;
	uint64_t to = (ev->ret - NAIVE_BASE) / MP_PAGE_SIZE, nr = ev->len / MP_PAGE_SIZE, i;
	bool anon = p->maps[from].id ? p->maps[from].anon : true;

	if (from == to && nr < old) {
		drop_range(n, p, from + nr, old - nr, ev);
		memset(&p->maps[from + nr], 0, (old - nr) * sizeof(p->maps[0]));
		return;
	}
	if (from == to) {
		map_range(n, p, from + old, nr - old, anon, ev);
		return;
	}
	drop_range(n, p, to, nr, ev);
	memset(&p->maps[to], 0, nr * sizeof(p->maps[0]));
	split_end(p, from);
	split_end(p, from + (old < nr ? old : nr));
	for (i = 0; i < old && i < nr; i++) {
		struct page g = p->pages[from + i], *there = &p->pages[to + i];

		if (!g.there || g.t_ns >= ev->enter_ns || (there->there && there->t_ns >= g.t_ns))
			continue;
		/* moved: nobody else's share changes by it */
		naive_past_went(n, &p->pages[from + i]);
		p->pages[from + i] = (struct page){ .changed_ns = ev->h.ts_ns };
		set(n, there, g);
	}
	drop_range(n, p, from, old, ev);
	memset(&p->maps[from], 0, old * sizeof(p->maps[0]));
	map_range(n, p, to, nr, anon, ev);
}

static void remember(struct proc *p, uint64_t addr, uint64_t len, uint64_t ts_ns)
{
	p->ranges[p->nr_ranges % RANGES].start = addr;
	p->ranges[p->nr_ranges % RANGES].end = addr + len;
	p->ranges[p->nr_ranges++ % RANGES].ts_ns = ts_ns;
}

static void on_range(struct naive *n, struct proc *p, const struct mp_ev_range *ev)
{
	uint64_t at = ev->op == MP_OP_MMAP ? (uint64_t)ev->ret : ev->addr;
	uint64_t first = (at - NAIVE_BASE) / MP_PAGE_SIZE, nr = ev->len / MP_PAGE_SIZE, i;

	naive_past_range(n, p, ev);
	if (ev->ret < 0)
		return;
	switch (ev->op) {
	case MP_OP_MUNMAP:
		drop_range(n, p, first, nr, ev);
		memset(&p->maps[first], 0, nr * sizeof(p->maps[0]));
		break;
	case MP_OP_MADVISE:
		if (ev->prot != MADV_DONTNEED) { /* MADV_FREE: of what is in swap nothing is left */
			for (i = first; i < first + nr; i++)
				if (p->pages[i].there && p->pages[i].state == MP_STATE_SWAPPED &&
				    p->pages[i].changed_ns < ev->enter_ns)
					drop(n, &p->pages[i], ev->h.ts_ns);
			return;
		}
		drop_range(n, p, first, nr, ev);
		break;
	case MP_OP_MMAP:
		drop_range(n, p, first, nr, ev);
		map_range(n, p, first, nr, ev->flags & MAP_ANONYMOUS, ev);
		break;
	case MP_OP_MREMAP:
		on_mremap(n, p, ev);
		remember(p, ev->old, ev->old_len, ev->h.ts_ns);
		at = ev->ret;
		break;
	}
	remember(p, at, ev->len, ev->h.ts_ns);
}

/* ---- lives ------------------------------------------------------------------------------------ */

static void on_fork(struct naive *n, struct proc *p, const struct mp_ev_fork *ev)
{
	struct proc *child;
	struct block *b;
	int i;

	for (i = 0; i < NAIVE_PAGES; i++)
		if (p->pages[i].there && p->pages[i].state == MP_STATE_PRESENT)
			p->pages[i].state = MP_STATE_SHARED_COW;
	p->forked_ns = ev->h.ts_ns;
	if (!ev->followed) {
		p->shared_ns = ev->h.ts_ns;
		return;
	}
	child = &n->procs[ev->child - 1];
	*child = *p;
	child->exists = true;
	child->unshared_ns = 0;
	for (i = 0; i < NAIVE_PAGES; i++)
		if (p->pages[i].there)
			naive_past_came(n, &child->pages[i], &p->pages[i]);
	for (i = 0; i < TIDS; i++) { /* those threads are not in the child */
		b = naive_block_at(child, p->transit[i].old);
		if (p->transit[i].known && p->transit[i].open && b)
			b->transit = false;
	}
	memset(child->transit, 0, sizeof(child->transit));
	for (i = 0; i < NAIVE_PAGES; i++)
		if (!child->pages[i].there) /* when a page went is known of those that were its own */
			child->pages[i].changed_ns = 0;
	child->nr_ranges = 0;
	memset(child->ranges, 0, sizeof(child->ranges));
}

static void leave(struct naive *n, struct proc *p)
{
	struct proc copy = *p;
	int i;

	memset(p->pages, 0, sizeof(p->pages));
	for (i = 0; i < NAIVE_PAGES; i++)
		if (naive_indexed(&copy.pages[i]) && copy.pages[i].state == MP_STATE_SHARED_COW)
			naive_unshare(n, copy.pages[i].pfn);
}

static void on_exec(struct naive *n, struct proc *p)
{
	naive_past_exec(n, p);
	leave(n, p);
	memset(p, 0, sizeof(*p));
	p->exists = true;
}

static void on_exit_event(struct naive *n, struct proc *p, uint64_t now_ns)
{
	struct page kept[NAIVE_PAGES];

	p->exit_pss = naive_pss(n, p);
	memcpy(kept, p->pages, sizeof(kept));
	leave(n, p);
	memcpy(p->pages, kept, sizeof(kept));
	p->exited = true;
	p->exit_ns = now_ns;
}

void naive_apply(struct naive *n, const struct mp_ev *ev)
{
	struct proc *p = ev->tgid ? &n->procs[ev->tgid - 1] : NULL;

	n->now_ns = ev->ts_ns;
	naive_past_begin(n, ev);
	if (ev->type == MP_EV_PAGE_FREE) {
		on_page_free(n, (const void *)ev);
		return;
	}
	if (p->exited)
		return;
	p->exists = true;
	switch (ev->type) {
	case MP_EV_ALLOC:
		naive_on_alloc(n, p, (const void *)ev);
		break;
	case MP_EV_FREE:
		naive_on_free(n, p, (const void *)ev);
		break;
	case MP_EV_REALLOC:
		naive_on_realloc(n, p, (const void *)ev);
		break;
	case MP_EV_REALLOC_DONE:
		naive_on_realloc_done(n, p, (const void *)ev);
		break;
	case MP_EV_FAULT:
		on_fault(n, p, (const void *)ev);
		break;
	case MP_EV_PAGES:
		on_pages(n, p, (const void *)ev);
		break;
	case MP_EV_RANGE:
		on_range(n, p, (const void *)ev);
		break;
	case MP_EV_FORK:
		on_fork(n, p, (const void *)ev);
		break;
	case MP_EV_EXEC:
		on_exec(n, p);
		break;
	case MP_EV_EXIT:
		on_exit_event(n, p, ev->ts_ns);
		break;
	case MP_EV_PROC:
		p->whole = p->whole || ((const struct mp_ev_proc *)ev)->launched;
		break;
	}
	naive_past_end(n, ev);
}

uint64_t naive_some_pfn(const struct naive *n, uint32_t pid, uint64_t pick)
{
	const struct proc *p = &n->procs[pid - 1];
	uint64_t i;

	for (i = 0; i < NAIVE_PAGES; i++)
		if (naive_indexed(&p->pages[(pick + i) % NAIVE_PAGES]))
			return p->pages[(pick + i) % NAIVE_PAGES].pfn;
	return 0;
}
