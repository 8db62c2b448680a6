// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/heap_walk.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define PREV_INUSE 1U
#define IS_MMAPPED 2U
#define CHUNK_HEAD 16U
#define SMALLEST   32U
#define LINKS      64           /* chunks in a row that make a place where walking goes on, */
#define LINKS_HOLE 16           /* or so many that lead to memory that is not there */
#define BUDGET     (1ULL << 26) /* chunks looked at, in all, to find such places */
#define ENTRIES    ((MP_EV_SIZE_MAX - sizeof(struct mp_ev_chunks)) / sizeof(__u64))
#define SIZE_MASK  ((1ULL << MP_CHUNK_SHIFT) - 8)

struct walk {
	struct mp_heap_image *image;
	const struct mp_heap_arenas *arenas;
	struct mp_heap_result *result;
	mp_emit_fn emit; /* NULL: nobody wants to hear */
	void *ctx;
	struct mp_ev h;
	struct mp_ev_chunks *ev; /* being filled */
	uint64_t at;             /* where the next chunk told begins */
	uint64_t marks;          /* met so far */
	uint64_t budget;
	int stopped; /* what @emit returned */
};

struct part { /* the one being walked */
	const struct mp_heap_part *p;
	const struct mp_heap_copy *copy;
	uint64_t here, there; /* memory known to have been copied */
	uint64_t broken;      /* first chunk that could not be read */
	uint8_t how;
};

/* ---- telling -------------------------------------------------------------------------------- */

static void tell(struct walk *w, struct mp_ev *ev, uint16_t type, size_t size)
{
	ev->type = type;
	ev->size = (uint16_t)size;
	ev->ts_ns = w->h.ts_ns;
	ev->tgid = w->h.tgid;
	if (w->emit && !w->stopped)
		w->stopped = w->emit(w->ctx, ev);
}

static void flush_chunks(struct walk *w)
{
	if (w->ev->nr)
		tell(w, &w->ev->h, MP_EV_CHUNKS, sizeof(*w->ev) + w->ev->nr * sizeof(__u64));
	w->ev->nr = 0;
}

/* The next chunk ends at @end. */
static void tell_chunk(struct walk *w, uint64_t end, enum mp_chunk_state state)
{
	if (end <= w->at)
		return;
	w->result->chunks += state == MP_CHUNK_LIVE;
	if (w->emit) {
		if (!w->ev->nr)
			w->ev->addr = w->at;
		w->ev->entries[w->ev->nr++] = (end - w->at) | (uint64_t)state << MP_CHUNK_SHIFT;
		if (w->ev->nr == ENTRIES)
			flush_chunks(w);
	}
	w->at = end;
}

static void tell_pages(struct walk *w, uint64_t start, uint64_t end)
{
	const struct mp_heap_image *image = w->image;
	uint64_t low = start & MP_PAGE_MASK, high = (end + MP_PAGE_SIZE - 1) & MP_PAGE_MASK;

	for (size_t i = mp_heap_image__run(image, low); i < image->nr_runs; i++) {
		const struct mp_heap_run *run = &image->runs[i];
		uint64_t from = run->start > low ? run->start : low;
		uint64_t to = run->end < high ? run->end : high;
		struct mp_ev_part_pages ev = { .addr = from,
					       .nr = (to - from) / MP_PAGE_SIZE,
					       .state = run->state,
					       .huge = run->huge };

		if (run->start >= high)
			return;
		tell(w, &ev.h, MP_EV_PART_PAGES, sizeof(ev));
	}
}

static void tell_heap(struct walk *w, struct mp_ev_part *ev, uint8_t phase)
{
	ev->phase = phase;
	tell(w, &ev->h, MP_EV_PART, sizeof(*ev));
}

/* ---- reading -------------------------------------------------------------------------------- */

/* The word at @addr, if it was copied. What was copied together is looked up once. */
static bool word_at(struct part *p, uint64_t addr, uint64_t *value)
{
	if (addr < p->here || addr + 8 > p->there) {
		if (!p->copy || !mp_heap_copy_at(p->copy, addr, 8))
			return false;
		p->here = addr;
		p->there = addr + 8;
		for (uint64_t next = (addr & MP_PAGE_MASK) + MP_PAGE_SIZE;
		     next <= p->copy->end && mp_heap_copy_at(p->copy, next - 8, 8);
		     next += MP_PAGE_SIZE)
			p->there = next;
	}
	memcpy(value, p->copy->bytes + (addr - p->copy->start), sizeof(*value));
	return true;
}

/* Chunks end here at the latest. */
static uint64_t limit_of(const struct part *p)
{
	return p->p->top ? p->p->top : p->p->end;
}

