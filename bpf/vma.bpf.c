// SPDX-License-Identifier: GPL-2.0
/*
 * The memory system calls, by their own tracepoints (so that other system calls pay nothing): what
 * was asked at the entry, what came of it at the exit, and, where the kernel itself filled a range
 * (MAP_POPULATE, mlock), what the page table holds now.
 */
#include "range.bpf.h"
#include "refusal.bpf.h"
#include "tier.bpf.h"
#include "unwind.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* arch/x86/entry/syscalls/syscall_64.tbl */
enum {
	NR_mmap = 9,
	NR_mprotect = 10,
	NR_munmap = 11,
	NR_brk = 12,
	NR_mremap = 25,
	NR_madvise = 28,
	NR_shmat = 30,
	NR_shmdt = 67,
	NR_mlock = 149,
	NR_munlock = 150,
	NR_mlockall = 151,
	NR_mlock2 = 325,
};

#define TS_COMPAT           2 /* arch/x86/include/asm/thread_info.h: by int 0x80 or of 32 bits */
#define PROT_EXEC           4
#define MAP_LOCKED          0x2000
#define MAP_POPULATE        0x8000
#define MADV_FREE           8
#define MADV_COLD           20
#define MADV_PAGEOUT        21
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#define MADV_COLLAPSE       25

struct sys_enter { /* events/syscalls/sys_enter_NAME/format */
	u64 common;
	u64 nr; /* the arguments differ in number, and reading past the last is refused at attach */
};
struct sys_exit {
	u64 common;
	u64 nr;
	s64 ret;
};

static __always_inline struct mm_struct *current_mm(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, mm);
}

/* ---- folios at the edges of a call -------------------------------------------------------------- */

/*
 * The folio that is mapped at @addr, by the address of its first page and its pages: the kernel maps
 * all of it. False if there is none larger than a page.
 */
static __always_inline bool folio_at(u64 addr, u64 *first, u64 *pages)
{
	struct mp_leaf leaf;
	u64 pfn, head;

	if (mp_walk(current_mm(), addr, false, &leaf) || !pte_present(leaf.val) || leaf.shift > 21)
		return false;
	if (leaf.shift == 21) {
		*first = addr & ~(512 * MP_PAGE_SIZE - 1);
		*pages = 512;
		return true;
	}
	pfn = pte_pfn(leaf.val);
	if (mp_page_kind(leaf.val, pfn) != MP_PAGE_ANON)
		return false;
	head = (u64)mp_head_page(mp_page(pfn));
	*pages = 1ULL << mp_head_order((struct page *)head);
	*first = (addr & MP_PAGE_MASK) - (pfn - mp_page_to_pfn(head)) * MP_PAGE_SIZE;
	return *pages > 1;
}

/* These need folios of their own for the pages they are asked for, and split those that are not. */
static __always_inline bool splits(u32 op, u64 advice)
{
	return op == MP_OP_MADVISE &&
	       (advice == MADV_FREE || advice == MADV_COLD || advice == MADV_PAGEOUT);
}

/* Notes the folio around @addr, a page of [start, end), if not all of it lies in there. */
static __always_inline void note_edge(struct mp_thread *t, u32 i, u64 addr, u64 start, u64 end)
{
	u64 first = 0, pages = 0;

	if (!folio_at(addr, &first, &pages))
		return;
	if (first >= start && first + pages * MP_PAGE_SIZE <= end)
		return;
	t->walk[i] = first;
	t->walk_pages[i] = pages;
}

static __always_inline void note_edges(struct mp_thread *t)
{
	u64 start = t->args[0], end = (start + t->args[1] + MP_PAGE_SIZE - 1) & MP_PAGE_MASK;

	if (!splits(MP_OP_MADVISE, t->args[2]) || start >= end)
		return;
	note_edge(t, 0, start, start, end);
	note_edge(t, 1, end - MP_PAGE_SIZE, start, end);
}

