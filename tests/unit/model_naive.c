// SPDX-License-Identifier: GPL-2.0-or-later
#include "model_naive.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BLOCKS 640
#define TIDS   8
#define RANGES 64 /* system calls remembered: as many as the model promises */

struct block {
	bool live, transit;
	uint64_t start, size, t_ns;
	uint32_t caller, tid; /* caller: an index, 0 nobody */
};

struct page {
	bool there;
	int state, kind, by, source, order;
	uint64_t pfn, t_ns;
	uint32_t toucher;
	uint64_t changed_ns;
};

/* The mapping a page of addresses lies in; equal ids are one mapping. */
struct map {
	uint32_t id; /* 0: none known */
	uint32_t caller;
	bool growth, heap, anon, stack;
};

struct proc {
	bool exists, exited, whole;
	struct block blocks[BLOCKS];
	struct page pages[NAIVE_PAGES];
	struct map maps[NAIVE_PAGES];
	struct {
		bool known, open;
		uint64_t old;
	} transit[TIDS];
	struct {
		uint64_t start, end, ts_ns;
	} ranges[RANGES];
	size_t nr_ranges;
	uint64_t shared_ns;
};

struct caller {
	uint64_t calls, frees, failed, requested;
	uint64_t faults[MP_KIND_NR], by[MP_BY_NR];
};

struct naive {
	struct proc procs[NAIVE_PROCS];
	struct caller callers[NAIVE_CALLERS];
	struct {
		uint32_t pid, tid;
		bool awaited;
		struct page page;
	} last_fault[TIDS * NAIVE_PROCS];
	struct {
		uint64_t pfn, nr, ts_ns;
	} strays[256];
	size_t nr_strays;
	uint32_t next_map;
	uint64_t lost, unmatched, moved;
	char text[400];
};

struct naive *naive_new(void)
{
	struct naive *n = calloc(1, sizeof(*n));

	if (!n)
		abort();
	return n;
}

void naive_free(struct naive *n)
{
	free(n);
}

static uint32_t caller_of(uint64_t addr)
{
	return addr ? (addr - NAIVE_CODE) / 16 : 0;
}

static uint64_t max1(uint64_t size)
{
	return size ? size : 1;
}

/* ---- blocks ----------------------------------------------------------------------------------- */

static struct block *block_at(struct proc *p, uint64_t start)
{
	int i;

	for (i = 0; i < BLOCKS; i++)
		if (p->blocks[i].live && p->blocks[i].start == start)
			return &p->blocks[i];
	return NULL;
}

static void end_block(struct naive *n, struct proc *p, struct block *b)
{
	int i;

	b->live = false;
	n->callers[b->caller].frees++;
	for (i = 0; b->transit && i < TIDS; i++)
		if (p->transit[i].known && p->transit[i].old == b->start)
			p->transit[i].open = false;
}

/* A block in memory that is no allocator's yet makes it one: its mapping, as far as it is whole. */
static void note_heap(struct proc *p, uint64_t addr)
{
	uint64_t page = (addr - NAIVE_BASE) / MP_PAGE_SIZE, i;
	uint32_t id;

	if (addr < NAIVE_BASE || page >= NAIVE_PAGES || !p->maps[page].id || p->maps[page].growth)
		return;
	id = p->maps[page].id;
	for (i = page; i < NAIVE_PAGES && p->maps[i].id == id; i++)
		p->maps[i].heap = true;
	for (i = page; i-- > 0 && p->maps[i].id == id;)
		p->maps[i].heap = true;
}

static void begin_block(struct naive *n, struct proc *p, const struct mp_ev_alloc *ev)
{
	uint64_t end = ev->addr + max1(ev->requested);
	int i;

	for (i = 0; i < BLOCKS; i++) {
		struct block *b = &p->blocks[i];

		if (b->live && b->start < end && b->start + max1(b->size) > ev->addr) {
			n->lost += !b->transit;
			end_block(n, p, b);
		}
	}
	for (i = 0; i < BLOCKS && p->blocks[i].live; i++)
		;
	if (i == BLOCKS)
		abort();
	p->blocks[i] = (struct block){ .live = true,
				       .start = ev->addr,
				       .size = ev->requested,
				       .t_ns = ev->h.ts_ns,
				       .caller = caller_of(ev->caller),
				       .tid = ev->h.tid };
	n->callers[caller_of(ev->caller)].calls++;
	n->callers[caller_of(ev->caller)].requested += ev->requested;
	note_heap(p, ev->addr);
}

