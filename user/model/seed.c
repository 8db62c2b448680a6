// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An X-ray among the events of a trace. The first of a process that was attached to tells the blocks
 * from before: their site is not known, and of their size what the chunk holds. Each later one is
 * compared with what the events say, and tells by site what keeps pages.
 *
 * The process runs on while it is copied, from the X-ray's time on. What happens then is told after
 * it: a block that was copied and then freed, or freed and then copied as free, is right in the end.
 * What begins where a seed is, while the copy was made, is that same block. But a free() that was
 * entered before the X-ray, and is known by nothing yet, may end after the copy: such blocks, at most
 * one a thread and the last of its events, are no seeds.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/draft.h"
#include "model/xray.h"

#define UNMATCHED 4096 /* frees that are remembered: more than threads that can be inside of one */

bool mp_is_seed(const struct mp_blk *blk)
{
	return !blk->site && !blk->tid;
}

int mp_seed_note_free(struct mp_model *m, struct mp_process *p, uint64_t addr)
{
	struct mp_seed_rec *s = &p->seed;

	if (p->whole || s->told)
		return 0;
	if (!s->unmatched)
		s->unmatched = mp_mem_zalloc(&m->mem, UNMATCHED * sizeof(*s->unmatched));
	if (!s->unmatched)
		return -ENOMEM;
	s->unmatched[s->nr_unmatched++ % UNMATCHED] = addr;
	return 0;
}

void mp_seed_clear(struct mp_model *m, struct mp_process *p)
{
	struct mp_seed_rec *s = &p->seed;

	mp_xray__free(s->xray);
	mp_mem_free(&m->mem, s->unmatched);
	mp_mem_free(&m->mem, s->pinned);
	mp_mem_free(&m->mem, s->own);
	memset(s, 0, sizeof(*s));
}

/* ---- the watch on an X-ray that is compared ---------------------------------------------------- */

struct watch {
	struct mp_model *m;
	struct mp_process *p;
};

static uint32_t owner(void *ctx, uint64_t addr)
{
	struct watch *w = ctx;
	struct mp_blk blk;

	if (!mp_blocks__start(&w->p->blocks, addr, &blk)) {
		w->p->seed.xray_only++;
		return 0;
	}
	w->p->seed.both++;
	return blk.site;
}

static int note_pinned(void *ctx, uint32_t site, uint64_t bytes)
{
	struct watch *w = ctx;
	struct mp_seed_rec *s = &w->p->seed;

	if (mp_mem_grow(&w->m->mem, &s->pinned, &s->cap_pinned, site + 1UL, sizeof(*s->pinned)))
		return -ENOMEM;
	while (s->nr_pinned <= site)
		s->pinned[s->nr_pinned++] = 0;
	s->pinned[site] += bytes;
	return 0;
}

static int note_own(void *ctx, uint64_t addr, uint64_t nr, uint32_t bytes)
{
	struct watch *w = ctx;
	struct mp_seed_rec *s = &w->p->seed;

	if (mp_mem_grow(&w->m->mem, &s->own, &s->cap_own, s->nr_own + 1, sizeof(*s->own)))
		return -ENOMEM;
	s->own[s->nr_own++] = (struct mp_own_bytes){ addr >> MP_PAGE_SHIFT, nr, bytes };
	return 0;
}

static const struct mp_xray_ops ops = { owner, note_pinned, note_own };

int mp_on_xray_part(struct mp_model *m, struct mp_process *p, const struct mp_ev *ev)
{
	struct watch w = { m, p };

	if (!p->seed.xray)
		return 0;
	mp_xray__watch(p->seed.xray, &ops, &w);
	return mp_xray__apply(p->seed.xray, ev);
}

static int by_page(const void *a, const void *b)
{
	const struct mp_own_bytes *x = a, *y = b;

	return x->vpn < y->vpn ? -1 : x->vpn > y->vpn;
}

static int begin_compare(struct mp_model *m, struct mp_process *p, const struct mp_ev_xray *ev)
{
	struct mp_seed_rec *s = &p->seed;

	mp_xray__free(s->xray);
	s->fresh = s->compared = false;
	s->both = s->xray_only = 0;
	s->nr_pinned = s->nr_own = 0;
	s->xray = mp_xray__new(0);
	return s->xray ? mp_on_xray_part(m, p, &ev->h) : -ENOMEM;
}

static void end_compare(struct mp_process *p)
{
	struct mp_seed_rec *s = &p->seed;

	if (!s->xray)
		return;
	s->fresh = true;
	s->trace_only = p->blocks.n > s->both ? p->blocks.n - s->both : 0;
	s->trim_bytes = mp_xray__report(s->xray)->total.trim_bytes;
	mp_xray__free(s->xray);
	s->xray = NULL;
	if (s->nr_own)
		qsort(s->own, s->nr_own, sizeof(*s->own), by_page);
}

/* ---- blocks from before ------------------------------------------------------------------------ */

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void end_seeding(struct mp_model *m, struct mp_seed_rec *s)
{
	s->seeding = false;
	s->told = true;
	mp_mem_free(&m->mem, s->unmatched);
	s->unmatched = NULL;
}

