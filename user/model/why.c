// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Why a memory system call was refused: the kernel's own comparisons, in its order (mm/mmap.c,
 * mm/mremap.c, mm/mprotect.c, mm/mlock.c, __vm_enough_memory in mm/util.c), with the numbers that it had.
 * Where none of them holds, it is not known.
 */
#include <errno.h>
#include <linux/mman.h>
#include <sys/mman.h>

#include "model/inside.h"

#define NO_LIMIT (~0ULL)
/* arch/x86/include/asm/page_64_types.h, DEFAULT_MAP_WINDOW: more only for those who ask by a hint */
#define USER_END    ((1ULL << 47) - MP_PAGE_SIZE)
#define PERM_WRITE  2
#define PERM_SHARED 8
/* mremap wants to be that far from the limit: it may split at both ends and put in one (mm/mremap.c) */
#define MREMAP_SPARE 4

struct question {
	const struct mp_model *m;
	const struct mp_process *p;
	const struct mp_ev_refusal *ev;
	uint64_t pages; /* more of the address space */
	bool data;      /* private and writable */
	bool accounted; /* counted into what is committed */
	struct mp_refusal_why why;
};

static uint64_t pages_of(uint64_t bytes)
{
	return bytes / MP_PAGE_SIZE + !!(bytes % MP_PAGE_SIZE);
}

static bool is(struct question *q, bool holds, enum mp_why why, uint64_t limit)
{
	if (holds)
		q->why = (struct mp_refusal_why){ why,
						  limit > INT64_MAX ? MP_UNKNOWN : (int64_t)limit };
	return holds;
}

static bool exceeds(uint64_t pages, uint64_t more, uint64_t limit)
{
	return limit != NO_LIMIT && pages != NO_LIMIT &&
	       (more > limit / MP_PAGE_SIZE || pages > limit / MP_PAGE_SIZE - more);
}

/* may_expand_vm() */
static bool by_data(struct question *q)
{
	const struct mp_ev_refusal *ev = q->ev;

	if (!ev->limit_data && !exceeds(ev->data_pages, q->pages, ev->limit_data_max))
		return false; /* a limit of 0 is taken for that of a valgrind */
	return is(q, q->data && exceeds(ev->data_pages, q->pages, ev->limit_data),
		  MP_WHY_RLIMIT_DATA, ev->limit_data);
}

static bool by_size(struct question *q)
{
	return is(q, exceeds(q->ev->total_pages, q->pages, q->ev->limit_as), MP_WHY_RLIMIT_AS,
		  q->ev->limit_as) ||
	       by_data(q);
}

/*
 * What may be committed at most where everything is counted. The kernel compares a counter whose CPUs keep
 * back what they have counted, all together up to 1/256 of RAM, or 64 pages each (mm/mm_init.c).
 */
static bool by_commitment(struct question *q, const struct mp_ev_system *sys)
{
	const struct mp_ev_refusal *ev = q->ev;
	uint64_t allowed = sys->commit_limit_bytes, reserve = sys->user_reserve_bytes;
	uint64_t unsure = pages_of(sys->ram_bytes) / 256 + 64ULL * q->m->host.nr_cpus;
	uint64_t own = ev->total_pages / 32 * MP_PAGE_SIZE;

	if (allowed == NO_LIMIT || sys->ram_bytes == NO_LIMIT || reserve == NO_LIMIT ||
	    ev->committed_pages == NO_LIMIT || sys->admin_reserve_bytes == NO_LIMIT)
		return false;
	reserve = own < reserve ? own : reserve;
	if (!(ev->flags & MP_REFUSAL_SYS_ADMIN))
		reserve += sys->admin_reserve_bytes;
	allowed = allowed > reserve ? allowed - reserve : 0;
	return is(q, exceeds(ev->committed_pages + unsure, q->pages, allowed), MP_WHY_OVERCOMMIT,
		  sys->commit_limit_bytes);
}

static bool by_overcommit(struct question *q)
{
	const struct mp_ev_system *sys = &q->m->system;

	if (!sys->h.type || !q->accounted)
		return false;
	if (sys->overcommit == 2)
		return by_commitment(q, sys);
	if (sys->overcommit || sys->ram_bytes == NO_LIMIT || sys->swap_bytes == NO_LIMIT)
		return false;
	return is(q, exceeds(0, q->pages, sys->ram_bytes + sys->swap_bytes), MP_WHY_OVERCOMMIT,
		  sys->ram_bytes + sys->swap_bytes);
}

/* @spare: so many fewer than the limit are too many already. */
static bool by_mappings(struct question *q, int spare)
{
	const struct mp_ev_system *sys = &q->m->system;

	return is(q,
		  sys->h.type && sys->max_mappings != UINT32_MAX &&
			  (uint64_t)q->ev->mappings + spare > sys->max_mappings,
		  MP_WHY_MAX_MAP_COUNT, sys->max_mappings);
}

