// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Any memory as that of a process: the walk through its heap, the decoder, the model and the views.
 * The corpus is heaps of tests/unit/heap_walk.c, which saves them where HEAPS_SAVE says.
 *
 * Input: a byte (1: laid out as glibc 2.43, else as 2.36), the numbers of threads and heads (bytes),
 * main_arena, mp_ (144 bytes), 8 bytes a thread, 24 a head, and then mappings: start, pages, state of
 * the pages that are not copied, bytes that are (8 each) and these. What is cut off is zero.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect/heap_walk.h"
#include "model/xray.h"
#include "trace/trace.h"
#include "view/xray.h"

#define ARENA     0x7f0000001000ULL
#define PAR       0x7f0000003000ULL
#define PAR_BYTES 144
#define PAGES_MAX (1ULL << 28) /* of a mapping: most are not there, and cost nothing */
#define REGIONS   32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct mp_glibc_layout layouts[] = {
	{ .next = 2160,
	  .top = 96,
	  .bins = 112,
	  .fastbins = 16,
	  .system_mem = 2184,
	  .tcache_entries = 128,
	  .tcache_bins = 64,
	  .mp_mmap_threshold = 16,
	  .mp_hp_pagesize = 48,
	  .mp_n_mmaps = 60,
	  .mp_mmapped_mem = 80,
	  .mp_sbrk_base = 96,
	  .fd_mangled = true },
	{ .next = 2072,
	  .top = 8,
	  .bins = 24,
	  .fastbins = MP_GLIBC_NONE,
	  .system_mem = 2096,
	  .tcache_entries = 152,
	  .tcache_bins = 76,
	  .counts_down = true,
	  .mp_mmap_threshold = 16,
	  .mp_hp_pagesize = 48,
	  .mp_n_mmaps = 60,
	  .mp_mmapped_mem = 80,
	  .mp_sbrk_base = 96,
	  .fd_mangled = true,
	  .mmapped_size_less_16 = true },
};

struct input {
	const uint8_t *data;
	size_t size;
};

static void take(struct input *in, void *to, size_t len)
{
	size_t n = len < in->size ? len : in->size;

	memset(to, 0, len);
	if (n)
		memcpy(to, in->data, n);
	in->data += n;
	in->size -= n;
}

static void add(void *list, size_t *nr, const void *elem, size_t size)
{
	if (mp_heap_image_add(list, nr, elem, size))
		abort();
}

/* Of the @len bytes the input has the first @told. */
static void add_copy(struct mp_heap_image *image, struct input *in, uint64_t start, uint64_t len,
		     uint64_t told)
{
	struct mp_heap_copy copy = { .start = start, .end = start + len };

	copy.bytes = calloc(1, len);
	if (!copy.bytes)
		abort();
	take(in, copy.bytes, told < len ? told : len);
	add(&image->copies, &image->nr_copies, &copy, sizeof(copy));
}

/* The lists of an image are disjoint whatever the process does, so these have to be too. */
static int is_taken(const struct mp_heap_image *image, uint64_t start, uint64_t end)
{
	for (size_t i = 0; i < image->nr_spans; i++)
		if (start < image->spans[i].end && end > image->spans[i].start)
			return 1;
	return start < PAR + MP_PAGE_SIZE && end > ARENA;
}

static void add_region(struct mp_heap_image *image, struct input *in)
{
	uint64_t words[4], start, end, copied;
	struct mp_heap_span span;
	struct mp_heap_run run;

	take(in, words, sizeof(words));
	start = words[0] & ((1ULL << 56) - 1) & MP_PAGE_MASK;
	end = start + words[1] % PAGES_MAX * MP_PAGE_SIZE;
	copied = words[3] < in->size ? words[3] : in->size;
	if (start == end || is_taken(image, start, end))
		return;
	copied = (copied + MP_PAGE_SIZE - 1) & MP_PAGE_MASK;
	copied = copied < end - start ? copied : end - start;
	span = (struct mp_heap_span){ start, end };
	add(&image->spans, &image->nr_spans, &span, sizeof(span));
	run = (struct mp_heap_run){ start, start + copied, MP_HEAP_PRESENT, words[2] >> 8 & 1 };
	if (copied) {
		add(&image->runs, &image->nr_runs, &run, sizeof(run));
		add_copy(image, in, start, copied, words[3]);
	}
	run = (struct mp_heap_run){ start + copied, end, words[2] % MP_HEAP_PAGE_MAX, 0 };
	if (run.state && run.start < run.end)
		add(&image->runs, &image->nr_runs, &run, sizeof(run));
}

