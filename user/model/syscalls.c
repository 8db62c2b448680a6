// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory system calls, told at their exit: what was mapped, by whom, and which pages went. A page
 * that came after the call was entered stays: another thread may have been given the address again.
 */
#include <errno.h>
#include <linux/mman.h>
#include <string.h>
#include <sys/mman.h>

#include "model/inside.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4 /* Linux 5.7 */
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24 /* Linux 5.18 */
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif

#define PERM_SHARED 8 /* of mp_ev_map.perms */

static bool failed(const struct mp_ev_range *ev)
{
	return (uint64_t)ev->ret >= (uint64_t)-4095;
}

/* Page-aligned and within user addresses; empty if there is nothing sensible. */
static struct mp_span span_of(uint64_t start, uint64_t len)
{
	uint64_t end;

	start &= MP_PAGE_MASK;
	if (start >= MP_ADDR_END || len > MP_ADDR_END - start)
		return (struct mp_span){ 0, 0 };
	end = (start + len + MP_PAGE_SIZE - 1) & MP_PAGE_MASK;
	return (struct mp_span){ start, end < MP_ADDR_END ? end : MP_ADDR_END };
}

static uint64_t page_up(uint64_t addr)
{
	return (addr + MP_PAGE_SIZE - 1) & MP_PAGE_MASK;
}

/* [from, to) in whole pages, as the break moves. */
static struct mp_span brk_span(uint64_t from, uint64_t to)
{
	if (to > MP_ADDR_END || from >= to)
		return (struct mp_span){ 0, 0 };
	return (struct mp_span){ page_up(from), page_up(to) };
}

static uint8_t perms_of(const struct mp_ev_range *ev)
{
	/* PROT_READ, WRITE, EXEC are the bits of perms */
	uint8_t shared = (ev->flags & MAP_TYPE) != MAP_PRIVATE ? PERM_SHARED : 0;

	return (ev->prot & 7) | (ev->op == MP_OP_MMAP ? shared : 0);
}

static uint8_t kind_of(const struct mp_ev_range *ev)
{
	if (ev->flags & MAP_HUGETLB)
		return MP_VMA_HUGETLB;
	if (!(ev->flags & MAP_ANONYMOUS))
		return MP_VMA_FILE;
	if ((ev->flags & MAP_TYPE) != MAP_PRIVATE)
		return MP_VMA_SHMEM;
	return ev->flags & MAP_STACK ? MP_VMA_STACK : MP_VMA_ANON;
}

static bool zaps(uint32_t advice)
{
	return advice == MADV_DONTNEED || advice == MADV_DONTNEED_LOCKED || advice == MADV_REMOVE ||
	       advice == MADV_GUARD_INSTALL;
}

void mp_range_taken(const struct mp_ev_range *ev, struct mp_span taken[2])
{
	struct mp_span from = span_of(ev->old, ev->old_len), to = span_of(ev->ret, ev->len);
	bool holes = ev->op == MP_OP_MADVISE && ev->ret == -ENOMEM;

	taken[0] = taken[1] = (struct mp_span){ 0, 0 };
	if (failed(ev) && !holes)
		return;
	switch (ev->op) {
	case MP_OP_BRK:
		taken[0] = brk_span(ev->ret, ev->old);
		return;
	case MP_OP_MMAP:
		taken[0] = to;
		return;
	case MP_OP_MUNMAP:
		taken[0] = span_of(ev->addr, ev->len);
		return;
	case MP_OP_MADVISE:
		if (zaps(ev->prot) || ev->prot == MADV_FREE)
			taken[0] = span_of(ev->addr, ev->len);
		return;
	case MP_OP_MREMAP:
		taken[0] = from;
		if (from.start != to.start)
			taken[1] = to;
		else if (to.end < from.end)
			taken[0] = (struct mp_span){ to.end, from.end };
		else
			taken[0] = taken[1];
	}
}

/* ---- VMAs; done again after a reading of /proc that is older ---------------------------------- */

static int brk_vma(struct mp_model *m, struct mp_process *p, const struct mp_ev_range *ev)
{
	struct mp_vma_rec vma = {
		.span = brk_span(ev->old, ev->ret),
		.name = mp_strings__keep(&m->strings, "[heap]", 6),
		.perms = PROT_READ | PROT_WRITE,
		.kind = MP_VMA_HEAP,
	};
	struct mp_span shrunk = brk_span(ev->ret, ev->old);

	if (!vma.name)
		return -ENOMEM;
	if (shrunk.end)
		return mp_omap__cut(&p->ranges.vmas, shrunk.start, shrunk.end, NULL, NULL);
	return mp_ranges__put_vma(&p->ranges, &vma);
}

