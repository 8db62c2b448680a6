// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The books of one process at one instant, by one sweep over its pages and blocks.
 *
 * A present page's 4096 bytes are first the live blocks' on it, byte by byte; the rest of the page
 * is one of tool, stack, retained, before_attach and other_anon. So each byte is counted once, and
 * what smaps or the kernel's counters say beside it is unexplained.
 *
 * site_coverage = sited / arrived, over present anonymous pages whose arrival was seen (source
 * fault, populate or moved):
 *   arrived: 4096 for each such page, whatever it is for: stacks, .data and .bss too
 *   sited:   the bytes of it under blocks of a known site, and the rest of the page if the mapping
 *            it lies in was seen being made, by a known caller: the growth of a heap, or a mapping
 *            made outside any allocator; else what of that rest is malloc's own
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/draft.h"

/* A block's bytes on one page. */
struct part {
	uint32_t site; /* id in the report */
	uint32_t bytes;
};

struct sweep {
	struct mp_draft *d;
	struct mp_process *p;
	struct mp_proc *out;
	struct mp_books books;
	uint64_t arrived, sited; /* bytes */
	size_t room_pages, room_blocks, vma;
	size_t own_at; /* of mp_seed_own */
	uint64_t own;  /* malloc's own bytes on the page under way, under no block */

	struct mp_blocks_iter blocks;
	struct mp_blk blk; /* not yet behind us */
	bool has_blk;
	uint64_t resident; /* of blk, so far */

	/* the page under way */
	struct part *parts;
	size_t nr_parts, cap_parts;
	uint64_t covered; /* bytes under blocks */
	uint64_t lowest;  /* start of the lowest block */
};

static bool counts_in_rss(const struct mp_page_rec *rec)
{
	return rec->state == MP_STATE_PRESENT || rec->state == MP_STATE_SHARED_COW;
}

static struct mp_site *site_of(struct sweep *s, uint32_t id)
{
	return id ? &s->d->report->sites[id - 1] : NULL;
}

static void *add_row(void *array, size_t n, size_t *room, size_t size)
{
	void *p;

	if (n < *room)
		return array;
	p = realloc(array, (*room ? *room * 2 : 64) * size);
	if (p)
		*room = *room ? *room * 2 : 64;
	return p;
}

static int block_row(struct sweep *s, uint32_t site)
{
	struct mp_block *rows =
		add_row(s->out->blocks, s->out->nr_blocks, &s->room_blocks, sizeof(*rows));

	if (!rows)
		return -ENOMEM;
	s->out->blocks = rows;
	rows[s->out->nr_blocks++] = (struct mp_block){
		.addr = s->blk.start,
		.requested = s->blk.end - s->blk.start,
		.usable = s->blk.usable == MP_USABLE_UNKNOWN ? MP_UNKNOWN : (int64_t)s->blk.usable,
		.t_ns = s->blk.t_ns,
		.seeded = mp_is_seed(&s->blk),
		.resident_bytes = s->resident,
		.site = site,
		.tid = s->blk.tid,
		.tier = MP_TIER_OF(s->blk.tiered),
		.sure = MP_SURE_OF(s->blk.tiered),
	};
	return 0;
}

/* The current block is behind us: books it and goes to the next. */
static int finish_block(struct sweep *s)
{
	uint32_t id = s->d->ids[s->blk.site];
	struct mp_site *site = site_of(s, id);

	if (s->d->flags & MP_REPORT_BLOCKS && block_row(s, id))
		return -ENOMEM;
	s->books.block += s->resident;
	if (mp_is_seed(&s->blk)) {
		s->out->xray.seeded_live++;
		s->out->xray.seeded_resident += s->resident;
	}
	if (site) {
		site->resident_bytes += s->resident;
		site->untouched_bytes += s->blk.end - s->blk.start - s->resident;
	}
	s->resident = 0;
	s->has_blk = mp_blocks_iter__next(&s->blocks, &s->blk);
	return 0;
}

