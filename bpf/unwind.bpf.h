/* SPDX-License-Identifier: GPL-2.0 */
/*
 * User stacks, unwound by the tables of unwind.h and interned: a stack crosses to user space once (and
 * again when it comes back after it had to make room), in chunks of MP_STACK_CHUNK addresses, and events carry the id of its innermost chunk. A chunk's key
 * is its addresses and the chunk outside of it, all of them, so two stacks can never share an id.
 */
#ifndef MP_UNWIND_BPF_H
#define MP_UNWIND_BPF_H

#include "maps.bpf.h"
#include "unwind.h"
#ifdef MP_COPY_STACKS
#include "copy.bpf.h"
#else
#define mp_copy_stack(id, regs, pc, sp, exact) ((void)0)
#endif

/* By object id: its table. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, MP_UNWIND_OBJECTS);
	__type(key, u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_ARRAY);
			__uint(map_flags, MP_UNWIND_MAP_FLAGS);
			__uint(max_entries, 1);
			__type(key, u32);
			__type(value, u64);
		});
} tables SEC(".maps") __weak;

/* By struct mp_proc_val's layout: the process's executable mappings, rising; [0].start is their number. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, MP_UNWIND_LAYOUTS);
	__type(key, u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_ARRAY);
			__uint(map_flags, MP_UNWIND_MAP_FLAGS);
			__uint(max_entries, 1);
			__type(key, u32);
			/* clang 14 forgets what a type in here looks like */
			__uint(value_size, sizeof(struct mp_executable));
		});
} layouts SEC(".maps") __weak;

/* Chunks by what they hold. One that has gone comes back with a new id; the old one stays true. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MP_STACKS);
	__type(key, struct mp_stack_key);
	__type(value, u32);
} stacks SEC(".maps") __weak;

/*
 * Ids nobody has used yet, topped up by the loader as it is told of stacks: 5.10 has no atomic operation
 * that returns something.
 */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, MP_STACK_IDS);
	__type(value, u32);
} stack_ids SEC(".maps") __weak;

/* What mp_unwind_look_up() returns: the rule, the mapping it was found in, why there is none. */
#define UNWIND_FOUND(rule, text) ((u64)(rule) | (u64)(text) << 32)
#define UNWIND_LOST(end)         ((u64)MP_UNWIND_NONE | (u64)(end) << 48)
#define UNWIND_RULE(found)       ((u32)(found))
#define UNWIND_TEXT(found)       ((u16)((found) >> 32))
#define UNWIND_END(found)        ((u8)((found) >> 48))

/* The frame of code that keeps frame pointers: push rbp; mov rbp, rsp. */
#define BY_FRAME_POINTER MP_UNWIND_RULE(MP_UNWIND_RBP, 2, 2)

/* The last of the mappings whose start is not above @pc, or 0. */
static __always_inline u32 find_text(void *layout, u64 pc)
{
	u32 zero = 0, lo = 0, hi, mid;
	struct mp_executable *x = bpf_map_lookup_elem(layout, &zero);

	hi = x ? x->start : 0;
	for (int i = 0; i < MP_UNWIND_TEXT_STEPS; i++) {
		if (lo >= hi)
			break;
		mid = (lo + hi + 1) / 2;
		x = bpf_map_lookup_elem(layout, &mid);
		if (x && x->start <= pc)
			lo = mid;
		else
			hi = mid - 1;
	}
	return lo;
}

static __always_inline u64 find_rule(void *table, u32 nr_index, u32 at)
{
	u32 bucket = at >> MP_UNWIND_BUCKET_SHIFT, lo, hi, mid, key;
	u64 *v;

	if (bucket >= nr_index)
		return UNWIND_LOST(MP_STACK_NO_RULE);
	v = bpf_map_lookup_elem(table, &bucket);
	if (!v)
		return UNWIND_LOST(MP_STACK_NO_RULE);
	lo = mp_unwind_first(*v);
	hi = mp_unwind_end(*v) - 1;
	for (int i = 0; i <= MP_UNWIND_STEPS; i++) {
		if (lo >= hi)
			break;
		mid = (lo + hi + 1) / 2;
		key = nr_index + mid;
		v = bpf_map_lookup_elem(table, &key);
		if (v && mp_unwind_at(*v) <= at)
			lo = mid;
		else
			hi = mid - 1;
	}
	key = nr_index + lo;
	v = bpf_map_lookup_elem(table, &key);
	return v ? mp_unwind_rule(*v) : UNWIND_LOST(MP_STACK_NO_RULE);
}

