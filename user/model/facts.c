// SPDX-License-Identifier: GPL-2.0-or-later
/* What the user side read and wove into the stream. */
#include <errno.h>
#include <string.h>

#include "model/inside.h"

#define UNREAD UINT64_MAX

int mp_on_proc(struct mp_model *m, struct mp_process *p, const struct mp_ev_proc *ev)
{
	uint32_t len = ev->cmdline_len;
	const char *comm;

	if (p->exited)
		p = mp_process_new(m, ev->h.tgid);
	if (!p)
		return -ENOMEM;
	comm = mp_strings__keep(&m->strings, ev->comm, sizeof(ev->comm));
	if (!comm)
		return -ENOMEM;
	p->comm = comm;
	p->launched = ev->launched;
	p->whole = p->whole || ev->launched;
	mp_mem_free(&m->mem, p->cmdline);
	p->cmdline_len = 0;
	p->cmdline = mp_mem_alloc(&m->mem, len + 1);
	if (!p->cmdline)
		return -ENOMEM;
	memcpy(p->cmdline, ev->cmdline, len);
	if (len && p->cmdline[len - 1])
		p->cmdline[len++] = '\0';
	p->cmdline_len = len;
	return 0;
}

static bool place_in(void *ctx, uint64_t addr, struct mp_place_key *key, struct mp_place *place)
{
	const struct mp_process *p = ctx;

	return mp_place_in(p, addr, key, place);
}

static int finish_maps(struct mp_model *m, struct mp_process *p)
{
	size_t i;

	mp_ranges__clear_vmas(&p->ranges);
	for (i = 0; i < p->nr_pending; i++)
		if (mp_ranges__add_vma(&p->ranges, &p->pending[i]))
			return -ENOMEM;
	p->nr_pending = 0;
	p->want_pending = 0;
	p->reading = p->pending_reading;
	p->reading.seen = true;
	if (mp_replay_vmas(m, p, p->pending_maps.begin_ns))
		return -ENOMEM;
	mp_process_remap(m, p);
	return mp_places__settle(&m->sites.places, p->image, place_in, p);
}

int mp_on_maps(struct mp_model *m, struct mp_process *p, const struct mp_ev_maps *ev)
{
	bool known = ev->with_rss && ev->rss_bytes != UNREAD;

	p->pending_maps = *ev;
	if (!ev->begin_ns)
		p->pending_maps.begin_ns = ev->h.ts_ns;
	p->pending_reading = (struct mp_reading){
		.known = known,
		.rss = known ? ev->rss_bytes : 0,
		.hugetlb = ev->hugetlb_bytes,
		.split = ev->with_rss,
		.pss = MP_UNKNOWN,
	};
	p->nr_pending = 0;
	p->want_pending = ev->nr;
	return ev->nr ? 0 : finish_maps(m, p);
}

static void add_resident(struct mp_reading *r, const struct mp_ev_map *ev)
{
	uint64_t plain;

	if (ev->rss_bytes == UNREAD || ev->anon_bytes == UNREAD) {
		r->split = false;
		return;
	}
	plain = ev->rss_bytes > ev->anon_bytes ? ev->rss_bytes - ev->anon_bytes : 0;
	if (ev->kind == MP_VMA_SHMEM)
		r->shmem += plain;
	else
		r->file += plain;
}

int mp_on_map(struct mp_model *m, struct mp_process *p, const struct mp_ev_map *ev)
{
	struct mp_vma_rec vma = {
		.span = { ev->start, ev->end },
		.offset = ev->offset,
		.ino = ev->ino,
		.dev_major = ev->dev_major,
		.dev_minor = ev->dev_minor,
		.perms = ev->perms,
		.kind = ev->kind,
	};

	if (p->nr_pending >= p->want_pending)
		return 0; /* not announced */
	vma.name = mp_strings__keep(&m->strings, ev->name, ev->name_len);
	if (!vma.name || mp_mem_grow(&m->mem, &p->pending, &p->cap_pending, p->nr_pending + 1,
				     sizeof(*p->pending)))
		return -ENOMEM;
	p->pending[p->nr_pending++] = vma;
	add_resident(&p->pending_reading, ev);
	return p->nr_pending < p->want_pending ? 0 : finish_maps(m, p);
}

