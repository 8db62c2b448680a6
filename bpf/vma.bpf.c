// SPDX-License-Identifier: GPL-2.0
/*
 * The memory system calls, by their own tracepoints (so that other system calls pay nothing): what
 * was asked at the entry, what came of it at the exit, and, where the kernel itself filled a range
 * (MAP_POPULATE, mlock), what the page table holds now.
 */
#include "unwind.bpf.h"
#include "walk.bpf.h"

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

#define PROT_EXEC           4
#define MAP_LOCKED          0x2000
#define MAP_POPULATE        0x8000
#define VM_LOCKED           0x2000
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

SEC("tp")
int mp_sys_enter(struct sys_enter *ctx)
{
	struct mp_proc_val *p = mp_current();
	struct mp_regs *regs;
	struct mp_thread *t;

	if (!p)
		return 0;
	t = mp_thread_make();
	if (!t)
		return 0;
	regs = mp_user_regs();
	bpf_probe_read_kernel(&t->args[0], 8, &regs->rdi);
	bpf_probe_read_kernel(&t->args[1], 8, &regs->rsi);
	bpf_probe_read_kernel(&t->args[2], 8, &regs->rdx);
	bpf_probe_read_kernel(&t->args[3], 8, &regs->r10);
	bpf_probe_read_kernel(&t->args[4], 8, &regs->r8);
	if ((u32)ctx->nr == NR_brk)
		t->old_brk = BPF_CORE_READ(current_mm(), brk);
	t->walk_pages[0] = t->walk_pages[1] = 0;
	if ((u32)ctx->nr == NR_madvise)
		note_edges(t);
	t->hooked = 0;
	mp_learn_space(p);
	t->enter_ns = bpf_ktime_get_ns();
	return 0;
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

/* ---- range walk ----------------------------------------------------------------------------- */

struct walk_ctx {
	struct mm_struct *mm;
	u64 addr, end;
	u64 caller;
	u32 owner;
};

static __always_inline struct mp_ev_pages *begin_pages(struct walk_ctx *w, u32 nr, u32 entries)
{
	/* one size for all: a reservation must be of constant size */
	struct mp_ev_pages *ev = entries == 1 ? mp_reserve(sizeof(*ev) + 8)
					      : mp_reserve(sizeof(*ev) + 8 * MP_PAGES_MAX);

	if (!ev)
		return NULL;
	mp_head(&ev->h, MP_EV_PAGES, sizeof(*ev) + 8 * entries, w->owner);
	ev->addr = w->addr;
	ev->begin_ns = ev->h.ts_ns;
	ev->nr = nr;
	ev->source = MP_SRC_POPULATE;
	ev->contig = entries == 1;
	ev->order = 0;
	ev->pad = 0;
	ev->caller = w->caller;
	return ev;
}

static __always_inline void walk_huge(struct walk_ctx *w, u64 pmd)
{
	u64 first = w->addr >> MP_PAGE_SHIFT & 511, nr = 512 - first;
	u64 pfn = (pte_pfn(pmd) & ~511ULL) + first, kind = mp_page_kind(pmd, pfn);
	struct mp_ev_pages *ev;

	if (nr > (w->end - w->addr) >> MP_PAGE_SHIFT)
		nr = (w->end - w->addr) >> MP_PAGE_SHIFT;
	if (kind) {
		ev = begin_pages(w, nr, 1);
		if (ev) {
			ev->order = 9;
			ev->entries[0] = pfn | kind | MP_PAGE_PRESENT | MP_PAGE_HUGE;
			mp_send(ev);
		}
		if (kind == MP_PAGE_ANON)
			mp_own_huge(pfn & ~511ULL);
	}
	w->addr += nr << MP_PAGE_SHIFT;
}

/*
 * The MP_EV_PAGES entry for a page-table entry. A function of its own, not static, so that the
 * verifier looks at it once and not for each of 64 entries.
 */
__noinline u64 mp_entry_of(u64 pte, u32 wanted)
{
	u64 pfn = pte_pfn(pte), kind;

	if (!wanted || !pte_present(pte))
		return 0;
	kind = mp_page_kind(pte, pfn);
	if (kind == MP_PAGE_ANON) {
		mp_own(pfn);
		kind |= MP_PAGE_ORDERED | (u64)mp_folio_order(pfn) << MP_PAGE_ORDER_SHIFT;
	}
	return kind ? pfn | kind | MP_PAGE_PRESENT : 0;
}

/* Up to 64 entries of one page table in one read. */
static __always_inline void walk_table(struct walk_ctx *w, u64 pmd)
{
	u64 first = w->addr >> MP_PAGE_SHIFT & 511, nr = 64 - (first & 63);
	u64 at = mp_set.page_offset + (pmd & PTE_PFN_MASK) + first * 8;
	struct mp_ev_pages *ev;
	u64 any = 0;

	if (nr > (w->end - w->addr) >> MP_PAGE_SHIFT)
		nr = (w->end - w->addr) >> MP_PAGE_SHIFT;
	ev = begin_pages(w, nr, MP_PAGES_MAX);
	if (!ev) {
		w->addr += nr << MP_PAGE_SHIFT;
		return;
	}
	if (bpf_probe_read_kernel(ev->entries, 8 * MP_PAGES_MAX, (void *)at)) {
		mp_drop(MP_DROP_WALK);
		bpf_ringbuf_discard(ev, BPF_RB_NO_WAKEUP);
		w->addr += nr << MP_PAGE_SHIFT;
		return;
	}
	for (u32 i = 0; i < MP_PAGES_MAX; i++) {
		ev->entries[i] = mp_entry_of(ev->entries[i], i < nr);
		any |= ev->entries[i];
	}
	if (any)
		mp_send(ev);
	else
		bpf_ringbuf_discard(ev, BPF_RB_NO_WAKEUP);
	w->addr += nr << MP_PAGE_SHIFT;
}

static long walk_step(u32 i, void *data)
{
	struct walk_ctx *w = data;
	struct mp_leaf leaf;
	u64 size;

	if (w->addr >= w->end)
		return 1;
	if (mp_walk(w->mm, w->addr, true, &leaf)) {
		mp_drop(MP_DROP_WALK);
		return 1;
	}
	if (leaf.val && leaf.shift == 21 && (leaf.val & PTE_PSE)) {
		walk_huge(w, leaf.val);
	} else if (leaf.val && leaf.shift == 21) {
		walk_table(w, leaf.val);
	} else {
		size = 1ULL << (leaf.val ? leaf.shift : leaf.none_shift);
		w->addr = (w->addr & ~(size - 1)) + size;
	}
	return 0;
}

static __always_inline bool filled_by_kernel(struct mp_ev_range *ev)
{
	u64 locked = BPF_CORE_READ(current_mm(), locked_vm);

	if (mp_set.gup_seen)
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

/* The call's event; the thread if there is something to be read now. */
static __always_inline struct mp_thread *sys_exit(u32 nr, s64 ret)
{
	struct mp_proc_val *p = mp_current();
	struct mp_ev_range *ev, out;
	struct mp_thread *t;

	if (!p)
		return NULL;
	t = mp_thread_get();
	if (!t || !t->enter_ns)
		return NULL;
	__builtin_memset(&out, 0, sizeof(out));
	out.op = op_of(nr);
	out.ret = ret;
	out.enter_ns = t->enter_ns;
	out.hooked = t->hooked;
	t->enter_ns = 0;
	t->hooked = 0;
	fill_args(&out, t);
	fill_caller(&out, p, t);
	count_stand_in(&out);
	t->map_caller = 0;
	mp_head(&out.h, MP_EV_RANGE, sizeof(out), p->owner);
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
	if ((u64)ret < -4095ULL && filled_by_kernel(&out))
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
	};
}

SEC("tp")
int mp_sys_exit(struct sys_exit *ctx)
{
	struct mp_thread *t;
	struct walk_ctx w;
	s64 ret = ctx->ret;
	u32 nr = ctx->nr;

	barrier_var(ret); /* the context may only be read at fixed offsets: read once, here */
	barrier_var(nr);
	t = sys_exit(nr, ret);
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