static bool size_holds(const struct part *p, uint64_t chunk, uint64_t head)
{
	uint64_t size = head & SIZE_MASK;

	return !(head & IS_MMAPPED) && size % 16 == 0 && size >= SMALLEST &&
	       size <= limit_of(p) - chunk;
}

/* ---- finding the way again ------------------------------------------------------------------ */

/* Whether chunks lead on from @chunk: to the top, or far enough that it cannot be chance. */
static bool leads_on(struct walk *w, struct part *p, uint64_t chunk)
{
	uint64_t head;

	for (int n = 0; n < LINKS; n++) {
		if (p->p->top && chunk == p->p->top)
			return n > 0;
		if (!w->budget)
			return false;
		w->budget--;
		if (chunk < limit_of(p) && !word_at(p, chunk + 8, &head))
			return n >= LINKS_HOLE;
		if (chunk >= limit_of(p) || !size_holds(p, chunk, head))
			return false;
		chunk += head & SIZE_MASK;
	}
	return true;
}

/* The first chunk after @chunk from which chunks lead on; the part's end if there is none. */
static uint64_t find_next(struct walk *w, struct part *p, uint64_t chunk)
{
	uint64_t limit = limit_of(p), head;

	for (chunk += 16; chunk < limit && w->budget; chunk += 16) {
		w->budget--;
		if (!word_at(p, chunk + 8, &head)) { /* the next page, if one is there */
			size_t i = mp_heap_image__run(w->image, chunk + MP_PAGE_SIZE);
			uint64_t next = (chunk + 8 + MP_PAGE_SIZE) & MP_PAGE_MASK;

			if (i == w->image->nr_runs)
				break;
			if (w->image->runs[i].start > next)
				next = w->image->runs[i].start;
			chunk = next - 16;
			continue;
		}
		if (size_holds(p, chunk, head) && leads_on(w, p, chunk))
			return chunk;
	}
	return p->p->top ? p->p->top : p->p->end;
}

static uint64_t go_on_after(struct walk *w, struct part *p, uint64_t chunk, uint8_t how)
{
	uint64_t next;

	if (!p->broken) {
		p->broken = chunk;
		p->how = how;
	}
	next = find_next(w, p, chunk);
	tell_chunk(w, next < p->p->end ? next + 8 : p->p->end, MP_CHUNK_UNKNOWN);
	return next;
}

/* ---- walking -------------------------------------------------------------------------------- */

/*
 * The end marks that are left where a heap that was grown elsewhere ends: for a heap of an arena two,
 * of sizes 16 and 0 (one of 16 or 32 where there was no room, then 0); in the main arena two of 16.
 * The first also tells whether the chunk before it is in use.
 */
static bool is_end_mark(const struct part *p, uint64_t chunk, uint64_t head)
{
	uint64_t size = head & SIZE_MASK, next;

	if (p->p->kind == MP_HEAP_MAIN)
		return size == CHUNK_HEAD;
	if (p->p->top)
		return false;
	if (chunk + CHUNK_HEAD == p->p->end)
		return head == PREV_INUSE;
	if (chunk + size + CHUNK_HEAD != p->p->end || size > SMALLEST || size < CHUNK_HEAD)
		return false;
	return word_at((struct part *)p, chunk + size + 8, &next) && next == PREV_INUSE;
}

/*
 * Where the process ran on and a list broke, the chunks behind are told by what they hold: the key of
 * thread caches, which is a random number, or the mangled address of a chunk of the same size. (Where
 * links are not mangled the key is an address, and may be left over in a live block.)
 */
static enum mp_chunk_state told_by_content(struct walk *w, struct part *p, uint64_t chunk,
					   uint64_t size)
{
	const struct mp_glibc_layout *at = &w->image->glibc.at;
	const struct mp_heap_marks *marks = &w->image->marks;
	uint64_t link, key, head;

	if (!(marks->flags & MP_XRAY_LISTS) || !at->fd_mangled ||
	    size > SMALLEST + 16ULL * at->tcache_bins || !word_at(p, chunk + 16, &link) ||
	    !word_at(p, chunk + 24, &key))
		return MP_CHUNK_LIVE;
	if (marks->key && key == marks->key)
		return MP_CHUNK_TCACHE;
	link ^= (chunk + 16) >> 12;
	if (at->fastbins == MP_GLIBC_NONE || size >= SMALLEST + 16ULL * MP_FASTBINS)
		return MP_CHUNK_LIVE;
	if (link % 16 || link < p->p->start || link >= p->p->end || !word_at(p, link + 8, &head))
		return link ? MP_CHUNK_LIVE : MP_CHUNK_FASTBIN;
	return (head & SIZE_MASK) == size ? MP_CHUNK_FASTBIN : MP_CHUNK_LIVE;
}