static struct mp_allocator_rec *allocator(struct mp_model *m, struct mp_process *p, uint16_t index)
{
	struct mp_allocator_rec *a;
	size_t i;

	for (i = 0; i < p->nr_allocators; i++)
		if (p->allocators[i].index == index)
			return &p->allocators[i];
	if (mp_mem_grow(&m->mem, &p->allocators, &p->cap_allocators, p->nr_allocators + 1,
			sizeof(*p->allocators)))
		return NULL;
	a = &p->allocators[p->nr_allocators++];
	*a = (struct mp_allocator_rec){ .index = index, .object = "", .version = "" };
	return a;
}

int mp_on_allocator(struct mp_model *m, struct mp_process *p, const struct mp_ev_allocator *ev)
{
	struct mp_allocator_rec *a = allocator(m, p, ev->index);
	const char *object = mp_strings__keep(&m->strings, ev->object, ev->h.size - sizeof(*ev));
	const char *version = mp_strings__keep(&m->strings, ev->version, sizeof(ev->version));

	if (!a || !object || !version)
		return -ENOMEM;
	a->kind = ev->kind;
	a->build_id_len = ev->build_id_len < sizeof(a->build_id) ? ev->build_id_len
								 : sizeof(a->build_id);
	memcpy(a->build_id, ev->build_id, sizeof(a->build_id));
	a->object = object;
	a->version = version;
	return 0;
}

int mp_on_probe(struct mp_model *m, struct mp_process *p, const struct mp_ev_probe *ev)
{
	struct mp_allocator_rec *a = allocator(m, p, ev->provider);
	const char *symbol = mp_strings__keep(&m->strings, ev->symbol, sizeof(ev->symbol));
	struct mp_probe probe = {
		.symbol = symbol,
		.offset = ev->offset,
		.hits = ev->hits,
		.into = ev->into,
		.kind = ev->kind,
		.fn = ev->fn,
	};
	size_t i;

	if (!a || !symbol)
		return -ENOMEM;
	for (i = 0; i < a->nr_probes; i++)
		if (a->probes[i].symbol == symbol && a->probes[i].offset == ev->offset)
			break;
	if (i == a->nr_probes) {
		if (mp_mem_grow(&m->mem, &a->probes, &a->cap_probes, i + 1, sizeof(*a->probes)))
			return -ENOMEM;
		a->nr_probes++;
	}
	a->probes[i] = probe; /* hits are running totals: the latest holds */
	return 0;
}

void mp_on_instant(struct mp_model *m, const struct mp_ev_instant *ev)
{
	size_t i;

	for (i = 0; i < m->nr_procs; i++) {
		struct mp_process *p = m->procs[i];

		if (p->exited || (ev->h.tgid && ev->h.tgid != p->tgid))
			continue;
		p->at = ev->at;
		p->instant_ns = ev->h.ts_ns;
		p->witnessed = p->walk.done;
		p->walk.done = false;
		p->seed.compared = p->seed.fresh;
		p->seed.fresh = false;
	}
}

/* What /proc said last was of another time: Rss is not known, what the events tell is. */
void mp_model__at_peak(struct mp_model *m)
{
	const struct mp_ev_instant ev = { .h.ts_ns = m->last_ns, .at = MP_AT_PEAK };
	size_t i;

	mp_on_instant(m, &ev);
	for (i = 0; i < m->nr_procs; i++)
		m->procs[i]->reading = (struct mp_reading){ .pss = MP_UNKNOWN };
}

int mp_on_stack(struct mp_model *m, const struct mp_ev_stack *ev)
{
	int err = mp_stacks__add(&m->stacks, ev);

	m->stacks_unknown += err == -EINVAL;
	return err == -EINVAL ? 0 : err;
}

void mp_on_gap(struct mp_model *m, const struct mp_ev_gap *ev)
{
	m->loss.gaps++;
	if (ev->reason < MP_DROP_MAX)
		m->loss.dropped[ev->reason] += ev->count;
}

void mp_on_loss(struct mp_model *m, const struct mp_ev_loss *ev)
{
	memcpy(m->loss.dropped, ev->dropped, sizeof(m->loss.dropped));
	m->loss.programs_skipped = ev->programs_skipped;
}
