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

struct mp_xray {
	unsigned int want;
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

	uint64_t free_start; /* first of the free chunks right before @at, 0: none */
	struct mp_xray_holder last;
	uint64_t bin_before; /* bytes of the free chunk right before @at */
};

/* A heap begins, ends: all its chunks were told. */
void mp_xray_pages_begin(struct mp_xray *x);
int mp_xray_pages_end(struct mp_xray *x);
/* [x->at, @end) is @bytes of one chunk in @state. 0 or -ENOMEM. */
int mp_xray_pages_add(struct mp_xray *x, uint64_t end, enum mp_chunk_state state);
/* Present bytes of [start, end) within the heap. */
uint64_t mp_xray_pages_present(const struct mp_xray *x, uint64_t start, uint64_t end);

#endif
