// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/heap_arenas.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ARENAS 65536
#define MAX_PARTS  (1U << 20)
#define CHUNK_HEAD 16U   /* bytes of a chunk before what it hands out */
#define STATE_MAX  4096U /* more than struct malloc_state has in any version */
#define LARGEST    (1ULL << 40)

struct finder {
	const struct mp_heap_image *image;
	mp_heap_read_fn read;
	const void *ctx;
	struct mp_heap_arenas *out;
};

static bool word(const struct finder *f, uint64_t addr, uint64_t *value)
{
	return !f->read(f->ctx, addr, value, sizeof(*value));
}

/* @system_mem and the most there ever was of it are the last members. */
uint64_t mp_heap_state_bytes(const struct mp_glibc_layout *at)
{
	return at->system_mem + 16ULL;
}

static int add_part(struct finder *f, const struct mp_heap_part *part)
{
	struct mp_heap_arenas *out = f->out;

	if (part->first >= part->end || part->end - part->start > LARGEST ||
	    (part->top && (part->top % 16 || part->top < part->first || part->top >= part->end)) ||
	    out->nr_parts == MAX_PARTS) {
		out->flags |= MP_XRAY_ARENAS;
		return 0;
	}
	return mp_heap_image_add(&out->parts, &out->nr_parts, part, sizeof(*part));
}

/* ---- the main arena ------------------------------------------------------------------------- */

/* Where the top chunk ends by its own size, but within @span. */
static uint64_t top_end(struct finder *f, uint64_t top, const struct mp_heap_span *span)
{
	uint64_t size;

	if (!word(f, top + 8, &size))
		return span->end;
	size &= ~7ULL;
	if (size < CHUNK_HEAD || size > span->end - top) {
		f->out->flags |= MP_XRAY_ARENAS;
		return span->end;
	}
	return top + size;
}

/*
 * Memory from brk, from sbrk_base on. Where brk could not grow, the arena went on in a mapping: that
 * is a part of its own, and only the part with the top chunk is known of such mappings.
 */
static int main_parts(struct finder *f, uint64_t top)
{
	const struct mp_glibc *g = &f->image->glibc;
	struct mp_heap_part part = { .kind = MP_HEAP_MAIN };
	const struct mp_heap_span *brk, *span = mp_heap_image__span(f->image, top);
	uint64_t base = 0;
	int ret = 0;

	if (!span) {
		f->out->flags |= MP_XRAY_ARENAS;
		return 0;
	}
	if (!word(f, g->mp + g->at.mp_sbrk_base, &base))
		f->out->flags |= MP_XRAY_ARENAS;
	brk = base ? mp_heap_image__span(f->image, base) : NULL;
	if (brk != span || base > top) {
		part.start = span->start;
		part.end = top_end(f, top, span);
		part.first = span->start;
		part.top = top;
		ret = add_part(f, &part);
		part.top = 0;
	}
	if (!brk || ret)
		return ret;
	part.start = base;
	part.first = (base + 15) & ~15ULL;
	part.end = brk->end;
	if (brk == span && base <= top) {
		part.top = top;
		part.end = top_end(f, top, span);
	}
	return add_part(f, &part);
}

/* ---- the others ----------------------------------------------------------------------------- */

struct heap_head { /* arena.c: heap_info as far as it is the same everywhere */
	uint64_t arena, prev, size;
};

/*
 * One heap of the arena. Its header's size is told by the arena, which lies behind the one of its
 * first heap. What it handed out ends within what it says it has.
 */
static int heap_part(struct finder *f, uint64_t heap, const struct heap_head *head,
		     const struct mp_heap_arena *a)
{
	uint64_t max = f->image->glibc.heap_max_bytes, own = a->addr & (max - 1);
	const struct mp_heap_span *span = mp_heap_image__span(f->image, heap);
	struct mp_heap_part part = { .kind = MP_HEAP_ARENA,
				     .arena = (uint32_t)f->out->nr,
				     .start = heap };

	if (!span || head->size > max || head->size > span->end - heap || head->size < own) {
		f->out->flags |= MP_XRAY_ARENAS;
		return 0;
	}
	if (heap == a->addr - own)
		own += mp_heap_state_bytes(&f->image->glibc.at);
	part.first = (heap + own + 15) & ~15ULL;
	part.end = heap + head->size;
	if (a->top >= heap && a->top < part.end)
		part.top = a->top;
	return add_part(f, &part);
}

/* From the heap that holds the top chunk back to the one that holds the arena. */
static int heap_parts(struct finder *f, const struct mp_heap_arena *a)
{
	uint64_t max = f->image->glibc.heap_max_bytes, heap = a->top & ~(max - 1);
	uint64_t first = a->addr & ~(max - 1);
	uint32_t flags = f->out->flags;
	struct heap_head head;
	int ret = 0;

	f->out->flags = 0; /* of what was broken before, this one's heaps are none */
	while (!ret && !f->out->flags) {
		if (f->read(f->ctx, heap, &head, sizeof(head)) || head.arena != a->addr)
			break;
		ret = heap_part(f, heap, &head, a);
		if (heap == first) {
			f->out->flags |= flags;
			return ret;
		}
		heap = head.prev;
		if (heap & (max - 1))
			break;
	}
	f->out->flags |= MP_XRAY_ARENAS;
	return ret;
}

