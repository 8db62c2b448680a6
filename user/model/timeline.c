// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/timeline.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "model/draft.h"

#define FIRST_SHIFT 10 /* about a microsecond: two events are hardly closer */

static uint64_t step_of(const struct mp_timeline *t, uint64_t t_ns)
{
	return (t_ns - t->first_ns) >> t->shift;
}

/* @next, of the step after that of @m, becomes part of it. */
static void join(struct mp_moment *m, const struct mp_moment *next)
{
	m->live_bytes = next->live_bytes;
	m->resident_bytes = next->resident_bytes;
	if (next->live_peak > m->live_peak)
		m->live_peak = next->live_peak;
	if (next->resident_peak > m->resident_peak)
		m->resident_peak = next->resident_peak;
	if (next->rss_bytes != MP_UNKNOWN)
		m->rss_bytes = next->rss_bytes;
	m->growths += next->growths;
	m->grown_bytes += next->grown_bytes;
	if (next->largest_bytes > m->largest_bytes) {
		m->largest_bytes = next->largest_bytes;
		m->site = next->site;
	}
}

/* Longer steps, until at most half of the room is taken. */
static void coarsen(struct mp_timeline *t)
{
	size_t i, n;

	while (t->nr > MP_MOMENTS / 2) {
		t->shift++;
		for (i = 1, n = 0; i < t->nr; i++) {
			if (step_of(t, t->moments[i].t_ns) == step_of(t, t->moments[n].t_ns))
				join(&t->moments[n], &t->moments[i]);
			else
				t->moments[++n] = t->moments[i];
		}
		t->nr = n + 1;
	}
}

/* What the last moment has learned of @fact besides how much there is. */
static void absorb(struct mp_moment *m, const struct mp_timeline_fact *fact)
{
	if (fact->rss_bytes != MP_UNKNOWN)
		m->rss_bytes = fact->rss_bytes;
	m->growths += fact->grown_bytes > 0;
	m->grown_bytes += fact->grown_bytes;
	if (fact->grown_bytes > m->largest_bytes) {
		m->largest_bytes = fact->grown_bytes;
		m->site = fact->site;
	}
}

static int begin_moment(struct mp_timeline *t, struct mp_mem *mem, uint64_t t_ns)
{
	uint64_t left; /* of its step, behind @t_ns */

	if (!t->nr) {
		t->first_ns = t_ns;
		t->shift = FIRST_SHIFT;
	}
	if (t->nr == MP_MOMENTS)
		coarsen(t);
	if (mp_mem_grow(mem, &t->moments, &t->cap, t->nr + 1, sizeof(*t->moments)))
		return -ENOMEM;
	t->moments[t->nr++] = (struct mp_moment){ .t_ns = t_ns, .rss_bytes = MP_UNKNOWN };
	left = (1ULL << t->shift) - 1 - ((t_ns - t->first_ns) & ((1ULL << t->shift) - 1));
	t->until_ns = left < UINT64_MAX - t_ns ? t_ns + left : UINT64_MAX;
	return 0;
}

int mp_timeline__note(struct mp_timeline *t, struct mp_mem *mem,
		      const struct mp_timeline_fact *fact)
{
	if ((!t->nr || fact->t_ns > t->until_ns) && begin_moment(t, mem, fact->t_ns))
		return -ENOMEM;
	mp_timeline__again(t, fact->t_ns, fact->live_bytes, fact->resident_bytes);
	absorb(&t->moments[t->nr - 1], fact);
	return 0;
}

void mp_timeline__fini(struct mp_timeline *t, struct mp_mem *mem)
{
	mp_mem_free(mem, t->moments);
	*t = (struct mp_timeline){ 0 };
}

/* Addresses for memory that may be written to; what was only set aside counts with its mprotect. */
static uint64_t reserved_by(const struct mp_ev_range *ev)
{
	uint64_t ret = (uint64_t)ev->ret;

	if (ev->ret < 0 && ev->ret >= -4095)
		return 0;
	switch (ev->op) {
	case MP_OP_BRK:
		return ret > ev->old ? ret - ev->old : 0;
	case MP_OP_MMAP:
		return ev->flags & MAP_ANONYMOUS && ev->prot & PROT_WRITE ? ev->len : 0;
	case MP_OP_MREMAP:
		return ev->len > ev->old_len ? ev->len - ev->old_len : 0;
	case MP_OP_MPROTECT:
		return ev->in_fn != MP_FN_NONE && ev->prot & PROT_WRITE ? ev->len : 0;
	}
	return 0;
}

/* Who reserved it: the mapping that the event has made or grown knows. */
static uint32_t site_of(const struct mp_process *p, const struct mp_ev_range *ev)
{
	uint64_t addr = (uint64_t)ev->ret;
	const struct mp_mapping *map;

	if (ev->op == MP_OP_MPROTECT)
		addr = ev->addr;
	else if (ev->op == MP_OP_BRK)
		addr--;
	else if (ev->op == MP_OP_MREMAP)
		addr += ev->len - 1;
	map = mp_ranges__mapping(&p->ranges, addr);
	return map ? map->site : 0;
}

int mp_note_moment(struct mp_model *m, struct mp_process *p, const struct mp_ev *ev)
{
	const struct mp_ev_range *range = (const struct mp_ev_range *)ev;
	struct mp_timeline_fact fact = {
		.t_ns = ev->ts_ns,
		.live_bytes = p->blocks.bytes,
		.resident_bytes = p->pages.nr_rss << MP_PAGE_SHIFT,
		.rss_bytes = MP_UNKNOWN,
	};

	if (p->exited && ev->type != MP_EV_EXIT)
		return 0;
	if (ev->type <= MP_EV_PAGE_FREE &&
	    mp_timeline__again(&p->timeline, ev->ts_ns, fact.live_bytes, fact.resident_bytes))
		return 0;
	if ((ev->type == MP_EV_MAPS || ev->type == MP_EV_MAP) && !p->want_pending &&
	    p->reading.known && p->reading.rss < INT64_MAX)
		fact.rss_bytes = (int64_t)p->reading.rss;
	if (ev->type == MP_EV_RANGE)
		fact.grown_bytes = reserved_by(range);
	if (fact.grown_bytes)
		fact.site = site_of(p, range);
	return mp_timeline__note(&p->timeline, &m->mem, &fact);
}

int mp_timeline_fill(struct mp_draft *d, struct mp_proc *out, const struct mp_process *p)
{
	const struct mp_timeline *t = &p->timeline;
	size_t i;

	out->moments = mp_draft_take(d, t->nr * sizeof(*out->moments));
	if (!out->moments)
		return -ENOMEM;
	for (i = 0; i < t->nr; i++) {
		out->moments[i] = t->moments[i];
		out->moments[i].site = d->ids[t->moments[i].site];
	}
	out->nr_moments = t->nr;
	out->moment_ns = t->nr ? 1ULL << t->shift : 0;
	return 0;
}
