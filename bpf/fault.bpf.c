// SPDX-License-Identifier: GPL-2.0
/*
 * Page faults where neither fentry nor kprobes are to be had: the exception's tracepoint is the
 * start, the software event PAGE_FAULTS_MIN/MAJ is the end. That event fires in mm_account_fault()
 * (mm/memory.c), once a completed fault, after the entry is set; it is blind to get_user_pages.
 */
#include "walk.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* Error code of the x86 page fault exception */
#define PF_PROT  1
#define PF_WRITE 2

#define TASK_SIZE_MAX (1ULL << 56)

struct perf_ctx { /* struct bpf_perf_event_data, include/uapi/linux/bpf_perf_event.h */
	struct mp_regs regs;
	u64 sample_period;
	u64 addr;
};

static __always_inline int fault_start(u64 addr, struct mp_regs *regs, u64 ec, u32 flags)
{
	struct mp_thread *t;

	if (addr >= TASK_SIZE_MAX || !mp_current())
		return 0;
	t = mp_thread_make();
	if (!t)
		return 0;
	t->fault_addr = addr;
	t->fault_flags = flags | (ec & PF_PROT ? MP_FAULT_PROT : 0) |
			 (ec & PF_WRITE ? MP_FAULT_WRITE : 0);
	t->fault_ip = 0;
	if (!(flags & MP_FAULT_KERNEL))
		bpf_probe_read_kernel(&t->fault_ip, 8, &regs->rip);
	t->nr_allocs = 0;
	t->in_fault = 1;
	t->fault_ns = bpf_ktime_get_ns();
	return 0;
}

SEC("raw_tp/page_fault_user")
int mp_fault_user(struct bpf_raw_tracepoint_args *ctx)
{
	return fault_start(ctx->args[0], (void *)ctx->args[1], ctx->args[2], 0);
}

SEC("raw_tp/page_fault_kernel")
int mp_fault_kernel(struct bpf_raw_tracepoint_args *ctx)
{
	return fault_start(ctx->args[0], (void *)ctx->args[1], ctx->args[2], MP_FAULT_KERNEL);
}

static __always_inline u32 clamp32(u64 ns)
{
	return ns > ~0U ? ~0U : ns;
}

/* The user's side of a fault taken in a system call. */
static __always_inline void from_syscall(struct mp_ev_fault *ev)
{
	struct mp_regs *regs = (void *)bpf_task_pt_regs((void *)bpf_get_current_task_btf());
	u64 nr = 0;

	bpf_probe_read_kernel(&ev->ip, 8, &regs->rip);
	bpf_probe_read_kernel(&nr, 8, &regs->orig_rax);
	ev->syscall = nr;
}

static __always_inline void from_start(struct mp_ev_fault *ev, struct mp_thread *t, u64 addr)
{
	u32 top = t->depth - 1;

	if (top < MP_FRAMES) {
		ev->flags |= MP_FAULT_IN_ALLOC;
		ev->caller = t->frames[top].caller;
		ev->in_fn = MP_COOKIE_FN(t->frames[top].cookie);
	}
	if (!t->in_fault || (t->fault_addr ^ addr) >> MP_PAGE_SHIFT) {
		mp_drop(MP_DROP_FAULT_START);
		return;
	}
	ev->flags |= t->fault_flags | MP_FAULT_TIMED;
	ev->ip = t->fault_ip;
	ev->fault_ns = clamp32(ev->h.ts_ns - t->fault_ns);
}

/* The allocation of this fault that holds @pfn; a fault may also allocate page tables. */
static __always_inline void from_allocs(struct mp_ev_fault *ev, struct mp_thread *t)
{
	for (u32 i = 0; i < MP_FAULT_ALLOCS; i++) {
		struct mp_page_alloc *a = &t->allocs[i];

		if (i >= t->nr_allocs || ev->pfn - a->pfn >= 1ULL << (a->order & 15))
			continue;
		ev->flags |= MP_FAULT_ALLOC;
		ev->alloc_ns = clamp32(a->ts_ns - t->fault_ns);
		ev->gfp = a->gfp;
		ev->node = a->node;
		ev->zone = a->zone;
		ev->order = a->order;
		ev->migratetype = a->migratetype;
	}
}

static __always_inline void from_page(struct mp_ev_fault *ev)
{
	u64 flags = mp_page_flags(mp_page(ev->pfn));

	ev->node = flags >> mp_set.node_shift & mp_set.node_mask;
	ev->zone = flags >> mp_set.zone_shift & mp_set.zone_mask;
}

