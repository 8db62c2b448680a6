// SPDX-License-Identifier: GPL-2.0
/*
 * The allocator's functions: one program at every entry and one at every return, or one for both; one
 * for free. The probe's cookie says which function it is. Probes sit at an instruction before which
 * neither the argument registers nor rsp have changed, so [rsp] is the return address: the direct caller.
 *
 * A thread may be inside several calls at once (a signal handler, a wrapper library, realloc that
 * calls malloc): calls that the allocator makes to itself are not blocks of their own and are left
 * out; others are kept on a small stack of frames and matched with their return by stack pointer.
 */
#include "tier.bpf.h"
#include "unwind.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* One for each way of attaching: since 6.18 the programs of a map must be attached alike. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} nowhere SEC(".maps"), nowhere_of_both SEC(".maps");

/*
 * Never taken, and it is enough that it is there. Since 6.13 the locals of a kprobe's program lie in
 * one place a CPU, for such a program is not begun again on a CPU before it ends; but a uprobe's is,
 * where the kernel can be preempted, and two threads would share them. A program with a tail call has
 * them on the kernel's stack (kernel/bpf/verifier.c, bpf_enable_priv_stack).
 */
#define on_own_stack(ctx, map)                       \
	do {                                         \
		if (mp_set.never)                    \
			bpf_tail_call(ctx, &map, 0); \
	} while (0)

static __always_inline u64 cookie_of(struct mp_regs *r)
{
	struct mp_spot_key key = {};
	u64 *cookie;

	if (mp_set.has_cookie)
		return bpf_get_attach_cookie(r);
	key.addr = r->rip;
	key.tgid = mp_tgid();
	cookie = bpf_map_lookup_elem(&spots, &key);
	return cookie ? *cookie : MP_COOKIE(MP_FN_NONE, 0, MP_HIT_NONE, 0, 0);
}

/* The same stack, not another one (signal stack, coroutine) that happens to lie lower. */
#define NEAR_BYTES (1ULL << 20)

static __always_inline bool called_from_allocator(u64 caller)
{
	u32 tgid = mp_tgid();
	struct mp_texts *t = bpf_map_lookup_elem(&texts, &tgid);

	if (!t)
		return false;
	for (int i = 0; i < MP_TEXTS; i++)
		if (caller >= t->range[i].start && caller < t->range[i].end)
			return true;
	return false;
}

/* Calls that were left by longjmp or lost their return probe: a live caller's frame lies higher. */
static __always_inline void drop_stale(struct mp_thread *t, u64 sp)
{
	for (int i = 0; i < MP_FRAMES; i++) {
		u32 top = t->depth - 1;

		if (top >= MP_FRAMES)
			return;
		if (mp_frame_at(t, top)->sp > sp || sp - mp_frame_at(t, top)->sp > NEAR_BYTES)
			return;
		t->depth = top;
		mp_drop(MP_DROP_RETURN);
	}
}

/*
 * One allocator function jumped to another (realloc(NULL, n) to malloc): the same stack pointer, and
 * the return address is by now that of the kernel's uretprobe trampoline, which begins a page.
 */
static __always_inline bool is_tail_call(struct mp_thread *t, u64 sp, u64 caller)
{
	u32 top = t->depth - 1;

	return top < MP_FRAMES && mp_frame_at(t, top)->sp == sp && !(caller & (MP_PAGE_SIZE - 1));
}

static __always_inline u64 times(u64 a, u64 b)
{
	u64 most = a ? ~0ULL / a : ~0ULL;

	barrier_var(most);               /* or clang asks for a 128-bit product */
	return b > most ? ~0ULL : a * b; /* overflow: the call will fail */
}

static __always_inline u64 requested(u32 fn, struct mp_regs *r)
{
	switch (fn) {
	case MP_FN_CALLOC:
		return times(r->rdi, r->rsi);
	case MP_FN_REALLOC:
	case MP_FN_MEMALIGN:
	case MP_FN_ALIGNED_ALLOC:
		return r->rsi;
	case MP_FN_REALLOCARRAY:
		return times(r->rsi, r->rdx);
	case MP_FN_POSIX_MEMALIGN:
		return r->rdx;
	default:
		return r->rdi;
	}
}

static __always_inline void send_free(u16 type, u32 tgid, u64 addr, u64 sp, u64 cookie)
{
	struct mp_ev_free *ev = mp_reserve(sizeof(*ev));

	if (!ev)
		return;
	mp_head(&ev->h, type, sizeof(*ev), tgid);
	ev->addr = addr;
	ev->caller = 0;
	bpf_probe_read_user(&ev->caller, 8, (void *)sp);
	ev->stack = 0;
	ev->provider = MP_COOKIE_PROVIDER(cookie);
	ev->fn = MP_COOKIE_FN(cookie);
	ev->pad = 0;
	mp_send(ev);
}

