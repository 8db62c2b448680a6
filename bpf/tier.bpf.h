/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which part of glibc's malloc served a call, from what the thread cache and the arena held at its
 * entry and what the block holds at its return. Only the user's memory is read, and nothing of it is
 * trusted; what cannot be read or does not fit leaves the tier unknown.
 *
 * At return, in this order:
 *   mmap      the chunk says so itself
 *   inplace   realloc gave the old block
 *   tcache    the block was the first of its size in the thread's cache at entry
 *   fastbin   it was the first of its size there
 *   top       it borders the top chunk (free chunks never do), or was its beginning, or lies where the
 *             top was at entry and is no more; brk and heap if the call asked the kernel for memory
 *   unsorted, small, large   the first words of the block still hold the links of the list it was in
 */
#ifndef MP_TIER_BPF_H
#define MP_TIER_BPF_H

#include "maps.bpf.h"

/* glibc's malloc.c: the words before a block, their flags, sizes in steps of 16 */
#define CHUNK_HEAD      16 /* from a chunk to its block */
#define CHUNK_MMAPPED   2
#define CHUNK_NON_MAIN  4
#define CHUNK_FLAGS     7ULL
#define CHUNK_LEAST     32
#define FASTBIN_MOST    128  /* chunks; the default of global_max_fast */
#define LARGE_LEAST     1024 /* chunks from here on are in large bins */
#define FIRST_LARGE_BIN 64
#define NR_BINS         127
#define LARGE_SHIFT     10 /* a thread cache's large sizes begin above 1040 bytes */
#define LARGE_SEARCH    16 /* chunks; as many as a list has unless a tunable says otherwise */
#define NO_LIST         (~0ULL)
#define MOST_NEED       (1ULL << 46)

static __always_inline u64 tier_need(u64 requested)
{
	u64 need = (requested + 8 + 15) & ~15ULL;

	if (requested > MOST_NEED)
		return 0;
	return need < CHUNK_LEAST ? CHUNK_LEAST : need;
}

static __always_inline u64 tier_word(u64 addr)
{
	u64 word = 0;

	bpf_probe_read_user(&word, 8, (void *)addr);
	return word;
}

/* A thread pointer points to a word that holds it (x86-64 TLS ABI). */
static __always_inline u64 tier_thread_pointer(struct mp_thread *t)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	u64 tp = BPF_CORE_READ(task, thread.fsbase);

	if (tp != t->tcb) {
		if (!tp || tier_word(tp) != tp)
			return 0;
		t->tcb = tp;
	}
	return tp;
}

/*
 * The list of the thread's cache where a chunk of this size would be, NO_LIST: none. A small size has one
 * for itself; large ones share one from each power of two to the next (malloc.c, large_csize2tidx).
 */
static __always_inline u64 tier_cache_list(struct mp_glibc_at *g, u64 need)
{
	u64 i = (need >> 4) - 2, large = 0;

	if (i < g->sizes)
		return i;
	for (u32 shift = LARGE_SHIFT + 1; shift < LARGE_SHIFT + 16; shift++)
		large += !!(need >> shift);
	return large < g->larges ? g->sizes + large : NO_LIST;
}

/* A list of large sizes is taken from by exact size, wherever in it; it goes from smaller to larger. */
static __always_inline u64 tier_exact(struct mp_glibc_at *g, u64 need, u64 block)
{
	for (int i = 0; i < LARGE_SEARCH; i++) {
		u64 size = block ? tier_word(block - 8) & ~CHUNK_FLAGS : ~0ULL;

		if (size >= need)
			return size == need ? block : 0;
		block = tier_word(block) ^ block >> 12;
	}
	return 0;
}

static __always_inline void tier_look_at_cache(struct mp_glibc_at *g, struct mp_snap *s, u64 tp)
{
	u64 cache = tier_word(tp + g->tcache_tp), i = tier_cache_list(g, s->need);

	if (!cache || i == NO_LIST)
		return;
	s->hit = tier_word(cache + g->entries + i * 8);
	if (i >= g->sizes)
		s->hit = tier_exact(g, s->need, s->hit);
	bpf_probe_read_user(&s->count, 2, (void *)(cache + i * 2));
}

