// SPDX-License-Identifier: GPL-2.0-or-later
/* The past of the naive model's pages: one list of all that ever happened. */
#include <stdlib.h>
#include <sys/mman.h>

#include "model_naive_inside.h"

bool naive_past_kept(const struct naive *n, size_t number)
{
	return number && number + n->keep > n->nr_past;
}

static void where(const struct naive *n, const struct page *g, uint32_t *pid, int *page)
{
	for (*pid = 1; *pid <= NAIVE_PROCS; ++*pid) {
		const struct page *first = n->procs[*pid - 1].pages;

		*page = g - first;
		if (g >= first && g < first + NAIVE_PAGES)
			return;
	}
	abort();
}

static void add(struct naive *n, struct past e)
{
	size_t *newest = &n->newest[e.pid - 1][e.page];

	if (n->nr_past == n->room_past) {
		n->room_past = n->room_past * 2 + 1000;
		n->past = realloc(n->past, n->room_past * sizeof(e));
		if (!n->past)
			abort();
	}
	e.before = *newest;
	n->past[n->nr_past++] = e;
	*newest = n->nr_past;
}

/* The caller whose block has the page's first byte, or else its last; -1: none has. */
static int block_owner(const struct proc *p, int page)
{
	uint64_t first = NAIVE_BASE + page * MP_PAGE_SIZE, at;
	int i, last;

	for (last = 0; last < 2; last++)
		for (i = 0; i < BLOCKS; i++) {
			at = first + (last ? MP_PAGE_SIZE - 1 : 0);
			if (p->blocks[i].live && at >= p->blocks[i].start &&
			    at < p->blocks[i].start + p->blocks[i].size)
				return p->blocks[i].caller;
		}
	return -1;
}

static struct past entry(const struct naive *n, const struct page *g, const struct page *now,
			 int what)
{
	struct past e = { .what = what,
			  .kind = MP_KIND_NONE,
			  .by = MP_BY_NONE,
			  .order = now->order,
			  .pfn = now->pfn,
			  .t_ns = n->why.now,
			  .other = -1 };

	where(n, g, &e.pid, &e.page);
	if (naive_past_kept(n, n->newest[e.pid - 1][e.page]))
		e.owner = n->past[n->newest[e.pid - 1][e.page] - 1].owner;
	return e;
}

static uint32_t owner_of_new(const struct naive *n, const struct past *e)
{
	const struct proc *p = &n->procs[e->pid - 1];
	const struct map *m = &p->maps[e->page];
	int owner = block_owner(p, e->page);

	if (n->why.touched == e->page && n->why.owner)
		return n->why.owner;
	if (owner > 0)
		return owner;
	if (n->why.owner)
		return n->why.owner;
	return m->id && !m->growth && !m->heap ? m->caller : 0;
}

void naive_past_came(struct naive *n, const struct page *g, const struct page *now)
{
	struct past e, *last;
	size_t newest;

	if (!n->keep)
		return;
	e = entry(n, g, now, MP_PAST_RECONCILED);
	newest = n->newest[e.pid - 1][e.page];
	last = naive_past_kept(n, newest) ? &n->past[newest - 1] : NULL;
	if (n->why.what == MP_PAST_FORK) {
		e.what = MP_PAST_FORK;
	} else if (n->why.what == MP_PAST_MREMAP) {
		e.what = MP_PAST_MREMAP_IN;
		e.other = n->why.from + (e.page - n->why.to);
	} else if (g->there && g->t_ns == now->t_ns) {
		if (last && last->t_ns == now->t_ns) {
			last->pfn = now->pfn;
			last->order = now->order;
		}
		return;
	} else {
		e.t_ns = now->t_ns;
		e.what = now->source == MP_SRC_FAULT      ? MP_PAST_FAULT
			 : now->source == MP_SRC_POPULATE ? MP_PAST_POPULATE
			 : now->source == MP_SRC_SEEDED   ? MP_PAST_SEEDED
			 : now->source == MP_SRC_TOOL     ? MP_PAST_TOOL
							  : MP_PAST_RECONCILED;
	}
	if (e.what == MP_PAST_FAULT) {
		e.kind = now->kind;
		e.who = now->toucher;
		e.touched = true;
	} else {
		e.who = n->why.who;
	}
	if (e.what == MP_PAST_FAULT || e.what == MP_PAST_POPULATE)
		e.by = now->by;
	e.owner = owner_of_new(n, &e);
	if (!e.owner && e.what == MP_PAST_MREMAP_IN) /* it is still who it was there */
		e.owner = n->past[n->newest[e.pid - 1][e.other] - 1].owner;
	if (!g->there && n->why.replaces && last && last->what == MP_PAST_UNKNOWN) {
		e.before = last->before;
		*last = e;
		return;
	}
	add(n, e);
}