static int by_address(const void *a, const void *b)
{
	const struct mp_heap_span *x = a, *y = b; /* runs begin as spans do */

	return x->start < y->start ? -1 : x->start > y->start;
}

static void make_image(struct mp_heap_image *image, struct input *in)
{
	uint8_t head[3];

	memset(image, 0, sizeof(*image));
	take(in, head, sizeof(head));
	image->glibc.at = layouts[head[0] & 1];
	image->glibc.main_arena = ARENA;
	image->glibc.mp = PAR;
	image->glibc.heap_max_bytes = 64ULL << 20;
	add_copy(image, in, ARENA, image->glibc.at.system_mem + 16ULL, UINT64_MAX);
	add_copy(image, in, PAR, PAR_BYTES, UINT64_MAX);
	for (int i = 0; i < head[1]; i++) {
		struct mp_heap_thread thread = { .tid = i };

		take(in, &thread.tcache, sizeof(thread.tcache));
		add(&image->threads, &image->nr_threads, &thread, sizeof(thread));
	}
	for (int i = 0; i < head[2]; i++) {
		struct mp_heap_head chunk;

		take(in, &chunk, sizeof(chunk));
		add(&image->heads, &image->nr_heads, &chunk, sizeof(chunk));
	}
	while (in->size && image->nr_spans < REGIONS)
		add_region(image, in);
	if (image->nr_spans)
		qsort(image->spans, image->nr_spans, sizeof(*image->spans), by_address);
	if (image->nr_runs)
		qsort(image->runs, image->nr_runs, sizeof(*image->runs), by_address);
	mp_heap_image__sort(image);
}

/* In a block of its own: what is read past its end is seen. */
static int apply(void *ctx, const struct mp_ev *ev)
{
	struct mp_ev *copy = malloc(ev->size);
	int ret;

	if (!copy)
		abort();
	memcpy(copy, ev, ev->size);
	if (mp_decode(copy, ev->size) != ev->size)
		abort();
	ret = mp_xray__apply(ctx, copy);
	free(copy);
	return ret;
}

static void check(const struct mp_xray_report *r)
{
	const struct mp_xray_pages *p = &r->total.pages;
	uint64_t pages = p->idle, blocks = r->total.chunks[MP_CHUNK_LIVE];

	for (int i = 0; i < MP_XRAY_PINS; i++)
		pages += p->pins[i];
	if (pages != p->present || r->refused || r->facts.phase != MP_XRAY_DONE ||
	    r->nr_blocks != blocks)
		abort();
}

static void draw(const struct mp_xray_report *r)
{
	static const struct mp_view_opts opts = { .pages = true, .blocks = true, .top = 2 };
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out || mp_view_xray_table(&r, 1, &opts, out) || mp_view_xray_json(&r, 1, &opts, out))
		abort();
	fclose(out);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mp_xray *x = mp_xray__new(MP_XRAY_WANT_MAP | MP_XRAY_WANT_BLOCKS);
	struct input in = { data, size };
	struct mp_heap_result dry, real;
	struct mp_heap_image image;
	struct mp_ev h = { .tgid = 1 };

	make_image(&image, &in);
	if (!x || mp_heap_walk(&image, h, NULL, NULL, &dry) ||
	    mp_heap_walk(&image, h, apply, x, &real) || memcmp(&dry, &real, sizeof(dry)))
		abort();
	check(mp_xray__report(x));
	draw(mp_xray__report(x));
	mp_xray__free(x);
	mp_heap_image__clear(&image);
	return 0;
}