int mp_on_xray(struct mp_model *m, struct mp_process *p, const struct mp_ev_xray *ev)
{
	struct mp_seed_rec *s = &p->seed;

	if (ev->phase == MP_XRAY_BEGINS) {
		s->seeding = !p->whole && !s->told;
		s->open = true;
		s->broken = false;
		s->end_ns = ev->end_ns;
		if (!s->seeding)
			return begin_compare(m, p, ev);
		if (s->unmatched)
			qsort(s->unmatched, UNMATCHED, sizeof(*s->unmatched), by_value);
		return 0;
	}
	if (!s->open)
		return 0;
	s->open = false;
	s->partial = s->broken || ev->flags & ~MP_XRAY_FROZEN;
	if (s->seeding)
		end_seeding(m, s);
	else
		end_compare(p);
	return 0;
}

int mp_on_part(struct mp_model *m, struct mp_process *p, const struct mp_ev_part *ev)
{
	p->seed.broken |= ev->phase == MP_XRAY_DONE && ev->how != MP_HEAP_CLOSED;
	return mp_on_xray_part(m, p, &ev->h);
}

/* What the events know of these bytes holds: it is newer. */
static int seed(struct mp_model *m, struct mp_process *p, uint64_t addr, uint64_t usable)
{
	struct mp_blk hit, blk = {
		.start = addr,
		.end = addr + usable,
		.usable = usable,
		.tiered = MP_TIERED(MP_TIER_UNKNOWN, MP_SURE_NOT),
	};
	int ret;

	if (p->seed.unmatched &&
	    bsearch(&addr, p->seed.unmatched, UNMATCHED, sizeof(addr), by_value))
		return 0;
	ret = mp_blocks__add(&p->blocks, &blk, &hit);
	if (ret == 1)
		return mp_blocks__add(&p->blocks, &hit, &blk) ? -ENOMEM : 0;
	if (ret)
		return ret;
	p->seed.blocks++;
	p->seed.bytes += usable;
	mp_sites__rec(&m->sites, 0)->live_blocks++;
	mp_sites__rec(&m->sites, 0)->live_bytes += usable;
	return mp_ranges__note_block(&p->ranges, addr);
}

int mp_on_chunks(struct mp_model *m, struct mp_process *p, const struct mp_ev_chunks *ev)
{
	uint64_t at = ev->addr;
	int ret = 0;

	if (!p->seed.seeding)
		return mp_on_xray_part(m, p, &ev->h);
	for (uint32_t i = 0; !ret && i < ev->nr; i++) {
		uint64_t bytes = MP_CHUNK_BYTES(ev->entries[i]);

		if (ev->entries[i] >> MP_CHUNK_SHIFT == MP_CHUNK_LIVE && bytes >= 8)
			ret = seed(m, p, at + 8, bytes - 8);
		at += bytes;
	}
	return ret;
}

/* ---- the report -------------------------------------------------------------------------------- */

/* A site that was taken for two has what each of them alone would let go. */
static void fill_pinned(struct mp_draft *d, struct mp_proc *out, const struct mp_seed_rec *s)
{
	struct mp_report *r = d->report;

	for (size_t i = 0; i < r->nr_sites; i++)
		if (r->sites[i].pinned == MP_UNKNOWN)
			r->sites[i].pinned = 0;
	for (size_t i = 0; i < s->nr_pinned; i++) {
		uint32_t id = i < d->m->sites.n ? d->ids[i] : 0;

		if (id)
			r->sites[id - 1].pinned += (int64_t)s->pinned[i];
		else
			out->xray.pinned_unknown += s->pinned[i];
	}
}

void mp_seed_fill(struct mp_draft *d, struct mp_proc *out, const struct mp_process *p)
{
	const struct mp_seed_rec *s = &p->seed;

	out->xray = (struct mp_xray_facts){
		.seeded = s->told,
		.seeded_blocks = s->blocks,
		.seeded_bytes = s->bytes,
		.seeded_wrong = s->wrong,
		.compared = mp_seed_compared(p),
		.partial = s->partial,
		.both = s->both,
		.xray_only = s->xray_only,
		.trace_only = s->trace_only,
		.trim_bytes = s->trim_bytes,
	};
	if (out->xray.compared)
		fill_pinned(d, out, s);
}

bool mp_seed_compared(const struct mp_process *p)
{
	return p->seed.compared && !p->exited;
}

/* Pages come by ascending address, and what was told of them may overlap if it is no X-ray's. */
uint32_t mp_seed_own(const struct mp_process *p, size_t *at, uint64_t vpn)
{
	const struct mp_seed_rec *s = &p->seed;

	if (!mp_seed_compared(p))
		return 0;
	while (*at < s->nr_own && s->own[*at].vpn + s->own[*at].nr <= vpn)
		++*at;
	return *at < s->nr_own && s->own[*at].vpn <= vpn ? s->own[*at].bytes : 0;
}