static bool by_memlock(struct question *q)
{
	const struct mp_ev_refusal *ev = q->ev;

	return is(q,
		  !(ev->flags & MP_REFUSAL_IPC_LOCK) &&
			  (!ev->limit_memlock ||
			   exceeds(ev->locked_pages, q->pages, ev->limit_memlock)),
		  MP_WHY_RLIMIT_MEMLOCK, ev->limit_memlock);
}

/* Is there no place in the whole address space that is large enough? */
static bool nowhere(const struct mp_process *p, uint64_t pages)
{
	struct mp_omap_iter it = mp_omap__iter(&p->ranges.vmas);
	uint64_t end = MP_PAGE_SIZE, bytes;
	const struct mp_vma_rec *vma;

	if (pages > USER_END / MP_PAGE_SIZE)
		return true;
	bytes = pages * MP_PAGE_SIZE;
	while ((vma = mp_omap_iter__next(&it)) && vma->span.start < USER_END) {
		if (vma->span.start > end && vma->span.start - end >= bytes)
			return false;
		end = vma->span.end;
	}
	return p->ranges.vmas.n && (end > USER_END || USER_END - end < bytes);
}

static bool by_address(struct question *q, bool holds)
{
	return is(q, holds, MP_WHY_ADDRESS_SPACE, NO_LIMIT);
}

/* Something is mapped in [start, end), or it is beyond what can be. */
static bool in_the_way(const struct mp_process *p, uint64_t start, uint64_t end)
{
	return end < start || end > USER_END ||
	       (start < end && mp_omap__overlap(&p->ranges.vmas, start, end));
}

/* Pages of [start, end) in VMAs; if @without is not 0, in those without that permission only. */
static uint64_t mapped_pages(const struct mp_process *p, uint64_t start, uint64_t end, int without)
{
	const struct mp_vma_rec *vma;
	uint64_t bytes = 0;

	while (start < end && (vma = mp_omap__overlap(&p->ranges.vmas, start, end))) {
		uint64_t from = vma->span.start > start ? vma->span.start : start;
		uint64_t to = vma->span.end < end ? vma->span.end : end;

		bytes += vma->perms & without ? 0 : to - from;
		start = to;
	}
	return pages_of(bytes);
}

/* ---- the calls ------------------------------------------------------------------------------ */

static void why_brk(struct question *q)
{
	const struct mp_ev_refusal *ev = q->ev;
	uint64_t asked = ev->r.addr, first = pages_of(ev->r.old), last = pages_of(asked);

	q->pages = last - first;
	q->data = q->accounted = true;
	if (is(q,
	       ev->limit_data != NO_LIMIT && asked >= ev->start_brk &&
		       asked - ev->start_brk + ev->program_data_bytes > ev->limit_data,
	       MP_WHY_RLIMIT_DATA, ev->limit_data))
		return;
	/* a page is left free before the next mapping */
	if (by_address(q, asked > USER_END - MP_PAGE_SIZE || in_the_way(q->p, first * MP_PAGE_SIZE,
									(last + 1) * MP_PAGE_SIZE)))
		return;
	if ((ev->flags & MP_REFUSAL_LOCKS) && by_memlock(q))
		return;
	if (!by_size(q) && !by_mappings(q, 0) && !by_overcommit(q))
		by_mappings(q, 1);
}

static void why_mmap(struct question *q)
{
	const struct mp_ev_range *r = &q->ev->r;
	bool fixed = r->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);
	bool shared = (r->flags & MAP_TYPE) != MAP_PRIVATE;
	bool saved = (r->flags & MAP_NORESERVE) && q->m->system.overcommit != 2;
	bool locks = (r->flags & MAP_LOCKED) || (q->ev->flags & MP_REFUSAL_LOCKS);

	q->pages = pages_of(r->len);
	if (r->ret == -EAGAIN || r->ret == -EPERM) {
		if (locks)
			by_memlock(q);
		return;
	}
	q->data = !shared && (r->prot & PROT_WRITE) && !(r->flags & MAP_GROWSDOWN);
	q->accounted = !saved && !(r->flags & MAP_HUGETLB) &&
		       (shared ? r->flags & MAP_ANONYMOUS : r->prot & PROT_WRITE);
	if (by_mappings(q, 0))
		return;
	if (by_address(q, fixed ? q->pages > USER_END / MP_PAGE_SIZE || r->addr > USER_END ||
					  r->len > USER_END - r->addr
				: r->addr < USER_END && nowhere(q->p, q->pages)))
		return;
	if (fixed) /* what is there goes */
		q->pages -= mapped_pages(q->p, r->addr & MP_PAGE_MASK,
					 (r->addr & MP_PAGE_MASK) + q->pages * MP_PAGE_SIZE, 0);
	if (!by_size(q) && !by_overcommit(q))
		by_mappings(q, 1);
}

