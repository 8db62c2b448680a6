// SPDX-License-Identifier: GPL-2.0
/*
 * Page faults where neither fentry nor kprobes are to be had: the exception's tracepoint is the
 * start, the software event PAGE_FAULTS_MIN/MAJ is the end. That event fires in mm_account_fault()
 * (mm/memory.c), once a completed fault, after the entry is set; it is blind to get_user_pages.
 * It is also the end in the fentry row of kernels that preempt programs on fexit.
 */
#include "fault.bpf.h"

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

/*
 * May entries of @mm say where a page was swapped out to? It is on the list that swapoff goes through as
 * soon as one does (mm/rmap.c, try_to_unmap_one; mm/memory.c, copy_pte_range); a walk at every fault
 * would cost those that never swap.
 */
static __always_inline bool has_swapped(struct mm_struct *mm)
{
	void *next;

	if (!bpf_core_field_exists(mm->mmlist))
		return true;
	next = BPF_CORE_READ(mm, mmlist.next);
	return next != (void *)mm + bpf_core_field_offset(mm->mmlist);
}

static __always_inline int fault_start(u64 addr, struct mp_regs *regs, u64 ec, u32 flags)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct mm_struct *mm;
	struct mp_thread *t;

	if (addr >= TASK_SIZE_MAX || !mp_current())
		return 0;
	/*
	 * A read that may fail, as ours of the user's stack, is refused and not handled. The reading
	 * of this count is itself one of those (mm/maccess.c, copy_from_kernel_nofault).
	 */
	if (BPF_CORE_READ(task, pagefault_disabled) > 1)
		return 0;
	t = mp_thread_make();
	if (!t)
		return 0;
	t->fault_addr = addr;
	t->fault_flags = flags | (ec & PF_PROT ? MP_FAULT_PROT : 0) |
			 (ec & PF_WRITE ? MP_FAULT_WRITE : 0);
	mm = BPF_CORE_READ(task, mm);
	if (!(ec & PF_PROT) && has_swapped(mm)) /* nothing is present, but it may be in swap */
		t->fault_flags |= mp_entry_before(mm, addr) & MP_FAULT_SWAPIN;
	t->fault_ip = 0;
	if (!(flags & MP_FAULT_KERNEL))
		bpf_probe_read_kernel(&t->fault_ip, 8, &regs->rip);
	t->nr_allocs = 0;
	t->stage = 0;
	forget_stall(t);
	t->in_fault = MP_IN_FAULT;
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

static __always_inline int fault_end(struct perf_ctx *ctx, u32 major)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct mp_proc_val *p = mp_current();

	return p ? send_fault(BPF_CORE_READ(task, mm), p->owner, ctx->addr, major) : 0;
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