static __always_inline u8 op_of(u32 nr)
{
	switch (nr) {
	case NR_brk:
		return MP_OP_BRK;
	case NR_mmap:
		return MP_OP_MMAP;
	case NR_munmap:
		return MP_OP_MUNMAP;
	case NR_mremap:
		return MP_OP_MREMAP;
	case NR_madvise:
		return MP_OP_MADVISE;
	case NR_mprotect:
		return MP_OP_MPROTECT;
	case NR_mlock:
	case NR_mlock2:
		return MP_OP_MLOCK;
	case NR_munlock:
		return MP_OP_MUNLOCK;
	case NR_mlockall:
		return MP_OP_MLOCKALL;
	case NR_shmat:
		return MP_OP_SHMAT;
	case NR_shmdt:
		return MP_OP_SHMDT;
	}
	return 0;
}

#define GROWING (1 << MP_OP_BRK | 1 << MP_OP_MMAP | 1 << MP_OP_MPROTECT | 1 << MP_OP_MREMAP)

/* What the allocator asks the kernel for tells how it came by a block; what it gives back, too. */
static __always_inline void note_for_allocator(struct mp_proc_val *p, struct mp_thread *t, u64 nr)
{
	u32 op = 1 << op_of(nr), top = t->depth - 1;

	if (top < MP_FRAMES && (op & GROWING))
		mp_snap_at(t, top)->grew |= op;
	if (!t->freeing.addr || nr != NR_munmap)
		return;
	if (t->freeing.addr - t->args[0] < t->args[1])
		mp_tier_raised(p, &t->freeing);
	t->freeing.addr = 0;
}

static __always_inline int sys_enter(struct mp_proc_val *p, struct mp_thread *t, u64 args[5],
				     u64 nr)
{
	for (int i = 0; i < 5; i++)
		t->args[i] = args[i];
	t->enter_nr = nr;
	if (nr == NR_brk)
		t->old_brk = BPF_CORE_READ(current_mm(), brk);
	t->walk_pages[0] = t->walk_pages[1] = 0;
	if (nr == NR_madvise)
		note_edges(t);
	t->hooked = 0;
	note_for_allocator(p, t, nr);
	mp_learn_space(p);
	t->enter_ns = bpf_ktime_get_ns();
	return 0;
}

static __always_inline void read_args(u64 args[5])
{
	struct mp_regs *regs = mp_user_regs();

	bpf_probe_read_kernel(&args[0], 8, &regs->rdi);
	bpf_probe_read_kernel(&args[1], 8, &regs->rsi);
	bpf_probe_read_kernel(&args[2], 8, &regs->rdx);
	bpf_probe_read_kernel(&args[3], 8, &regs->r10);
	bpf_probe_read_kernel(&args[4], 8, &regs->r8);
}

SEC("?tp")
int mp_sys_enter(struct sys_enter *ctx)
{
	struct mp_proc_val *p = mp_current();
	struct mp_thread *t = p ? mp_thread_make() : NULL;
	u64 args[5] = {};

	if (!t)
		return 0;
	read_args(args);
	return sys_enter(p, t, args, (u32)ctx->nr);
}

/*
 * Where a program of a system call's own tracepoint can lose the CPU (7.x), none of a perf event or
 * kprobe runs there until it is done, whoever's: the kernel takes it for a recursion. There, programs
 * of the tracepoint of all calls are used, which have a guard each: three, that one may miss what the
 * two others have lost the CPU in. They find out whether they are needed.
 */
static __always_inline bool is_compat(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, thread_info.status) & TS_COMPAT;
}

/* Whether the call that @t holds has these arguments. */
static __always_inline bool is_same_call(struct mp_thread *t, u64 args[5], u64 nr)
{
	u64 differ = t->enter_nr ^ nr;

	for (int i = 0; i < 5; i++)
		differ |= args[i] ^ t->args[i];
	return !differ;
}

