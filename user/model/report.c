// SPDX-License-Identifier: GPL-2.0-or-later
/* The report: plain data that outlives the model. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/draft.h"

#define CHUNK 65536 /* bytes of strings and small arrays taken at once */

struct chunk {
	struct chunk *next;
	size_t used, room;
	char data[] __attribute__((aligned(16)));
};

/* What a report is inside of. */
struct box {
	struct mp_report report; /* first: its address is the box's */
	struct chunk *chunks;
};

void *mp_draft_take(struct mp_draft *d, size_t size)
{
	struct box *box = (struct box *)d->report;
	struct chunk *c = box->chunks;
	size_t room = size > CHUNK ? size : CHUNK;
	void *p;

	size = (size + 15) & ~(size_t)15;
	if (!c || c->room - c->used < size) {
		room = (room + 15) & ~(size_t)15;
		c = calloc(1, sizeof(*c) + room);
		if (!c)
			return NULL;
		c->room = room;
		c->next = box->chunks;
		box->chunks = c;
	}
	p = c->data + c->used;
	c->used += size;
	return p;
}

const char *mp_draft_string(struct mp_draft *d, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy;

	if (size == 1)
		return "";
	copy = mp_draft_take(d, size);
	return copy ? memcpy(copy, text, size) : NULL;
}

void mp_report__free(struct mp_report *r)
{
	struct box *box = (struct box *)r;
	size_t i;

	if (!r)
		return;
	for (i = 0; i < r->nr_procs; i++) {
		free(r->procs[i].pages);
		free(r->procs[i].blocks);
	}
	while (box->chunks) {
		struct chunk *next = box->chunks->next;

		free(box->chunks);
		box->chunks = next;
	}
	free(box);
}

/* ---- processes -------------------------------------------------------------------------------- */

static int fill_cmdline(struct mp_draft *d, struct mp_proc *out, const struct mp_process *p)
{
	const char *word = p->cmdline, *end = word ? word + p->cmdline_len : word;
	size_t n = 0;

	for (; word < end; word += strlen(word) + 1)
		n++;
	out->cmdline = mp_draft_take(d, (n + 1) * sizeof(*out->cmdline));
	if (!out->cmdline)
		return -ENOMEM;
	for (word = p->cmdline; word < end; word += strlen(word) + 1) {
		out->cmdline[out->nr_cmdline] = mp_draft_string(d, word);
		if (!out->cmdline[out->nr_cmdline])
			return -ENOMEM;
		out->nr_cmdline++;
	}
	return 0;
}

static int fill_allocator(struct mp_draft *d, struct mp_allocator *out,
			  const struct mp_allocator_rec *a)
{
	size_t i;

	out->kind = a->kind;
	out->build_id_len = a->build_id_len;
	memcpy(out->build_id, a->build_id, sizeof(out->build_id));
	out->object = mp_draft_string(d, a->object);
	out->version = mp_draft_string(d, a->version);
	out->probes = mp_draft_take(d, a->nr_probes * sizeof(*out->probes));
	if (!out->object || !out->version || !out->probes)
		return -ENOMEM;
	for (i = 0; i < a->nr_probes; i++) {
		out->probes[i] = a->probes[i];
		out->probes[i].symbol = mp_draft_string(d, a->probes[i].symbol);
		if (!out->probes[i].symbol)
			return -ENOMEM;
		out->nr_probes++;
	}
	return 0;
}

static int fill_allocators(struct mp_draft *d, struct mp_proc *out, const struct mp_process *p)
{
	out->allocators = mp_draft_take(d, p->nr_allocators * sizeof(*out->allocators));
	if (!out->allocators)
		return -ENOMEM;
	for (; out->nr_allocators < p->nr_allocators; out->nr_allocators++)
		if (fill_allocator(d, &out->allocators[out->nr_allocators],
				   &p->allocators[out->nr_allocators]))
			return -ENOMEM;
	return 0;
}

/* The mapping that was made or grown last within the VMA speaks for it. */
static const struct mp_mapping *newest(const struct mp_process *p, struct mp_span s)
{
	const struct mp_mapping *map, *best = NULL;

	while (s.start < s.end && (map = mp_omap__overlap(&p->ranges.mappings, s.start, s.end))) {
		if (!best || map->t_ns >= best->t_ns)
			best = map;
		s.start = map->span.end;
	}
	return best;
}

static bool more(const struct mp_grower *a, const struct mp_grower *b)
{
	return a->bytes != b->bytes ? a->bytes > b->bytes : a->site && a->site < b->site;
}