/* The list of one small size keeps its oldest chunk, the next to be taken, at the head's bk. */
static __always_inline void tier_look_at_arena(struct mp_glibc_at *g, struct mp_snap *s, u64 tp)
{
	u64 arena = tier_word(tp + g->thread_arena_tp);

	if (!arena) /* the thread has not needed one yet, or there is only one thread */
		arena = g->main_arena;
	if (bpf_probe_read_user(s->words, MP_SNAP_READ * 8, (void *)(arena + g->head)))
		return;
	s->arena = arena;
	if (s->need < LARGE_LEAST)
		s->own = tier_word(arena + g->bins + ((s->need >> 4) - 1) * 16 + 8);
}

/* At entry. True: the block will be @s->hit, whatever other threads do. */
static __always_inline bool mp_tier_begin(struct mp_glibc_at *g, struct mp_thread *t,
					  struct mp_snap *s, u32 fn, u64 requested)
{
	u64 tp;

	s->need = s->hit = s->arena = s->own = 0;
	s->count = s->grew = 0;
	tp = g->main_arena ? tier_thread_pointer(t) : 0;
	if (!tp)
		return false;
	s->need = tier_need(requested);
	if (!s->need)
		return false;
	tier_look_at_cache(g, s, tp);
	if (s->hit && (g->sure >> fn & 1))
		return true;
	tier_look_at_arena(g, s, tp);
	return false;
}

struct tier_block { /* that a call has returned */
	u64 chunk, size, arena, top;
	u64 fd, bk; /* its first words: the links it had while it was free, if nobody has wiped them */
};

/* memalign takes from the middle of the cache's list: only the count tells. */
static __always_inline bool tier_count_fell(struct mp_glibc_at *g, struct mp_thread *t,
					    struct mp_snap *s)
{
	u64 cache, i = tier_cache_list(g, s->need);
	u16 count = 0;

	if (!t->tcb || i == NO_LIST || (i < g->sizes && !s->hit))
		return false;
	cache = tier_word(t->tcb + g->tcache_tp);
	if (!cache || bpf_probe_read_user(&count, 2, (void *)(cache + i * 2)))
		return false;
	return g->counts_down ? (u16)(count - 1) == s->count : (u16)(count + 1) == s->count;
}

static __always_inline bool tier_is_fastbin(struct mp_glibc_at *g, struct mp_snap *s,
					    struct tier_block *b)
{
	u64 i = (s->need >> 4) - 2;

	if (!g->fastbins || s->need > FASTBIN_MOST || s->arena != b->arena)
		return false;
	return s->words[i & (MP_SNAP_WORDS - 1)] == b->chunk;
}

/* How sure it is that the block was cut off the top chunk; MP_SURE_NOT: it was not. */
static __always_inline u8 tier_from_top(struct mp_glibc_at *g, struct mp_snap *s,
					struct tier_block *b)
{
	u64 end = b->chunk + b->size, was;

	if (b->top == end)
		return g->fastbins && s->need <= FASTBIN_MOST ? MP_SURE_SNAPSHOT : MP_SURE_CERTAIN;
	if (s->arena != b->arena)
		return MP_SURE_NOT;
	was = s->words[((g->top - g->head) >> 3) & (MP_SNAP_WORDS - 1)];
	if (was == b->chunk)
		return MP_SURE_SNAPSHOT;
	/* the top has moved on beyond it, other threads' blocks with it */
	return was && was <= b->chunk && end <= b->top ? MP_SURE_SNAPSHOT : MP_SURE_NOT;
}

static __always_inline u8 tier_growth(struct mp_glibc_at *g, struct mp_snap *s,
				      struct tier_block *b)
{
	if (!s->grew)
		return MP_TIER_TOP;
	return s->grew & (1 << MP_OP_BRK) && b->arena == g->main_arena ? MP_TIER_BRK : MP_TIER_HEAP;
}

/* A link as the thread cache and the fastbins keep it leads to a chunk or nowhere. */
static __always_inline bool tier_is_link(struct mp_glibc_at *g, u64 at, u64 link)
{
	if (g->mangled)
		link ^= at >> 12;
	return !(link & 15) && link < MOST_NEED * 2;
}

/* By the links of the list it was in, of a block that nobody has written to. */
static __always_inline u8 tier_from_links(struct mp_glibc_at *g, struct mp_snap *s,
					  struct tier_block *b)
{
	u64 head = b->arena + g->bins - 16, bin = (b->fd - head) >> 4;