static void why_mremap(struct question *q)
{
	const struct mp_ev_range *r = &q->ev->r;
	uint64_t old = pages_of(r->old_len), now = pages_of(r->len),
		 end = r->old + old * MP_PAGE_SIZE;
	const struct mp_vma_rec *vma = mp_ranges__vma(&q->p->ranges, r->old);
	const struct mp_mapping *map = mp_ranges__mapping(&q->p->ranges, r->old);
	bool saved = map && (map->flags & MAP_NORESERVE) && q->m->system.overcommit != 2;

	q->pages = now > old ? now - old : 0;
	if (r->ret == -EAGAIN) {
		by_memlock(q);
		return;
	}
	q->data = vma && (vma->perms & (PERM_WRITE | PERM_SHARED)) == PERM_WRITE;
	q->accounted = q->data && vma->kind != MP_VMA_HUGETLB && !saved;
	if (q->pages && (by_size(q) || by_overcommit(q)))
		return;
	if (!(r->flags & MREMAP_MAYMOVE)) {
		by_address(q, q->pages && in_the_way(q->p, end, end + q->pages * MP_PAGE_SIZE));
		return;
	}
	if (!by_mappings(q, MREMAP_SPARE) && !(r->flags & MREMAP_FIXED))
		by_address(q, nowhere(q->p, now));
}

static void why_mprotect(struct question *q)
{
	const struct mp_ev_range *r = &q->ev->r;
	uint64_t end = r->addr + pages_of(r->len) * MP_PAGE_SIZE;

	if (is(q, end < r->addr || mapped_pages(q->p, r->addr, end, 0) < pages_of(r->len),
	       MP_WHY_NOT_MAPPED, NO_LIMIT))
		return;
	if (r->prot &
	    PROT_WRITE) { /* of shared mappings it is none of these, so they may not be there */
		q->pages = mapped_pages(q->p, r->addr, end, PERM_WRITE);
		q->data = q->accounted = mapped_pages(q->p, r->addr, end, PERM_SHARED) ==
					 pages_of(r->len);
		if (q->pages && !exceeds(q->ev->total_pages, q->pages, q->ev->limit_as) &&
		    by_data(q))
			return;
		if (q->pages && by_overcommit(q))
			return;
	}
	by_mappings(q, 1);
}

static void why_mlock(struct question *q)
{
	const struct mp_ev_range *r = &q->ev->r;
	uint64_t start = r->addr & MP_PAGE_MASK, len = r->len + (r->addr - start);
	bool holes;

	q->pages = pages_of(len);
	holes = mapped_pages(q->p, start, start + q->pages * MP_PAGE_SIZE, 0) < q->pages;
	/* what is locked already is not counted twice, and how much of it that is is not known */
	if ((!holes || !q->ev->locked_pages) && by_memlock(q))
		return;
	if (!is(q, holes, MP_WHY_NOT_MAPPED, NO_LIMIT))
		by_mappings(q, 1);
}

static void why_mlockall(struct question *q)
{
	q->pages = q->ev->total_pages - q->ev->locked_pages;
	by_memlock(q);
}

static void why_of(struct question *q)
{
	switch (q->ev->r.op) {
	case MP_OP_BRK:
		why_brk(q);
		break;
	case MP_OP_MMAP:
		why_mmap(q);
		break;
	case MP_OP_MREMAP:
		why_mremap(q);
		break;
	case MP_OP_MPROTECT:
		why_mprotect(q);
		break;
	case MP_OP_MLOCK:
		why_mlock(q);
		break;
	case MP_OP_MLOCKALL:
		why_mlockall(q);
		break;
	case MP_OP_MUNMAP:
		by_mappings(q, 1);
		break;
	}
}

struct mp_refusal_why mp_why_refused(const struct mp_model *m, const struct mp_process *p,
				     const struct mp_ev_refusal *ev)
{
	struct question q = { m, p, ev, .why = { MP_WHY_UNKNOWN, MP_UNKNOWN } };
	int error = ev->r.op == MP_OP_BRK ? ENOMEM : (int)(0 - (uint64_t)ev->r.ret);

	if (error == ENOMEM || error == EAGAIN || error == EPERM)
		why_of(&q);
	/* any other says what is wrong with the call itself */
	if (q.why.why == MP_WHY_UNKNOWN && error != ENOMEM && error != EAGAIN)
		q.why.why = MP_WHY_CALL;
	return q.why;
}