static __always_inline void fill_alloc(struct mp_ev_alloc *ev, struct mp_frame *f, u64 addr,
				       u64 chunk, u8 tiered)
{
	ev->addr = addr;
	ev->requested = f->requested;
	ev->chunk = chunk;
	ev->caller = f->caller;
	ev->stack = f->stack;
	ev->provider = MP_COOKIE_PROVIDER(f->cookie);
	ev->fn = MP_COOKIE_FN(f->cookie);
	ev->tiered = tiered;
}

static __always_inline void send_alloc(struct mp_proc_val *p, struct mp_frame *f, u64 addr,
				       u64 chunk, u8 tiered)
{
	struct mp_ev_alloc *ev = mp_reserve(sizeof(*ev));

	if (!ev)
		return;
	mp_head(&ev->h, MP_EV_ALLOC, sizeof(*ev), p->owner);
	fill_alloc(ev, f, addr, chunk, tiered);
	mp_send(ev);
}

/* The frame of a call that has begun. True: the block it will return is in the thread's cache. */
static __always_inline bool fill_frame(struct mp_frame *f, struct mp_proc_val *p,
				       struct mp_thread *t, struct mp_regs *r, u64 caller,
				       u64 cookie)
{
	u32 fn = MP_COOKIE_FN(cookie);

	f->sp = r->rsp;
	f->caller = caller;
	f->requested = requested(fn, r);
	f->arg = 0;
	f->cookie = cookie;
	f->tails = 0;
	f->stack = mp_stack_of_call(p, r, caller);
	if (MP_COOKIE_GLIBC(cookie))
		return mp_tier_begin(&p->glibc, t, mp_snap_at(t, t->depth), fn, f->requested);
	mp_snap_at(t, t->depth)->need = 0;
	return false;
}

/* @spare: the return need not be seen if 1 is returned. */
static __always_inline int alloc_entry(struct mp_regs *r, bool spare)
{
	u64 cookie = cookie_of(r);
	struct mp_proc_val *p = mp_current();
	u32 fn = MP_COOKIE_FN(cookie);
	struct mp_thread *t;
	struct mp_frame *f;
	u64 caller = 0, hit;
	u32 depth;

	mp_hit(MP_COOKIE_INDEX(cookie));
	if (!p)
		return 1;
	t = mp_thread_make();
	if (!t)
		return 1;
	if (bpf_probe_read_user(&caller, 8, (void *)r->rsp))
		mp_drop(MP_DROP_USER_READ);
	if (t->reserving.heap)
		mp_tier_new_heap(p, &t->reserving);
	if (is_tail_call(t, r->rsp, caller)) {
		if (!spare)
			mp_frame_at(t, t->depth - 1)->tails++;
		return 1;
	}
	drop_stale(t, r->rsp);
	depth = t->depth;
	if (depth && called_from_allocator(caller))
		return 1;
	if (depth >= MP_FRAMES) {
		mp_drop(MP_DROP_NESTED);
		return 1;
	}
	f = mp_frame_at(t, depth);
	if (fill_frame(f, p, t, r, caller, cookie) && spare) {
		hit = mp_snap_at(t, depth)->hit;
		send_alloc(p, f, hit, tier_word(hit - 8),
			   MP_TIERED(MP_TIER_TCACHE, MP_SURE_CERTAIN));
		return 1;
	}
	t->depth = depth + 1;
	if (fn == MP_FN_POSIX_MEMALIGN) {
		f->arg = r->rdi;
	} else if (fn == MP_FN_REALLOC || fn == MP_FN_REALLOCARRAY) {
		f->arg = r->rdi;
		if (f->arg)
			send_free(MP_EV_REALLOC, p->owner, f->arg, r->rsp, cookie);
	}
	return 0;
}

SEC("?uprobe")
int mp_alloc_ent(struct mp_regs *r)
{
	on_own_stack(r, nowhere);
	alloc_entry(r, false);
	return 0;
}

/* Finds the frame this return belongs to; frames above it never returned. */
static __always_inline bool pop_frame(struct mp_thread *t, u64 sp, struct mp_frame *out)
{
	for (int i = 0; i < MP_FRAMES; i++) {
		u32 top = t->depth - 1;

		if (top >= MP_FRAMES)
			return false;
		if (mp_frame_at(t, top)->sp + 8 == sp) {
			if (mp_frame_at(t, top)->tails) {
				mp_frame_at(t, top)->tails--;
				return false; /* a tail call's return: its caller's follows */
			}
			*out = *mp_frame_at(t, top);
			t->depth = top;
			return true;
		}
		if (mp_frame_at(t, top)->sp + 8 > sp)
			return false; /* an inner call's return: the outer one is still under way */
		t->depth = top;
		mp_drop(MP_DROP_RETURN);
	}
	return false;
}

static __always_inline u64 result(struct mp_frame *f, u64 rax)
{
	u64 addr = 0;

	if (MP_COOKIE_FN(f->cookie) != MP_FN_POSIX_MEMALIGN)
		return rax;
	if ((u32)rax)
		return 0;
	if (bpf_probe_read_user(&addr, 8, (void *)f->arg))
		mp_drop(MP_DROP_USER_READ);
	return addr;
}