static __always_inline int any_enter(u64 nr)
{
	struct mp_proc_val *p = op_of(nr) ? mp_current() : NULL;
	struct mp_thread *t = p && !is_compat() ? mp_thread_make() : NULL;
	u64 args[5] = {};

	if (!t)
		return 0;
	read_args(args);
	return t->enter_ns && is_same_call(t, args, nr) ? 0 : sys_enter(p, t, args, nr);
}

SEC("?raw_tp/sys_enter")
int mp_any_enter(struct bpf_raw_tracepoint_args *ctx)
{
	return any_enter(ctx->args[1]);
}

SEC("?raw_tp/sys_enter")
int mp_any_enter_2(struct bpf_raw_tracepoint_args *ctx)
{
	return any_enter(ctx->args[1]);
}

SEC("?raw_tp/sys_enter")
int mp_any_enter_3(struct bpf_raw_tracepoint_args *ctx)
{
	return any_enter(ctx->args[1]);
}

static __always_inline void fill_args(struct mp_ev_range *ev, struct mp_thread *t)
{
	ev->addr = t->args[0];
	ev->len = t->args[1];
	switch (ev->op) {
	case MP_OP_BRK:
		ev->len = 0;
		ev->old = t->old_brk;
		break;
	case MP_OP_MMAP:
		ev->prot = t->args[2];
		ev->flags = t->args[3];
		ev->old_len = t->args[4];
		break;
	case MP_OP_MREMAP:
		ev->addr = t->args[4];
		ev->len = t->args[2];
		ev->old = t->args[0];
		ev->old_len = t->args[1];
		ev->flags = t->args[3];
		break;
	case MP_OP_MADVISE:
	case MP_OP_MPROTECT:
		ev->prot = t->args[2];
		break;
	case MP_OP_MLOCKALL:
		ev->addr = ev->len = 0;
		ev->flags = t->args[0];
		break;
	}
}

/*
 * Who asked: inside an allocator call, the allocator's caller; inside libc's wrapper, the wrapper's
 * caller (its entry sp is at most one page above the system call's); else the system call itself.
 */
static __always_inline void fill_caller(struct mp_ev_range *ev, struct mp_proc_val *p,
					struct mp_thread *t)
{
	struct mp_regs *regs = mp_user_regs();
	u32 top = t->depth - 1;
	u64 sp = 0;

	if (top < MP_FRAMES) {
		ev->caller = mp_frame_at(t, top)->caller;
		ev->in_fn = MP_COOKIE_FN(mp_frame_at(t, top)->cookie);
		ev->stack = mp_frame_at(t, top)->stack;
		return;
	}
	bpf_probe_read_kernel(&sp, 8, &regs->rsp);
	if (t->map_caller && t->map_sp - sp < MP_PAGE_SIZE) {
		ev->caller = t->map_caller;
		ev->in_fn = MP_FN_MMAP;
		ev->stack = t->map_stack;
		return;
	}
	bpf_probe_read_kernel(&ev->caller, 8, &regs->rip);
	ev->stack = mp_stack_of_user(p);
}

static __always_inline bool filled_by_kernel(struct mp_thread *t, struct mp_ev_range *ev)
{
	u64 locked = BPF_CORE_READ(current_mm(), locked_vm);
	bool seen = mp_set.gup_seen && !t->gup_ended && t->in_fault != MP_IN_FAULT;

	t->gup_ended = 0;
	t->in_fault = MP_IN_NONE;
	if (seen)
		return ev->op == MP_OP_MADVISE && ev->prot == MADV_COLLAPSE;
	switch (ev->op) {
	case MP_OP_MMAP:
		return (ev->flags & (MAP_POPULATE | MAP_LOCKED)) || locked;
	case MP_OP_MLOCK:
		return true;
	case MP_OP_MADVISE:
		return ev->prot == MADV_POPULATE_READ || ev->prot == MADV_POPULATE_WRITE ||
		       ev->prot == MADV_COLLAPSE;
	case MP_OP_BRK:
	case MP_OP_MREMAP:
	case MP_OP_MPROTECT:
		return locked;
	}
	return false;
}

