/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between xray.c, which follows the events, and xray_pages.c, which accounts for bytes and pages. */
#ifndef MP_MODEL_XRAY_INSIDE_H
#define MP_MODEL_XRAY_INSIDE_H

#include "model/mem.h"
#include "model/xray.h"

struct mp_xray_told { /* pages as they were told */
	uint64_t start, end;
	uint8_t state, huge;
};

struct mp_xray_solo {   /* chunks right before the one at hand: free ones, and one owner's blocks */
	uint64_t start; /* of the first chunk, 0: there are none */
	uint64_t freed; /* bytes that malloc_trim would give back of it as it is */
	uint32_t owner;
	bool owned; /* there is a block */
};

struct mp_xray {
	unsigned int want;
	const struct mp_xray_ops *ops; /* NULL: nobody watches */
	void *ctx;
	struct mp_mem mem;
	struct mp_xray_report r;
	size_t arenas_cap, runs_cap, blocks_cap;
	bool inside;               /* between a heap's begin and its end */
	struct mp_ev_part heap;    /* that one */
	struct mp_xray_arena *sum; /* what it is added to */

	struct mp_xray_told *told; /* its pages */
	size_t nr_told, told_cap;
	size_t cursor; /* of @told: the first that ends above @at */

	uint64_t at;     /* chunks were told up to here */
	uint64_t page;   /* the page that @at is in, and what is known of it: */
	uint32_t held;   /* live bytes and the allocator's own */
	uint32_t cached; /* bytes of chunks in thread caches and fastbins */
	uint32_t top;    /* bytes of the top chunk */
	uint32_t own;    /* of @held: the allocator's own */

	uint64_t free_start; /* first of the free chunks right before @at, 0: none */
	struct mp_xray_solo solo;
	struct mp_xray_holder last;
	uint64_t bin_before; /* bytes of the free chunk right before @at */
};

/* A heap begins, ends: all its chunks were told. */
void mp_xray_pages_begin(struct mp_xray *x);
int mp_xray_pages_end(struct mp_xray *x);
/* [x->at, @end) is @bytes of one chunk in @state. 0 or -ENOMEM. */
int mp_xray_pages_add(struct mp_xray *x, uint64_t end, enum mp_chunk_state state);

/* xray_trim.c: the chunk from x->at to @end, in @state, comes next. 0 or -ENOMEM. */
int mp_xray_trim_add(struct mp_xray *x, uint64_t end, enum mp_chunk_state state);
/* All chunks of the heap were told. 0 or -ENOMEM. */
int mp_xray_trim_end(struct mp_xray *x);

/* Present bytes of [start, end) within the heap. */
uint64_t mp_xray_pages_present(const struct mp_xray *x, uint64_t start, uint64_t end);

#endif
