// SPDX-License-Identifier: GPL-2.0-or-later
/* A page fault: its kind, whose it is, and the page it brought. */
#include <errno.h>

#include "model/inside.h"

#define HUGE_PAGES 512
#define HUGE_ORDER 9
/* How far below its known start a fault still grows a stack: 64 times the usual RLIMIT_STACK */
#define STACK_REACH (512ULL << 20)

static enum mp_kind kind_by_vma(const struct mp_ev_fault *ev, int vma_kind, bool shared)
{
	switch (vma_kind) {
	case MP_VMA_FILE:
		return !shared && ev->flags & MP_FAULT_WRITE ? MP_KIND_COW : MP_KIND_FILE;
	case MP_VMA_SHMEM:
		return !shared && ev->flags & MP_FAULT_WRITE ? MP_KIND_COW : MP_KIND_SHMEM;
	case MP_VMA_SPECIAL:
	case MP_VMA_HUGETLB:
		return MP_KIND_FILE;
	}
	if (ev->flags & MP_FAULT_PMD)
		return MP_KIND_THP;
	if (!(ev->flags & (MP_FAULT_WRITE | MP_FAULT_PROT | MP_FAULT_MAJOR | MP_FAULT_ALLOC)))
		return MP_KIND_ZERO; /* a read of untouched memory, and no page was allocated */
	return MP_KIND_NONE;
}

static enum mp_kind anon_kind(const struct mp_ev_fault *ev, int vma_kind)
{
	if (ev->flags & MP_FAULT_PMD)
		return MP_KIND_THP;
	if (ev->flags & MP_FAULT_SWAPIN)
		return MP_KIND_SWAPIN;
	if (ev->flags & MP_FAULT_PROT && ev->flags & MP_FAULT_WRITE)
		return MP_KIND_COW;
	if (vma_kind == MP_VMA_FILE || vma_kind == MP_VMA_SHMEM)
		return MP_KIND_COW; /* a private copy of a file's page, made at the first touch */
	if (ev->flags & MP_FAULT_MAJOR && !(ev->flags & MP_FAULT_PROT))
		return MP_KIND_SWAPIN;
	if (ev->order && ev->order < HUGE_ORDER)
		return MP_KIND_MTHP;
	return MP_KIND_ANON;
}

static enum mp_kind kind_of(const struct mp_ev_fault *ev, const struct mp_vma_rec *vma)
{
	int vma_kind = vma ? vma->kind : MP_VMA_ANON;
	enum mp_kind kind;

	if (vma_kind == MP_VMA_HUGETLB)
		return MP_KIND_FILE;
	if (ev->flags & MP_FAULT_ZERO)
		return MP_KIND_ZERO;
	if (ev->flags & MP_FAULT_KIND_KNOWN) {
		if (!(ev->flags & MP_FAULT_ANON))
			return vma_kind == MP_VMA_SHMEM ? MP_KIND_SHMEM : MP_KIND_FILE;
		return anon_kind(ev, vma_kind);
	}
	kind = kind_by_vma(ev, vma_kind, vma && vma->perms & 8);
	return kind == MP_KIND_NONE ? anon_kind(ev, vma_kind) : kind;
}

static enum mp_by by_of(const struct mp_ev_fault *ev)
{
	if (ev->flags & MP_FAULT_GUP)
		return MP_BY_GUP;
	return ev->flags & MP_FAULT_KERNEL ? MP_BY_KERNEL : MP_BY_USER;
}

/* [stack] grows by being touched, without a system call; what mmap made for threads does not. */
static void grow_stack(struct mp_process *p, uint64_t addr)
{
	struct mp_vma_rec *vma = mp_omap__ceil(&p->ranges.vmas, addr);

	if (vma && vma->kind == MP_VMA_STACK && vma->span.start - addr <= STACK_REACH &&
	    !mp_ranges__mapping(&p->ranges, addr) &&
	    !mp_ranges__mapping(&p->ranges, vma->span.start))
		vma->span.start = addr & MP_PAGE_MASK;
}

static bool in_allocator(const struct mp_ev_fault *ev)
{
	return ev->flags & MP_FAULT_IN_ALLOC && ev->in_fn != MP_FN_MMAP;
}

/* Whose memory was touched. 0 if nobody's. */
static int owner(struct mp_model *m, struct mp_process *p, const struct mp_ev_fault *ev,
		 uint32_t *site)
{
	const struct mp_mapping *map;
	struct mp_blk blk;

	*site = 0;
	if (in_allocator(ev))
		return mp_site_of_caller(m, p, ev->stack, ev->caller, site);
	if (mp_blocks__at(&p->blocks, ev->addr, &blk)) {
		*site = blk.site;
		return 0;
	}
	map = mp_ranges__mapping(&p->ranges, ev->addr);
	if (map && !mp_mapping_is_heap(map))
		*site = map->site;
	return 0;
}