static __always_inline void note_filled(struct mp_thread *t, struct mp_ev_range *ev)
{
	u64 start = ev->addr, len = ev->len, end, first = 0, pages = 0;

	if (ev->op == MP_OP_MMAP || ev->op == MP_OP_MREMAP)
		start = ev->ret;
	if (ev->op == MP_OP_BRK) {
		start = ev->old;
		len = (u64)ev->ret > ev->old ? ev->ret - ev->old : 0;
	}
	if (!len || len >= 1ULL << 47)
		return;
	end = (start + len + MP_PAGE_SIZE - 1) & MP_PAGE_MASK;
	if (folio_at(end - MP_PAGE_SIZE, &first, &pages) && end < first + pages * MP_PAGE_SIZE)
		end = first + pages * MP_PAGE_SIZE;
	start &= MP_PAGE_MASK;
	if (folio_at(start, &first, &pages) && first < start)
		start = first;
	t->walk[0] = start;
	t->walk_pages[0] = (end - start) >> MP_PAGE_SHIFT;
}

/* Where do_brk_flags and mmap_region are not hooked, the calls that reach them stand in. */
static __always_inline void count_stand_in(const struct mp_ev_range *ev)
{
	if (mp_set.gup_seen || (u64)ev->ret >= -4095ULL)
		return;
	if (ev->op == MP_OP_BRK && (u64)ev->ret > ev->old)
		mp_hit(MP_HIT_BRK);
	else if (ev->op == MP_OP_MMAP)
		mp_hit(MP_HIT_MMAP);
}

/*
 * At an exit: the entry was skipped, and this is not the exit of the call before, which one of the
 * other programs has seen. The arguments are still there.
 */
static __always_inline bool entered_unseen(struct mp_proc_val *p, struct mp_thread *t, u64 nr,
					   s64 ret)
{
	u64 args[5] = {};

	if (!mp_set.preemptible)
		return false;
	read_args(args);
	if (is_same_call(t, args, nr) && t->ret == ret)
		return false;
	sys_enter(p, t, args, nr);
	if (nr == NR_brk)
		t->old_brk = t->brk;
	return true;
}

/* The call's event; the thread if there is something to be read now. */
static __always_inline struct mp_thread *sys_exit(u32 nr, s64 ret)
{
	struct mp_proc_val *p = mp_current();
	struct mp_ev_range *ev, out;
	struct mp_thread *t;

	if (!p)
		return NULL;
	t = mp_thread_get();
	if (!t || !(t->enter_ns || entered_unseen(p, t, nr, ret)))
		return NULL;
	__builtin_memset(&out, 0, sizeof(out));
	out.op = op_of(nr);
	out.ret = ret;
	out.enter_ns = t->enter_ns;
	out.hooked = t->hooked;
	t->enter_ns = 0;
	t->hooked = 0;
	t->ret = ret;
	if (out.op == MP_OP_BRK)
		t->brk = ret;
	fill_args(&out, t);
	fill_caller(&out, p, t);
	count_stand_in(&out);
	t->map_caller = 0;
	mp_head(&out.h, MP_EV_RANGE, sizeof(out), p->owner);
	if (mp_refused(&out))
		mp_send_refusal(&out);
	ev = mp_reserve(sizeof(*ev));
	if (ev) {
		out.h.ts_ns = bpf_ktime_get_ns();
		*ev = out;
		/* an object's code appears: its stacks end there until its tables are in the maps */
		if (out.op == MP_OP_MMAP && (out.prot & PROT_EXEC))
			mp_send_now(ev);
		else
			mp_send(ev);
	}
	if (out.op == MP_OP_MMAP && (u64)ret < -4095ULL &&
	    mp_tier_may_be_heap(&p->glibc, out.len, out.prot, out.flags)) {
		t->reserving.heap = (ret + p->glibc.heap_mask) & ~p->glibc.heap_mask;
		t->reserving.caller = out.caller;
		t->reserving.stack = out.stack;
		t->reserving.in_fn = out.in_fn;
	}
	if ((u64)ret < -4095ULL && filled_by_kernel(t, &out))
		note_filled(t, &out);
	t->walk_caller = out.caller;
	return t->walk_pages[0] | t->walk_pages[1] ? t : NULL;
}

