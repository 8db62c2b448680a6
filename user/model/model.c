// SPDX-License-Identifier: GPL-2.0-or-later
/* The model's life, and which event goes where. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/inside.h"

struct mp_model *mp_model__new(void)
{
	struct mp_model *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->block_mem.parent = &m->mem;
	m->by_tgid.mem = &m->mem;
	m->parents.mem = &m->mem;
	m->loss.module_mismatch_pages = MP_UNKNOWN;
	mp_strings__init(&m->strings, &m->mem);
	mp_ledger__init(&m->ledger, &m->mem);
	mp_stacks__init(&m->stacks, &m->mem);
	m->resolved.mem = &m->mem;
	m->place_cache = mp_mem_zalloc(&m->mem, MP_PLACE_CACHE * sizeof(*m->place_cache));
	if (!m->place_cache || mp_sites__init(&m->sites, &m->mem)) {
		mp_model__free(m);
		errno = ENOMEM;
		return NULL;
	}
	return m;
}

void mp_model__free(struct mp_model *m)
{
	if (!m)
		return;
	while (m->nr_procs)
		mp_process_free(m, m->procs[--m->nr_procs]);
	mp_mem_free(&m->mem, m->procs);
	mp_map__fini(&m->by_tgid);
	mp_map__fini(&m->parents);
	mp_ledger__fini(&m->ledger);
	if (m->history)
		mp_history__fini(m->history);
	mp_mem_free(&m->mem, m->history);
	mp_sites__fini(&m->sites);
	mp_strings__fini(&m->strings);
	mp_stacks__fini(&m->stacks);
	mp_map__fini(&m->resolved);
	mp_mem_free(&m->mem, m->place_cache);
	free(m);
}

int mp_model__keep_history(struct mp_model *m, size_t max)
{
	m->history = mp_mem_zalloc(&m->mem, sizeof(*m->history));
	if (!m->history)
		return -ENOMEM;
	mp_history__init(m->history, &m->mem, max);
	m->ledger.history = m->history;
	return 0;
}

void mp_model__limit(struct mp_model *m, size_t bytes)
{
	m->mem.limit = bytes;
}

uint64_t mp_model__live_blocks(const struct mp_model *m)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < m->nr_procs; i++)
		n += m->procs[i]->blocks.n;
	return n;
}

uint64_t mp_model__pages(const struct mp_model *m)
{
	return m->ledger.mapped;
}

uint64_t mp_model__block_bytes(const struct mp_model *m)
{
	return m->block_mem.used;
}

const struct mp_place *mp_model__place(const struct mp_model *m, size_t i)
{
	return i + 1 < m->sites.places.n ? &m->sites.places.recs[i + 1].place : NULL;
}

/* Events about the whole machine or the tracing itself. */
static bool apply_global(struct mp_model *m, const struct mp_ev *ev)
{
	switch (ev->type) {
	case MP_EV_PAGE_FREE:
		mp_on_page_free(m, (const struct mp_ev_page_free *)ev);
		return true;
	case MP_EV_GAP:
		mp_on_gap(m, (const struct mp_ev_gap *)ev);
		return true;
	case MP_EV_HOST:
		m->host = *(const struct mp_ev_host *)ev;
		m->ledger.zero_pfn = m->host.zero_pfn;
		return true;
	case MP_EV_INSTANT:
		mp_on_instant(m, (const struct mp_ev_instant *)ev);
		return true;
	case MP_EV_LOSS:
		mp_on_loss(m, (const struct mp_ev_loss *)ev);
		return true;
	case MP_EV_SYSTEM:
		m->system = *(const struct mp_ev_system *)ev;
		return true;
	case MP_EV_COST:
		m->cost = *(const struct mp_ev_cost *)ev;
		return true;
	}
	return false;
}

/* Events that hold even where the last process of that number has exited. */
static bool holds_after_exit(const struct mp_ev *ev)
{
	return ev->type == MP_EV_PROC || ev->type == MP_EV_EXEC || ev->type == MP_EV_OOM ||
	       ev->type == MP_EV_CGROUP;
}