static void on_alloc(struct naive *n, struct proc *p, const struct mp_ev_alloc *ev)
{
	if (!ev->addr)
		n->callers[caller_of(ev->caller)].failed++;
	else
		begin_block(n, p, ev);
}

static void on_free(struct naive *n, struct proc *p, const struct mp_ev_free *ev)
{
	struct block *b = block_at(p, ev->addr);

	if (b)
		end_block(n, p, b);
	else
		n->unmatched += p->whole;
}

static void on_realloc(struct naive *n, struct proc *p, const struct mp_ev_free *ev)
{
	struct block *b = block_at(p, ev->addr);
	int t = ev->h.tid % TIDS;

	p->transit[t].known = true;
	p->transit[t].old = ev->addr;
	p->transit[t].open = b;
	if (b)
		b->transit = true;
	else
		n->unmatched += p->whole;
}

static void on_realloc_done(struct naive *n, struct proc *p, const struct mp_ev_realloc_done *ev)
{
	struct block *b = block_at(p, ev->old);
	int t = ev->a.h.tid % TIDS;
	bool mine;

	if (p->transit[t].known && p->transit[t].old == ev->old) {
		mine = p->transit[t].open;
		p->transit[t].known = false;
	} else {
		mine = b && !b->transit;
	}
	if (!ev->a.addr && ev->a.requested) {
		n->callers[caller_of(ev->a.caller)].failed++;
		if (mine && b)
			b->transit = false;
		return;
	}
	if (mine && b)
		end_block(n, p, b);
	if (ev->a.addr)
		begin_block(n, p, &ev->a);
}

/* ---- pages ------------------------------------------------------------------------------------ */

static bool indexed(const struct page *g)
{
	return g->there && g->pfn &&
	       (g->state == MP_STATE_PRESENT || g->state == MP_STATE_SHARED_COW);
}

/* A mapping of @pfn that was shared is gone: if one is left, its owner has it alone. */
static void unshare(struct naive *n, uint64_t pfn)
{
	struct page *only = NULL;
	struct proc *owner = NULL;
	int p, i, count = 0;

	for (p = 0; p < NAIVE_PROCS; p++)
		for (i = 0; !n->procs[p].exited && i < NAIVE_PAGES; i++)
			if (indexed(&n->procs[p].pages[i]) && n->procs[p].pages[i].pfn == pfn) {
				count++;
				owner = &n->procs[p];
				only = &owner->pages[i];
			}
	if (count == 1 && only->state == MP_STATE_SHARED_COW && only->t_ns > owner->shared_ns)
		only->state = MP_STATE_PRESENT;
}

static void drop(struct naive *n, struct page *g, uint64_t now)
{
	bool was = indexed(g) && g->state == MP_STATE_SHARED_COW;
	uint64_t pfn = g->pfn;

	*g = (struct page){ .changed_ns = now };
	if (was)
		unshare(n, pfn);
}

static void set(struct naive *n, struct page *g, struct page now)
{
	bool was = indexed(g) && g->state == MP_STATE_SHARED_COW;
	uint64_t pfn = g->pfn;

	now.there = true;
	now.changed_ns = now.t_ns;
	*g = now;
	if (was)
		unshare(n, pfn);
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
	if (now.state == MP_STATE_PRESENT && indexed(g) && g->pfn == now.pfn)
		g->state = MP_STATE_PRESENT; /* nothing arrived */
	else
		set(n, g, now);
}