static void keep_grower(struct mp_grower *top, struct mp_grower g)
{
	for (int i = 0; i < MP_GROWERS; i++)
		if (more(&g, &top[i])) {
			struct mp_grower less = top[i];

			top[i] = g;
			g = less;
		}
}

/* Whose parts of it stand: a VMA is what the kernel has joined, whoever asked for it. */
static void fill_growers(struct mp_draft *d, struct mp_vma *out, const struct mp_process *p)
{
	const struct mp_omap *mappings = &p->ranges.mappings;
	const struct mp_mapping *map;
	uint64_t at;

	for (at = out->start; at < out->end && (map = mp_omap__overlap(mappings, at, out->end));
	     at = map->span.end) {
		uint64_t from = map->span.start > at ? map->span.start : at;
		uint64_t to = map->span.end < out->end ? map->span.end : out->end;

		d->weight[d->ids[map->site]] += to - from;
	}
	for (at = out->start; at < out->end && (map = mp_omap__overlap(mappings, at, out->end));
	     at = map->span.end) {
		uint32_t site = d->ids[map->site];

		if (site && d->weight[site])
			keep_grower(out->growers, (struct mp_grower){ site, d->weight[site] });
		d->weight[site] = 0;
	}
}

static int fill_vma(struct mp_draft *d, struct mp_vma *out, const struct mp_process *p,
		    const struct mp_vma_rec *vma)
{
	const struct mp_mapping *map = newest(p, vma->span);

	*out = (struct mp_vma){
		.start = vma->span.start,
		.end = vma->span.end,
		.perms = vma->perms,
		.kind = vma->kind,
		.name = mp_draft_string(d, vma->name),
	};
	if (map) {
		out->site = d->ids[map->site];
		out->growth = map->in_fn;
		out->op = map->op;
		out->hooked = map->hooked;
		out->t_ns = map->t_ns;
		fill_growers(d, out, p);
	}
	mp_tally__sum(&p->tally, out->start >> MP_PAGE_SHIFT,
		      (out->end - out->start) >> MP_PAGE_SHIFT, out->faults);
	return out->name ? 0 : -ENOMEM;
}

static int fill_vmas(struct mp_draft *d, struct mp_proc *out, const struct mp_process *p)
{
	struct mp_omap_iter it = mp_omap__iter(&p->ranges.vmas);
	const struct mp_vma_rec *vma;

	out->vmas = mp_draft_take(d, p->ranges.vmas.n * sizeof(*out->vmas));
	if (!out->vmas)
		return -ENOMEM;
	while ((vma = mp_omap_iter__next(&it)))
		if (fill_vma(d, &out->vmas[out->nr_vmas++], p, vma))
			return -ENOMEM;
	return 0;
}

static int fill_proc(struct mp_draft *d, struct mp_process *p)
{
	struct mp_proc *out = &d->report->procs[d->report->nr_procs++];

	out->pid = p->tgid;
	out->at = p->at;
	out->launched = p->launched;
	out->exited = p->exited;
	out->t_ns = p->instant_ns ? p->instant_ns : d->m->last_ns;
	out->given_back = p->given_back;
	out->waits = p->waits;
	out->waits.told = d->m->host.waits;
	out->comm = mp_draft_string(d, p->comm);
	if (!out->comm || fill_cmdline(d, out, p) || fill_allocators(d, out, p) ||
	    fill_vmas(d, out, p) || mp_glibc_fill(d, out, p) || mp_limit_fill(d, out, p) ||
	    mp_refusals_fill(d, out, p) || mp_timeline_fill(d, out, p))
		return -ENOMEM;
	mp_seed_fill(d, out, p);
	if (mp_books_sweep(d, p, out))
		return -ENOMEM;
	return mp_history_fill(d, p, out);
}

/* ---- the whole -------------------------------------------------------------------------------- */

static int64_t told(uint64_t n)
{
	return n > INT64_MAX ? MP_UNKNOWN : (int64_t)n;
}

/* Did the kernel module walk every process that still has page tables at this instant? */
static bool all_witnessed(const struct mp_model *m)
{
	size_t i, n = 0;

	for (i = 0; i < m->nr_procs; i++) {
		if (m->procs[i]->exited)
			continue;
		if (!m->procs[i]->witnessed)
			return false;
		n++;
	}
	return n > 0;
}

