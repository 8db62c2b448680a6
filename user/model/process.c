// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>

#include "model/inside.h"

/* Blocks keep their age in 52 bits; events may be this much older than the first one told. */
#define EARLIER_NS (1ULL << 32)

struct mp_process *mp_process_new(struct mp_model *m, uint32_t tgid)
{
	struct mp_process *p;

	if (mp_mem_grow(&m->mem, &m->procs, &m->cap_procs, m->nr_procs + 1, sizeof(*m->procs)))
		return NULL;
	p = mp_mem_zalloc(&m->mem, sizeof(*p));
	if (!p)
		return NULL;
	if (mp_map__put(&m->by_tgid, tgid, p))
		goto no_map;
	if (mp_pages__init(&p->pages, &m->ledger))
		goto no_pages;
	p->tgid = tgid;
	p->comm = "";
	p->glibc.why = "";
	p->limit.path = "";
	p->image = ++m->generation;
	p->maps = ++m->generation;
	p->at = MP_AT_NOW;
	p->reading.pss = p->exit_pss = MP_UNKNOWN;
	mp_blocks__init(&p->blocks, &m->block_mem,
			m->first_ns > EARLIER_NS ? m->first_ns - EARLIER_NS : 0);
	mp_ranges__init(&p->ranges, &m->mem, &m->sites);
	mp_tally__init(&p->tally, &m->mem);
	mp_returned__init(&p->returned, &m->mem);
	m->procs[m->nr_procs++] = p;
	m->last = p;
	return p;

no_pages:
	mp_map__del(&m->by_tgid, tgid);
no_map:
	mp_mem_free(&m->mem, p);
	errno = ENOMEM;
	return NULL;
}

struct mp_process *mp_process_of(struct mp_model *m, uint32_t tgid)
{
	struct mp_process *p = m->last;

	if (p && p->tgid == tgid)
		return p;
	p = mp_map__get(&m->by_tgid, tgid);
	if (!p)
		return mp_process_new(m, tgid);
	m->last = p;
	return p;
}

void mp_process_clear_allocators(struct mp_model *m, struct mp_process *p)
{
	while (p->nr_allocators)
		mp_mem_free(&m->mem, p->allocators[--p->nr_allocators].probes);
}

void mp_process_free(struct mp_model *m, struct mp_process *p)
{
	mp_process_clear_allocators(m, p);
	mp_glibc_clear(m, p);
	mp_seed_clear(m, p);
	mp_refusals_clear(m, p);
	mp_mem_free(&m->mem, p->allocators);
	mp_mem_free(&m->mem, p->transits);
	mp_mem_free(&m->mem, p->recent);
	mp_mem_free(&m->mem, p->pending);
	mp_mem_free(&m->mem, p->cmdline);
	mp_blocks__fini(&p->blocks);
	mp_pages__fini(&p->pages);
	mp_ranges__fini(&p->ranges);
	mp_tally__fini(&p->tally);
	mp_returned__fini(&p->returned);
	mp_timeline__fini(&p->timeline, &m->mem);
	mp_mem_free(&m->mem, p);
}

void mp_process_remap(struct mp_model *m, struct mp_process *p)
{
	p->maps = ++m->generation;
}