static int mmap_vma(struct mp_process *p, const struct mp_ev_range *ev, bool again)
{
	struct mp_vma_rec vma = {
		.span = span_of(ev->ret, ev->len),
		.name = "",
		.perms = perms_of(ev),
		.kind = kind_of(ev),
	};
	const struct mp_vma_rec *read = mp_ranges__vma(&p->ranges, vma.span.start);

	/* a reading that has it knows more */
	if (again && read && read->kind == vma.kind && read->kind != MP_VMA_ANON)
		return 0;
	return mp_ranges__put_vma(&p->ranges, &vma);
}

static int mremap_vma(struct mp_process *p, const struct mp_ev_range *ev)
{
	struct mp_span from = span_of(ev->old, ev->old_len), to = span_of(ev->ret, ev->len);
	struct mp_omap *vmas = &p->ranges.vmas;
	struct mp_vma_rec vma;
	const struct mp_vma_rec *old = mp_ranges__vma(&p->ranges, from.start);

	if (to.start != from.start) {
		if (mp_ranges__move_vmas(&p->ranges, from.start, to.end - to.start, to.start))
			return -ENOMEM;
		if (ev->flags & MREMAP_DONTUNMAP)
			return 0;
		return mp_omap__cut(vmas, from.start, from.end, NULL, NULL);
	}
	if (to.end < from.end)
		return mp_omap__cut(vmas, to.end, from.end, NULL, NULL);
	if (!old)
		return 0;
	vma = *old;
	vma.offset += from.end - vma.span.start;
	vma.span = (struct mp_span){ from.end, to.end };
	return mp_ranges__put_vma(&p->ranges, &vma);
}

static int change_vmas(struct mp_model *m, struct mp_process *p, const struct mp_ev_range *ev,
		       bool again)
{
	struct mp_span s = span_of(ev->addr, ev->len);
	const struct mp_vma_rec *vma;

	switch (ev->op) {
	case MP_OP_BRK:
		return brk_vma(m, p, ev);
	case MP_OP_MMAP:
		return mmap_vma(p, ev, again);
	case MP_OP_MUNMAP:
		return mp_omap__cut(&p->ranges.vmas, s.start, s.end, NULL, NULL);
	case MP_OP_MREMAP:
		return mremap_vma(p, ev);
	case MP_OP_MPROTECT:
		return mp_ranges__protect(&p->ranges, s.start, s.end, perms_of(ev));
	case MP_OP_SHMDT:
		vma = mp_ranges__vma(&p->ranges, s.start);
		if (vma && vma->kind == MP_VMA_SHMEM)
			mp_omap__erase(&p->ranges.vmas, vma->span.start);
	}
	return 0;
}

static int remember(struct mp_model *m, struct mp_process *p, const struct mp_ev_range *ev)
{
	if (!p->recent)
		p->recent = mp_mem_alloc(&m->mem, MP_RECENT * sizeof(*p->recent));
	if (!p->recent)
		return -ENOMEM;
	p->recent[p->nr_recent++ % MP_RECENT] = *ev;
	return 0;
}

int mp_replay_vmas(struct mp_model *m, struct mp_process *p, uint64_t since_ns)
{
	size_t i = p->nr_recent > MP_RECENT ? p->nr_recent - MP_RECENT : 0;

	for (; i < p->nr_recent; i++) {
		const struct mp_ev_range *ev = &p->recent[i % MP_RECENT];

		if (ev->h.ts_ns > since_ns && change_vmas(m, p, ev, true))
			return -ENOMEM;
	}
	return 0;
}

static bool meets(struct mp_span s, uint64_t start, uint64_t end)
{
	return s.start < end && s.end > start;
}

static bool touches(const struct mp_ev_range *ev, uint64_t start, uint64_t end)
{
	switch (ev->op) {
	case MP_OP_BRK:
		return meets(brk_span(ev->old, ev->ret), start, end) ||
		       meets(brk_span(ev->ret, ev->old), start, end);
	case MP_OP_MMAP:
		return meets(span_of(ev->ret, ev->len), start, end);
	case MP_OP_MREMAP:
		return meets(span_of(ev->ret, ev->len), start, end) ||
		       meets(span_of(ev->old, ev->old_len), start, end);
	case MP_OP_MUNMAP:
		return meets(span_of(ev->addr, ev->len), start, end);
	case MP_OP_MADVISE:
		return zaps(ev->prot) && meets(span_of(ev->addr, ev->len), start, end);
	}
	return false;
}

