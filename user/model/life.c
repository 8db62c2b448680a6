// SPDX-License-Identifier: GPL-2.0-or-later
/* Processes fork, take a new image, and end. */
#include <errno.h>
#include <string.h>

#include "model/inside.h"

static bool untouched(const struct mp_process *p)
{
	return !p->exited && !p->blocks.n && !p->pages.n && !p->ranges.mappings.n;
}

/* A kid that was not followed is gone, or has a new image: it shares no pages any more. */
static void kid_left(struct mp_model *m, uint32_t tgid)
{
	struct mp_process *parent = mp_map__del(&m->parents, tgid);

	if (!parent || !parent->kids || --parent->kids)
		return;
	parent->pages.shared_ns = 0;
	if (!parent->exited)
		mp_pages__unshare(&parent->pages);
}

static int inherit_allocators(struct mp_model *m, struct mp_process *to,
			      const struct mp_process *from)
{
	size_t i;

	mp_process_clear_allocators(m, to);
	if (mp_mem_grow(&m->mem, &to->allocators, &to->cap_allocators, from->nr_allocators,
			sizeof(*to->allocators)))
		return -ENOMEM;
	for (i = 0; i < from->nr_allocators; i++) {
		struct mp_allocator_rec *a = &to->allocators[i];

		*a = from->allocators[i];
		a->probes = NULL;
		a->cap_probes = 0;
		to->nr_allocators++;
		if (mp_mem_grow(&m->mem, &a->probes, &a->cap_probes, a->nr_probes,
				sizeof(*a->probes))) {
			a->nr_probes = 0;
			return -ENOMEM;
		}
		if (a->nr_probes)
			memcpy(a->probes, from->allocators[i].probes,
			       a->nr_probes * sizeof(*a->probes));
	}
	return 0;
}

/* Threads that were inside realloc do not exist in the child: their blocks just stand. */
static void end_transits(struct mp_process *child, const struct mp_process *parent)
{
	size_t i;

	for (i = 0; i < parent->nr_transits; i++)
		if (parent->transits[i].open)
			mp_blocks__set_transit(&child->blocks, parent->transits[i].addr, false);
}

static int clone(struct mp_model *m, struct mp_process *child, const struct mp_process *parent)
{
	child->comm = parent->comm;
	child->image = parent->image;
	child->whole = parent->whole;
	child->launched = parent->launched;
	if (parent->cmdline_len && !child->cmdline) {
		child->cmdline = mp_mem_alloc(&m->mem, parent->cmdline_len);
		if (!child->cmdline)
			return -ENOMEM;
		memcpy(child->cmdline, parent->cmdline, parent->cmdline_len);
		child->cmdline_len = parent->cmdline_len;
	}
	if (mp_blocks__copy(&child->blocks, &parent->blocks) || mp_heap_count(m, child))
		return -ENOMEM;
	mp_omap__fini(&child->ranges.vmas);
	mp_omap__fini(&child->ranges.heaps);
	if (mp_ranges__copy(&child->ranges, &parent->ranges) ||
	    mp_pages__copy(&child->pages, &parent->pages) || inherit_allocators(m, child, parent))
		return -ENOMEM;
	mp_glibc_inherit(m, child, parent);
	child->seed.told = parent->seed.told;
	end_transits(child, parent);
	return 0;
}

int mp_on_fork(struct mp_model *m, struct mp_process *p, const struct mp_ev_fork *ev)
{
	struct mp_process *child;

	if (ev->child == ev->h.tgid)
		return 0;
	mp_pages__share(&p->pages);
	if (!ev->followed) {
		if (mp_map__put(&m->parents, ev->child, p))
			return -ENOMEM;
		p->kids++;
		p->pages.shared_ns = ev->h.ts_ns;
		return 0;
	}
	child = mp_map__get(&m->by_tgid, ev->child);
	if (!child || !untouched(child)) {
		if (child && !child->exited) {
			/* its exit was lost, and the number is used again */
			mp_pages__close(&child->pages);
			child->exited = true;
		}
		child = mp_process_new(m, ev->child);
	}
	mp_cause_fork(m);
	return child ? clone(m, child, p) : -ENOMEM;
}

int mp_on_exec(struct mp_model *m, struct mp_process *p, const struct mp_ev_exec *ev)
{
	kid_left(m, ev->h.tgid);
	if (p->exited)
		p = mp_process_new(m, ev->h.tgid);
	if (!p)
		return -ENOMEM;
	if (mp_heap_uncount(m, p))
		return -ENOMEM;
	mp_blocks__fini(&p->blocks);
	mp_cause_exec(m, p);
	mp_pages__clear(&p->pages);
	mp_ranges__clear(&p->ranges);
	mp_tally__fini(&p->tally);
	mp_returned__fini(&p->returned);
	p->given_back = (struct mp_give_back){ 0 };
	p->waits = (struct mp_waits){ 0 };
	mp_process_clear_allocators(m, p);
	mp_glibc_clear(m, p);
	mp_seed_clear(m, p);
	mp_refusals_clear(m, p);
	p->nr_transits = 0;
	p->nr_recent = 0;
	p->nr_pending = 0;
	p->want_pending = 0;
	p->whole = false;
	p->reading = (struct mp_reading){ .pss = MP_UNKNOWN };
	p->walk = (struct mp_walk){ .image_ns = ev->h.ts_ns };
	p->image = ++m->generation;
	mp_process_remap(m, p);
	p->comm = mp_strings__keep(&m->strings, ev->comm, sizeof(ev->comm));
	if (!p->comm) {
		p->comm = "";
		return -ENOMEM;
	}
	return 0;
}

int mp_on_exit(struct mp_model *m, struct mp_process *p, const struct mp_ev_exit *ev)
{
	kid_left(m, ev->h.tgid);
	p->exited = true;
	p->exit = *ev;
	p->at = MP_AT_EXIT;
	p->instant_ns = ev->h.ts_ns;
	p->exit_pss = mp_sharing_pss(p);
	mp_pages__close(&p->pages);
	mp_mem_free(&m->mem, p->recent);
	p->recent = NULL;
	p->nr_recent = 0;
	mp_mem_free(&m->mem, p->pending);
	p->pending = NULL;
	p->cap_pending = 0;
	p->nr_pending = 0;
	return 0;
}

/* The process goes on with the next image, as another one in the report. */
int mp_on_image_end(struct mp_model *m, struct mp_process *p, const struct mp_ev_exit *ev)
{
	int err = mp_on_exit(m, p, ev);

	p->at = MP_AT_EXEC;
	return err;
}
