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
	p->image = ++m->generation;
	p->maps = ++m->generation;
	p->at = MP_AT_NOW;
	mp_blocks__init(&p->blocks, &m->block_mem,
			m->first_ns > EARLIER_NS ? m->first_ns - EARLIER_NS : 0);
	mp_ranges__init(&p->ranges, &m->mem, &m->sites);
	mp_tally__init(&p->tally, &m->mem);
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
	mp_mem_free(&m->mem, p->allocators);
	mp_mem_free(&m->mem, p->transits);
	mp_mem_free(&m->mem, p->recent);
	mp_mem_free(&m->mem, p->pending);
	mp_mem_free(&m->mem, p->cmdline);
	mp_blocks__fini(&p->blocks);
	mp_pages__fini(&p->pages);
	mp_ranges__fini(&p->ranges);
	mp_tally__fini(&p->tally);
	mp_mem_free(&m->mem, p);
}

void mp_process_remap(struct mp_model *m, struct mp_process *p)
{
	p->maps = ++m->generation;
}

bool mp_place_in(const struct mp_process *p, uint64_t addr, struct mp_site_key *key,
		 struct mp_place *place)
{
	const struct mp_vma_rec *vma = mp_ranges__vma(&p->ranges, addr);

	if (!vma || !vma->ino || (vma->kind != MP_VMA_FILE && vma->kind != MP_VMA_SHMEM))
		return false;
	place->object = vma->name;
	place->offset = addr - vma->span.start + vma->offset;
	place->ino = vma->ino;
	place->dev_major = vma->dev_major;
	place->dev_minor = vma->dev_minor;
	key->space = MP_SITE_FILE | (uint64_t)vma->dev_major << 32 | vma->dev_minor;
	key->ino = vma->ino;
	key->at = place->offset;
	return true;
}

static int find_site(struct mp_model *m, struct mp_process *p, uint64_t addr, uint32_t *site)
{
	struct mp_site_key key = { .space = p->image, .at = addr };
	struct mp_place place = { .addr = addr, .offset = addr, .object = "", .tgid = p->tgid };
	bool found = mp_place_in(p, addr, &key, &place);
	const struct mp_vma_rec *vma = found ? NULL : mp_ranges__vma(&p->ranges, addr);

	if (vma && vma->kind == MP_VMA_SPECIAL) {
		place.object = vma->name;
		place.offset = addr - vma->span.start + vma->offset;
	}
	return mp_sites__intern(&m->sites, &key, &place, !found, site);
}

int mp_process_site(struct mp_model *m, struct mp_process *p, uint64_t addr, uint32_t *site)
{
	struct mp_site_cached *c;

	*site = 0;
	if (!addr)
		return 0;
	c = &m->site_cache[(addr ^ addr >> 13 ^ p->maps * 0x9e3779b1) & (MP_SITE_CACHE - 1)];
	if (c->maps != p->maps || c->caller != addr) {
		if (find_site(m, p, addr, &c->site)) {
			c->maps = 0;
			return -ENOMEM;
		}
		c->maps = p->maps;
		c->caller = addr;
	}
	*site = c->site;
	return 0;
}