void naive_past_changed(struct naive *n, const struct page *g, const struct page *now)
{
	bool swapped = now->state == MP_STATE_SWAPPED, zero = now->state == MP_STATE_ZERO;
	struct past e;
	int what = -1;

	if (!n->keep)
		return;
	if (!g->there)
		what = now->order == 9 && !zero ? MP_PAST_COLLAPSE : MP_PAST_RECONCILED;
	else if (swapped && g->state != MP_STATE_SWAPPED)
		what = MP_PAST_SWAP_OUT;
	else if (swapped || !now->pfn)
		return;
	else if (zero && g->state != MP_STATE_ZERO)
		what = MP_PAST_SPLIT;
	else if (now->order == 9 && g->order < 9)
		what = MP_PAST_COLLAPSE;
	else if (now->pfn != g->pfn)
		what = MP_PAST_MIGRATE;
	else if (now->order < g->order)
		what = MP_PAST_SPLIT;
	else
		return;
	e = entry(n, g, what == MP_PAST_SWAP_OUT ? g : now, what);
	if (!g->there)
		e.owner = owner_of_new(n, &e);
	add(n, e);
}

void naive_past_went(struct naive *n, const struct page *g)
{
	bool ends = n->why.what >= MP_PAST_MUNMAP;
	struct past e;
	size_t i;
	int owner, steps = 0;

	if (!n->keep || !g->there)
		return;
	e = entry(n, g, g,
		  ends                               ? n->why.what
		  : n->why.what == MP_PAST_MADV_FREE ? MP_PAST_RECLAIM
						     : MP_PAST_UNKNOWN);
	owner = block_owner(&n->procs[e.pid - 1], e.page);
	if (owner > 0)
		e.owner = owner;
	e.who = e.what == MP_PAST_UNKNOWN ? 0 : n->why.who;
	e.fn = e.what == MP_PAST_UNKNOWN ? 0 : n->why.fn;
	if (e.what == MP_PAST_MREMAP && e.page >= n->why.from && e.page < n->why.from + n->why.nr)
		e.other = n->why.to + (e.page - n->why.from);
	/* MADV_FREE, and it has only been moved about since */
	for (i = n->newest[e.pid - 1][e.page];
	     e.what == MP_PAST_UNKNOWN && naive_past_kept(n, i) && steps++ < 16;
	     i = n->past[i - 1].before) {
		const struct past *was = &n->past[i - 1];

		if (was->what == MP_PAST_MADV_FREE) {
			e.what = MP_PAST_RECLAIM;
			e.who = was->who;
		} else if (was->what < MP_PAST_COLLAPSE || was->what >= MP_PAST_MUNMAP) {
			break;
		}
	}
	add(n, e);
}

/* ---- why -------------------------------------------------------------------------------------- */

void naive_past_begin(struct naive *n, const struct mp_ev *ev)
{
	n->why = (struct why){ .what = ev->type == MP_EV_FORK ? MP_PAST_FORK : MP_PAST_UNKNOWN,
			       .touched = -1,
			       .now = ev->ts_ns };
	if (ev->type != MP_EV_FREE)
		return;
	n->freed_by[ev->tgid - 1][ev->tid % TIDS] =
		naive_caller(((const struct mp_ev_free *)ev)->caller);
	n->freed_fn[ev->tgid - 1][ev->tid % TIDS] = ((const struct mp_ev_free *)ev)->fn;
}

void naive_past_end(struct naive *n, const struct mp_ev *ev)
{
	const struct mp_ev_fault *fault = (const void *)ev;

	switch (ev->type) {
	case MP_EV_FAULT:
		if (fault->flags & (MP_FAULT_KERNEL | MP_FAULT_GUP))
			return;
		break;
	case MP_EV_ALLOC:
	case MP_EV_FREE:
	case MP_EV_REALLOC:
	case MP_EV_REALLOC_DONE:
	case MP_EV_RANGE:
		break;
	default:
		return;
	}
	n->acted_ns[ev->tgid - 1] = ev->ts_ns;
}

void naive_past_fault(struct naive *n, const struct mp_ev_fault *ev, uint32_t owner)
{
	n->why.owner = owner;
	n->why.touched = (ev->addr - NAIVE_BASE) / MP_PAGE_SIZE;
	n->why.replaces = (ev->flags & MP_FAULT_PROT) && (ev->flags & MP_FAULT_WRITE);
}

void naive_past_pages(struct naive *n, const struct mp_ev_pages *ev)
{
	if (ev->source == MP_SRC_CHECK)
		n->why.what = MP_PAST_UNSEEN;
	if (ev->source == MP_SRC_POPULATE)
		n->why.who = n->asked[ev->h.tgid - 1][ev->h.tid % TIDS];
}