/* What a chunk is whose end is known: @next is the head after it. */
static enum mp_chunk_state state_of(struct walk *w, struct part *p, uint64_t chunk, uint64_t head,
				    uint64_t next)
{
	uint64_t mark = head >> MP_CHUNK_SHIFT, size = head & SIZE_MASK, foot;

	if (mark) {
		w->marks++;
		return (enum mp_chunk_state)(mark < MP_CHUNK_STATES ? mark : MP_CHUNK_UNKNOWN);
	}
	if (next & PREV_INUSE)
		return told_by_content(w, p, chunk, size);
	if (!word_at(p, chunk + size, &foot) || foot != size) {
		if (!p->broken) {
			p->broken = chunk;
			p->how = MP_HEAP_BAD_FOOT;
		}
		return MP_CHUNK_UNKNOWN;
	}
	return MP_CHUNK_BIN;
}

/* After an end mark of the main arena: nothing, or what someone else took from brk, and a chunk. */
static uint64_t after_end_mark(struct walk *w, struct part *p, uint64_t chunk, uint64_t size)
{
	uint64_t next = chunk + size, head;

	if (!size) { /* the last there is */
		tell_chunk(w, p->p->end, MP_CHUNK_OWN);
		return p->p->end;
	}
	tell_chunk(w, next + 8 < p->p->end ? next + 8 : p->p->end, MP_CHUNK_OWN);
	if (p->p->kind == MP_HEAP_MAIN && word_at(p, next + 8, &head) &&
	    (head & SIZE_MASK) == CHUNK_HEAD)
		return next;
	if (p->p->kind == MP_HEAP_MAIN && next < limit_of(p)) {
		next = find_next(w, p, next - 16);
		tell_chunk(w, next < p->p->end ? next + 8 : p->p->end, MP_CHUNK_UNKNOWN);
	}
	return next;
}

/* One chunk from @chunk on; returns where the next one is. */
static uint64_t step(struct walk *w, struct part *p, uint64_t chunk)
{
	uint64_t head, next, size;

	if (!word_at(p, chunk + 8, &head))
		return go_on_after(w, p, chunk, MP_HEAP_ABSENT);
	size = head & SIZE_MASK;
	if (is_end_mark(p, chunk, head))
		return after_end_mark(w, p, chunk, size);
	if (!size_holds(p, chunk, head))
		return go_on_after(w, p, chunk, MP_HEAP_BAD_SIZE);
	if (chunk + size >= p->p->end || !word_at(p, chunk + size + 8, &next)) {
		tell_chunk(w, chunk + size + 8 < p->p->end ? chunk + size + 8 : p->p->end,
			   MP_CHUNK_UNKNOWN);
		return chunk + size;
	}
	tell_chunk(w, chunk + size + 8, state_of(w, p, chunk, head, next));
	return chunk + size;
}

static void walk_part(struct walk *w, const struct mp_heap_part *part)
{
	struct part p = { .p = part, .copy = mp_heap_image__at(w->image, part->first) };
	struct mp_ev_part ev = {
		.start = part->start, .end = part->end, .arena = part->arena, .kind = part->kind
	};
	uint64_t chunk = part->first;

	tell_heap(w, &ev, MP_XRAY_BEGINS);
	tell_pages(w, part->start, part->end);
	w->at = part->start;
	tell_chunk(w, part->first + 8 < part->end ? part->first + 8 : part->end, MP_CHUNK_OWN);
	while (!w->stopped && chunk < part->end && chunk != part->top)
		chunk = step(w, &p, chunk);
	tell_chunk(w, part->end, part->top ? MP_CHUNK_TOP : MP_CHUNK_UNKNOWN);
	flush_chunks(w);
	ev.broken = p.broken;
	ev.how = p.how;
	w->result->parts++;
	w->result->broken += p.how != MP_HEAP_CLOSED;
	tell_heap(w, &ev, MP_XRAY_DONE);
}

static void tell_arena(struct walk *w, size_t index)
{
	const struct mp_heap_arena *a = &w->arenas->list[index];
	struct mp_ev_arena ev = { .addr = a->addr,
				  .top = a->top,
				  .system_bytes = a->system_bytes,
				  .index = (uint32_t)index,
				  .flags = a->flags,
				  .threads = a->threads };

	w->result->busy += a->flags & MP_ARENA_BUSY ? 1 : 0;
	tell(w, &ev.h, MP_EV_ARENA, sizeof(ev));
}

static void walk_arenas(struct walk *w)
{
	size_t part = 0;

	for (size_t i = 0; i < w->arenas->nr; i++) {
		tell_arena(w, i);
		for (; part < w->arenas->nr_parts && w->arenas->parts[part].arena == i; part++)
			walk_part(w, &w->arenas->parts[part]);
	}
}

/* ---- mapped chunks, and the whole ------------------------------------------------------------ */