	if (b->fd >= head && bin < NR_BINS && !((b->fd - head) & 15)) {
		if (!bin)
			return MP_TIERED(MP_TIER_UNSORTED, MP_SURE_CERTAIN);
		return bin + 1 < FIRST_LARGE_BIN ? MP_TIERED(MP_TIER_SMALL, MP_SURE_CERTAIN)
						 : MP_TIERED(MP_TIER_LARGE, MP_SURE_CERTAIN);
	}
	/*
	 * Among several chunks of one large size the second is taken: its link leads to another. The head
	 * of a list is where fd and bk are in a chunk, which need not be aligned as a chunk is.
	 */
	if (s->need >= LARGE_LEAST && b->fd && b->bk && !(b->fd & 15) && !(b->bk & 7))
		return MP_TIERED(MP_TIER_LARGE, MP_SURE_SNAPSHOT);
	if (s->need >= LARGE_LEAST || !tier_is_link(g, b->chunk + CHUNK_HEAD, b->fd))
		return MP_TIERED(MP_TIER_UNKNOWN, MP_SURE_NOT);
	/*
	 * On its way from the unsorted list it went through the thread cache, which leaves its link and
	 * clears the word behind; a fastbin's chunk has a link too, and whatever behind it.
	 */
	if (b->bk && g->fastbins && s->need <= FASTBIN_MOST)
		return MP_TIERED(MP_TIER_FASTBIN, MP_SURE_SNAPSHOT);
	if (!b->bk && b->size == s->need)
		return MP_TIERED(MP_TIER_UNSORTED, MP_SURE_SNAPSHOT);
	return MP_TIERED(MP_TIER_UNKNOWN, MP_SURE_NOT);
}

/*
 * The links are gone: what was to be taken next, when the call was entered? Of the unsorted list, which
 * is sorted on the way, only what is left of a chunk split before is taken for sure, if nothing else is
 * in it and more than the least chunk remains.
 */
static __always_inline u8 tier_from_lists(struct mp_glibc_at *g, struct mp_snap *s,
					  struct tier_block *b)
{
	/* after the top come last_remainder and the unsorted list's fd and bk */
	u64 top = (g->top - g->head) >> 3;
	u64 left = s->words[(top + 1) & (MP_SNAP_WORDS - 1)];

	if (s->arena != b->arena)
		return MP_TIERED(MP_TIER_BINS, MP_SURE_SNAPSHOT);
	if (s->own == b->chunk)
		return MP_TIERED(MP_TIER_SMALL, MP_SURE_SNAPSHOT);
	if (s->need < LARGE_LEAST && s->need == b->size && left == b->chunk &&
	    s->words[(top + 2) & (MP_SNAP_WORDS - 1)] == left &&
	    s->words[(top + 3) & (MP_SNAP_WORDS - 1)] == left &&
	    (tier_word(b->chunk + b->size + 8) & ~CHUNK_FLAGS) != CHUNK_LEAST)
		return MP_TIERED(MP_TIER_UNSORTED, MP_SURE_SNAPSHOT);
	return MP_TIERED(MP_TIER_BINS, MP_SURE_SNAPSHOT);
}

/* What the call does to its block before it returns, and whether the block begins a chunk as taken. */
static __always_inline bool tier_is_aligned_fn(u32 fn)
{
	return fn == MP_FN_MEMALIGN || fn == MP_FN_ALIGNED_ALLOC || fn == MP_FN_POSIX_MEMALIGN ||
	       fn == MP_FN_VALLOC || fn == MP_FN_PVALLOC;
}

static __always_inline u8 tier_from_arena(struct mp_glibc_at *g, struct mp_snap *s,
					  struct tier_block *b, u32 fn, bool links)
{
	u8 sure;

	if (!tier_is_aligned_fn(fn) && tier_is_fastbin(g, s, b))
		return MP_TIERED(MP_TIER_FASTBIN, MP_SURE_SNAPSHOT);
	sure = tier_from_top(g, s, b);
	if (sure)
		return MP_TIERED(tier_growth(g, s, b), sure);
	if (links)
		return tier_from_links(g, s, b);
	return tier_is_aligned_fn(fn) ? MP_TIERED(MP_TIER_BINS, MP_SURE_SNAPSHOT)
				      : tier_from_lists(g, s, b);
}

/*
 * At return of block @addr, whose size word is put into *@chunk. @old: the block that realloc was
 * given.
 */