static __always_inline int alloc_return(struct mp_regs *r)
{
	struct mp_proc_val *p = mp_current();
	struct mp_thread *t = mp_thread_get();
	struct mp_ev_realloc_done *re;
	struct mp_frame f;
	u64 addr, old, chunk = 0;
	u8 tiered = 0;

	mp_hit(MP_HIT_RETURN);
	if (!p)
		return 0;
	if (!t || !pop_frame(t, r->rsp, &f)) {
		if (!t || !t->depth)
			mp_drop(MP_DROP_NO_ENTRY);
		return 0;
	}
	if (t->reserving.heap)
		mp_tier_new_heap(p, &t->reserving);
	addr = result(&f, r->rax);
	old = MP_COOKIE_FN(f.cookie) != MP_FN_POSIX_MEMALIGN ? f.arg : 0;
	if (addr && MP_COOKIE_GLIBC(f.cookie))
		tiered = mp_tier_end(&p->glibc, t, mp_snap_at(t, t->depth), MP_COOKIE_FN(f.cookie),
				     addr, old, &chunk);
	if (!old) {
		send_alloc(p, &f, addr, chunk, tiered);
		return 0;
	}
	re = mp_reserve(sizeof(*re));
	if (!re)
		return 0;
	mp_head(&re->a.h, MP_EV_REALLOC_DONE, sizeof(*re), p->owner);
	fill_alloc(&re->a, &f, addr, chunk, tiered);
	re->old = old;
	mp_send(re);
	return 0;
}

SEC("?uretprobe")
int mp_alloc_ret(struct mp_regs *r)
{
	on_own_stack(r, nowhere);
	return alloc_return(r);
}

/*
 * A return runs with the address it returns to, an entry with that of the probe; the latter is known
 * but for its page, and by chance they might look alike.
 */
static __always_inline bool is_return(struct mp_regs *r)
{
	struct mp_thread *t;
	u32 top;

	if (((r->rip ^ MP_COOKIE_PLACE(bpf_get_attach_cookie(r))) & (MP_PAGE_SIZE - 1)))
		return true;
	t = mp_thread_get();
	top = t ? t->depth - 1 : MP_FRAMES;
	return top < MP_FRAMES && mp_frame_at(t, top)->sp + 8 == r->rsp &&
	       mp_frame_at(t, top)->caller == r->rip;
}

/*
 * Entry and return in one, for kernels where the entry can spare the return (6.13): of calls that are
 * no blocks of their own, and of those whose block is known before it is given.
 */
SEC("?uprobe")
int mp_alloc_both(struct mp_regs *r)
{
	on_own_stack(r, nowhere_of_both);
	return is_return(r) ? alloc_return(r) : alloc_entry(r, true);
}

/* free() of a block that has a mapping of its own: see mp_tier_may_raise(). */
static __always_inline void note_freeing(struct mp_proc_val *p, struct mp_regs *r)
{
	struct mp_freeing f = { .addr = r->rdi };
	struct mp_thread *t;

	if (!p->glibc.main_arena || !mp_tier_may_raise(&p->glibc, &f, r->rdi))
		return;
	t = mp_thread_make();
	if (!t)
		return;
	bpf_probe_read_user(&f.caller, 8, (void *)r->rsp);
	f.stack = mp_stack_of_call(p, r, f.caller);
	t->freeing = f;
}

SEC("uprobe")
int mp_free_ent(struct mp_regs *r)
{
	u64 cookie = cookie_of(r);
	struct mp_proc_val *p = mp_current();
	struct mp_thread *t;

	on_own_stack(r, nowhere);
	mp_hit(MP_COOKIE_INDEX(cookie));
	if (!p || !r->rdi)
		return 0;
	send_free(MP_EV_FREE, p->owner, r->rdi, r->rsp, cookie);
	if (!MP_COOKIE_GLIBC(cookie))
		return 0;
	note_freeing(p, r);
	t = mp_thread_get();
	if (t &&
	    t->reserving.heap) /* by the free() before: a thread's first call makes its cache */
		mp_tier_new_heap(p, &t->reserving);
	return 0;
}

/* libc's mmap, mremap, sbrk: not blocks, but who called them owns the mapping. */
SEC("uprobe")
int mp_map_ent(struct mp_regs *r)
{
	u64 cookie = cookie_of(r);
	struct mp_proc_val *p = mp_current();
	struct mp_thread *t;

	on_own_stack(r, nowhere);
	mp_hit(MP_COOKIE_INDEX(cookie));
	if (!p)
		return 0;
	t = mp_thread_make();
	if (!t)
		return 0;
	t->map_sp = r->rsp;
	t->map_caller = 0;
	bpf_probe_read_user(&t->map_caller, 8, (void *)r->rsp);
	t->map_stack = t->depth ? 0 : mp_stack_of_call(p, r, t->map_caller);
	return 0;
}
