/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For the test of the unwinder (tests/stacks), in a build of its own: of each stack that is interned,
 * once, the registers it was unwound from and what lay on the stack, for somebody else to unwind.
 */
#ifndef MP_COPY_BPF_H
#define MP_COPY_BPF_H

#include "maps.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 28);
} copies SEC(".maps") __weak;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 20);
	__type(key, u32);
	__type(value, u32);
} copied SEC(".maps") __weak;

/* tests/stacks/oracle.c has the same. */
#define COPY_PAGES   16
#define COPY_RETURNS 8
struct mp_stack_copy {
	u32 id, tgid, bytes, exact;
	struct mp_regs regs;
	struct {
		u64 slot, was;
	} replaced[COPY_RETURNS];            /* what uretprobes have put their trampoline over */
	u8 stack[COPY_PAGES * MP_PAGE_SIZE]; /* from regs.rsp */
};

static __always_inline void copy_replaced(struct mp_stack_copy *c)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct uprobe_task *utask = BPF_CORE_READ(task, utask);
	struct return_instance *ri = utask ? BPF_CORE_READ(utask, return_instances) : NULL;

	for (int i = 0; i < COPY_RETURNS; i++) {
		c->replaced[i].slot = ri && !BPF_CORE_READ(ri, chained) ? BPF_CORE_READ(ri, stack)
									: 0;
		c->replaced[i].was = ri ? BPF_CORE_READ(ri, orig_ret_vaddr) : 0;
		ri = ri ? BPF_CORE_READ(ri, next) : NULL;
	}
}

static __always_inline void mp_copy_stack(u32 id, struct mp_regs *regs, u64 pc, u64 sp, u32 exact)
{
	u64 left = MP_PAGE_SIZE - (sp & (MP_PAGE_SIZE - 1));
	struct mp_stack_copy *c;

	if (!id || bpf_map_lookup_elem(&copied, &id))
		return;
	c = bpf_ringbuf_reserve(&copies, sizeof(*c), 0);
	if (!c)
		return; /* another time */
	bpf_map_update_elem(&copied, &id, &id, BPF_ANY);
	c->id = id;
	c->tgid = mp_tgid();
	c->exact = exact;
	bpf_probe_read_kernel(&c->regs, sizeof(c->regs), regs);
	c->regs.rip = pc;
	c->regs.rsp = sp;
	copy_replaced(c);
	/* page by page: what was never touched is not there, and reads as zeros */
	bpf_probe_read_user(c->stack, left & (MP_PAGE_SIZE - 1), (void *)sp);
	for (u32 i = 0; i < COPY_PAGES - 1; i++) {
		u32 at = (left & (MP_PAGE_SIZE - 1)) + i * MP_PAGE_SIZE;

		barrier_var(at);
		if (at <= sizeof(c->stack) - MP_PAGE_SIZE)
			bpf_probe_read_user(&c->stack[at], MP_PAGE_SIZE, (void *)(sp + at));
	}
	c->bytes = (left & (MP_PAGE_SIZE - 1)) + (COPY_PAGES - 1) * MP_PAGE_SIZE;
	bpf_ringbuf_submit(c, 0);
}

#endif
