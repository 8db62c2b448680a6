/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A memory system call that failed, with the numbers that the kernel compares it with. They are read
 * at its exit, where a call that failed has changed none of them.
 */
#ifndef MP_REFUSAL_BPF_H
#define MP_REFUSAL_BPF_H

#include "maps.bpf.h"

/* include/uapi/asm-generic/resource.h, include/uapi/linux/capability.h */
#define RLIMIT_DATA    2
#define RLIMIT_MEMLOCK 8
#define RLIMIT_AS      9
#define CAP_IPC_LOCK   14
#define CAP_SYS_ADMIN  21
#define VM_LOCKED      0x2000

#define MP_ASKS                                                                     \
	(1 << MP_OP_BRK | 1 << MP_OP_MMAP | 1 << MP_OP_MUNMAP | 1 << MP_OP_MREMAP | \
	 1 << MP_OP_MPROTECT | 1 << MP_OP_MLOCK | 1 << MP_OP_MLOCKALL | 1 << MP_OP_SHMAT)

static __always_inline bool mp_refused(const struct mp_ev_range *ev)
{
	if (!(1 << (ev->op & 31) & MP_ASKS))
		return false;
	if (ev->op == MP_OP_BRK)
		return ev->addr > ev->old && (u64)ev->ret < ev->addr;
	return (u64)ev->ret >= -4095ULL;
}

/* Capabilities in a user namespace of its own are none to the limits of memory. */
static __always_inline u32 refusal_flags(struct task_struct *task, struct mm_struct *mm)
{
	u32 flags = BPF_CORE_READ(mm, def_flags) & VM_LOCKED ? MP_REFUSAL_LOCKS : 0;
	const struct cred *cred = BPF_CORE_READ(task, cred);
	u64 caps = 0;

	bpf_core_read(&caps, 8, &cred->cap_effective);
	if (BPF_CORE_READ(cred, user_ns, level))
		return flags;
	flags |= caps >> CAP_IPC_LOCK & 1 ? MP_REFUSAL_IPC_LOCK : 0;
	return flags | (caps >> CAP_SYS_ADMIN & 1 ? MP_REFUSAL_SYS_ADMIN : 0);
}

static __always_inline void refusal_limits(struct mp_ev_refusal *ev, struct task_struct *task)
{
	ev->limit_as = BPF_CORE_READ(task, signal, rlim[RLIMIT_AS].rlim_cur);
	ev->limit_data = BPF_CORE_READ(task, signal, rlim[RLIMIT_DATA].rlim_cur);
	ev->limit_data_max = BPF_CORE_READ(task, signal, rlim[RLIMIT_DATA].rlim_max);
	ev->limit_memlock = BPF_CORE_READ(task, signal, rlim[RLIMIT_MEMLOCK].rlim_cur);
}

/* @r: of the call, its head filled in. */
static __always_inline void mp_send_refusal(const struct mp_ev_range *r)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	struct percpu_counter *committed = (void *)mp_set.committed;
	struct mp_ev_refusal *ev = mp_reserve(sizeof(*ev));

	if (!ev)
		return;
	ev->r = *r;
	mp_head(&ev->r.h, MP_EV_REFUSAL, sizeof(*ev), r->h.tgid);
	ev->total_pages = BPF_CORE_READ(mm, total_vm);
	ev->data_pages = BPF_CORE_READ(mm, data_vm);
	ev->locked_pages = BPF_CORE_READ(mm, locked_vm);
	ev->start_brk = BPF_CORE_READ(mm, start_brk);
	ev->end_brk = BPF_CORE_READ(mm, brk);
	ev->program_data_bytes = BPF_CORE_READ(mm, end_data) - BPF_CORE_READ(mm, start_data);
	ev->mappings = BPF_CORE_READ(mm, map_count);
	ev->flags = refusal_flags(task, mm);
	refusal_limits(ev, task);
	ev->committed_pages = committed ? BPF_CORE_READ(committed, count) : ~0ULL;
	mp_send(ev);
}

#endif
