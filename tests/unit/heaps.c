// SPDX-License-Identifier: GPL-2.0-or-later
#include "heaps.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "trace/trace.h"

const struct mp_glibc_layout heaps_236 = {
	.next = 2160,
	.top = 96,
	.last_remainder = 104,
	.bins = 112,
	.fastbins = 16,
	.system_mem = 2184,
	.tcache_counts = 0,
	.tcache_entries = 128,
	.tcache_bins = 64,
	.mp_trim_threshold = 0,
	.mp_mmap_threshold = 16,
	.mp_hp_pagesize = 48,
	.mp_n_mmaps = 60,
	.mp_mmapped_mem = 80,
	.mp_sbrk_base = 96,
	.fd_mangled = true,
};

const struct mp_glibc_layout heaps_243 = {
	.next = 2072,
	.top = 8,
	.last_remainder = 16,
	.bins = 24,
	.fastbins = MP_GLIBC_NONE,
	.system_mem = 2096,
	.tcache_counts = 0,
	.tcache_entries = 152,
	.tcache_bins = 76,
	.counts_down = true,
	.mp_trim_threshold = 0,
	.mp_mmap_threshold = 16,
	.mp_hp_pagesize = 48,
	.mp_n_mmaps = 60,
	.mp_mmapped_mem = 80,
	.mp_sbrk_base = 96,
	.fd_mangled = true,
	.mmapped_size_less_16 = true,
};

static void add_copy(struct mp_heap_image *image, uint64_t start, uint64_t len, bool pages)
{
	struct mp_heap_copy copy = { .start = start, .end = start + len };

	copy.bytes = calloc(1, len);
	assert_non_null(copy.bytes);
	if (pages) {
		copy.have = malloc((len / MP_PAGE_SIZE + 63) / 64 * 8);
		assert_non_null(copy.have);
		memset(copy.have, 0xff, (len / MP_PAGE_SIZE + 63) / 64 * 8);
	}
	assert_int_equal(mp_heap_image_add(&image->copies, &image->nr_copies, &copy, sizeof(copy)),
			 0);
}

void heaps_begin(struct mp_heap_image *image, const struct mp_glibc_layout *at)
{
	memset(image, 0, sizeof(*image));
	image->glibc.at = *at;
	image->glibc.main_arena = ARENA;
	image->glibc.mp = PAR;
	image->glibc.heap_max_bytes = HEAP_MAX;
	add_copy(image, ARENA, at->system_mem + 16ULL, false);
	add_copy(image, PAR, 144, false);
	mp_heap_image__sort(image);
	heaps_poke(image, ARENA + at->next, ARENA);
}

void heaps_map(struct mp_heap_image *image, uint64_t start, uint64_t pages)
{
	struct mp_heap_span span = { start, start + pages * MP_PAGE_SIZE };
	struct mp_heap_run run = { start, span.end, MP_HEAP_PRESENT, 0 };

	add_copy(image, start, pages * MP_PAGE_SIZE, true);
	mp_heap_image__sort(image);
	assert_int_equal(mp_heap_image_add(&image->spans, &image->nr_spans, &span, sizeof(span)),
			 0);
	assert_int_equal(mp_heap_image_add(&image->runs, &image->nr_runs, &run, sizeof(run)), 0);
}

void heaps_page_state(struct mp_heap_image *image, uint64_t start, uint64_t pages, uint8_t state)
{
	struct mp_heap_copy *copy = mp_heap_image__at(image, start);
	uint64_t end = start + pages * MP_PAGE_SIZE;
	size_t i = mp_heap_image__run(image, start);
	struct mp_heap_run run = image->runs[i], after = { end, run.end, run.state, run.huge };
	struct mp_heap_run now = { start, end, state, 0 };

	assert_true(run.start <= start && end <= run.end);
	for (uint64_t addr = start; addr < end; addr += MP_PAGE_SIZE) {
		uint64_t page = (addr - copy->start) / MP_PAGE_SIZE;

		copy->have[page / 64] &= ~(1ULL << page % 64);
	}
	image->runs[i].end = start; /* may leave an empty run, which says nothing */
	if (state)
		assert_int_equal(
			mp_heap_image_add(&image->runs, &image->nr_runs, &now, sizeof(now)), 0);
	if (after.start < after.end)
		assert_int_equal(
			mp_heap_image_add(&image->runs, &image->nr_runs, &after, sizeof(after)), 0);
}

static int by_address(const void *a, const void *b)
{
	const struct mp_heap_span *x = a, *y = b; /* runs begin as spans do */

	return x->start < y->start ? -1 : x->start > y->start;
}

void heaps_ready(struct mp_heap_image *image)
{
	size_t kept = 0;

	for (size_t i = 0; i < image->nr_runs; i++)
		if (image->runs[i].start < image->runs[i].end)
			image->runs[kept++] = image->runs[i];
	image->nr_runs = kept;
	if (image->nr_spans)
		qsort(image->spans, image->nr_spans, sizeof(*image->spans), by_address);
	if (image->nr_runs)
		qsort(image->runs, image->nr_runs, sizeof(*image->runs), by_address);
	mp_heap_image__sort(image);
}

void heaps_poke(struct mp_heap_image *image, uint64_t addr, uint64_t value)
{
	struct mp_heap_copy *copy = mp_heap_image__at(image, addr);

	assert_non_null(copy);
	assert_true(copy->end - addr >= 8);
	memcpy(copy->bytes + (addr - copy->start), &value, sizeof(value));
}