/* Reads the entry that the fault has set. */
static __always_inline void from_table(struct mp_ev_fault *ev)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct mp_leaf leaf;
	u64 kind;

	if (mp_walk(BPF_CORE_READ(task, mm), ev->addr, false, &leaf)) {
		mp_drop(MP_DROP_WALK);
		return;
	}
	ev->flags |= MP_FAULT_WALKED;
	if (!pte_present(leaf.val))
		return;
	ev->flags |= MP_FAULT_PRESENT | MP_FAULT_KIND_KNOWN;
	ev->pfn = pte_pfn(leaf.val);
	if (leaf.shift > 12) {
		ev->pfn = (ev->pfn & ~511ULL) + (ev->addr >> MP_PAGE_SHIFT & 511);
		ev->flags |= MP_FAULT_PMD;
		ev->order = 9;
	}
	kind = mp_page_kind(leaf.val, ev->pfn);
	ev->flags |= kind == MP_PAGE_ANON   ? MP_FAULT_ANON
		     : kind == MP_PAGE_ZERO ? MP_FAULT_ZERO
					    : MP_FAULT_SHARED_PFN;
	from_page(ev);
}

static __always_inline void own_fault(struct mp_ev_fault *ev)
{
	if (!(ev->flags & MP_FAULT_ANON))
		return;
	if (ev->flags & MP_FAULT_PMD)
		mp_own_huge(ev->pfn & ~511ULL);
	else
		mp_own(ev->pfn);
}

static __always_inline void send_folio(struct mp_ev_fault *fault, u32 owner)
{
	u64 nr = 1ULL << (fault->order & 15);
	u64 start = fault->addr & ~(nr * MP_PAGE_SIZE - 1);
	struct task_struct *task = (void *)bpf_get_current_task();
	struct mp_ev_pages *ev;
	u64 pfn, first = fault->pfn - (fault->addr - start) / MP_PAGE_SIZE;
	struct mp_leaf leaf;

	if (mp_walk(BPF_CORE_READ(task, mm), start, false, &leaf) || !pte_present(leaf.val))
		return;
	pfn = pte_pfn(leaf.val);
	if (pfn != first)
		return; /* not mapped as a whole: only the faulting page is known */
	ev = mp_reserve(sizeof(*ev) + 8);
	if (!ev)
		return;
	mp_head(&ev->h, MP_EV_PAGES, sizeof(*ev) + 8, owner);
	ev->addr = start;
	ev->begin_ns = fault->h.ts_ns;
	ev->nr = nr;
	ev->source = MP_SRC_FAULT;
	ev->contig = 1;
	ev->order = fault->order;
	ev->pad = 0;
	ev->caller = 0;
	ev->entries[0] = first | MP_PAGE_PRESENT | MP_PAGE_ANON;
	for (u64 i = 0; i < 256; i++) {
		if (i >= nr)
			break;
		mp_own(first + i);
	}
	mp_send(ev);
}

static __always_inline int fault_end(struct perf_ctx *ctx, u32 major)
{
	u64 addr = ctx->addr;
	struct mp_proc_val *p = mp_current();
	struct mp_ev_fault *ev, copy;
	struct mp_thread *t;

	if (!p)
		return 0;
	mp_hit(MP_HIT_FAULT);
	t = mp_thread_make();
	ev = mp_reserve(sizeof(*ev));
	if (!ev || !t) {
		if (ev)
			bpf_ringbuf_discard(ev, BPF_RB_NO_WAKEUP);
		return 0;
	}
	__builtin_memset(&copy, 0, sizeof(copy));
	mp_head(&copy.h, MP_EV_FAULT, sizeof(copy), p->owner);
	copy.addr = addr;
	copy.syscall = -1;
	copy.flags = major;
	from_start(&copy, t, addr);
	from_table(&copy);
	from_allocs(&copy, t);
	if (copy.flags & MP_FAULT_KERNEL)
		from_syscall(&copy);
	own_fault(&copy);
	t->in_fault = 0;
	*ev = copy;
	mp_send(ev);
	if ((copy.flags & MP_FAULT_ANON) && copy.order && !(copy.flags & MP_FAULT_PMD))
		send_folio(&copy, p->owner);
	return 0;
}

SEC("perf_event")
int mp_fault_min(struct perf_ctx *ctx)
{
	return fault_end(ctx, 0);
}

SEC("perf_event")
int mp_fault_maj(struct perf_ctx *ctx)
{
	return fault_end(ctx, MP_FAULT_MAJOR);
}