/* Who touched. Inside an allocator call that is the allocator, wherever it was called from. */
static int toucher(struct mp_model *m, struct mp_process *p, const struct mp_ev_fault *ev,
		   uint32_t *site)
{
	if (in_allocator(ev))
		return mp_site_at(m, p, ev->ip, MP_PLACE_EXACT, site);
	if (ev->flags & MP_FAULT_KERNEL && ev->syscall >= 0)
		return mp_site_of_syscall(m, p, ev, site);
	return mp_process_site(m, p, ev->stack, ev->ip, MP_PLACE_EXACT, site);
}

static void count_allocation(struct mp_stages *n, const struct mp_ev_fault *ev)
{
	if (!(ev->flags & MP_FAULT_ALLOC))
		return;
	n->staged += !!(ev->stage & (MP_STAGE_PCP | MP_STAGE_REFILL | MP_STAGE_BUDDY));
	n->pcp += !!(ev->stage & MP_STAGE_PCP);
	n->refill += !!(ev->stage & MP_STAGE_REFILL);
	n->buddy += !!(ev->stage & MP_STAGE_BUDDY);
	n->pathed += !!(ev->stage & (MP_STAGE_SLOW | MP_STAGE_FAST));
	n->slow += !!(ev->stage & MP_STAGE_SLOW);
	if (!ev->page_ns || !(ev->flags & MP_FAULT_TIMED))
		return;
	n->page_timed++;
	n->page_ns += ev->page_ns;
	n->whole_ns += ev->fault_ns;
}

/* Was the page that the page allocator gave the one that the fault mapped? */
static void check_chain(struct mp_model *m, const struct mp_ev_fault *ev)
{
	if (!(ev->flags & MP_FAULT_CHAIN))
		return;
	m->chain_checked++;
	m->loss.chain_mismatches += !(ev->flags & MP_FAULT_ALLOC);
}

static void count(struct mp_model *m, uint32_t site, const struct mp_ev_fault *ev,
		  enum mp_kind kind)
{
	struct mp_site_rec *rec = mp_sites__rec(&m->sites, site);

	rec->faults[kind]++;
	rec->faults_by[by_of(ev)]++;
	rec->majors += !!(ev->flags & MP_FAULT_MAJOR);
	count_allocation(&rec->stages, ev);
	if (!(ev->flags & MP_FAULT_TIMED))
		return;
	rec->timed_faults++;
	rec->fault_ns += ev->fault_ns;
	if (ev->flags & MP_FAULT_ALLOC)
		rec->alloc_ns += ev->alloc_ns;
}

/* Pages that had been given back are wanted again. */
static void count_refault(struct mp_model *m, struct mp_process *p, uint32_t site,
			  const struct mp_ev_fault *ev)
{
	uint64_t nr = ev->flags & MP_FAULT_PMD ? HUGE_PAGES
					       : 1ULL << (ev->order < HUGE_ORDER ? ev->order : 0);
	uint64_t first = (ev->addr >> MP_PAGE_SHIFT) & ~(nr - 1);
	uint64_t pages = mp_returned__take(&p->returned, first, nr);
	struct mp_give_back *of[] = { &p->given_back, &mp_sites__rec(&m->sites, site)->given_back };

	for (size_t i = 0; pages && i < sizeof(of) / sizeof(of[0]); i++) {
		of[i]->refaults++;
		of[i]->refault_bytes += pages << MP_PAGE_SHIFT;
		of[i]->refault_ns += ev->flags & MP_FAULT_TIMED ? ev->fault_ns : 0;
	}
}

static struct mp_page_rec record(const struct mp_ev_fault *ev, enum mp_kind kind,
				 uint32_t touched_by)
{
	bool zero = kind == MP_KIND_ZERO, alloc = ev->flags & MP_FAULT_ALLOC;
	bool walked = ev->flags & MP_FAULT_WALKED;
	struct mp_page_rec rec = {
		.t_ns = ev->h.ts_ns,
		.toucher = touched_by,
		.order = ev->order < HUGE_ORDER ? ev->order : HUGE_ORDER,
		.kind = kind,
		.by = by_of(ev),
		.source = MP_SRC_FAULT,
		.state = zero ? MP_STATE_ZERO : MP_STATE_PRESENT,
	};

	if (ev->flags & MP_FAULT_MAJOR)
		rec.flags |= MP_PAGE_MAJOR;
	if (ev->flags & MP_FAULT_TIMED) {
		rec.flags |= MP_PAGE_TIMED;
		rec.fault_ns = ev->fault_ns;
	}
	if (walked || alloc)
		rec.pfn = ev->pfn & MP_PAGE_PFN;
	if (alloc && ev->flags & MP_FAULT_TIMED) {
		rec.flags |= MP_PAGE_ALLOCATED;
		rec.alloc_ns = ev->alloc_ns;
		rec.gfp = ev->gfp;
		rec.page_ns = ev->page_ns;
	}
	if (walked || alloc) {
		rec.flags |= MP_PAGE_NODE;
		rec.node = ev->node;
		rec.zone = ev->zone < 15 ? ev->zone : 15;
	}
	return rec;
}

