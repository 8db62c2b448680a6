// SPDX-License-Identifier: GPL-2.0-or-later
/* Why pages come and go, from the event under way, for their history. */
#include <errno.h>
#include <linux/mman.h>
#include <string.h>
#include <sys/mman.h>

#include "model/inside.h"

/* The thread's, which another of that slot has lost if it is not its own. */
static struct mp_asker *asker(struct mp_history *h, const struct mp_ev *ev)
{
	struct mp_asker *a = &h->askers[(ev->tid ^ ev->tid >> 6) % MP_ASKERS];

	if (a->tgid != ev->tgid || a->tid != ev->tid)
		*a = (struct mp_asker){ .tgid = ev->tgid, .tid = ev->tid };
	return a;
}

void mp_cause_begin(struct mp_model *m, const struct mp_ev *ev)
{
	const struct mp_ev_free *freed = (const struct mp_ev_free *)ev;
	struct mp_asker *a;

	if (!m->history)
		return;
	m->history->cause = (struct mp_cause){ .what = MP_PAST_UNKNOWN, .t_ns = ev->ts_ns };
	if (ev->type != MP_EV_FREE)
		return;
	a = asker(m->history, ev);
	a->caller = freed->caller;
	a->fn = freed->fn;
}

/* By an instruction of its own, and not by what the kernel does for it: exec touches memory too. */
static bool is_own_act(const struct mp_ev *ev)
{
	if (ev->type == MP_EV_FAULT)
		return !(((const struct mp_ev_fault *)ev)->flags &
			 (MP_FAULT_KERNEL | MP_FAULT_GUP));
	return (ev->type >= MP_EV_ALLOC && ev->type <= MP_EV_REALLOC_DONE) ||
	       ev->type == MP_EV_RANGE;
}

void mp_cause_end(struct mp_model *m, struct mp_process *p, const struct mp_ev *ev)
{
	if (m->history && is_own_act(ev))
		p->acted_ns = ev->ts_ns;
}

void mp_cause_fault(struct mp_model *m, const struct mp_ev_fault *ev, uint32_t owner)
{
	struct mp_cause *c;

	if (!m->history)
		return;
	c = &m->history->cause;
	c->replaces = ev->flags & MP_FAULT_PROT && ev->flags & MP_FAULT_WRITE;
	c->owner = owner;
	c->touched = ev->addr >> MP_PAGE_SHIFT;
}

void mp_cause_pages(struct mp_model *m, const struct mp_ev_pages *ev)
{
	if (!m->history)
		return;
	if (ev->source == MP_SRC_CHECK)
		m->history->cause.what = MP_PAST_UNSEEN;
	if (ev->source == MP_SRC_POPULATE)
		m->history->cause.site = asker(m->history, &ev->h)->site;
}

void mp_cause_fork(struct mp_model *m)
{
	if (m->history)
		m->history->cause.what = MP_PAST_FORK;
}

/*
 * The old address space went before the event, and all but one of its threads before that: what was freed
 * since the process last did anything was freed with it.
 */
void mp_cause_exec(struct mp_model *m, struct mp_process *p)
{
	if (!m->history)
		return;
	m->history->cause.what = MP_PAST_EXEC;
	mp_history__explain_all(m->history, &p->pages, p->acted_ns);
}

/* ---- memory system calls ---------------------------------------------------------------------- */

static int what_went(const struct mp_process *p, const struct mp_ev_range *ev, bool in_allocator)
{
	struct mp_span taken[2];

	mp_range_taken(ev, taken);
	switch (ev->op) {
	case MP_OP_BRK:
		return in_allocator || mp_ranges__is_heap(&p->ranges, taken[0].start) ? MP_PAST_TRIM
										      : MP_PAST_BRK;
	case MP_OP_MUNMAP:
		return in_allocator ? MP_PAST_CHUNK : MP_PAST_MUNMAP;
	case MP_OP_MADVISE:
		if (ev->prot == MADV_FREE)
			return MP_PAST_MADV_FREE;
		return in_allocator || mp_ranges__is_heap(&p->ranges, taken[0].start)
			       ? MP_PAST_TRIM
			       : MP_PAST_MADV_DONTNEED;
	case MP_OP_MREMAP:
		return MP_PAST_MREMAP;
	case MP_OP_MMAP:
		/* elsewhere the kernel has chosen a place where nothing was */
		return ev->flags & MAP_FIXED ? MP_PAST_MMAP : MP_PAST_UNKNOWN;
	}
	return MP_PAST_UNKNOWN;
}