static bool read_arena(const struct finder *f, uint64_t addr, struct mp_heap_arena *a,
		       uint64_t *next)
{
	const struct mp_glibc_layout *at = &f->image->glibc.at;
	uint64_t bytes = mp_heap_state_bytes(at);
	unsigned char state[STATE_MAX];
	uint32_t lock;

	if (bytes > sizeof(state) || at->next + 32ULL > bytes || at->top + 8ULL > bytes ||
	    (at->fastbins != MP_GLIBC_NONE && at->fastbins + sizeof(a->fastbins) > bytes) ||
	    addr > UINT64_MAX - STATE_MAX || f->read(f->ctx, addr, state, bytes))
		return false;
	memset(a, 0, sizeof(*a));
	a->addr = addr;
	memcpy(next, state + at->next, sizeof(*next));
	memcpy(&a->top, state + at->top, sizeof(a->top));
	memcpy(&a->system_bytes, state + at->system_mem, sizeof(a->system_bytes));
	if (at->fastbins != MP_GLIBC_NONE)
		memcpy(a->fastbins, state + at->fastbins, sizeof(a->fastbins));
	memcpy(&lock, state, sizeof(lock));
	if (lock)
		a->flags |= MP_ARENA_BUSY;
	/* attached_threads is the word before system_mem, in all versions */
	memcpy(&a->threads, state + at->system_mem - 8, sizeof(a->threads));
	return true;
}

static bool arena_place_holds(const struct finder *f, uint64_t addr)
{
	uint64_t max = f->image->glibc.heap_max_bytes;

	return addr % 16 == 0 && (addr & (max - 1)) >= 32 && (addr & (max - 1)) <= 4096;
}

static int add_arena(struct finder *f, struct mp_heap_arena *a)
{
	const struct mp_glibc *g = &f->image->glibc;
	int ret = 0;

	if (a->addr == g->main_arena) {
		a->flags |= MP_ARENA_MAIN;
		/* before the first malloc the top is the head of the unsorted list, or nothing */
		if (a->top == g->main_arena + g->at.bins - 16)
			a->top = 0;
		if (a->top)
			ret = main_parts(f, a->top);
	} else {
		ret = heap_parts(f, a);
	}
	return ret ? ret : mp_heap_image_add(&f->out->list, &f->out->nr, a, sizeof(*a));
}

/* ---- all of them ---------------------------------------------------------------------------- */

static int by_start(const void *a, const void *b)
{
	const struct mp_heap_part *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static int by_arena(const void *a, const void *b)
{
	const struct mp_heap_part *x = a, *y = b;

	return x->arena != y->arena ? (x->arena < y->arena ? -1 : 1) : by_start(a, b);
}

static void drop_overlaps(struct mp_heap_arenas *out)
{
	size_t kept = 0;

	if (!out->nr_parts)
		return;
	qsort(out->parts, out->nr_parts, sizeof(*out->parts), by_start);
	for (size_t i = 0; i < out->nr_parts; i++) {
		if (kept && out->parts[i].start < out->parts[kept - 1].end)
			out->flags |= MP_XRAY_ARENAS;
		else
			out->parts[kept++] = out->parts[i];
	}
	out->nr_parts = kept;
	qsort(out->parts, out->nr_parts, sizeof(*out->parts), by_arena);
}

static int by_address(const void *a, const void *b)
{
	const struct mp_heap_span *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

struct mp_heap_span *mp_heap_arenas__spans(const struct mp_heap_arenas *arenas)
{
	struct mp_heap_span *spans = calloc(arenas->nr_parts + 1, sizeof(*spans));

	for (size_t i = 0; spans && i < arenas->nr_parts; i++)
		spans[i] = (struct mp_heap_span){ arenas->parts[i].start, arenas->parts[i].end };
	if (spans)
		qsort(spans, arenas->nr_parts, sizeof(*spans), by_address);
	return spans;
}

int mp_heap_arenas__find(const struct mp_heap_image *image, mp_heap_read_fn read, const void *ctx,
			 struct mp_heap_arenas *out)
{
	struct finder f = { .image = image, .read = read, .ctx = ctx, .out = out };
	uint64_t max = image->glibc.heap_max_bytes, addr = image->glibc.main_arena, next;
	struct mp_heap_arena a;
	int ret = 0;

	memset(out, 0, sizeof(*out));
	if (max < 4 * MP_PAGE_SIZE || max & (max - 1)) {
		out->flags |= MP_XRAY_ARENAS;
		return 0;
	}
	do {
		if (out->nr == MAX_ARENAS || !read_arena(&f, addr, &a, &next)) {
			out->flags |= MP_XRAY_ARENAS;
			break;
		}
		ret = add_arena(&f, &a);
		addr = next;
		if (addr != image->glibc.main_arena && !arena_place_holds(&f, addr)) {
			out->flags |= MP_XRAY_ARENAS;
			break;
		}
	} while (!ret && addr != image->glibc.main_arena);
	drop_overlaps(out);
	if (ret)
		mp_heap_arenas__clear(out);
	return ret;
}

void mp_heap_arenas__clear(struct mp_heap_arenas *arenas)
{
	free(arenas->list);
	free(arenas->parts);
	memset(arenas, 0, sizeof(*arenas));
}
