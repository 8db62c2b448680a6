// SPDX-License-Identifier: GPL-2.0
/*
 * The five functions a malloc passes on its way to a page, hooked themselves: do_brk_flags,
 * mmap_region, handle_mm_fault, do_anonymous_page and __alloc_pages, under the names this kernel has
 * for them. Each is there twice, by fentry/fexit and by kprobe/kretprobe; the loader chooses a row
 * and the functions, and switches the others off.
 */
#include "fault.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define FAULT_FLAG_WRITE (1 << 0)
#define FAULT_FLAG_TRIED (1 << 5)
#define FAULT_FLAG_USER  (1 << 6)

#define VM_FAULT_OOM   0x1
#define VM_FAULT_MAJOR 0x4
#define VM_FAULT_RETRY 0x400
#define VM_FAULT_ERROR (0x1 | 0x2 | 0x10 | 0x20 | 0x40 | 0x800)

/* ---- handle_mm_fault ------------------------------------------------------------------------- */

/* Whose address space @mm is, if it is traced: mostly the current task's own. */
static __always_inline u32 owner_of(struct mm_struct *mm)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct mp_proc_val *p = mp_current();
	u64 key = (u64)mm;
	u32 *owner;

	if (p && BPF_CORE_READ(task, mm) == mm)
		return p->owner;
	owner = bpf_map_lookup_elem(&spaces, &key);
	return owner ? *owner : 0;
}

/*
 * There are as many returns of a kretprobe at a time as CPUs where the kernel does not preempt (5.10),
 * and 10 at least elsewhere (kernel/trace/trace_kprobe.c gives no maxactive for perf's): while that
 * many tasks sleep in their faults, of all others no return is seen. The software event is there
 * before it, but for get_user_pages; what that mapped is read when the system call ends.
 */
static __always_inline void end_unseen(struct mp_thread *t)
{
	if ((t->fault_flags & MP_FAULT_GUP) && mp_current())
		t->gup_ended = 1;
	else
		mp_drop(MP_DROP_FAULT_END);
}

static __always_inline int fault_enter(u64 vma_at, u64 addr, u32 flags, struct mp_regs *regs)
{
	struct vm_area_struct *vma = (void *)vma_at;
	struct mm_struct *mm = BPF_CORE_READ(vma, vm_mm);
	struct mp_thread *t = mp_thread_get();
	u32 owner;

	/* tried again after VM_FAULT_RETRY: still the same fault */
	if (t && t->in_fault && t->fault_mm == (u64)mm &&
	    !((t->fault_addr ^ addr) >> MP_PAGE_SHIFT)) {
		t->in_fault = MP_IN_FAULT;
		if (flags & FAULT_FLAG_TRIED) /* as mm_account_fault() counts it */
			t->fault_flags |= MP_FAULT_MAJOR;
		return 0;
	}
	if (t && t->in_fault == MP_IN_FAULT)
		end_unseen(t);
	owner = owner_of(mm);
	t = owner ? mp_thread_make() : NULL;
	if (!t)
		return 0;
	mp_hit(MP_HIT_HANDLE_MM_FAULT);
	t->fault_mm = (u64)mm;
	t->fault_owner = owner;
	t->fault_addr = addr;
	t->fault_ip = 0;
	t->fault_flags = flags & FAULT_FLAG_WRITE ? MP_FAULT_WRITE : 0;
	if (!regs)
		t->fault_flags |= MP_FAULT_GUP;
	else if (!(flags & FAULT_FLAG_USER))
		t->fault_flags |= MP_FAULT_KERNEL;
	else
		bpf_probe_read_kernel(&t->fault_ip, 8, &regs->rip);
	t->fault_flags |= mp_entry_before(mm, addr);
	t->nr_allocs = 0;
	t->stage = 0;
	forget_stall(t);
	t->alloc_depth = 0;
	t->in_fault = MP_IN_FAULT;
	t->fault_ns = bpf_ktime_get_ns();
	return 0;
}

/* From here on the VMA may be gone; only what was kept at the entry is used. */
static __always_inline int fault_exit(u32 ret)
{
	struct mp_thread *t = mp_thread_get();
	u32 tid = (u32)bpf_get_current_pid_tgid(), flags = 0;

	if (!t || !t->in_fault)
		return 0;
	if (ret & VM_FAULT_RETRY) {
		t->in_fault = MP_IN_RETRY;
		return 0;
	}
	if (ret & VM_FAULT_ERROR & ~VM_FAULT_OOM) {
		t->in_fault = 0;
		return 0;
	}
	if (ret & VM_FAULT_OOM) {
		t->in_fault = MP_IN_FAILED;
		unmet(t);
	}
	if (ret & VM_FAULT_MAJOR)
		flags = MP_FAULT_MAJOR;
	send_fault((struct mm_struct *)t->fault_mm, t->fault_owner, t->fault_addr, flags);
	if (!mp_current())
		bpf_map_delete_elem(&threads, &tid); /* another process's fault for ours */
	return 0;
}

SEC("?fentry/handle_mm_fault")
int mp_hmf_ent(u64 *ctx)
{
	return fault_enter(mp_arg(ctx, 0), ctx[1], ctx[2], (void *)mp_arg(ctx, 3));
}

SEC("?fexit/handle_mm_fault")
int mp_hmf_ret(u64 *ctx)
{
	return fault_exit(ctx[4]);
}

