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

/* Zeroed memory that goes with the report. NULL without memory. */
static void *take(struct box *box, size_t size)
{
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

static const char *take_string(struct box *box, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy;

	if (size == 1)
		return "";
	copy = take(box, size);
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

/* ---- sites ------------------------------------------------------------------------------------ */

/* Sites that turned out to be one share an id; ids stay dense and in order of appearance. */
static int number_sites(struct mp_draft *d, struct box *box)
{
	struct mp_sites *sites = &d->m->sites;
	uint32_t i, n = 0;

	d->ids = mp_mem_zalloc(&d->m->mem, sites->n * sizeof(*d->ids));
	if (!d->ids)
		return -ENOMEM;
	for (i = 1; i < sites->n; i++)
		if (!sites->recs[i].same_as)
			d->ids[i] = ++n;
	for (i = 1; i < sites->n; i++)
		if (sites->recs[i].same_as)
			d->ids[i] = d->ids[sites->recs[i].same_as];
	d->weight = mp_mem_zalloc(&d->m->mem, (n + 1) * sizeof(*d->weight));
	d->direct = mp_mem_zalloc(&d->m->mem, (n + 1) * sizeof(*d->direct));
	box->report.sites = take(box, n * sizeof(*box->report.sites));
	box->report.nr_sites = n;
	return d->weight && d->direct && box->report.sites ? 0 : -ENOMEM;
}

static void add_array(uint64_t *to, const uint64_t *from, size_t n)
{
	while (n--)
		to[n] += from[n];
}

static void add_stages(struct mp_stages *to, const struct mp_stages *n)
{
	to->pcp += n->pcp;
	to->refill += n->refill;
	to->buddy += n->buddy;
	to->staged += n->staged;
	to->slow += n->slow;
	to->pathed += n->pathed;
	to->page_ns += n->page_ns;
	to->whole_ns += n->whole_ns;
	to->page_timed += n->page_timed;
}

static void add_site(struct mp_site *s, const struct mp_site_rec *rec)
{
	if (!s->calls)
		s->fn = rec->fn;
	s->mapping |= rec->mapping;
	s->calls += rec->calls;
	s->frees += rec->frees;
	s->failed += rec->failed;
	s->requested_bytes += rec->requested_bytes;
	s->live_blocks += rec->live_blocks;
	s->live_bytes += rec->live_bytes + rec->mapped_bytes;
	s->untouched_bytes += rec->mapped_bytes; /* less what is resident, after the sweep */
	s->fault_ns += rec->fault_ns;
	s->alloc_ns += rec->alloc_ns;
	add_stages(&s->stages, &rec->stages);
	s->timed_faults += rec->timed_faults;
	add_array(s->faults, rec->faults, MP_KIND_NR);
	add_array(s->faults_by, rec->faults_by, MP_BY_NR);
	add_array(s->tiers, rec->tiers, MP_TIER_NR);
}

static int fill_sites(struct mp_draft *d, struct box *box)
{
	const struct mp_sites *sites = &d->m->sites;
	size_t i;

	for (i = 1; i < sites->n; i++) {
		const struct mp_site_rec *rec = &sites->recs[i];
		struct mp_site *s = &box->report.sites[d->ids[i] - 1];

		add_site(s, rec);
		if (rec->same_as)
			continue;
		s->id = d->ids[i];
		s->place = rec->place;
		s->place.object = take_string(box, rec->place.object);
		if (!s->place.object)
			return -ENOMEM;
	}
	return 0;
}

static bool outranks(const struct mp_toucher *a, const struct mp_toucher *b)
{
	return a->pages > b->pages || (a->pages == b->pages && a->site < b->site);
}

/* Keeps the touchers with most pages, best first. */
static void rank_toucher(struct mp_site *s, struct mp_toucher t)
{
	int i;

	for (i = 0; i < MP_TOUCHERS; i++) {
		struct mp_toucher there = s->touchers[i];

		if (there.pages && outranks(&there, &t))
			continue;
		s->touchers[i] = t;
		t = there;
		if (!t.pages)
			return;
	}
}

static void finish_sites(struct mp_draft *d, struct mp_report *r)
{
	size_t i;

	for (i = 0; i < mp_map__room(&d->touches); i++) {
		const struct mp_map_slot *slot = &d->touches.slots[i];

		if (slot->val)
			rank_toucher(&r->sites[(slot->key >> 32) - 1],
				     (struct mp_toucher){ .site = (uint32_t)slot->key,
							  .pages = (uintptr_t)slot->val });
	}
	for (i = 0; i < r->nr_sites; i++) {
		uint64_t direct = d->direct[i + 1], open = r->sites[i].untouched_bytes;

		r->sites[i].untouched_bytes = open > direct ? open - direct : 0;
	}
}

/* ---- processes -------------------------------------------------------------------------------- */

static int fill_cmdline(struct box *box, struct mp_proc *out, const struct mp_process *p)
{
	const char *word = p->cmdline, *end = word ? word + p->cmdline_len : word;
	size_t n = 0;

	for (; word < end; word += strlen(word) + 1)
		n++;
	out->cmdline = take(box, (n + 1) * sizeof(*out->cmdline));
	if (!out->cmdline)
		return -ENOMEM;
	for (word = p->cmdline; word < end; word += strlen(word) + 1) {
		out->cmdline[out->nr_cmdline] = take_string(box, word);
		if (!out->cmdline[out->nr_cmdline])
			return -ENOMEM;
		out->nr_cmdline++;
	}
	return 0;
}

static int fill_allocator(struct box *box, struct mp_allocator *out,
			  const struct mp_allocator_rec *a)
{
	size_t i;

	out->kind = a->kind;
	out->build_id_len = a->build_id_len;
	memcpy(out->build_id, a->build_id, sizeof(out->build_id));
	out->object = take_string(box, a->object);
	out->version = take_string(box, a->version);
	out->probes = take(box, a->nr_probes * sizeof(*out->probes));
	if (!out->object || !out->version || !out->probes)
		return -ENOMEM;
	for (i = 0; i < a->nr_probes; i++) {
		out->probes[i] = a->probes[i];
		out->probes[i].symbol = take_string(box, a->probes[i].symbol);
		if (!out->probes[i].symbol)
			return -ENOMEM;
		out->nr_probes++;
	}
	return 0;
}

static int fill_allocators(struct box *box, struct mp_proc *out, const struct mp_process *p)
{
	out->allocators = take(box, p->nr_allocators * sizeof(*out->allocators));
	if (!out->allocators)
		return -ENOMEM;
	for (; out->nr_allocators < p->nr_allocators; out->nr_allocators++)
		if (fill_allocator(box, &out->allocators[out->nr_allocators],
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

static int fill_vma(struct mp_draft *d, struct box *box, struct mp_vma *out,
		    const struct mp_process *p, const struct mp_vma_rec *vma)
{
	const struct mp_mapping *map = newest(p, vma->span);

	*out = (struct mp_vma){
		.start = vma->span.start,
		.end = vma->span.end,
		.perms = vma->perms,
		.kind = vma->kind,
		.name = take_string(box, vma->name),
	};
	if (map) {
		out->site = d->ids[map->site];
		out->growth = map->in_fn;
		out->op = map->op;
		out->hooked = map->hooked;
		out->t_ns = map->t_ns;
	}
	mp_tally__sum(&p->tally, out->start >> MP_PAGE_SHIFT,
		      (out->end - out->start) >> MP_PAGE_SHIFT, out->faults);
	return out->name ? 0 : -ENOMEM;
}

static int fill_vmas(struct mp_draft *d, struct box *box, struct mp_proc *out,
		     const struct mp_process *p)
{
	struct mp_omap_iter it = mp_omap__iter(&p->ranges.vmas);
	const struct mp_vma_rec *vma;

	out->vmas = take(box, p->ranges.vmas.n * sizeof(*out->vmas));
	if (!out->vmas)
		return -ENOMEM;
	while ((vma = mp_omap_iter__next(&it)))
		if (fill_vma(d, box, &out->vmas[out->nr_vmas++], p, vma))
			return -ENOMEM;
	return 0;
}

static int fill_proc(struct mp_draft *d, struct box *box, struct mp_process *p)
{
	struct mp_proc *out = &box->report.procs[box->report.nr_procs++];

	out->pid = p->tgid;
	out->at = p->at;
	out->launched = p->launched;
	out->exited = p->exited;
	out->t_ns = p->instant_ns ? p->instant_ns : d->m->last_ns;
	out->comm = take_string(box, p->comm);
	if (!out->comm || fill_cmdline(box, out, p) || fill_allocators(box, out, p) ||
	    fill_vmas(d, box, out, p))
		return -ENOMEM;
	return mp_books_sweep(d, p, out);
}

/* ---- the whole -------------------------------------------------------------------------------- */

static void fill_loss(struct mp_report *r, const struct mp_model *m)
{
	const uint64_t *dropped = m->loss.dropped;

	r->loss = m->loss;
	r->chain_checked = m->chain_checked;
	if (!m->chain_checked)
		r->loss.chain_mismatches = MP_UNKNOWN;
	r->loss.events_dropped = dropped[MP_DROP_RING];
	/* calls whose return could not be told, for whatever reason */
	r->loss.returns_missed =
		dropped[MP_DROP_RETURN] + dropped[MP_DROP_SCRATCH] + dropped[MP_DROP_NESTED];
	r->loss.stacks_lost = dropped[MP_DROP_STACK];
}

static int64_t told(uint64_t n)
{
	return n > INT64_MAX ? MP_UNKNOWN : (int64_t)n;
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

static int fill(struct mp_draft *d, struct box *box)
{
	struct mp_report *r = &box->report;
	struct mp_model *m = d->m;
	size_t i;

	for (i = 0; i < MP_TIER_NR; i++) {
		r->tiers[i].calls = m->tiers[i].calls;
		r->tiers[i].bytes = m->tiers[i].bytes;
	}
	r->first_ns = m->first_ns;
	r->last_ns = m->last_ns;
	r->host = (struct mp_host){
		.release = take_string(box, m->host.release),
		.page_size = m->host.page_size,
		.fault_row = m->host.fault_row,
		.page_source = m->host.page_source,
		.alloc_probes = m->host.alloc_probes,
		.module = m->host.module,
	};
	fill_loss(r, m);
	fill_cost(&r->cost, &m->cost);
	r->procs = take(box, m->nr_procs * sizeof(*r->procs));
	if (!r->host.release || !r->procs || number_sites(d, box) || fill_sites(d, box))
		return -ENOMEM;
	for (i = 0; i < m->nr_procs; i++)
		if (fill_proc(d, box, m->procs[i]))
			return -ENOMEM;
	finish_sites(d, r);
	return 0;
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
	err = fill(&d, box);
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