static int add_part(struct sweep *s, uint64_t bytes)
{
	if (mp_mem_grow(&s->d->m->mem, &s->parts, &s->cap_parts, s->nr_parts + 1,
			sizeof(*s->parts)))
		return -ENOMEM;
	if (!s->nr_parts)
		s->lowest = s->blk.start;
	s->parts[s->nr_parts++] = (struct part){ s->d->ids[s->blk.site], bytes };
	s->covered += bytes;
	return 0;
}

/* Collects the blocks' bytes on the page at @addr. */
static int collect(struct sweep *s, uint64_t addr, bool resident)
{
	uint64_t end = addr + MP_PAGE_SIZE;

	s->nr_parts = 0;
	s->covered = 0;
	s->lowest = 0;
	while (s->has_blk && s->blk.start < end) {
		uint64_t lo = s->blk.start > addr ? s->blk.start : addr;
		uint64_t hi = s->blk.end < end ? s->blk.end : end;

		if (hi > lo) {
			if (add_part(s, hi - lo))
				return -ENOMEM;
			if (resident)
				s->resident += hi - lo;
		}
		if (s->blk.end > end)
			break; /* goes on on the next page */
		if (finish_block(s))
			return -ENOMEM;
	}
	return 0;
}

/* The site with most bytes on the page; the lowest id of equals. 0 if no block is on it. */
static uint32_t main_site(struct sweep *s)
{
	uint64_t *weight = s->d->weight;
	uint32_t best = 0;
	size_t i;

	for (i = 0; i < s->nr_parts; i++)
		weight[s->parts[i].site] += s->parts[i].bytes;
	for (i = 0; i < s->nr_parts; i++) {
		uint32_t id = s->parts[i].site;

		if (!i || weight[id] > weight[best] || (weight[id] == weight[best] && id < best))
			best = id;
	}
	for (i = 0; i < s->nr_parts; i++)
		weight[s->parts[i].site] = 0;
	return best;
}

static void charge(struct sweep *s)
{
	uint64_t left = MP_PAGE_SIZE;
	struct mp_site *site;
	size_t i;

	for (i = s->nr_parts; i-- > 0;) {
		uint64_t share = MP_PAGE_SIZE * s->parts[i].bytes / s->covered;

		if (!i)
			share = left; /* the lowest block bears what division left over */
		left -= share;
		site = site_of(s, s->parts[i].site);
		if (site)
			site->charged_bytes += share;
	}
}

/* The part of a page that is under no block. */
static void book_rest(struct sweep *s, const struct mp_page_rec *rec, uint64_t addr,
		      const struct mp_mapping *map, uint64_t rest)
{
	const struct mp_vma_rec *vma = mp_ranges__vma(&s->p->ranges, addr);
	uint32_t id = map ? s->d->ids[map->site] : 0;
	struct mp_site *site = site_of(s, id);

	if (rec->source == MP_SRC_TOOL)
		s->books.tool += rest;
	else if (map ? map->flags & 0x20000 /* MAP_STACK */ : vma && vma->kind == MP_VMA_STACK)
		s->books.stack += rest;
	else if (!mp_ranges__is_heap(&s->p->ranges, addr))
		s->books.other_anon += rest;
	else if (rec->source == MP_SRC_SEEDED)
		s->books.before_attach += rest;
	else
		s->books.retained += rest;
	/* what a file's private mapping copied is its file's, not memory that the caller asked for */
	if (!site || !map->anon || mp_mapping_is_heap(map) || rec->source == MP_SRC_TOOL)
		return;
	site->resident_bytes += rest;
	s->d->direct[id] += rest;
}

static void cover(struct sweep *s, const struct mp_page_rec *rec, const struct mp_mapping *map)
{
	size_t i;

	if (rec->source != MP_SRC_FAULT && rec->source != MP_SRC_POPULATE &&
	    rec->source != MP_SRC_MOVED)
		return;
	s->arrived += MP_PAGE_SIZE;
	for (i = 0; i < s->nr_parts; i++)
		if (s->parts[i].site)
			s->sited += s->parts[i].bytes;
	s->sited += map && map->site ? MP_PAGE_SIZE - s->covered : s->own;
}