/* What was freed without a word since then went for the reason that is known now. */
static void explain(struct naive *n, uint32_t pid, int first, int nr, uint64_t since)
{
	size_t i;

	for (i = 1; i <= n->nr_past; i++) {
		struct past *e = &n->past[i - 1];

		if (!naive_past_kept(n, i) || e->pid != pid || e->page < first ||
		    e->page >= first + nr || e->t_ns < since)
			continue;
		if (e->what != MP_PAST_UNKNOWN && e->what != MP_PAST_RECLAIM)
			continue;
		e->what = n->why.what;
		e->who = n->why.who;
		e->fn = n->why.fn;
	}
}

static void leave_to_kernel(struct naive *n, struct proc *p, const struct mp_ev_range *ev)
{
	int first = (ev->addr - NAIVE_BASE) / MP_PAGE_SIZE, i;

	for (i = first; i < first + (int)(ev->len / MP_PAGE_SIZE); i++) {
		const struct page *g = &p->pages[i];
		struct past e;

		if (!g->there || g->t_ns >= ev->enter_ns || g->state == MP_STATE_ZERO ||
		    g->state == MP_STATE_SWAPPED)
			continue;
		e = entry(n, g, g, MP_PAST_MADV_FREE);
		e.who = n->why.who;
		e.fn = n->why.fn;
		add(n, e);
	}
}

void naive_past_range(struct naive *n, struct proc *p, const struct mp_ev_range *ev)
{
	uint32_t freed_by = n->freed_by[ev->h.tgid - 1][ev->h.tid % TIDS];
	int fn = ev->in_fn != MP_FN_MMAP ? ev->in_fn : 0;
	int addr = (ev->addr - NAIVE_BASE) / MP_PAGE_SIZE, len = ev->len / MP_PAGE_SIZE;
	int old = (ev->old - NAIVE_BASE) / MP_PAGE_SIZE, old_len = ev->old_len / MP_PAGE_SIZE;
	int ret = (ev->ret - NAIVE_BASE) / MP_PAGE_SIZE;
	const struct map *m = &p->maps[addr];
	uint32_t pid = ev->h.tgid;
	int i;

	n->why.who = n->asked[pid - 1][ev->h.tid % TIDS] = naive_caller(ev->caller);
	/* a stack is told of odd callers: of those it is known to be inside of free() */
	if (!fn && freed_by % 2 && freed_by == n->why.who)
		fn = n->freed_fn[pid - 1][ev->h.tid % TIDS];
	n->why.fn = fn;
	if (!n->keep || ev->ret < 0)
		return;
	switch (ev->op) {
	case MP_OP_MUNMAP:
		n->why.what = fn ? MP_PAST_CHUNK : MP_PAST_MUNMAP;
		explain(n, pid, addr, len, ev->enter_ns);
		return;
	case MP_OP_MADVISE:
		if (ev->prot == MADV_FREE) {
			n->why.what = MP_PAST_MADV_FREE;
			leave_to_kernel(n, p, ev);
			return;
		}
		n->why.what = fn || (m->id && (m->growth || m->heap)) ? MP_PAST_TRIM
								      : MP_PAST_MADV_DONTNEED;
		explain(n, pid, addr, len, ev->enter_ns);
		return;
	case MP_OP_MMAP:
		for (i = ret; !fn && i < ret + len; i++) {
			size_t newest = n->newest[pid - 1][i];
			struct past *e = naive_past_kept(n, newest) ? &n->past[newest - 1] : NULL;

			if (e && e->what <= MP_PAST_MREMAP_IN && e->t_ns >= ev->enter_ns &&
			    !e->owner)
				e->owner = n->why.who;
		}
		if (!(ev->flags & MAP_FIXED))
			return;
		n->why.what = MP_PAST_MMAP;
		explain(n, pid, ret, len, ev->enter_ns);
		return;
	case MP_OP_MREMAP:
		n->why.what = MP_PAST_MREMAP;
		if (ret == old) {
			explain(n, pid, ret + len, old_len - len, ev->enter_ns);
			return;
		}
		n->why.from = old;
		n->why.to = ret;
		n->why.nr = old_len < len ? old_len : len;
		explain(n, pid, old, old_len, ev->enter_ns);
		explain(n, pid, ret, len, ev->enter_ns);
	}
}

void naive_past_exec(struct naive *n, struct proc *p)
{
	uint32_t pid = p - n->procs + 1;
	int i;

	if (!n->keep)
		return;
	n->why.what = MP_PAST_EXEC;
	explain(n, pid, 0, NAIVE_PAGES, n->acted_ns[pid - 1]);
	for (i = 0; i < BLOCKS; i++) /* they are nobody's any more */
		p->blocks[i].live = false;
	for (i = 0; i < NAIVE_PAGES; i++)
		naive_past_went(n, &p->pages[i]);
}
