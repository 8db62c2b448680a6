// SPDX-License-Identifier: GPL-2.0
/*
 * What a fault waits for where memory is short: reclaim of the machine's or of its cgroup's, compaction,
 * kswapd; and that there is none in the end. Kept with the fault and told at its end (send_stall).
 */
#include "fault.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define COMPACT_SKIPPED 1 /* enum compact_result (include/linux/compaction.h): not even tried */

static __always_inline struct mp_stall *faulting(void)
{
	struct mp_thread *t = mp_thread_get();

	return t && t->in_fault == MP_IN_FAULT ? &t->stall : NULL;
}

static __always_inline u64 took(u64 *begin)
{
	u64 since = *begin;

	*begin = 0;
	return bpf_ktime_get_ns() - since;
}

SEC("raw_tp/mm_vmscan_direct_reclaim_begin")
int mp_reclaim(struct bpf_raw_tracepoint_args *ctx)
{
	struct mp_stall *s = faulting();

	if (!s)
		return 0;
	s->reclaim_begin = bpf_ktime_get_ns();
	s->last = MP_UNMET_MACHINE;
	return 0;
}

SEC("raw_tp/mm_vmscan_direct_reclaim_end")
int mp_reclaimed(struct bpf_raw_tracepoint_args *ctx)
{
	struct mp_stall *s = faulting();

	if (!s || !s->reclaim_begin)
		return 0;
	s->reclaim_ns += took(&s->reclaim_begin);
	s->reclaims++;
	return 0;
}

SEC("raw_tp/mm_vmscan_memcg_reclaim_begin")
int mp_memcg(struct bpf_raw_tracepoint_args *ctx)
{
	struct mp_stall *s = faulting();

	if (!s)
		return 0;
	s->memcg_begin = bpf_ktime_get_ns();
	s->last = MP_UNMET_CGROUP;
	return 0;
}

SEC("raw_tp/mm_vmscan_memcg_reclaim_end")
int mp_memcg_end(struct bpf_raw_tracepoint_args *ctx)
{
	struct mp_stall *s = faulting();

	if (!s || !s->memcg_begin)
		return 0;
	s->memcg_ns += took(&s->memcg_begin);
	s->memcg_reclaims++;
	return 0;
}

SEC("raw_tp/mm_vmscan_wakeup_kswapd")
int mp_kswapd(struct bpf_raw_tracepoint_args *ctx)
{
	struct mp_stall *s = faulting();

	if (s)
		s->wakes++;
	return 0;
}

/* Whom the want kills is told by bpf/life.bpf.c, after this; here is the fault that wanted. */
SEC("raw_tp/mark_victim")
int mp_wanting(struct bpf_raw_tracepoint_args *ctx)
{
	struct mp_thread *t = mp_thread_get();
	struct mp_proc_val *p = mp_current();
	u32 stack;

	if (!p || !t || t->in_fault != MP_IN_FAULT || t->stall.told)
		return 0;
	if (mp_set.gup_seen && t->fault_owner != p->owner)
		return 0; /* for another process */
	stack = mp_stack_of_user(p);
	unmet(t);
	send_stall(begin_event(t, p->owner, t->fault_addr, 0, stack), t);
	return 0;
}

/* ---- try_to_compact_pages: called for an allocation only; compact_stall counts it -------------- */

static __always_inline int compact_enter(void)
{
	struct mp_stall *s = faulting();

	if (s)
		s->compact_begin = bpf_ktime_get_ns();
	return 0;
}

static __always_inline int compact_exit(u32 result)
{
	struct mp_stall *s = faulting();
	u64 ns;

	if (!s || !s->compact_begin)
		return 0;
	ns = took(&s->compact_begin);
	if (result == COMPACT_SKIPPED)
		return 0;
	s->compact_ns += ns;
	s->compactions++;
	return 0;
}

SEC("?fentry/try_to_compact_pages")
int mp_compact_ent(u64 *ctx)
{
	return compact_enter();
}

SEC("?fexit/try_to_compact_pages")
int mp_compact_ret(u64 *ctx)
{
	return compact_exit(ctx[6]);
}

SEC("?kprobe/try_to_compact_pages")
int mp_compact_kent(struct mp_regs *r)
{
	return compact_enter();
}

SEC("?kretprobe/try_to_compact_pages")
int mp_compact_kret(struct mp_regs *r)
{
	return compact_exit(r->rax);
}