static __always_inline u8 mp_tier_end(struct mp_glibc_at *g, struct mp_thread *t, struct mp_snap *s,
				      u32 fn, u64 addr, u64 old, __u64 *chunk)
{
	struct tier_block b = { .chunk = addr - CHUNK_HEAD };
	u64 words[3] = {}; /* the size, and the first of the block */
	bool links = fn == MP_FN_MALLOC || (!old && !tier_is_aligned_fn(fn) && fn != MP_FN_CALLOC);

	bpf_probe_read_user(words, sizeof(words), (void *)(addr - 8));
	*chunk = words[0];
	if (words[0] & CHUNK_MMAPPED)
		return MP_TIERED(MP_TIER_MMAP, MP_SURE_CERTAIN);
	if (old == addr)
		return MP_TIERED(MP_TIER_INPLACE, MP_SURE_CERTAIN);
	if (!s->need)
		return MP_TIERED(MP_TIER_UNKNOWN, MP_SURE_NOT);
	if (s->hit == addr || (tier_is_aligned_fn(fn) && tier_count_fell(g, t, s)))
		return MP_TIERED(MP_TIER_TCACHE, MP_SURE_CERTAIN);
	b.size = words[0] & ~CHUNK_FLAGS;
	b.fd = words[1];
	b.bk = words[2];
	b.arena = words[0] & CHUNK_NON_MAIN ? tier_word(b.chunk & ~g->heap_mask) : g->main_arena;
	b.top = tier_word(b.arena + g->top);
	return tier_from_arena(g, s, &b, fn, links);
}

/*
 * At the entry of free(): a block with a mapping of its own may raise glibc's thresholds, before that
 * mapping goes. The stack is wanted only if it can.
 */
static __always_inline bool mp_tier_may_raise(struct mp_glibc_at *g, struct mp_freeing *f, u64 addr)
{
	u64 chunk = tier_word(addr - 8);

	if (!(chunk & CHUNK_MMAPPED))
		return false;
	f->mmap_threshold = tier_word(g->mp + g->mmap_threshold);
	f->trim_threshold = tier_word(g->mp + g->trim_threshold);
	/* the size may be counted with the chunk's header or without */
	return (chunk & ~CHUNK_FLAGS) + CHUNK_HEAD > f->mmap_threshold;
}

/* At the entry of munmap: what the free() under way has done. */
static __always_inline void mp_tier_raised(struct mp_proc_val *p, struct mp_freeing *f)
{
	u64 mmap_threshold = tier_word(p->glibc.mp + p->glibc.mmap_threshold);
	u64 trim_threshold = tier_word(p->glibc.mp + p->glibc.trim_threshold);
	struct mp_ev_threshold *ev;

	if (mmap_threshold == f->mmap_threshold && trim_threshold == f->trim_threshold)
		return;
	ev = mp_reserve(sizeof(*ev));
	if (!ev)
		return;
	mp_head(&ev->h, MP_EV_THRESHOLD, sizeof(*ev), p->owner);
	ev->addr = f->addr;
	ev->caller = f->caller;
	ev->mmap_before = f->mmap_threshold;
	ev->mmap_after = mmap_threshold;
	ev->trim_before = f->trim_threshold;
	ev->trim_after = trim_threshold;
	ev->stack = f->stack;
	ev->pad = 0;
	mp_send(ev);
}

#define MAP_NORESERVE 0x4000

/*
 * glibc reserves room for heaps in their largest size, or in twice that to cut it where it is aligned
 * (malloc/arena.c, new_heap). Thread stacks are not mapped with this flag.
 */
static __always_inline bool mp_tier_may_be_heap(struct mp_glibc_at *g, u64 len, u64 prot, u64 flags)
{
	u64 most = g->heap_mask + 1;

	return g->main_arena && !prot && (flags & MAP_NORESERVE) &&
	       (len == most || len == 2 * most);
}

/* The heap's head: its arena, and the heap that this arena had before. */
static __always_inline void mp_tier_new_heap(struct mp_proc_val *p, struct mp_reserving *r)
{
	struct mp_ev_new_heap *ev;
	u64 heap = r->heap, head[2] = {};
	bool first;

	r->heap = 0;
	if (bpf_probe_read_user(head, sizeof(head), (void *)heap) || !head[0])
		return;
	first = !head[1] && (head[0] & ~p->glibc.heap_mask) == heap;
	if (!first && !head[1])
		return;
	ev = mp_reserve(sizeof(*ev));
	if (!ev)
		return;
	mp_head(&ev->h, MP_EV_NEW_HEAP, sizeof(*ev), p->owner);
	ev->heap = heap;
	ev->arena = head[0];
	ev->caller = r->caller;
	ev->stack = r->stack;
	ev->first = first;
	ev->in_fn = r->in_fn;
	ev->pad[0] = ev->pad[1] = 0;
	mp_send(ev);
}

#endif