bool mp_changed_since(const struct mp_process *p, uint64_t start, uint64_t end, uint64_t since_ns)
{
	size_t i, n = p->nr_recent < MP_RECENT ? p->nr_recent : MP_RECENT;

	for (i = 0; i < n; i++)
		if (p->recent[i].h.ts_ns > since_ns && touches(&p->recent[i], start, end))
			return true;
	return false;
}

/* ---- pages and mappings ----------------------------------------------------------------------- */

static void drop_pages(struct mp_process *p, struct mp_span s, const struct mp_ev_range *ev)
{
	mp_pages__drop_older(&p->pages, s.start >> MP_PAGE_SHIFT,
			     (s.end - s.start) >> MP_PAGE_SHIFT, ev->enter_ns, ev->h.ts_ns);
}

struct giving {
	struct mp_process *p;
	uint64_t pages;
};

static int give_back(void *ctx, uint64_t vpn, uint64_t set)
{
	struct giving *g = ctx;

	g->pages += (uint64_t)__builtin_popcountll(set);
	return mp_returned__add(&g->p->returned, vpn, set);
}

/* Pages of @s go; the addresses stay with the allocator, which may touch them again. */
static int given_back(struct mp_model *m, struct mp_process *p, struct mp_span s,
		      const struct mp_ev_range *ev)
{
	struct mp_give_back *n;
	struct giving g = { .p = p };
	uint32_t site;

	if (s.start >= s.end || !mp_ranges__is_heap(&p->ranges, s.start))
		return 0;
	if (mp_pages__going(&p->pages, s.start >> MP_PAGE_SHIFT, (s.end - s.start) >> MP_PAGE_SHIFT,
			    ev->enter_ns, false, give_back, &g))
		return -ENOMEM;
	if (!g.pages)
		return 0;
	if (mp_process_site(m, p, ev->stack, ev->caller, MP_PLACE_RETURN, &site))
		return -ENOMEM;
	n = &mp_sites__rec(&m->sites, site)->given_back;
	n->calls++;
	n->bytes += g.pages << MP_PAGE_SHIFT;
	p->given_back.calls++;
	p->given_back.bytes += g.pages << MP_PAGE_SHIFT;
	return 0;
}

/* The range is mapped no more: everything known by address goes, but blocks wait for their free. */
static int unmapped(struct mp_process *p, struct mp_span s, const struct mp_ev_range *ev)
{
	if (s.start >= s.end)
		return 0;
	drop_pages(p, s, ev);
	mp_tally__cut(&p->tally, s.start >> MP_PAGE_SHIFT, (s.end - s.start) >> MP_PAGE_SHIFT);
	return mp_ranges__unmap(&p->ranges, s.start, s.end);
}

/* What is there next is something else. */
static void forget_returned(struct mp_process *p, struct mp_span s)
{
	if (s.start < s.end)
		mp_returned__take(&p->returned, s.start >> MP_PAGE_SHIFT,
				  (s.end - s.start) >> MP_PAGE_SHIFT);
}

static bool in_allocator(const struct mp_ev_range *ev)
{
	return ev->in_fn != MP_FN_NONE && ev->in_fn != MP_FN_MMAP;
}

/* Memory asked for outside any allocator is its caller's own. */
static int count_mapping(struct mp_model *m, const struct mp_mapping *map, uint64_t bytes)
{
	struct mp_site_rec *rec = mp_sites__rec(&m->sites, map->site);

	if (map->in_fn || !map->anon || !bytes)
		return 0;
	if (!rec->calls++)
		rec->fn = MP_FN_MMAP;
	rec->mapping = true;
	rec->requested_bytes += bytes;
	return 0;
}

static int mapped(struct mp_model *m, struct mp_process *p, struct mp_span s, bool anon,
		  const struct mp_ev_range *ev)
{
	struct mp_mapping map = {
		.span = s,
		.t_ns = ev->h.ts_ns,
		.flags = ev->op == MP_OP_MMAP ? ev->flags : 0,
		.op = ev->op,
		.hooked = ev->hooked,
		.in_fn = in_allocator(ev) ? ev->in_fn : 0,
		.anon = anon,
	};

	if (s.start >= s.end)
		return 0;
	if (mp_process_site(m, p, ev->stack, ev->caller, MP_PLACE_RETURN, &map.site))
		return -ENOMEM;
	count_mapping(m, &map, s.end - s.start);
	return mp_ranges__put_mapping(&p->ranges, &map);
}