static int apply_read(struct mp_model *m, struct mp_process *p, const struct mp_ev *ev)
{
	switch (ev->type) {
	case MP_EV_PROC:
		return mp_on_proc(m, p, (const struct mp_ev_proc *)ev);
	case MP_EV_MAPS:
		return mp_on_maps(m, p, (const struct mp_ev_maps *)ev);
	case MP_EV_MAP:
		return mp_on_map(m, p, (const struct mp_ev_map *)ev);
	case MP_EV_ALLOCATOR:
		return mp_on_allocator(m, p, (const struct mp_ev_allocator *)ev);
	case MP_EV_PROBE:
		return mp_on_probe(m, p, (const struct mp_ev_probe *)ev);
	case MP_EV_HEAP:
		return mp_on_heap(m, p, (const struct mp_ev_heap *)ev);
	case MP_EV_CGROUP:
		return mp_on_cgroup(m, p, (const struct mp_ev_cgroup *)ev);
	case MP_EV_PSS:
		return mp_on_pss(p, (const struct mp_ev_pss *)ev);
	case MP_EV_XRAY:
		return mp_on_xray(m, p, (const struct mp_ev_xray *)ev);
	case MP_EV_PART:
		return mp_on_part(m, p, (const struct mp_ev_part *)ev);
	case MP_EV_ARENA:
	case MP_EV_PART_PAGES:
		return mp_on_xray_part(m, p, ev);
	case MP_EV_CHUNKS:
		return mp_on_chunks(m, p, (const struct mp_ev_chunks *)ev);
	case MP_EV_WITNESS:
		return mp_on_witness(m, p, (const struct mp_ev_witness *)ev);
	case MP_EV_WITNESS_PAGES:
		mp_on_witness_pages(m, p, (const struct mp_ev_pages *)ev);
		return 0;
	}
	return 0;
}

static int apply_to(struct mp_model *m, struct mp_process *p, const struct mp_ev *ev)
{
	switch (ev->type) {
	case MP_EV_ALLOC:
		return mp_on_alloc(m, p, (const struct mp_ev_alloc *)ev);
	case MP_EV_FREE:
		return mp_on_free(m, p, (const struct mp_ev_free *)ev);
	case MP_EV_REALLOC:
		return mp_on_realloc(m, p, (const struct mp_ev_free *)ev);
	case MP_EV_REALLOC_DONE:
		return mp_on_realloc_done(m, p, (const struct mp_ev_realloc_done *)ev);
	case MP_EV_FAULT:
		return mp_on_fault(m, p, (const struct mp_ev_fault *)ev);
	case MP_EV_PAGES:
		return mp_on_pages(m, p, (const struct mp_ev_pages *)ev);
	case MP_EV_RANGE:
		return mp_on_range(m, p, (const struct mp_ev_range *)ev);
	case MP_EV_FORK:
		return mp_on_fork(m, p, (const struct mp_ev_fork *)ev);
	case MP_EV_EXEC:
		return mp_on_exec(m, p, (const struct mp_ev_exec *)ev);
	case MP_EV_EXIT:
		return mp_on_exit(m, p, (const struct mp_ev_exit *)ev);
	case MP_EV_STALL:
		return mp_on_stall(m, p, (const struct mp_ev_stall *)ev);
	case MP_EV_IMAGE_END:
		return mp_on_image_end(m, p, (const struct mp_ev_exit *)ev);
	case MP_EV_NEW_HEAP:
		return mp_on_new_heap(m, p, (const struct mp_ev_new_heap *)ev);
	case MP_EV_REFUSAL:
		return mp_on_refusal(m, p, (const struct mp_ev_refusal *)ev);
	case MP_EV_OOM:
		return mp_on_oom(m, p, (const struct mp_ev_exit *)ev);
	case MP_EV_THRESHOLD:
		return mp_on_threshold(m, p, (const struct mp_ev_threshold *)ev);
	}
	return apply_read(m, p, ev);
}

static bool known_type(unsigned int type)
{
	return (type >= MP_EV_GAP && type <= MP_EV_IMAGE_END) ||
	       (type >= MP_EV_HOST && type <= MP_EV_CHUNKS);
}

int mp_model__apply(struct mp_model *m, const struct mp_ev *ev)
{
	struct mp_process *p;
	int err;

	if (!m->begun) {
		m->first_ns = ev->ts_ns;
		m->begun = true;
	}
	m->ledger.now_ns = ev->ts_ns;
	if (ev->ts_ns > m->last_ns)
		m->last_ns = ev->ts_ns;
	if (ev->type == MP_EV_STACK)
		return mp_on_stack(m, (const struct mp_ev_stack *)ev);
	mp_cause_begin(m, ev);
	if (!known_type(ev->type) || apply_global(m, ev))
		return 0;
	p = mp_process_of(m, ev->tgid);
	if (!p)
		return -ENOMEM;
	if (p->exited && !holds_after_exit(ev))
		return 0;
	err = apply_to(m, p, ev);
	mp_cause_end(m, p, ev);
	return err ? err : mp_note_moment(m, p, ev);
}