static int count_page(struct sweep *s, const struct mp_page_rec *rec, uint32_t id)
{
	struct mp_site *site = site_of(s, id);
	uint32_t toucher = s->d->ids[rec->toucher];
	uint64_t key = (uint64_t)id << 32 | toucher;
	uintptr_t n;

	if (!site)
		return 0;
	site->orders[rec->order < MP_ORDERS ? rec->order : MP_ORDERS - 1]++;
	if (rec->flags & MP_PAGE_NODE)
		site->nodes[rec->node < MP_NODES ? rec->node : MP_NODES - 1]++;
	if (!toucher)
		return 0;
	n = (uintptr_t)mp_map__get(&s->d->touches, key);
	return mp_map__put(&s->d->touches, key, (void *)(n + 1));
}

static int page_row(struct sweep *s, const struct mp_page_rec *rec, uint64_t addr, uint32_t site)
{
	struct mp_page *rows =
		add_row(s->out->pages, s->out->nr_pages, &s->room_pages, sizeof(*rows));

	if (!rows)
		return -ENOMEM;
	s->out->pages = rows;
	rows[s->out->nr_pages++] = (struct mp_page){
		.addr = addr,
		.pfn = rec->pfn,
		.t_ns = rec->t_ns,
		.block = s->lowest,
		.blocks = s->nr_parts,
		.site = site,
		.toucher = s->d->ids[rec->toucher],
		.fault_ns = rec->flags & MP_PAGE_TIMED ? (int64_t)rec->fault_ns : MP_UNKNOWN,
		.alloc_ns = rec->flags & MP_PAGE_ALLOCATED ? (int64_t)rec->alloc_ns : MP_UNKNOWN,
		.page_ns = rec->flags & MP_PAGE_ALLOCATED && rec->page_ns ? (int64_t)rec->page_ns
									  : MP_UNKNOWN,
		.gfp = rec->gfp,
		.node = rec->node,
		.zone = rec->zone,
		.order = rec->order,
		.kind = rec->kind,
		.by = rec->by,
		.state = rec->state,
		.source = rec->source,
		.node_known = rec->flags & MP_PAGE_NODE,
		.major = rec->flags & MP_PAGE_MAJOR,
	};
	return 0;
}

static void count_in_vma(struct sweep *s, uint64_t addr)
{
	while (s->vma < s->out->nr_vmas && s->out->vmas[s->vma].end <= addr)
		s->vma++;
	if (s->vma < s->out->nr_vmas && s->out->vmas[s->vma].start <= addr)
		s->out->vmas[s->vma].present_pages++;
}

static int sweep_page(struct sweep *s, const struct mp_page_rec *rec, uint64_t addr)
{
	bool present = counts_in_rss(rec);
	const struct mp_mapping *map = mp_ranges__mapping(&s->p->ranges, addr);
	uint32_t site;

	if (collect(s, addr, present))
		return -ENOMEM;
	site = s->nr_parts ? main_site(s) : map ? s->d->ids[map->site] : 0;
	if (rec->state == MP_STATE_ZERO)
		s->books.zero += MP_PAGE_SIZE;
	if (present) {
		s->out->present_pages++;
		count_in_vma(s, addr);
		charge(s);
		s->own = mp_seed_own(s->p, &s->own_at, addr >> MP_PAGE_SHIFT);
		if (s->own > MP_PAGE_SIZE - s->covered)
			s->own = MP_PAGE_SIZE - s->covered;
		s->books.metadata += (int64_t)s->own;
		book_rest(s, rec, addr, map, MP_PAGE_SIZE - s->covered - s->own);
		cover(s, rec, map);
		if (count_page(s, rec, site))
			return -ENOMEM;
	}
	return s->d->flags & MP_REPORT_PAGES ? page_row(s, rec, addr, site) : 0;
}