uint64_t heaps_peek(const struct mp_heap_image *image, uint64_t addr)
{
	uint64_t value;

	assert_int_equal(mp_heap_image__read(image, addr, &value, sizeof(value)), 0);
	return value;
}

uint64_t heaps_chunk(struct mp_heap_image *image, uint64_t at, uint64_t size)
{
	uint64_t other = at >= PLACE ? 4 : 0;

	heaps_poke(image, at + 8, size | other | (heaps_peek(image, at + 8) & 1));
	heaps_poke(image, at + size + 8, 1);
	return at + size;
}

uint64_t heaps_free(struct mp_heap_image *image, uint64_t at, uint64_t size)
{
	heaps_chunk(image, at, size);
	heaps_poke(image, at + size, size);
	heaps_poke(image, at + size + 8, 0);
	return at + size;
}

void heaps_top(struct mp_heap_image *image, uint64_t at, uint64_t end)
{
	heaps_poke(image, at + 8, (end - at) | 1);
	heaps_poke(image, ARENA + image->glibc.at.top, at);
	heaps_poke(image, ARENA + image->glibc.at.system_mem, end - HEAP);
	heaps_poke(image, PAR + image->glibc.at.mp_sbrk_base, HEAP);
}

void heaps_link(struct mp_heap_image *image, uint64_t chunk, uint64_t next)
{
	uint64_t place = chunk + 16;

	heaps_poke(image, place, image->glibc.at.fd_mangled ? next ^ place >> 12 : next);
}

/* ---- walking -------------------------------------------------------------------------------- */

/* In a block of its own, so that reading past it is seen; and only what the decoder lets pass. */
static int apply(void *ctx, const struct mp_ev *ev)
{
	struct mp_ev *copy = malloc(ev->size);
	int ret;

	assert_non_null(copy);
	memcpy(copy, ev, ev->size);
	assert_int_equal(mp_decode(copy, ev->size), ev->size);
	ret = mp_xray__apply(ctx, copy);
	free(copy);
	return ret;
}

/* Bytes of all states, their residency, and pages with something on them add up. */
static void check_sums(const struct mp_xray_arena *a)
{
	uint64_t present = 0, pinned = 0;

	for (int i = 1; i < MP_CHUNK_STATES; i++) {
		present += a->by[i].present;
		assert_true(a->by[i].present + a->by[i].zero + a->by[i].swapped <= a->by[i].bytes);
	}
	for (int i = 0; i < MP_XRAY_PINS; i++)
		pinned += a->pages.pins[i];
	assert_int_equal(pinned + a->pages.idle, a->pages.present);
	assert_true(present <= a->pages.present * MP_PAGE_SIZE);
	assert_true(a->trim_bytes <= a->pages.present * MP_PAGE_SIZE);
}

/* As an input of tests/fuzz/xray.c, named by its place among those of this run. */
static void save(const struct mp_heap_image *image, const char *dir)
{
	uint8_t head[3] = { image->glibc.at.fastbins == MP_GLIBC_NONE, (uint8_t)image->nr_threads,
			    (uint8_t)image->nr_heads };
	static int nr;
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/heap-%02d", dir, nr++);
	f = fopen(path, "w");
	assert_non_null(f);
	fwrite(head, 1, sizeof(head), f);
	fwrite(mp_heap_image__at(image, ARENA)->bytes, 1, image->glibc.at.system_mem + 16UL, f);
	fwrite(mp_heap_image__at(image, PAR)->bytes, 1, 144, f);
	for (size_t i = 0; i < image->nr_threads; i++)
		fwrite(&image->threads[i].tcache, 8, 1, f);
	if (image->nr_heads)
		fwrite(image->heads, sizeof(*image->heads), image->nr_heads, f);
	for (size_t i = 0; i < image->nr_spans; i++) {
		const struct mp_heap_span *span = &image->spans[i];
		const struct mp_heap_copy *copy = mp_heap_image__at(image, span->start);
		uint64_t bytes = span->end - span->start;
		uint64_t words[4] = { span->start, bytes / MP_PAGE_SIZE, 0, bytes };

		while (words[3] && !copy->bytes[words[3] - 1])
			words[3]--;
		fwrite(words, sizeof(words), 1, f);
		fwrite(copy->bytes, 1, words[3], f);
	}
	assert_int_equal(fclose(f), 0);
}

struct heaps_result heaps_walk(struct mp_heap_image *image)
{
	struct heaps_result result = { .xray = mp_xray__new(MP_XRAY_WANT_MAP |
							    MP_XRAY_WANT_BLOCKS) };
	struct mp_heap_result dry;
	struct mp_ev h = { .tgid = 77 };

	assert_non_null(result.xray);
	heaps_ready(image);
	if (getenv("HEAPS_SAVE"))
		save(image, getenv("HEAPS_SAVE"));
	assert_int_equal(mp_heap_walk(image, h, NULL, NULL, &dry), 0);
	assert_int_equal(mp_heap_walk(image, h, apply, result.xray, &result.walk), 0);
	assert_memory_equal(&dry, &result.walk, sizeof(dry));
	result.r = mp_xray__report(result.xray);
	assert_int_equal(result.r->refused, 0);
	assert_int_equal(result.r->facts.phase, MP_XRAY_DONE);
	assert_int_equal(result.r->nr_blocks, result.r->total.chunks[MP_CHUNK_LIVE]);
	check_sums(&result.r->total);
	return result;
}

void heaps_end(struct mp_heap_image *image, struct heaps_result *result)
{
	mp_xray__free(result->xray);
	mp_heap_image__clear(image);
}