/*
 * The rule for @pc in the process of @layout; @text: the mapping the frame before was in. A global
 * function: the verifier looks at it once, not once a frame.
 */
__weak u64 mp_unwind_look_up(u32 layout, u64 pc, u32 text)
{
	void *map = bpf_map_lookup_elem(&layouts, &layout);
	struct mp_executable *x;
	u64 found;
	void *table;

	if (!map)
		return UNWIND_LOST(MP_STACK_NO_LAYOUT);
	x = text ? bpf_map_lookup_elem(map, &text) : NULL;
	if (!x || pc < x->start || pc >= x->end) {
		text = find_text(map, pc);
		x = text ? bpf_map_lookup_elem(map, &text) : NULL;
		if (!x || pc >= x->end)
			return UNWIND_LOST(MP_STACK_NO_TEXT);
	}
	if (!x->object)
		return UNWIND_FOUND(BY_FRAME_POINTER, text);
	table = bpf_map_lookup_elem(&tables, &x->object);
	if (!table)
		return UNWIND_LOST(MP_STACK_NO_TABLE);
	if (pc - x->base >= x->covered)
		return UNWIND_LOST(MP_STACK_NO_RULE);
	found = find_rule(table, x->nr_index, pc - x->base);
	return found | (u64)(text & 0xffff) << 32;
}

#define RETURN_DEPTH 16

/*
 * What stood at @slot of the stack before a uretprobe put its trampoline there (kernel/events/
 * uprobes.c, prepare_uretprobe); 0: nothing.
 */
__weak u64 mp_unwind_replaced(u64 slot)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct uprobe_task *utask = BPF_CORE_READ(task, utask);
	struct return_instance *ri = utask ? BPF_CORE_READ(utask, return_instances) : NULL;

	for (int i = 0; i < RETURN_DEPTH && ri; i++) {
		if (BPF_CORE_READ(ri, stack) == slot)
			return BPF_CORE_READ(ri, orig_ret_vaddr);
		ri = BPF_CORE_READ(ri, next);
	}
	return 0;
}

static __always_inline u64 user_word(u64 addr, u32 *bad)
{
	u64 v = 0;

	*bad |= !!bpf_probe_read_user(&v, 8, (void *)addr);
	return v;
}

static __always_inline u32 leave_signal(volatile struct mp_unwind *u)
{
	u32 bad = 0;
	u64 at = u->sp;

	u->bp = user_word(at + MP_UNWIND_SIGNAL_RBP, &bad);
	u->sp = user_word(at + MP_UNWIND_SIGNAL_RSP, &bad);
	u->pc = user_word(at + MP_UNWIND_SIGNAL_RIP, &bad);
	u->exact = 1;
	return bad ? MP_STACK_READ : MP_STACK_GOES_ON;
}

/* Where the call of this frame left the stack pointer, or 0. */
static __always_inline u64 frame_address(volatile struct mp_unwind *u, u32 rule, u32 *bad)
{
	u32 kind = mp_unwind_kind(rule);

	if (kind == MP_UNWIND_RSP)
		return u->sp + mp_unwind_offset(rule);
	if (kind == MP_UNWIND_RBP)
		return u->bp + mp_unwind_offset(rule);
	if (kind == MP_UNWIND_DEREF)
		return user_word(u->bp + mp_unwind_offset(rule), bad);
	if (kind == MP_UNWIND_SAVED)
		return user_word(u->sp + mp_unwind_offset(rule), bad) + 8;
	if (kind == MP_UNWIND_PLT)
		return u->sp + 8 + ((u->pc & 15) >= mp_unwind_words(rule) ? 8 : 0);
	return 0;
}

/*
 * Code without a rule: made at run time, V8's builtins, .init and .fini. It may keep frame pointers; by
 * the psABI rbp is 0 in the outermost frame, as it is in the dynamic linker's first code.
 */
static __always_inline u32 without_rule(volatile struct mp_unwind *u, u64 found, u32 *rule)
{
	u32 end = UNWIND_END(found);

	if (end && end != MP_STACK_NO_RULE)
		return end;
	if (!u->bp)
		return u->exact ? MP_STACK_NO_RULE : MP_STACK_WHOLE;
	if (u->bp < u->sp)
		return MP_STACK_NO_RULE;
	*rule = BY_FRAME_POINTER;
	return MP_STACK_GOES_ON;
}