static int fill_witness(struct mp_report *r, struct mp_draft *d)
{
	const struct mp_model *m = d->m;
	size_t n = m->module_mismatches < MP_MISMATCHES ? m->module_mismatches : MP_MISMATCHES;

	r->module_pages = MP_UNKNOWN;
	if (m->module_mismatches || all_witnessed(m)) {
		r->module_pages = told(m->module_pages);
		r->loss.module_mismatch_pages = told(m->module_mismatches);
	}
	r->mismatches = mp_draft_take(d, n * sizeof(*r->mismatches));
	if (!r->mismatches)
		return -ENOMEM;
	if (n)
		memcpy(r->mismatches, m->mismatches, n * sizeof(*r->mismatches));
	r->nr_mismatches = n;
	return 0;
}

static void fill_loss(struct mp_report *r, const struct mp_model *m)
{
	const uint64_t *dropped = m->loss.dropped;
	int i;

	r->loss = m->loss;
	r->chain_checked = m->chain_checked;
	if (!m->chain_checked)
		r->loss.chain_mismatches = MP_UNKNOWN;
	r->loss.events_dropped = dropped[MP_DROP_RING];
	/* calls whose return could not be told, for whatever reason */
	r->loss.returns_missed =
		dropped[MP_DROP_RETURN] + dropped[MP_DROP_SCRATCH] + dropped[MP_DROP_NESTED];
	r->loss.stacks_lost = dropped[MP_DROP_STACK] + m->stacks_unknown;
	for (i = 0; i < MP_STACK_END_MAX; i++)
		r->loss.stacks_truncated += i != MP_STACK_WHOLE ? m->loss.stack_ends[i] : 0;
}

static void fill_cost(struct mp_cost *c, const struct mp_ev_cost *ev)
{
	if (!ev->h.type) {
		*c = (struct mp_cost){ MP_UNKNOWN, MP_UNKNOWN, MP_UNKNOWN, MP_UNKNOWN,
				       MP_UNKNOWN, MP_UNKNOWN, MP_UNKNOWN };
		return;
	}
	*c = (struct mp_cost){
		.events = told(ev->events),
		.probe_hits = told(ev->probe_hits),
		.target_cpu_ns = told(ev->target_cpu_ns),
		.probe_ns = told(ev->probe_ns),
		.tool_cpu_ns = told(ev->tool_cpu_ns),
		.tool_peak_bytes = told(ev->tool_peak_bytes),
		.faults = told(ev->faults),
	};
}

static int fill(struct mp_draft *d)
{
	struct mp_report *r = d->report;
	struct mp_model *m = d->m;
	size_t i;

	for (i = 0; i < MP_TIER_NR; i++) {
		r->tiers[i].calls = m->tiers[i].calls;
		r->tiers[i].bytes = m->tiers[i].bytes;
		memcpy(r->tiers[i].sure, m->tiers[i].sure, sizeof(r->tiers[i].sure));
	}
	r->first_ns = m->first_ns;
	r->last_ns = m->last_ns;
	r->host = (struct mp_host){
		.release = mp_draft_string(d, m->host.release),
		.page_size = m->host.page_size,
		.fault_row = m->host.fault_row,
		.page_source = m->host.page_source,
		.alloc_probes = m->host.alloc_probes,
		.module = m->host.module,
	};
	fill_loss(r, m);
	if (fill_witness(r, d))
		return -ENOMEM;
	fill_cost(&r->cost, &m->cost);
	r->procs = mp_draft_take(d, m->nr_procs * sizeof(*r->procs));
	if (!r->host.release || !r->procs || mp_sites_fill(d))
		return -ENOMEM;
	for (i = 0; i < m->nr_procs; i++)
		if (fill_proc(d, m->procs[i]))
			return -ENOMEM;
	mp_sites_finish(d);
	return mp_history_sites(d);
}

struct mp_report *mp_model__report(struct mp_model *m, unsigned int flags)
{
	struct box *box = calloc(1, sizeof(*box));
	struct mp_draft d = { .m = m, .flags = flags, .touches.mem = &m->mem };
	size_t limit = m->mem.limit;
	int err;

	if (!box)
		return NULL;
	d.report = &box->report;
	m->mem.limit = 0; /* it is for what events bring; a report must be possible at it */
	err = fill(&d);
	m->mem.limit = limit;
	mp_map__fini(&d.touches);
	mp_mem_free(&m->mem, d.ids);
	mp_mem_free(&m->mem, d.weight);
	mp_mem_free(&m->mem, d.direct);
	if (!err)
		return &box->report;
	mp_report__free(&box->report);
	errno = ENOMEM;
	return NULL;
}