static uint32_t fault_owner(struct proc *p, const struct mp_ev_fault *ev)
{
	uint64_t page = (ev->addr - NAIVE_BASE) / MP_PAGE_SIZE;
	int i;

	if (ev->flags & MP_FAULT_IN_ALLOC && ev->in_fn != MP_FN_MMAP)
		return caller_of(ev->caller);
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
			  .toucher = caller_of(ev->ip) };
	struct caller *c = &n->callers[fault_owner(p, ev)];

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
	if (ev->source == MP_SRC_CHECK)
		g.source = MP_SRC_RECONCILED;
	g.there = e;
	g.pfn = e & MP_PAGE_SWAP ? 0 : e & MP_PAGE_PFN;
	g.state = e & MP_PAGE_SWAP   ? MP_STATE_SWAPPED
		  : e & MP_PAGE_ZERO ? MP_STATE_ZERO
				     : MP_STATE_PRESENT;
	return g;
}

static void apply_entry(struct naive *n, struct proc *p, const struct mp_ev_pages *ev,
			uint64_t page, uint64_t e)
{
	struct page *old = &p->pages[page], g = page_of_entry(n, ev, e);
	bool check = ev->source == MP_SRC_CHECK, late = ev->source != MP_SRC_FAULT, same;

	if (late && (old->changed_ns > ev->begin_ns || call_since(p, page, ev->begin_ns)))
		return;
	if (!e) {
		if (check && old->there) {
			n->moved++;
			drop(n, old, ev->h.ts_ns);
		}
		return;
	}
	same = old->there && old->pfn == g.pfn &&
	       (old->state == g.state ||
		(old->state == MP_STATE_SHARED_COW && g.state == MP_STATE_PRESENT));
	if (same && ev->source == MP_SRC_TOOL)
		old->source = MP_SRC_TOOL;
	if (same || (late && stray_since(n, g.pfn, ev->begin_ns)))
		return;
	n->moved += check;
	set(n, old, g);
}