/* From a frame to the one that called it: an enum mp_stack_end. */
static __always_inline u32 unwind_frame(volatile struct mp_unwind *u)
{
	u64 found = mp_unwind_look_up(u->layout, u->pc - !u->exact, u->text), cfa, from;
	u32 rule = UNWIND_RULE(found), kind = mp_unwind_kind(rule), bad = 0, end;

	if (kind == MP_UNWIND_NONE) {
		end = without_rule(u, found, &rule);
		if (end != MP_STACK_GOES_ON)
			return end;
		kind = MP_UNWIND_RBP;
	}
	if (kind == MP_UNWIND_END)
		return MP_STACK_WHOLE;
	if (kind == MP_UNWIND_UNSUPPORTED)
		return MP_STACK_UNSUPPORTED;
	u->text = UNWIND_TEXT(found);
	if (kind == MP_UNWIND_SIGNAL)
		return leave_signal(u);
	cfa = frame_address(u, rule, &bad);
	if (cfa <= u->sp || cfa & 7)
		return MP_STACK_NO_FRAME;
	u->pc = user_word(cfa - 8, &bad);
	if (mp_unwind_rbp(rule)) {
		from = kind == MP_UNWIND_DEREF ? u->bp : cfa;
		u->bp = user_word(from + mp_unwind_rbp_offset(rule), &bad);
	}
	u->sp = cfa;
	u->exact = 0;
	if (bad)
		return MP_STACK_READ;
	if (!(u->pc & (MP_PAGE_SIZE - 1)) && u->pc) {
		found = mp_unwind_replaced(cfa - 8);
		if (found)
			u->pc = found;
	}
	return u->pc ? MP_STACK_GOES_ON : MP_STACK_WHOLE;
}

static __always_inline bool send_stack(u32 id, const struct mp_stack_key *key)
{
	struct mp_ev_stack *ev = mp_reserve(sizeof(*ev));

	if (!ev)
		return false;
	mp_head(&ev->h, MP_EV_STACK, sizeof(*ev), mp_tgid());
	ev->id = id;
	ev->prev = key->prev;
	ev->nr = key->nr;
	ev->end = key->end;
	__builtin_memset(ev->pad, 0, sizeof(ev->pad));
	for (int i = 0; i < MP_STACK_CHUNK; i++)
		ev->pc[i] = key->pc[i];
	mp_send(ev);
	return true;
}

/* The id of a chunk, which has been told before it is used; 0: no room. */
static __always_inline u32 intern_chunk(const struct mp_stack_key *key)
{
	u32 *known = bpf_map_lookup_elem(&stacks, key), id = 0;

	if (known)
		return *known;
	if (bpf_map_pop_elem(&stack_ids, &id)) {
		mp_drop(MP_DROP_STACK);
		return 0;
	}
	if (!send_stack(id, key)) {
		bpf_map_push_elem(&stack_ids, &id, 0);
		mp_drop(MP_DROP_STACK);
		return 0;
	}
	/* if another CPU was first, both ids are true */
	bpf_map_update_elem(&stacks, key, &id, BPF_ANY);
	return id;
}

/* Adds a frame to @t->pcs and goes to the one outside of it; true: there is none. */
static __always_inline bool walk_frame(volatile struct mp_thread *t, u32 i)
{
	t->pcs[i & (MP_STACK_FRAMES - 1)] = t->unwind.pc | (t->unwind.exact ? MP_STACK_EXACT : 0);
	t->nr_pcs = i + 1;
	t->pcs_end = unwind_frame(&t->unwind);
	return t->pcs_end != MP_STACK_GOES_ON;
}

#define FRAMES_AT_ONCE 4

/*
 * Some frames from the @i-th on; 1: there are no more. A global function: the verifier looks at it once,
 * where the thread's scratch is anything, and not after each frame before. (bpf_loop would do that too;
 * 5.10 has none, and refuses what only mentions it.)
 */
__weak u32 mp_unwind_frames(u32 i)
{
	struct mp_thread *t = mp_thread_get();

	if (!t)
		return 1;
	for (u32 n = 0; n < FRAMES_AT_ONCE; n++)
		if (walk_frame(t, i + n))
			return 1;
	return 0;
}