struct telling {
	struct mp_history *h;
	struct mp_pages *ps;
	uint64_t since_ns;
	bool lazy, claimed;
};

static int tell(void *ctx, uint64_t vpn, uint64_t set)
{
	const struct telling *t = ctx;

	for (; set; set &= set - 1) {
		uint64_t at = vpn + __builtin_ctzll(set);
		const struct mp_page_rec *rec = mp_pages__get(t->ps, at);

		if (t->claimed)
			mp_history__claim(t->h, t->ps, at, t->since_ns);
		if (!t->lazy && t->h->cause.what != MP_PAST_UNKNOWN)
			mp_history__explain(t->h, t->ps, at, t->since_ns);
		if (t->lazy && rec && rec->t_ns < t->since_ns && rec->state != MP_STATE_ZERO)
			mp_history__lazy(t->h, t->ps, at, rec);
	}
	return 0;
}

static int tell_range(struct mp_model *m, struct mp_process *p, const struct mp_ev_range *ev,
		      struct mp_span s)
{
	const struct mp_cause *c = &m->history->cause;
	struct telling t = { .h = m->history, .ps = &p->pages, .since_ns = ev->enter_ns };
	uint64_t vpn = s.start >> MP_PAGE_SHIFT, nr = (s.end - s.start) >> MP_PAGE_SHIFT;

	t.lazy = c->what == MP_PAST_MADV_FREE;
	/* MAP_POPULATE: its faults were told before the mapping was */
	t.claimed = ev->op == MP_OP_MMAP && !c->fn;
	if (s.start >= s.end || (c->what == MP_PAST_UNKNOWN && !t.claimed))
		return 0;
	/* what went since can have come again since, or something older been moved there */
	return mp_pages__going(&p->pages, vpn, nr, t.lazy ? ev->enter_ns : 1, !t.lazy, tell, &t);
}

/*
 * The site of the caller: within free() that of free(). Memory is given back from there, and no frame of
 * it is followed as other allocator calls are. What a report without history counts of stacks is not
 * counted twice.
 */
static int find_caller(struct mp_model *m, struct mp_process *p, const struct mp_ev_range *ev)
{
	uint64_t ends[MP_STACK_END_MAX], unknown = m->stacks_unknown;
	struct mp_asker *a = asker(m->history, &ev->h);
	struct mp_cause *c = &m->history->cause;
	int err;

	c->fn = ev->in_fn != MP_FN_MMAP ? ev->in_fn : MP_FN_NONE;
	if (!c->fn && mp_site_inside(m, p, ev->stack, a->caller, &c->site))
		return -ENOMEM;
	if (c->site) {
		c->fn = a->fn;
		a->site = c->site;
		return 0;
	}
	memcpy(ends, m->loss.stack_ends, sizeof(ends));
	err = mp_process_site(m, p, ev->stack, ev->caller, MP_PLACE_RETURN, &c->site);
	memcpy(m->loss.stack_ends, ends, sizeof(ends));
	m->stacks_unknown = unknown;
	a->site = c->site;
	return err;
}

int mp_cause_range(struct mp_model *m, struct mp_process *p, const struct mp_ev_range *ev)
{
	struct mp_span taken[2];
	struct mp_cause *c;

	if (!m->history)
		return 0;
	c = &m->history->cause;
	if (find_caller(m, p, ev))
		return -ENOMEM;
	c->what = what_went(p, ev, c->fn);
	mp_range_taken(ev, taken);
	if (ev->op == MP_OP_MREMAP && taken[1].start < taken[1].end) {
		c->from = taken[0].start >> MP_PAGE_SHIFT;
		c->to = taken[1].start >> MP_PAGE_SHIFT;
		c->nr = (taken[0].end - taken[0].start) >> MP_PAGE_SHIFT;
		if (c->nr > (taken[1].end - taken[1].start) >> MP_PAGE_SHIFT)
			c->nr = (taken[1].end - taken[1].start) >> MP_PAGE_SHIFT;
	}
	return tell_range(m, p, ev, taken[0]) || tell_range(m, p, ev, taken[1]) ? -ENOMEM : 0;
}