static int on_brk(struct mp_model *m, struct mp_process *p, const struct mp_ev_range *ev)
{
	if (given_back(m, p, brk_span(ev->ret, ev->old), ev) ||
	    unmapped(p, brk_span(ev->ret, ev->old), ev))
		return -ENOMEM;
	return mapped(m, p, brk_span(ev->old, ev->ret), true, ev);
}

static int on_mmap(struct mp_model *m, struct mp_process *p, const struct mp_ev_range *ev)
{
	struct mp_span s = span_of(ev->ret, ev->len);
	bool anon = (ev->flags & MAP_ANONYMOUS) && (ev->flags & MAP_TYPE) == MAP_PRIVATE &&
		    !(ev->flags & MAP_HUGETLB);

	forget_returned(p, s);
	if (unmapped(p, s, ev))
		return -ENOMEM;
	return mapped(m, p, s, anon, ev);
}

/* The piece that is new keeps the kind of mapping it belongs to. */
static bool anon_at(const struct mp_process *p, uint64_t addr)
{
	const struct mp_mapping *map = mp_ranges__mapping(&p->ranges, addr);
	const struct mp_vma_rec *vma = mp_ranges__vma(&p->ranges, addr);

	return map ? map->anon : !vma || vma->kind == MP_VMA_ANON;
}

static int moved(struct mp_model *m, struct mp_process *p, struct mp_span from, struct mp_span to,
		 const struct mp_ev_range *ev)
{
	uint64_t old_len = from.end - from.start, len = to.end - to.start;
	bool anon = anon_at(p, from.start), stays = ev->flags & MREMAP_DONTUNMAP;
	uint64_t common = old_len < len ? old_len : len;

	if (unmapped(p, to, ev) ||
	    mp_pages__move(&p->pages, from.start >> MP_PAGE_SHIFT, common >> MP_PAGE_SHIFT,
			   to.start >> MP_PAGE_SHIFT, ev->enter_ns, ev->h.ts_ns))
		return -ENOMEM;
	drop_pages(p, from, ev);
	forget_returned(p, from);
	forget_returned(p, to);
	if (!stays && from.end > from.start) {
		mp_tally__cut(&p->tally, from.start >> MP_PAGE_SHIFT, old_len >> MP_PAGE_SHIFT);
		if (mp_omap__cut(&p->ranges.heaps, from.start, from.end, NULL, NULL) ||
		    mp_ranges__cut_mappings(&p->ranges, from.start, from.end))
			return -ENOMEM;
	}
	return mapped(m, p, to, anon, ev);
}

static int on_mremap(struct mp_model *m, struct mp_process *p, const struct mp_ev_range *ev)
{
	struct mp_span from = span_of(ev->old, ev->old_len), to = span_of(ev->ret, ev->len);

	if (from.start != to.start)
		return moved(m, p, from, to, ev);
	if (to.end < from.end)
		return unmapped(p, (struct mp_span){ to.end, from.end }, ev);
	return mapped(m, p, (struct mp_span){ from.end, to.end }, anon_at(p, from.start), ev);
}

/* Non-main arenas of glibc reserve first and grow by mprotect. */
static int on_mprotect(struct mp_model *m, struct mp_process *p, const struct mp_ev_range *ev)
{
	struct mp_span s = span_of(ev->addr, ev->len);

	mp_pages__split_ends(&p->pages, s.start >> MP_PAGE_SHIFT,
			     (s.end - s.start) >> MP_PAGE_SHIFT);
	if (!in_allocator(ev) || !(ev->prot & PROT_WRITE))
		return 0;
	return mapped(m, p, span_of(ev->addr, ev->len), true, ev);
}

/* Over a hole it fails once it has come there: what lies before has the new permissions. */
static int protect_to_hole(struct mp_process *p, const struct mp_ev_range *ev)
{
	struct mp_span s = span_of(ev->addr, ev->len);
	uint64_t end = s.start;
	const struct mp_vma_rec *vma;

	while (end < s.end && (vma = mp_ranges__vma(&p->ranges, end)))
		end = vma->span.end;
	if (end <= s.start || end >= s.end)
		return 0; /* none: it had no memory, and how far it came is not known */
	mp_pages__split_ends(&p->pages, s.start >> MP_PAGE_SHIFT, (end - s.start) >> MP_PAGE_SHIFT);
	return mp_ranges__protect(&p->ranges, s.start, end, perms_of(ev));
}