static void tell_mapped(struct walk *w, const struct mp_heap_mapped *m)
{
	struct mp_ev_part ev = { .start = m->start, .end = m->end, .kind = MP_HEAP_MMAPPED };

	tell_heap(w, &ev, MP_XRAY_BEGINS);
	tell_pages(w, m->start, m->end);
	w->at = m->start;
	tell_chunk(w, m->chunk + 8, MP_CHUNK_OWN);
	/* the last word belongs to the chunk that would follow; some versions hand it out */
	tell_chunk(w, m->end - (w->image->glibc.at.mmapped_size_less_16 ? 8 : 0), MP_CHUNK_LIVE);
	tell_chunk(w, m->end, MP_CHUNK_OWN);
	flush_chunks(w);
	tell_heap(w, &ev, MP_XRAY_DONE);
}

static int walk_mapped(struct walk *w, const struct mp_ev_xray *x)
{
	struct mp_heap_mapped *list;
	uint64_t bytes = 0;
	size_t nr;
	struct mp_heap_counted counted = { x->mmapped_chunks, x->mmapped_bytes };
	int ret = mp_heap_find_mapped(w->image, w->arenas, &counted, &list, &nr);

	if (ret)
		return ret;
	for (size_t i = 0; i < nr; i++) {
		bytes += list[i].end - list[i].start;
		tell_mapped(w, &list[i]);
	}
	if (nr != x->mmapped_chunks || bytes != x->mmapped_bytes)
		w->result->flags |= MP_XRAY_MMAPPED;
	free(list);
	return 0;
}

static uint64_t mp_word(const struct mp_heap_image *image, uint16_t at)
{
	uint64_t value = 0;

	if (at != MP_GLIBC_NONE)
		mp_heap_image__read(image, image->glibc.mp + at, &value, sizeof(value));
	return value;
}

static void fill(const struct mp_heap_image *image, struct mp_ev_xray *x)
{
	const struct mp_glibc_layout *at = &image->glibc.at;

	x->begin_ns = image->begin_ns;
	x->end_ns = image->end_ns;
	x->flags = image->flags;
	x->tries = image->tries;
	x->mmap_threshold = mp_word(image, at->mp_mmap_threshold);
	x->trim_threshold = mp_word(image, at->mp_trim_threshold);
	x->mmapped_chunks = (uint32_t)mp_word(image, at->mp_n_mmaps);
	x->mmapped_bytes = mp_word(image, at->mp_mmapped_mem);
	x->trim_page_bytes = MP_PAGE_SIZE;
	/* thp_pagesize stands before hp_pagesize: not 0 where brk goes by huge pages */
	if (at->mp_hp_pagesize != MP_GLIBC_NONE && mp_word(image, at->mp_hp_pagesize - 8))
		x->trim_page_bytes = mp_word(image, at->mp_hp_pagesize - 8);
}

/* A mark that no chunk led to was made inside of one. */
static int walk_all(struct walk *w, struct mp_ev_xray *x)
{
	struct mp_heap_marks *marks = &w->image->marks;
	int ret;

	x->phase = MP_XRAY_BEGINS;
	tell(w, &x->h, MP_EV_XRAY, sizeof(*x));
	walk_arenas(w);
	ret = walk_mapped(w, x);
	if (w->marks != marks->nr)
		w->result->flags |= MP_XRAY_LISTS;
	w->result->flags |= marks->flags | w->arenas->flags | w->image->flags;
	x->phase = MP_XRAY_DONE;
	x->tcaches = marks->tcaches;
	x->flags = w->result->flags;
	tell(w, &x->h, MP_EV_XRAY, sizeof(*x));
	return ret;
}

int mp_heap_walk(struct mp_heap_image *image, struct mp_ev h, mp_emit_fn emit, void *ctx,
		 struct mp_heap_result *result)
{
	struct mp_heap_arenas arenas;
	struct walk w = { .image = image,
			  .arenas = &arenas,
			  .result = result,
			  .emit = emit,
			  .ctx = ctx,
			  .h = h,
			  .budget = BUDGET };
	struct mp_ev_xray x = { .phase = 0 };
	int ret;

	memset(result, 0, sizeof(*result));
	ret = mp_heap_arenas__find(image, mp_heap_image__read, image, &arenas);
	if (ret)
		return ret;
	w.ev = calloc(1, sizeof(*w.ev) + ENTRIES * sizeof(__u64));
	if (w.ev) {
		if (!image->marked)
			mp_heap_mark_lists(image, &arenas, &image->marks);
		image->marked = true;
		fill(image, &x);
		ret = walk_all(&w, &x);
	}
	if (!w.ev)
		ret = -ENOMEM;
	free(w.ev);
	mp_heap_arenas__clear(&arenas);
	return ret ? ret : w.stopped;
}