/*
 * The frames from the outermost but @k inwards, as many as a chunk holds; how many are left from
 * there. Without a branch, and with what the map says anew each time: all ways through here look the
 * same to the verifier, or it would follow each of their combinations.
 */
static __always_inline s64 fill_chunk(struct mp_stack_key *key, struct mp_thread *t, u32 k)
{
	s64 left = (s64) * (volatile u32 *)&t->nr_pcs - k, over = left - MP_STACK_CHUNK, there;

	for (int i = 0; i < MP_STACK_CHUNK; i++) {
		there = (i - left) >> 63; /* all ones, or 0 */
		barrier_var(there);
		key->pc[i] = t->pcs[(left - 1 - i) & (MP_STACK_FRAMES - 1)] & there;
	}
	there = over >> 63;
	barrier_var(there);
	key->nr = MP_STACK_CHUNK + (over & there);
	return left;
}

/* Interns the @i-th chunk, counted from the outermost; 1: it was the last. Global as above. */
__weak u32 mp_unwind_intern(u32 i)
{
	struct mp_thread *t = mp_thread_get();
	s64 left;

	if (!t)
		return 1;
	left = fill_chunk(&t->key, t, i * MP_STACK_CHUNK);
	t->key.prev = intern_chunk(&t->key);
	t->key.end = MP_STACK_GOES_ON;
	return !t->key.prev || left <= MP_STACK_CHUNK;
}

/*
 * The id of the stack that begins at @pc, with @sp and @bp as they are there, in the process of @layout;
 * @exact: as in struct mp_unwind. 0: none, and counted. Interned from the outermost frame inwards:
 * stacks of one origin share its chunks. A global function for the verifier's sake.
 */
__weak u32 mp_unwind_stack(u64 pc, u64 sp, u64 bp, u32 layout, u32 exact)
{
	struct mp_thread *t = mp_thread_make();

	if (!t)
		return 0;
	t->unwind = (struct mp_unwind){
		.pc = pc, .sp = sp, .bp = bp, .layout = layout, .exact = exact & 1
	};
	for (u32 i = 0; i < MP_STACK_FRAMES; i += FRAMES_AT_ONCE)
		if (mp_unwind_frames(i))
			break;
	t->key.prev = 0;
	t->key.end = t->pcs_end != MP_STACK_GOES_ON ? t->pcs_end : MP_STACK_DEEP;
	for (u32 i = 0; i * MP_STACK_CHUNK < MP_STACK_FRAMES; i++)
		if (mp_unwind_intern(i))
			break;
	return t->key.prev;
}

/* As of the call that entered a function with these registers, of which none is changed yet. */
static __always_inline u32 mp_stack_of_call(struct mp_proc_val *p, struct mp_regs *r, u64 caller)
{
	u32 id;

	if (!p->layout)
		return 0;
	if (!(caller & (MP_PAGE_SIZE - 1)))
		caller = mp_unwind_replaced(r->rsp) ?: caller;
	id = mp_unwind_stack(caller, r->rsp + 8, r->rbp, p->layout, 0);
	mp_copy_stack(id, r, caller, r->rsp + 8, 0);
	return id;
}

/* In the midst of execve: the code that asked for it is gone, the new one has not begun. */
static __always_inline bool between_images(struct mp_proc_val *p)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return p->mm && (u64)BPF_CORE_READ(task, mm) != p->mm;
}

/* Of the user's code at the system call or exception under way. */
static __always_inline u32 mp_stack_of_user(struct mp_proc_val *p)
{
	struct mp_regs *regs = mp_user_regs();
	u64 pc = 0, sp = 0, bp = 0;
	u32 id;

	if (!p->layout || between_images(p))
		return 0;
	bpf_probe_read_kernel(&pc, 8, &regs->rip);
	bpf_probe_read_kernel(&sp, 8, &regs->rsp);
	bpf_probe_read_kernel(&bp, 8, &regs->rbp);
	if (!(pc & (MP_PAGE_SIZE - 1))) /* the first run of a trampoline faults */
		pc = mp_unwind_replaced(sp - 8) ?: pc;
	id = mp_unwind_stack(pc, sp, bp, p->layout, 1);
	mp_copy_stack(id, regs, pc, sp, 1);
	return id;
}

#endif
