// SPDX-License-Identifier: GPL-2.0-or-later
/* The sites of a report: which of the model's are one, their frames, and their numbers. */
#include <errno.h>
#include <string.h>

#include "model/draft.h"

/* What of the model's sites has been given to the report. */
struct sites_draft {
	struct mp_draft *d;
	struct mp_sites *sites;
	uint32_t *canon; /* the node that each node turned out to be */
	size_t nr_canon; /* nodes it has an answer for; later ones are what they are */
	struct mp_stack_frame **frames; /* by node */
	struct mp_place **places;       /* by place */
	struct mp_map objects;          /* names, by where the model has them */
};

static uint32_t canon_of(const struct sites_draft *s, uint32_t node)
{
	return node < s->nr_canon ? s->canon[node] : node;
}

/*
 * Where places turned out to be one, the frames at them are one, and those that hang from them: a
 * node comes after what is outside of it.
 */
static int find_canon(struct sites_draft *s)
{
	struct mp_sites *sites = s->sites;
	uint32_t i, outer, place, n = sites->nr_nodes;

	if (!sites->places.merged)
		return 0;
	s->canon = mp_mem_zalloc(sites->mem, n * sizeof(*s->canon));
	if (!s->canon)
		return -ENOMEM;
	s->nr_canon = n;
	for (i = 0; i < n; i++) {
		outer = s->canon[sites->nodes[i].outer];
		place = mp_places__now(&sites->places, sites->nodes[i].place);
		s->canon[i] = i;
		if (i < MP_STACK_END_MAX ||
		    (outer == sites->nodes[i].outer && place == sites->nodes[i].place))
			continue;
		if (mp_sites__frame(sites, outer, place, &s->canon[i]))
			return -ENOMEM;
	}
	return 0;
}

/* Sites that turned out to be one share an id; ids stay dense and in order of appearance. */
static int number_sites(struct sites_draft *s)
{
	struct mp_sites *sites = s->sites;
	struct mp_draft *d = s->d;
	uint32_t i, node, n = 0, *by_node;

	d->ids = mp_mem_zalloc(sites->mem, sites->n * sizeof(*d->ids));
	by_node = mp_mem_zalloc(sites->mem, sites->nr_nodes * sizeof(*by_node));
	for (i = 1; d->ids && by_node && i < sites->n; i++) {
		node = canon_of(s, sites->recs[i].node);
		if (!by_node[node])
			by_node[node] = ++n;
		d->ids[i] = by_node[node];
	}
	mp_mem_free(sites->mem, by_node);
	if (!d->ids || !by_node)
		return -ENOMEM;
	d->weight = mp_mem_zalloc(sites->mem, (n + 1) * sizeof(*d->weight));
	d->direct = mp_mem_zalloc(sites->mem, (n + 1) * sizeof(*d->direct));
	d->report->sites = mp_draft_take(d, n * sizeof(*d->report->sites));
	d->report->nr_sites = n;
	return d->weight && d->direct && d->report->sites ? 0 : -ENOMEM;
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

static void add_given_back(struct mp_give_back *to, const struct mp_give_back *n)
{
	to->calls += n->calls;
	to->bytes += n->bytes;
	to->refaults += n->refaults;
	to->refault_bytes += n->refault_bytes;
	to->refault_ns += n->refault_ns;
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
	s->majors += rec->majors;
	s->fault_ns += rec->fault_ns;
	s->alloc_ns += rec->alloc_ns;
	add_stages(&s->stages, &rec->stages);
	mp_waits_add(&s->waits, &rec->waits);
	s->timed_faults += rec->timed_faults;
	add_array(s->faults, rec->faults, MP_KIND_NR);
	add_array(s->faults_by, rec->faults_by, MP_BY_NR);
	add_array(s->tiers, rec->tiers, MP_TIER_NR);
	add_given_back(&s->given_back, &rec->given_back);
}

static const char *object_name(struct sites_draft *s, const char *name)
{
	const char *copy = mp_map__get(&s->objects, (uintptr_t)name);

	if (copy)
		return copy;
	copy = mp_draft_string(s->d, name);
	if (!copy || mp_map__put(&s->objects, (uintptr_t)name, (void *)copy))
		return NULL;
	return copy;
}

static const struct mp_place *place_of(struct sites_draft *s, uint32_t id)
{
	struct mp_place **place = &s->places[id];

	if (*place)
		return *place;
	*place = mp_draft_take(s->d, sizeof(**place));
	if (!*place)
		return NULL;
	**place = s->sites->places.recs[id].place;
	(*place)->object = object_name(s, (*place)->object);
	return (*place)->object ? *place : NULL;
}

/* The frames from @node outwards, until one that the report has. *@end: why there are no more. */
static const struct mp_stack_frame *frames_of(struct sites_draft *s, uint32_t node, uint8_t *end)
{
	const struct mp_stack_frame *innermost = NULL;
	const struct mp_stack_frame **inner = &innermost;
	struct mp_stack_frame *f;

	for (; node >= MP_STACK_END_MAX; node = s->sites->nodes[node].outer) {
		if (!s->frames[node]) {
			f = mp_draft_take(s->d, sizeof(*f));
			if (!f)
				return NULL;
			f->place = place_of(s, s->sites->nodes[node].place);
			if (!f->place)
				return NULL;
			s->frames[node] = f;
		}
		*inner = s->frames[node];
		inner = &s->frames[node]->outer;
	}
	*end = node;
	return innermost;
}

static int fill_sites(struct sites_draft *s)
{
	struct mp_sites *sites = s->sites;
	size_t i;

	for (i = 1; i < sites->n; i++) {
		const struct mp_site_rec *rec = &sites->recs[i];
		struct mp_site *out = &s->d->report->sites[s->d->ids[i] - 1];

		add_site(out, rec);
		if (out->id)
			continue;
		out->id = s->d->ids[i];
		out->pinned = MP_UNKNOWN;
		out->waits.told = s->d->m->host.waits;
		out->frame = frames_of(s, canon_of(s, rec->node), &out->end);
		if (!out->frame)
			return -ENOMEM;
	}
	return 0;
}

int mp_sites_fill(struct mp_draft *d)
{
	struct sites_draft s = { .d = d, .sites = &d->m->sites };
	struct mp_mem *mem = s.sites->mem;
	int err = -ENOMEM;

	s.objects.mem = mem;
	if (find_canon(&s) || number_sites(&s))
		goto out;
	s.frames = mp_mem_zalloc(mem, s.sites->nr_nodes * sizeof(*s.frames));
	s.places = mp_mem_zalloc(mem, s.sites->places.n * sizeof(*s.places));
	if (s.frames && s.places)
		err = fill_sites(&s);
out:
	mp_mem_free(mem, s.canon);
	mp_mem_free(mem, s.frames);
	mp_mem_free(mem, s.places);
	mp_map__fini(&s.objects);
	return err;
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

void mp_sites_finish(struct mp_draft *d)
{
	struct mp_report *r = d->report;
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
