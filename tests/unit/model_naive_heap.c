// SPDX-License-Identifier: GPL-2.0-or-later
/* The naive model's blocks: a table that is searched from end to end. */
#include <stdlib.h>

#include "model_naive_inside.h"

static uint64_t max1(uint64_t size)
{
	return size ? size : 1;
}

struct block *naive_block_at(struct proc *p, uint64_t start)
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
				       .caller = naive_caller(ev->caller),
				       .tid = ev->h.tid };
	n->callers[naive_caller(ev->caller)].calls++;
	n->callers[naive_caller(ev->caller)].requested += ev->requested;
	note_heap(p, ev->addr);
}

void naive_on_alloc(struct naive *n, struct proc *p, const struct mp_ev_alloc *ev)
{
	if (!ev->addr)
		n->callers[naive_caller(ev->caller)].failed++;
	else
		begin_block(n, p, ev);
}

void naive_on_free(struct naive *n, struct proc *p, const struct mp_ev_free *ev)
{
	struct block *b = naive_block_at(p, ev->addr);

	if (b)
		end_block(n, p, b);
	else
		n->unmatched += p->whole;
}

void naive_on_realloc(struct naive *n, struct proc *p, const struct mp_ev_free *ev)
{
	struct block *b = naive_block_at(p, ev->addr);
	int t = ev->h.tid % TIDS;

	p->transit[t].known = true;
	p->transit[t].old = ev->addr;
	p->transit[t].open = b;
	if (b)
		b->transit = true;
	else
		n->unmatched += p->whole;
}

void naive_on_realloc_done(struct naive *n, struct proc *p, const struct mp_ev_realloc_done *ev)
{
	struct block *b = naive_block_at(p, ev->old);
	int t = ev->a.h.tid % TIDS;
	bool mine;

	if (p->transit[t].known && p->transit[t].old == ev->old) {
		mine = p->transit[t].open;
		p->transit[t].known = false;
	} else {
		mine = b && !b->transit;
	}
	if (!ev->a.addr && ev->a.requested) {
		n->callers[naive_caller(ev->a.caller)].failed++;
		if (mine && b)
			b->transit = false;
		return;
	}
	if (mine && b)
		end_block(n, p, b);
	if (ev->a.addr)
		begin_block(n, p, &ev->a);
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