/*
 * Programs on fentry can be preempted, and are then skipped for whoever runs on that CPU meanwhile.
 * The second and the third find nothing left to do, except then. (The end is safer: the software
 * event of bpf/fault.bpf.c comes first, and cannot be preempted.)
 */
SEC("?fentry/handle_mm_fault")
int mp_hmf_ent_2(u64 *ctx)
{
	return fault_enter(mp_arg(ctx, 0), ctx[1], ctx[2], (void *)mp_arg(ctx, 3));
}

SEC("?fentry/handle_mm_fault")
int mp_hmf_ent_3(u64 *ctx)
{
	return fault_enter(mp_arg(ctx, 0), ctx[1], ctx[2], (void *)mp_arg(ctx, 3));
}

SEC("?fexit/handle_mm_fault")
int mp_hmf_ret_2(u64 *ctx)
{
	return fault_exit(ctx[4]);
}

SEC("?kprobe/handle_mm_fault")
int mp_hmf_kent(struct mp_regs *r)
{
	return fault_enter(r->rdi, r->rsi, r->rdx, (void *)r->rcx);
}

SEC("?kretprobe/handle_mm_fault")
int mp_hmf_kret(struct mp_regs *r)
{
	return fault_exit(r->rax);
}

/* ---- do_anonymous_page, or the new rmap of an anonymous page where it is inlined -------------- */

static __always_inline int anonymous(void)
{
	struct mp_thread *t = mp_thread_get();

	if (t && t->in_fault)
		mp_hit(MP_HIT_ANONYMOUS);
	return 0;
}

SEC("?fexit/do_anonymous_page")
int mp_anon_ret(u64 *ctx)
{
	return anonymous();
}

SEC("?kprobe/do_anonymous_page")
int mp_anon_kent(struct mp_regs *r)
{
	return anonymous();
}

/* ---- __alloc_pages --------------------------------------------------------------------------- */

static __always_inline int alloc_enter(void)
{
	struct mp_thread *t = mp_thread_get();

	if (!t || !t->in_fault)
		return 0;
	mp_hit(MP_HIT_ALLOC_PAGES);
	if (t->alloc_depth++)
		return 0; /* for the reclaim of the one under way, or in an interrupt */
	t->freelist_calls = 0;
	t->alloc_enter_ns = bpf_ktime_get_ns();
	return 0;
}

/* The tracepoint mm_page_alloc has just told which page; here is how long it took. */
static __always_inline int alloc_exit(u64 page)
{
	struct mp_thread *t = mp_thread_get();
	struct mp_page_alloc *a;

	if (!t || !t->in_fault || !t->alloc_depth || --t->alloc_depth)
		return 0;
	if (!page || !t->nr_allocs)
		return 0;
	a = &t->allocs[(t->nr_allocs - 1) & (MP_FAULT_ALLOCS - 1)];
	if (a->pfn != mp_page_to_pfn(page))
		return 0;
	a->page_ns = clamp32(bpf_ktime_get_ns() - t->alloc_enter_ns);
	if (t->freelist_calls)
		a->stage |= t->freelist_calls > 1 ? MP_STAGE_SLOW : MP_STAGE_FAST;
	return 0;
}

SEC("?fentry/__alloc_pages")
int mp_pages_ent(u64 *ctx)
{
	return alloc_enter();
}

SEC("?fexit/__alloc_pages")
int mp_pages_ret(u64 *ctx)
{
	return alloc_exit(mp_arg(ctx, 4));
}

SEC("?kprobe/__alloc_pages")
int mp_pages_kent(struct mp_regs *r)
{
	return alloc_enter();
}

SEC("?kretprobe/__alloc_pages")
int mp_pages_kret(struct mp_regs *r)
{
	return alloc_exit(r->rax);
}

/*
 * __alloc_pages() calls it once; only where that gives nothing does __alloc_pages_slowpath(), which
 * cannot be hooked itself, and that calls it again before it does anything else (mm/page_alloc.c).
 */
static __always_inline int freelist(void)
{
	struct mp_thread *t = mp_thread_get();

	if (!t || !t->in_fault || t->alloc_depth != 1)
		return 0;
	mp_hit(MP_HIT_FREELIST);
	t->freelist_calls++;
	return 0;
}

SEC("?fentry/get_page_from_freelist")
int mp_freelist_ent(u64 *ctx)
{
	return freelist();
}

SEC("?kprobe/get_page_from_freelist")
int mp_freelist_k(struct mp_regs *r)
{
	return freelist();
}

/* ---- do_brk_flags, mmap_region --------------------------------------------------------------- */

/* The system call's event (bpf/vma.bpf.c) tells that the function was reached. */
static __always_inline int mapped(u32 hook)
{
	struct mp_thread *t = mp_current() ? mp_thread_make() : NULL;

	if (!t)
		return 0;
	mp_hit(hook);
	t->hooked = 1;
	return 0;
}

SEC("?fentry/do_brk_flags")
int mp_brk_ent(u64 *ctx)
{
	return mapped(MP_HIT_BRK);
}

SEC("?kprobe/do_brk_flags")
int mp_brk_kent(struct mp_regs *r)
{
	return mapped(MP_HIT_BRK);
}

SEC("?fentry/mmap_region")
int mp_mmap_ent(u64 *ctx)
{
	return mapped(MP_HIT_MMAP);
}

SEC("?kprobe/mmap_region")
int mp_mmap_kent(struct mp_regs *r)
{
	return mapped(MP_HIT_MMAP);
}
