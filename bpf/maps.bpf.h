/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Maps and settings shared by all programs (weak: every object brings them, the linker keeps one),
 * and the only ways to send an event or to count a loss.
 */
#ifndef MP_MAPS_BPF_H
#define MP_MAPS_BPF_H

#include "ktypes.bpf.h"
#include "event.h"
#include "shared.h"

/* Set by the loader before load; what the calibration found (collect/calibrate.c). */
const volatile struct mp_settings mp_set SEC(".rodata") __weak = {};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 25);
} ring SEC(".maps") __weak;

/* Which processes are traced: tgid -> whose address space it runs in (a vfork child: its parent's). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u32);
	__type(value, struct mp_proc_val);
} procs SEC(".maps") __weak;

/* The same by address space, for what another process does to it (ptrace, process_vm_writev). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, u32);
} spaces SEC(".maps") __weak;

/* Scratch of a thread between two of its probes; dies with the thread. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u32);
	__type(value, struct mp_thread);
} threads SEC(".maps") __weak;

/* Cookies by address, for kernels whose probes cannot carry one. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, struct mp_spot_key);
	__type(value, u64);
} spots SEC(".maps") __weak;

/* Text of the objects that provide malloc, by process: a call from there is a call within. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u32);
	__type(value, struct mp_texts);
} texts SEC(".maps") __weak;

/*
 * Which physical pages are mapped as anonymous memory by a traced process. Resized by the loader,
 * which also marks the pages that were there before tracing began. Bytes, for they can be stored
 * without atomics, which 5.10 does not have.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct mp_owned);
} owned SEC(".maps") __weak;

/*
 * A value a CPU, and no per-CPU map: the loader reads it often, by mmap. While bpf(2) reads a map it
 * holds off the programs of tracepoints and kprobes on its CPU (bpf_disable_instrumentation); where
 * the loader can be preempted in there (7.2), the target's next system call would go unseen.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct mp_counts);
} counts SEC(".maps") __weak;

static __always_inline void mp_drop(u32 reason)
{
	u32 cpu = bpf_get_smp_processor_id();
	struct mp_counts *c = bpf_map_lookup_elem(&counts, &cpu);

	if (c && reason < MP_DROP_MAX)
		__sync_fetch_and_add(&c->drops[reason], 1);
}

static __always_inline void mp_hit(u32 which)
{
	u32 cpu = bpf_get_smp_processor_id();
	struct mp_counts *c = bpf_map_lookup_elem(&counts, &cpu);

	barrier_var(which);
	if (c)
		c->hits[which & (MP_HITS_MAX - 1)]++;
}

static __always_inline u32 mp_tgid(void)
{
	return bpf_get_current_pid_tgid() >> 32;
}

/* What is known of the current process, or NULL if it is not traced. */
static __always_inline struct mp_proc_val *mp_known(void)
{
	u32 tgid = mp_tgid();

	return bpf_map_lookup_elem(&procs, &tgid);
}

/*
 * The traced process whose address space the current task runs in, or NULL. A vfork child leaves its
 * parent's in the middle of execve, some faults before sched_process_exec tells.
 */
static __always_inline struct mp_proc_val *mp_current(void)
{
	struct mp_proc_val *p = mp_known();
	struct task_struct *task;

	if (!p || !(p->flags & MP_PROC_VFORK))
		return p;
	task = (void *)bpf_get_current_task();
	return (u64)BPF_CORE_READ(task, mm) == p->mm ? p : NULL;
}

/* The current task's address space is @p's; told once, and again after exec. */
static __always_inline void mp_learn_space(struct mp_proc_val *p)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	u64 mm = (u64)BPF_CORE_READ(task, mm), was = p->mm;

	if (mm == was || !mm)
		return;
	p->mm = mm;
	if (was)
		bpf_map_delete_elem(&spaces, &was);
	bpf_map_update_elem(&spaces, &mm, &p->owner, BPF_ANY);
}

static const struct mp_thread mp_thread_zero;

/* The mask says to older verifiers what the caller has checked; clang must not know it is needless. */
static __always_inline struct mp_frame *mp_frame_at(struct mp_thread *t, u32 i)
{
	barrier_var(i);
	return &t->frames[i & (MP_FRAMES - 1)];
}

static __always_inline struct mp_snap *mp_snap_at(struct mp_thread *t, u32 i)
{
	barrier_var(i);
	return &t->snaps[i & (MP_FRAMES - 1)];
}

static __always_inline struct mp_thread *mp_thread_get(void)
{
	u32 tid = (u32)bpf_get_current_pid_tgid();

	return bpf_map_lookup_elem(&threads, &tid);
}

static __always_inline struct mp_thread *mp_thread_make(void)
{
	u32 tid = (u32)bpf_get_current_pid_tgid();
	struct mp_thread *t = bpf_map_lookup_elem(&threads, &tid);

	if (t)
		return t;
	bpf_map_update_elem(&threads, &tid, &mp_thread_zero, BPF_NOEXIST);
	t = bpf_map_lookup_elem(&threads, &tid);
	if (!t)
		mp_drop(MP_DROP_SCRATCH);
	return t;
}

/* An argument as a plain number: pointers from fentry have types that forbid computing with them. */
static __always_inline u64 mp_arg(u64 *ctx, int i)
{
	u64 v = 0;

	bpf_probe_read_kernel(&v, 8, &ctx[i]);
	return v;
}

/* The user's registers as they were at the system call or exception under way. */
static __always_inline struct mp_regs *mp_user_regs(void)
{
	struct task_struct *task;

	if (mp_set.has_user_regs)
		return (void *)bpf_task_pt_regs((void *)bpf_get_current_task_btf());
	/* at the top of the kernel stack (arch/x86/include/asm/processor.h, task_pt_regs) */
	task = (void *)bpf_get_current_task();
	return (void *)((u64)BPF_CORE_READ(task, stack) + mp_set.thread_size -
			sizeof(struct mp_regs));
}

/*
 * Reserves an event in the ring: from here on its place in the order is fixed, so reserve before the
 * effect it reports can be seen by others. NULL: full, counted; the reader tells it as a GAP.
 */
static __always_inline void *mp_reserve(u64 size)
{
	void *ev = bpf_ringbuf_reserve(&ring, size, 0);

	if (!ev)
		mp_drop(MP_DROP_RING);
	return ev;
}

static __always_inline void mp_head(struct mp_ev *h, u16 type, u16 size, u32 tgid)
{
	h->type = type;
	h->size = size;
	h->cpu = bpf_get_smp_processor_id();
	h->ts_ns = bpf_ktime_get_ns();
	h->tgid = tgid;
	h->tid = (u32)bpf_get_current_pid_tgid();
}

/* The reader polls by time and by need: no wake-up is paid for in the target. */
static __always_inline void mp_send(void *ev)
{
	bpf_ringbuf_submit(ev, BPF_RB_NO_WAKEUP);
}

/* What the reader must act upon at once. */
static __always_inline void mp_send_now(void *ev)
{
	bpf_ringbuf_submit(ev, BPF_RB_FORCE_WAKEUP);
}

#endif