static void on_pages(struct naive *n, struct proc *p, const struct mp_ev_pages *ev)
{
	uint64_t first = (ev->addr - NAIVE_BASE) / MP_PAGE_SIZE, i, e;
	bool absent = ev->source == MP_SRC_CHECK && ev->contig && !ev->entries[0];

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

			if (!indexed(g) || g->pfn - ev->pfn >= nr)
				continue;
			found = true;
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
			   .caller = caller_of(ev->caller),
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
	uint64_t first = (at - NAIVE_BASE) / MP_PAGE_SIZE, nr = ev->len / MP_PAGE_SIZE;

	if (ev->ret < 0)
		return;
	switch (ev->op) {
	case MP_OP_MUNMAP:
		drop_range(n, p, first, nr, ev);
		memset(&p->maps[first], 0, nr * sizeof(p->maps[0]));
		break;
	case MP_OP_MADVISE:
		if (ev->prot != MADV_DONTNEED)
			return;
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
	int i;

	for (i = 0; i < NAIVE_PAGES; i++)
		if (p->pages[i].there && p->pages[i].state == MP_STATE_PRESENT)
			p->pages[i].state = MP_STATE_SHARED_COW;
	if (!ev->followed) {
		p->shared_ns = ev->h.ts_ns;
		return;
	}
	child = &n->procs[ev->child - 1];
	*child = *p;
	child->exists = true;
	for (i = 0; i < TIDS; i++) /* those threads are not in the child */
		if (p->transit[i].known && p->transit[i].open)
			block_at(child, p->transit[i].old)->transit = false;
	memset(child->transit, 0, sizeof(child->transit));
	for (i = 0; i < NAIVE_PAGES; i++)
		child->pages[i].changed_ns = child->pages[i].there ? child->pages[i].t_ns : 0;
	child->nr_ranges = 0;
	memset(child->ranges, 0, sizeof(child->ranges));
}

static void leave(struct naive *n, struct proc *p)
{
	struct proc copy = *p;
	int i;

	memset(p->pages, 0, sizeof(p->pages));
	for (i = 0; i < NAIVE_PAGES; i++)
		if (indexed(&copy.pages[i]) && copy.pages[i].state == MP_STATE_SHARED_COW)
			unshare(n, copy.pages[i].pfn);
}

static void on_exec(struct naive *n, struct proc *p)
{
	leave(n, p);
	memset(p, 0, sizeof(*p));
	p->exists = true;
}

static void on_exit_event(struct naive *n, struct proc *p)
{
	struct page kept[NAIVE_PAGES];

	memcpy(kept, p->pages, sizeof(kept));
	leave(n, p);
	memcpy(p->pages, kept, sizeof(kept));
	p->exited = true;
}

void naive_apply(struct naive *n, const struct mp_ev *ev)
{
	struct proc *p = ev->tgid ? &n->procs[ev->tgid - 1] : NULL;

	if (ev->type == MP_EV_PAGE_FREE) {
		on_page_free(n, (const void *)ev);
		return;
	}
	if (p->exited)
		return;
	p->exists = true;
	switch (ev->type) {
	case MP_EV_ALLOC:
		on_alloc(n, p, (const void *)ev);
		break;
	case MP_EV_FREE:
		on_free(n, p, (const void *)ev);
		break;
	case MP_EV_REALLOC:
		on_realloc(n, p, (const void *)ev);
		break;
	case MP_EV_REALLOC_DONE:
		on_realloc_done(n, p, (const void *)ev);
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
		on_exit_event(n, p);
		break;
	case MP_EV_PROC:
		p->whole = p->whole || ((const struct mp_ev_proc *)ev)->launched;
		break;
	}
}

/* ---- comparison ------------------------------------------------------------------------------- */

/* What the report's sites ought to say of this instant. */
struct now {
	uint64_t live_blocks, live_bytes, resident, charged, untouched, mapped, direct;
	uint64_t orders[MP_ORDERS];
	uint64_t touched_by[NAIVE_CALLERS];
};

struct compare {
	struct naive *n;
	const struct mp_report *r;
	uint32_t ids[NAIVE_CALLERS]; /* id in the report of each caller */
	struct now now[NAIVE_CALLERS];
	uint64_t sum[8]; /* of one process: the enum below */
	uint64_t arrived, sited, present;
};
enum { BLOCK, RETAINED, BEFORE, OTHER, STACK, TOOL, ZERO };

#define CHECK(c, got, want, ...)                                                              \
	do {                                                                                  \
		if ((got) != (want))                                                          \
			return differ(c, #got, (int64_t)(got), (int64_t)(want), __VA_ARGS__); \
	} while (0)

static bool differ(struct compare *c, const char *what, int64_t got, int64_t want, const char *fmt,
		   ...) __attribute__((format(printf, 5, 6)));

static bool differ(struct compare *c, const char *what, int64_t got, int64_t want, const char *fmt,
		   ...)
{
	char *text = c->n->text;
	size_t room = sizeof(c->n->text);
	int n = snprintf(text, room, "%s is %lld, not %lld: ", what, (long long)got,
			 (long long)want);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + n, room - n, fmt, ap);
	va_end(ap);
	return false;
}

static void number_callers(struct compare *c)
{
	size_t i;

	for (i = 0; i < c->r->nr_sites; i++)
		c->ids[caller_of(c->r->sites[i].place.addr)] = c->r->sites[i].id;
}

static const struct mp_block *find_block(const struct mp_proc *p, uint64_t addr)
{
	size_t i;

	for (i = 0; i < p->nr_blocks; i++)
		if (p->blocks[i].addr == addr)
			return &p->blocks[i];
	return NULL;
}

/* Which live block has each byte of the page; -1: none. */
static void paint(const struct proc *p, uint64_t page, int owner[MP_PAGE_SIZE])
{
	uint64_t start = NAIVE_BASE + page * MP_PAGE_SIZE, a;
	int i;

	memset(owner, -1, MP_PAGE_SIZE * sizeof(*owner));
	for (i = 0; i < BLOCKS; i++) {
		const struct block *b = &p->blocks[i];

		if (!b->live || b->start + b->size <= start || b->start >= start + MP_PAGE_SIZE)
			continue;
		for (a = b->start > start ? b->start : start;
		     a < b->start + b->size && a < start + MP_PAGE_SIZE; a++)
			owner[a - start] = i;
	}
}

/* The caller with most bytes among @bytes; of equals, the one with the lowest id. */
static uint32_t most(const struct compare *c, const uint64_t bytes[NAIVE_CALLERS])
{
	uint32_t i, best = 0;

	for (i = 1; i < NAIVE_CALLERS; i++)
		if (bytes[i] > bytes[best] ||
		    (bytes[i] == bytes[best] && bytes[best] && c->ids[i] < c->ids[best]))
			best = i;
	return best;
}

static void book(struct compare *c, const struct page *g, const struct map *m, uint64_t rest)
{
	bool heap = m->id && (m->growth || m->heap);

	if (g->source == MP_SRC_TOOL)
		c->sum[TOOL] += rest;
	else if (m->id && m->stack)
		c->sum[STACK] += rest;
	else if (!heap)
		c->sum[OTHER] += rest;
	else
		c->sum[g->source == MP_SRC_SEEDED ? BEFORE : RETAINED] += rest;
	if (!m->id || heap || g->source == MP_SRC_TOOL)
		return;
	c->now[m->caller].resident += rest;
	if (m->anon)
		c->now[m->caller].direct += rest;
}

/* Everything a page adds to sums; @site is whose page it is in the main. */
static void add_page(struct compare *c, struct proc *p, uint64_t page, const int *owner,
		     uint32_t site)
{
	const struct page *g = &p->pages[page];
	const struct map *m = &p->maps[page];
	bool came = g->source == MP_SRC_FAULT || g->source == MP_SRC_POPULATE;
	uint64_t covered = 0, charged = 0, bytes, i, j;
	int lowest = -1;

	for (i = 0; i < MP_PAGE_SIZE; i++) {
		if (owner[i] < 0)
			continue;
		if (lowest < 0)
			lowest = owner[i];
		covered++;
		c->now[p->blocks[owner[i]].caller].resident++;
		c->sited += came && p->blocks[owner[i]].caller;
	}
	for (i = 0; i < MP_PAGE_SIZE; i = j) { /* blocks are whole runs of bytes */
		for (j = i; j < MP_PAGE_SIZE && owner[j] == owner[i]; j++)
			;
		if (owner[i] < 0)
			continue;
		bytes = MP_PAGE_SIZE * (j - i) / covered;
		c->now[p->blocks[owner[i]].caller].charged += bytes;
		charged += bytes;
	}
	if (lowest >= 0)
		c->now[p->blocks[lowest].caller].charged += MP_PAGE_SIZE - charged;
	c->sum[BLOCK] += covered;
	c->present++;
	c->arrived += came ? MP_PAGE_SIZE : 0;
	c->sited += came && m->id && m->caller ? MP_PAGE_SIZE - covered : 0;
	book(c, g, m, MP_PAGE_SIZE - covered);
	c->now[site].orders[g->order]++;
	c->now[site].touched_by[g->toucher]++;
}

static bool compare_page(struct compare *c, struct proc *p, const struct mp_page *row,
			 uint64_t page)
{
	const struct page *g = &p->pages[page];
	uint64_t bytes[NAIVE_CALLERS] = { 0 }, lowest = 0, blocks = 0;
	int owner[MP_PAGE_SIZE], i, last = -1;
	uint32_t site;

	paint(p, page, owner);
	for (i = 0; i < (int)MP_PAGE_SIZE; i++) {
		if (owner[i] < 0)
			continue;
		bytes[p->blocks[owner[i]].caller]++;
		blocks += owner[i] != last;
		last = owner[i];
		if (!lowest)
			lowest = p->blocks[owner[i]].start;
	}
	/* id 0 takes part like any other: the lowest of equals */
	site = most(c, bytes);
	if (bytes[0] && bytes[0] >= bytes[site])
		site = 0;
	if (!blocks)
		site = p->maps[page].id ? p->maps[page].caller : 0;
	CHECK(c, row->addr, NAIVE_BASE + page * MP_PAGE_SIZE, "page %llu", (long long)page);
	CHECK(c, row->pfn, g->pfn, "page %llu", (long long)page);
	CHECK(c, row->state, g->state, "page %llu", (long long)page);
	CHECK(c, row->kind, g->kind, "page %llu", (long long)page);
	CHECK(c, row->by, g->by, "page %llu", (long long)page);
	CHECK(c, row->source, g->source, "page %llu", (long long)page);
	CHECK(c, row->order, g->order, "page %llu", (long long)page);
	CHECK(c, row->t_ns, g->t_ns, "page %llu", (long long)page);
	CHECK(c, row->toucher, c->ids[g->toucher], "page %llu", (long long)page);
	CHECK(c, row->block, lowest, "page %llu", (long long)page);
	CHECK(c, row->blocks, blocks, "page %llu", (long long)page);
	CHECK(c, row->site, c->ids[site], "page %llu", (long long)page);
	if (g->state == MP_STATE_ZERO)
		c->sum[ZERO] += MP_PAGE_SIZE;
	if (g->state == MP_STATE_PRESENT || g->state == MP_STATE_SHARED_COW)
		add_page(c, p, page, owner, site);
	return true;
}

static bool compare_blocks(struct compare *c, struct proc *p, const struct mp_proc *out)
{
	uint64_t live = 0, resident, page, a;
	const struct mp_block *row;
	int i;

	for (i = 0; i < BLOCKS; i++) {
		const struct block *b = &p->blocks[i];

		if (!b->live)
			continue;
		live++;
		for (resident = 0, a = b->start; a < b->start + b->size; a++) {
			page = (a - NAIVE_BASE) / MP_PAGE_SIZE;
			resident += p->pages[page].there &&
				    (p->pages[page].state == MP_STATE_PRESENT ||
				     p->pages[page].state == MP_STATE_SHARED_COW);
		}
		row = find_block(out, b->start);
		CHECK(c, row != NULL, true, "block %llx", (long long)b->start);
		CHECK(c, row->requested, b->size, "block %llx", (long long)b->start);
		CHECK(c, row->t_ns, b->t_ns, "block %llx", (long long)b->start);
		CHECK(c, row->tid, b->tid, "block %llx", (long long)b->start);
		CHECK(c, row->site, c->ids[b->caller], "block %llx", (long long)b->start);
		CHECK(c, row->resident_bytes, resident, "block %llx", (long long)b->start);
		c->now[b->caller].live_blocks++;
		c->now[b->caller].live_bytes += b->size;
		c->now[b->caller].untouched += b->size - resident;
	}
	CHECK(c, out->nr_blocks, live, "blocks of %u", out->pid);
	CHECK(c, out->live_blocks, live, "blocks of %u", out->pid);
	return true;
}

static bool compare_proc(struct compare *c, struct proc *p, const struct mp_proc *out)
{
	const struct mp_books *b = &out->books;
	uint64_t rows = 0, i;
	double coverage;

	memset(c->sum, 0, sizeof(c->sum));
	c->arrived = c->sited = c->present = 0;
	if (!compare_blocks(c, p, out))
		return false;
	for (i = 0; i < NAIVE_PAGES; i++) {
		if (p->maps[i].id && p->maps[i].anon && !p->maps[i].growth && !p->maps[i].heap)
			c->now[p->maps[i].caller].mapped += MP_PAGE_SIZE;
		if (!p->pages[i].there)
			continue;
		CHECK(c, rows < out->nr_pages, true, "pages of %u", out->pid);
		if (!compare_page(c, p, &out->pages[rows++], i))
			return false;
	}
	CHECK(c, out->nr_pages, rows, "pages of %u", out->pid);
	CHECK(c, out->present_pages, c->present, "pages of %u", out->pid);
	CHECK(c, b->block, (int64_t)c->sum[BLOCK], "books of %u", out->pid);
	CHECK(c, b->retained, (int64_t)c->sum[RETAINED], "books of %u", out->pid);
	CHECK(c, b->before_attach, (int64_t)c->sum[BEFORE], "books of %u", out->pid);
	CHECK(c, b->other_anon, (int64_t)c->sum[OTHER], "books of %u", out->pid);
	CHECK(c, b->stack, (int64_t)c->sum[STACK], "books of %u", out->pid);
	CHECK(c, b->tool, (int64_t)c->sum[TOOL], "books of %u", out->pid);
	CHECK(c, b->zero, (int64_t)c->sum[ZERO], "books of %u", out->pid);
	coverage = c->arrived ? (double)c->sited / c->arrived : NAN;
	CHECK(c, isnan(b->site_coverage), isnan(coverage), "books of %u", out->pid);
	CHECK(c, !isnan(coverage) && fabs(b->site_coverage - coverage) > 1e-9, false,
	      "site coverage of %u: %f, not %f", out->pid, b->site_coverage, coverage);
	return true;
}

/* The touchers by pages, then id, as many as a report holds. */
static bool compare_touchers(struct compare *c, const struct mp_site *s, struct now now)
{
	int i;

	now.touched_by[0] = 0;
	for (i = 0; i < MP_TOUCHERS; i++) {
		uint32_t best = most(c, now.touched_by);

		CHECK(c, s->touchers[i].pages, now.touched_by[best], "toucher %d of site %u", i,
		      s->id);
		CHECK(c, s->touchers[i].site, now.touched_by[best] ? c->ids[best] : 0,
		      "toucher %d of site %u", i, s->id);
		now.touched_by[best] = 0;
	}
	return true;
}

static bool compare_site(struct compare *c, const struct mp_site *s)
{
	uint32_t i = caller_of(s->place.addr), k;
	const struct caller *was = &c->n->callers[i];
	const struct now *now = &c->now[i];
	uint64_t open = now->mapped > now->direct ? now->mapped - now->direct : 0;

	if (!i)
		return true;
	CHECK(c, s->calls, was->calls, "site %u", s->id);
	CHECK(c, s->frees, was->frees, "site %u", s->id);
	CHECK(c, s->failed, was->failed, "site %u", s->id);
	CHECK(c, s->requested_bytes, was->requested, "site %u", s->id);
	CHECK(c, s->live_blocks, now->live_blocks, "site %u", s->id);
	CHECK(c, s->live_bytes, now->live_bytes + now->mapped, "site %u", s->id);
	CHECK(c, s->resident_bytes, now->resident, "site %u", s->id);
	CHECK(c, s->charged_bytes, now->charged, "site %u", s->id);
	CHECK(c, s->untouched_bytes, now->untouched + open, "site %u", s->id);
	for (k = 0; k < MP_KIND_NR; k++)
		CHECK(c, s->faults[k], was->faults[k], "site %u, kind %u", s->id, k);
	for (k = 0; k < MP_BY_NR; k++)
		CHECK(c, s->faults_by[k], was->by[k], "site %u, by %u", s->id, k);
	for (k = 0; k < MP_ORDERS; k++)
		CHECK(c, s->orders[k], now->orders[k], "site %u, order %u", s->id, k);
	return compare_touchers(c, s, *now);
}

static bool compare_all(struct compare *c)
{
	size_t i, procs = 0;

	number_callers(c);
	for (i = 0; i < c->r->nr_procs; i++)
		if (!compare_proc(c, &c->n->procs[c->r->procs[i].pid - 1], &c->r->procs[i]))
			return false;
	for (i = 0; i < NAIVE_PROCS; i++)
		procs += c->n->procs[i].exists;
	CHECK(c, c->r->nr_procs, procs, "processes");
	for (i = 0; i < c->r->nr_sites; i++)
		if (!compare_site(c, &c->r->sites[i]))
			return false;
	CHECK(c, c->r->loss.frees_lost, c->n->lost, "loss");
	CHECK(c, c->r->loss.frees_unmatched, c->n->unmatched, "loss");
	CHECK(c, c->r->loss.moved_unseen_pages, c->n->moved, "loss");
	return true;
}

const char *naive_compare(struct naive *n, const struct mp_report *r)
{
	struct compare c = { .n = n, .r = r };

	return compare_all(&c) ? NULL : n->text;
}

uint64_t naive_some_block(const struct naive *n, uint32_t pid, uint64_t pick)
{
	const struct proc *p = &n->procs[pid - 1];
	uint64_t i;

	for (i = 0; i < BLOCKS; i++)
		if (p->blocks[(pick + i) % BLOCKS].live)
			return p->blocks[(pick + i) % BLOCKS].start;
	return 0;
}

uint64_t naive_some_pfn(const struct naive *n, uint32_t pid, uint64_t pick)
{
	const struct proc *p = &n->procs[pid - 1];
	uint64_t i;

	for (i = 0; i < NAIVE_PAGES; i++)
		if (indexed(&p->pages[(pick + i) % NAIVE_PAGES]))
			return p->pages[(pick + i) % NAIVE_PAGES].pfn;
	return 0;
}
