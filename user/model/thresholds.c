// SPDX-License-Identifier: GPL-2.0-or-later
/* How glibc's heap of a process is known, the history of its thresholds, and who made its arenas. */
#include <errno.h>
#include <string.h>

#include "model/draft.h"

/* All are counted; each is higher than the one before, from 128 KiB to 32 MiB, in steps of pages. */
#define RAISES_MAX 8192

#define HEAPS_MAX 8192 /* the same: a heap takes 64 MiB of addresses */

int mp_on_heap(struct mp_model *m, struct mp_process *p, const struct mp_ev_heap *ev)
{
	const char *why = mp_strings__keep(&m->strings, ev->why, ev->h.size - sizeof(*ev));

	if (!why)
		return -ENOMEM;
	p->glibc.told = true;
	p->glibc.main_arena = ev->main_arena;
	p->glibc.why = why;
	p->glibc.mmap_threshold = ev->mmap_threshold;
	p->glibc.trim_threshold = ev->trim_threshold;
	p->glibc.fixed = ev->fixed;
	if (ev->arenas) { /* those made until then are among them */
		p->glibc.arenas = ev->arenas;
		p->glibc.arenas_made_before = p->glibc.arenas_made;
	}
	return 0;
}

int mp_on_threshold(struct mp_model *m, struct mp_process *p, const struct mp_ev_threshold *ev)
{
	struct mp_glibc_rec *g = &p->glibc;
	uint32_t site;

	if (mp_process_site(m, p, ev->stack, ev->caller, MP_PLACE_RETURN, &site))
		return -ENOMEM;
	g->mmap_threshold = ev->mmap_after;
	g->trim_threshold = ev->trim_after;
	g->raised++;
	if (g->nr_raises >= RAISES_MAX)
		return 0;
	if (mp_mem_grow(&m->mem, &g->raises, &g->cap_raises, g->nr_raises + 1, sizeof(*g->raises)))
		return -ENOMEM;
	g->raises[g->nr_raises++] = (struct mp_raise){
		.t_ns = ev->h.ts_ns,
		.addr = ev->addr,
		.site = site,
		.tid = ev->h.tid,
		.mmap_before = ev->mmap_before,
		.mmap_after = ev->mmap_after,
		.trim_before = ev->trim_before,
		.trim_after = ev->trim_after,
	};
	return 0;
}

int mp_on_new_heap(struct mp_model *m, struct mp_process *p, const struct mp_ev_new_heap *ev)
{
	struct mp_glibc_rec *g = &p->glibc;
	uint32_t site;

	if (mp_process_site(m, p, ev->stack, ev->caller, MP_PLACE_RETURN, &site))
		return -ENOMEM;
	g->heaps_made++;
	g->arenas_made += !!ev->first;
	if (g->nr_heaps >= HEAPS_MAX)
		return 0;
	if (mp_mem_grow(&m->mem, &g->heaps, &g->cap_heaps, g->nr_heaps + 1, sizeof(*g->heaps)))
		return -ENOMEM;
	g->heaps[g->nr_heaps++] = (struct mp_new_heap){
		.t_ns = ev->h.ts_ns,
		.heap = ev->heap,
		.arena = ev->arena,
		.site = site,
		.tid = ev->h.tid,
		.first = ev->first,
	};
	return 0;
}

void mp_glibc_clear(struct mp_model *m, struct mp_process *p)
{
	mp_mem_free(&m->mem, p->glibc.raises);
	mp_mem_free(&m->mem, p->glibc.heaps);
	p->glibc = (struct mp_glibc_rec){ .why = "" };
}

/* A child begins with its parent's heap, and its history is its own. */
void mp_glibc_inherit(struct mp_model *m, struct mp_process *child, const struct mp_process *parent)
{
	mp_glibc_clear(m, child);
	child->glibc = parent->glibc;
	child->glibc.raises = NULL;
	child->glibc.nr_raises = child->glibc.cap_raises = 0;
	child->glibc.raised = 0;
	child->glibc.heaps = NULL;
	child->glibc.nr_heaps = child->glibc.cap_heaps = 0;
	if (child->glibc.arenas)
		child->glibc.arenas += parent->glibc.arenas_made - parent->glibc.arenas_made_before;
	child->glibc.arenas_made = child->glibc.heaps_made = 0;
	child->glibc.arenas_made_before = 0;
}

int mp_glibc_fill(struct mp_draft *d, struct mp_proc *out, const struct mp_process *p)
{
	const struct mp_glibc_rec *g = &p->glibc;
	size_t i;

	out->glibc = (struct mp_heap_facts){
		.told = g->told,
		.main_arena = g->main_arena,
		.why = mp_draft_string(d, g->why),
		.fixed = g->fixed,
		.mmap_threshold = g->mmap_threshold ? (int64_t)g->mmap_threshold : MP_UNKNOWN,
		.trim_threshold = g->trim_threshold ? (int64_t)g->trim_threshold : MP_UNKNOWN,
		.raised = g->raised,
		.raises = mp_draft_take(d, g->nr_raises * sizeof(*g->raises)),
		.nr_raises = g->nr_raises,
		.arenas = g->arenas ? (int64_t)(g->arenas + g->arenas_made - g->arenas_made_before)
				    : MP_UNKNOWN,
		.arenas_made = g->arenas_made,
		.heaps_made = g->heaps_made,
		.heaps = mp_draft_take(d, g->nr_heaps * sizeof(*g->heaps)),
		.nr_heaps = g->nr_heaps,
	};
	if (!out->glibc.why || !out->glibc.raises || !out->glibc.heaps)
		return -ENOMEM;
	for (i = 0; i < g->nr_heaps; i++) {
		out->glibc.heaps[i] = g->heaps[i];
		out->glibc.heaps[i].site = d->ids[g->heaps[i].site];
	}
	for (i = 0; i < g->nr_raises; i++) {
		out->glibc.raises[i] = g->raises[i];
		out->glibc.raises[i].site = d->ids[g->raises[i].site];
	}
	return 0;
}