/* Code of a file: an address outside files is the same place whatever lies there. */
static bool holds_code(const struct mp_process *p, struct mp_span s, uint8_t perms)
{
	const struct mp_vma_rec *vma;

	while (s.start < s.end && (vma = mp_omap__overlap(&p->ranges.vmas, s.start, s.end))) {
		if ((vma->perms & perms) == perms && vma->kind != MP_VMA_ANON)
			return true;
		s.start = vma->span.end;
	}
	return false;
}

/* Callers may mean something else from now on. */
static bool moves_code(const struct mp_process *p, const struct mp_ev_range *ev)
{
	switch (ev->op) {
	case MP_OP_MMAP:
		return (ev->prot & PROT_EXEC && !(ev->flags & MAP_ANONYMOUS)) ||
		       holds_code(p, span_of(ev->ret, ev->len), PROT_EXEC);
	case MP_OP_MPROTECT:
		return ev->prot & PROT_EXEC && holds_code(p, span_of(ev->addr, ev->len), 0);
	case MP_OP_MUNMAP:
		return holds_code(p, span_of(ev->addr, ev->len), PROT_EXEC);
	case MP_OP_MREMAP:
		return holds_code(p, span_of(ev->old, ev->old_len), PROT_EXEC) ||
		       holds_code(p, span_of(ev->ret, ev->len), PROT_EXEC);
	}
	return false;
}

struct advice {
	struct mp_process *p;
	const struct mp_ev_range *ev;
};

static int drop_swapped(void *ctx, uint64_t vpn, uint64_t set)
{
	const struct advice *a = ctx;
	struct mp_pages *ps = &a->p->pages;

	for (; set; set &= set - 1) {
		uint64_t at = vpn + __builtin_ctzll(set);
		const struct mp_page_rec *rec = mp_pages__get(ps, at);

		if (rec && rec->state == MP_STATE_SWAPPED &&
		    mp_pages__changed_ns(ps, at) < a->ev->enter_ns)
			mp_pages__drop(ps, at, a->ev->h.ts_ns);
	}
	return 0;
}

/* What is in memory goes when the kernel wants it, what is in swap at once (madvise_free_pte_range). */
static int on_madv_free(struct mp_process *p, const struct mp_ev_range *ev)
{
	struct mp_span s = span_of(ev->addr, ev->len);
	struct advice a = { p, ev };

	if (s.start >= s.end || (failed(ev) && ev->ret != -ENOMEM))
		return 0;
	return mp_pages__going(&p->pages, s.start >> MP_PAGE_SHIFT,
			       (s.end - s.start) >> MP_PAGE_SHIFT, 1, true, drop_swapped, &a);
}

int mp_on_range(struct mp_model *m, struct mp_process *p, const struct mp_ev_range *ev)
{
	int err = 0;

	if (mp_cause_range(m, p, ev))
		return -ENOMEM;
	if (ev->op == MP_OP_MADVISE && zaps(ev->prot) && (!failed(ev) || ev->ret == -ENOMEM)) {
		/* ENOMEM: there were holes; what is mapped was zapped all the same */
		if (given_back(m, p, span_of(ev->addr, ev->len), ev))
			return -ENOMEM;
		drop_pages(p, span_of(ev->addr, ev->len), ev);
		return remember(m, p, ev);
	}
	if (ev->op == MP_OP_MPROTECT && ev->ret == -ENOMEM)
		return protect_to_hole(p, ev);
	if (ev->op == MP_OP_MADVISE)
		return ev->prot == MADV_FREE ? on_madv_free(p, ev) : 0;
	if (failed(ev))
		return 0;
	if (moves_code(p, ev))
		mp_process_remap(m, p);
	switch (ev->op) {
	case MP_OP_BRK:
		err = on_brk(m, p, ev);
		break;
	case MP_OP_MMAP:
		err = on_mmap(m, p, ev);
		break;
	case MP_OP_MUNMAP:
		forget_returned(p, span_of(ev->addr, ev->len));
		err = unmapped(p, span_of(ev->addr, ev->len), ev);
		break;
	case MP_OP_MREMAP:
		err = on_mremap(m, p, ev);
		break;
	case MP_OP_MPROTECT:
		err = on_mprotect(m, p, ev);
		break;
	case MP_OP_SHMDT:
		break;
	default:
		return 0; /* mlock and its like bring pages, told by MP_EV_PAGES */
	}
	if (err || change_vmas(m, p, ev, false))
		return -ENOMEM;
	return remember(m, p, ev);
}