/* A write that only lifted protection (the last sharer is gone, mprotect) brought no page. */
static int arrive(struct mp_process *p, uint64_t vpn, const struct mp_page_rec *rec)
{
	struct mp_page_rec *old = mp_pages__get(&p->pages, vpn);

	if (!old || !rec->pfn || old->pfn != rec->pfn || rec->state != MP_STATE_PRESENT ||
	    (old->state != MP_STATE_PRESENT && old->state != MP_STATE_SHARED_COW))
		return mp_pages__set(&p->pages, vpn, rec);
	old->state = MP_STATE_PRESENT;
	return 0;
}

static int set_huge(struct mp_process *p, uint64_t vpn, struct mp_page_rec *rec)
{
	uint64_t first = vpn & ~(HUGE_PAGES - 1ULL), i;

	rec->order = HUGE_ORDER;
	/* the faulting page's PFN is told; one that is no sum of a 2 MiB page is no PFN */
	rec->pfn = rec->pfn >= vpn - first ? rec->pfn - (vpn - first) : 0;
	for (i = 0; i < HUGE_PAGES; i++) {
		if (arrive(p, first + i, rec))
			return -ENOMEM;
		rec->pfn += !!rec->pfn;
	}
	return 0;
}

static struct mp_last_fault *last_fault(struct mp_model *m, const struct mp_ev *h)
{
	return &m->last_faults[(h->tid ^ h->tid >> 6) % MP_LAST_FAULTS];
}

const struct mp_page_rec *mp_last_fault(struct mp_model *m, const struct mp_ev *h)
{
	struct mp_last_fault *last = last_fault(m, h);

	return last->tgid == h->tgid && last->tid == h->tid && last->rec.order ? &last->rec : NULL;
}

static int set_pages(struct mp_model *m, struct mp_process *p, const struct mp_ev_fault *ev,
		     enum mp_kind kind, uint32_t touched_by)
{
	struct mp_last_fault *last = last_fault(m, &ev->h);
	struct mp_page_rec rec = record(ev, kind, touched_by);
	uint64_t vpn = ev->addr >> MP_PAGE_SHIFT;

	last->tgid = ev->h.tgid;
	last->tid = ev->h.tid;
	last->rec = rec;
	if (ev->flags & MP_FAULT_PMD || kind == MP_KIND_ZERO)
		last->rec.order = 0;
	if (ev->flags & MP_FAULT_PMD)
		return set_huge(p, vpn, &rec);
	mp_pages__split_zero(&p->pages, vpn);
	return arrive(p, vpn, &rec);
}

int mp_fault_look(struct mp_model *m, struct mp_process *p, const struct mp_ev_fault *ev,
		  const struct mp_vma_rec *vma, struct mp_fault_look *look)
{
	look->kind = kind_of(ev, vma);
	look->by = by_of(ev);
	return owner(m, p, ev, &look->owner) || toucher(m, p, ev, &look->toucher) ? -ENOMEM : 0;
}

/* Whose memory the fault wanted that had to wait for it. */
int mp_stall_owner(struct mp_model *m, struct mp_process *p, const struct mp_ev_stall *ev,
		   uint32_t *site)
{
	const struct mp_ev_fault fault = { .h = ev->h,
					   .addr = ev->addr,
					   .caller = ev->caller,
					   .stack = ev->stack,
					   .flags = ev->flags,
					   .in_fn = ev->in_fn };

	return owner(m, p, &fault, site);
}

int mp_on_stall(struct mp_model *m, struct mp_process *p, const struct mp_ev_stall *ev)
{
	uint32_t site;

	if (mp_stall_owner(m, p, ev, &site))
		return -ENOMEM;
	mp_waits_count(&mp_sites__rec(&m->sites, site)->waits, ev);
	mp_waits_count(&p->waits, ev);
	return 0;
}

int mp_on_fault(struct mp_model *m, struct mp_process *p, const struct mp_ev_fault *ev)
{
	const struct mp_vma_rec *vma;
	struct mp_fault_look look;

	if (ev->addr >= MP_ADDR_END)
		return 0;
	vma = mp_ranges__vma(&p->ranges, ev->addr);
	if (!vma) {
		grow_stack(p, ev->addr);
		vma = mp_ranges__vma(&p->ranges, ev->addr);
	}
	if (mp_fault_look(m, p, ev, vma, &look) ||
	    mp_tally__count(&p->tally, ev->addr >> MP_PAGE_SHIFT, look.kind))
		return -ENOMEM;
	mp_cause_fault(m, ev, look.owner);
	count(m, look.owner, ev, look.kind);
	check_chain(m, ev);
	if (look.kind == MP_KIND_FILE || look.kind == MP_KIND_SHMEM)
		return 0;
	if (ev->flags & MP_FAULT_WALKED && !(ev->flags & MP_FAULT_PRESENT))
		return 0; /* it was gone again when the fault ended */
	if (look.kind != MP_KIND_ZERO)
		count_refault(m, p, look.owner, ev);
	return set_pages(m, p, ev, look.kind, look.toucher);
}