/* What the kernel counted, which no event tells. */
static void book_outside(struct sweep *s)
{
	const struct mp_process *p = s->p;
	const struct mp_reading *read = &p->reading;
	struct mp_books *b = &s->books;

	b->hugetlb = read->seen ? (int64_t)read->hugetlb : MP_UNKNOWN;
	b->pss = p->exited ? MP_UNKNOWN : read->pss;
	b->pss_anon = p->exited ? p->exit_pss : mp_sharing_pss(p);
	if (p->exited) {
		const struct mp_ev_exit *e = &p->exit;
		bool ok = e->valid && e->file_pages >= 0 && e->anon_pages >= 0 &&
			  e->shmem_pages >= 0;
		int64_t most = INT64_MAX >> MP_PAGE_SHIFT >> 2;

		ok = ok && e->file_pages < most && e->anon_pages < most && e->shmem_pages < most;
		b->file = ok ? e->file_pages << MP_PAGE_SHIFT : MP_UNKNOWN;
		b->shmem = ok ? e->shmem_pages << MP_PAGE_SHIFT : MP_UNKNOWN;
		b->rss = ok ? b->file + b->shmem + (e->anon_pages << MP_PAGE_SHIFT) : MP_UNKNOWN;
		return;
	}
	b->rss = read->known && read->rss < INT64_MAX ? (int64_t)read->rss : MP_UNKNOWN;
	b->file = read->split && read->file < INT64_MAX / 4 ? (int64_t)read->file : MP_UNKNOWN;
	b->shmem = read->split && read->shmem < INT64_MAX / 4 ? (int64_t)read->shmem : MP_UNKNOWN;
}

static void balance(struct sweep *s)
{
	struct mp_books *b = &s->books;
	double left;

	if (!mp_seed_compared(s->p))
		b->metadata = MP_UNKNOWN; /* the heap was not walked: it is part of retained */
	b->unexplained = MP_UNKNOWN;
	b->coverage = NAN;
	b->site_coverage = s->arrived ? (double)s->sited / s->arrived : NAN;
	if (b->rss == MP_UNKNOWN || b->file == MP_UNKNOWN || b->shmem == MP_UNKNOWN)
		return;
	b->unexplained = b->rss - b->block - b->retained - b->before_attach - b->other_anon -
			 b->stack - b->file - b->shmem - b->tool;
	if (b->metadata != MP_UNKNOWN)
		b->unexplained -= b->metadata;
	if (!b->rss)
		return;
	left = 1 - fabs((double)b->unexplained) / b->rss;
	b->coverage = left > 0 ? left : 0;
}

static int sweep_all(struct sweep *s)
{
	struct mp_pages_iter pages;
	const struct mp_page_rec *rec;
	uint64_t vpn;
	int err = mp_pages_iter__init(&pages, &s->p->pages);

	if (err)
		return err;
	s->has_blk = mp_blocks_iter__next(&s->blocks, &s->blk);
	while (!err && (rec = mp_pages_iter__next(&pages, &vpn)))
		err = sweep_page(s, rec, vpn << MP_PAGE_SHIFT);
	mp_pages_iter__fini(&pages);
	while (!err && s->has_blk)
		err = finish_block(s);
	return err;
}

int mp_books_sweep(struct mp_draft *d, struct mp_process *p, struct mp_proc *out)
{
	struct sweep s = { .d = d, .p = p, .out = out };
	int err = mp_blocks_iter__init(&s.blocks, &p->blocks);

	if (err)
		return err;
	err = sweep_all(&s);
	mp_blocks_iter__fini(&s.blocks);
	mp_mem_free(&d->m->mem, s.parts);
	if (err)
		return err;
	book_outside(&s);
	balance(&s);
	out->books = s.books;
	out->live_blocks = p->blocks.n;
	return 0;
}