static __always_inline struct walk_ctx walk_of(struct mp_thread *t, u32 i)
{
	struct mp_proc_val *p = mp_current();

	return (struct walk_ctx){
		.mm = current_mm(),
		.addr = t->walk[i],
		.end = t->walk[i] + t->walk_pages[i] * MP_PAGE_SIZE,
		.caller = t->walk_caller,
		.owner = p ? p->owner : 0,
		.source = MP_SRC_POPULATE,
	};
}

static __always_inline int walk_filled(struct mp_thread *t)
{
	struct walk_ctx w;

	if (!t)
		return 0;
	w = walk_of(t, 0);
	bpf_loop(t->walk_pages[0] / 32 + 16, walk_step, &w, 0);
	if (t->walk[1] == t->walk[0] || !t->walk_pages[1])
		return 0;
	w = walk_of(t, 1);
	bpf_loop(t->walk_pages[1] / 32 + 16, walk_step, &w, 0);
	return 0;
}

SEC("?tp")
int mp_sys_exit(struct sys_exit *ctx)
{
	s64 ret = ctx->ret;
	u32 nr = ctx->nr;

	barrier_var(ret); /* the context may only be read at fixed offsets: read once, here */
	barrier_var(nr);
	return walk_filled(sys_exit(nr, ret));
}

/* The first that comes takes enter_ns away. */
static __always_inline int any_exit(struct mp_regs *regs, s64 ret)
{
	u64 nr = 0;

	bpf_probe_read_kernel(&nr, 8, &regs->orig_rax);
	return op_of(nr) && !is_compat() ? walk_filled(sys_exit(nr, ret)) : 0;
}

SEC("?raw_tp/sys_exit")
int mp_any_exit(struct bpf_raw_tracepoint_args *ctx)
{
	return any_exit((void *)ctx->args[0], ctx->args[1]);
}

SEC("?raw_tp/sys_exit")
int mp_any_exit_2(struct bpf_raw_tracepoint_args *ctx)
{
	return any_exit((void *)ctx->args[0], ctx->args[1]);
}

SEC("?raw_tp/sys_exit")
int mp_any_exit_3(struct bpf_raw_tracepoint_args *ctx)
{
	return any_exit((void *)ctx->args[0], ctx->args[1]);
}

/*
 * For kernels without bpf_loop (5.10): some tables at a time, then the next of 32 tail calls. They
 * take WALK_STEPS * 32 * 256 KiB; what is beyond is counted as not read.
 */
#define WALK_STEPS 32

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} walkers SEC(".maps");

SEC("?tp")
int mp_walk_more(struct sys_exit *ctx)
{
	struct mp_thread *t = mp_thread_get();
	struct walk_ctx w;
	u32 i;

	if (!t)
		return 0;
	i = !t->walk_pages[0];
	w = walk_of(t, i & 1);
	for (u32 step = 0; step < WALK_STEPS; step++)
		if (walk_step(step, &w))
			break;
	t->walk[i & 1] = w.addr;
	t->walk_pages[i & 1] = w.addr < w.end ? (w.end - w.addr) >> MP_PAGE_SHIFT : 0;
	if (!(t->walk_pages[0] | t->walk_pages[1]))
		return 0;
	bpf_tail_call(ctx, &walkers, 0);
	mp_drop(MP_DROP_WALK);
	return 0;
}

SEC("?tp")
int mp_sys_exit_old(struct sys_exit *ctx)
{
	s64 ret = ctx->ret;
	u32 nr = ctx->nr;

	barrier_var(ret);
	barrier_var(nr);
	if (sys_exit(nr, ret))
		bpf_tail_call(ctx, &walkers, 0);
	return 0;
}
