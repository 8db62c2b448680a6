/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Heaps made up by hand, as images of the X-ray. */
#ifndef HEAPS_H
#define HEAPS_H

#include "collect/heap_walk.h"
#include "model/xray.h"

#define ARENA     0x7f0000001000ULL /* main_arena */
#define PAR       0x7f0000003000ULL /* mp_ */
#define HEAP      0x555500000000ULL /* where brk began */
#define HEAP_MAX  (64ULL << 20)
#define PLACE     0x7e0000000000ULL /* where other arenas' heaps and mappings are */
#define TCACHE_AT 16                /* bytes from a chunk to what it hands out */

/* Offsets as glibc 2.36 has them, or 2.43: no fastbins, sizes of mapped chunks less by 16. */
extern const struct mp_glibc_layout heaps_236, heaps_243;

/* An image with main_arena and mp_ (all zero but for its ring) and no heap. */
void heaps_begin(struct mp_heap_image *image, const struct mp_glibc_layout *at);
/* A writable mapping [start, start + pages) whose pages are all there and copied. */
void heaps_map(struct mp_heap_image *image, uint64_t start, uint64_t pages);
/* Pages [start, start + pages) of it are in another state, and not copied; 0: not there. */
void heaps_page_state(struct mp_heap_image *image, uint64_t start, uint64_t pages, uint8_t state);
/* Once all mappings are there. */
void heaps_ready(struct mp_heap_image *image);

void heaps_poke(struct mp_heap_image *image, uint64_t addr, uint64_t value);
uint64_t heaps_peek(const struct mp_heap_image *image, uint64_t addr);
/* A chunk of @size bytes at @at, free: its foot and the mark in the one after it are set. */
uint64_t heaps_chunk(struct mp_heap_image *image, uint64_t at, uint64_t size);
uint64_t heaps_free(struct mp_heap_image *image, uint64_t at, uint64_t size);
/* The main arena's top chunk is [at, end). */
void heaps_top(struct mp_heap_image *image, uint64_t at, uint64_t end);
/* Links @chunk to @next (of what it hands out for a thread cache, else of chunks). */
void heaps_link(struct mp_heap_image *image, uint64_t chunk, uint64_t next);

struct heaps_result {
	struct mp_xray *xray;
	const struct mp_xray_report *r;
	struct mp_heap_result walk;
};
/* Walks @image through the decoder into the model; all sums are checked against each other. */
struct heaps_result heaps_walk(struct mp_heap_image *image);
void heaps_end(struct mp_heap_image *image, struct heaps_result *result);

#endif
