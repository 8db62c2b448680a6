/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The live blocks of one address space: disjoint, found by address. Built for ten million: 24 bytes
 * a block in small sorted leaves, one leaf a page that has a block's start, pages by regions of
 * 256 KiB. Blocks the leaf format cannot hold (large ones) are in an ordered map.
 */
#ifndef MP_MODEL_BLOCKS_H
#define MP_MODEL_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/map.h"
#include "model/mem.h"
#include "model/omap.h"

/* User addresses end here at the latest (x86-64, five-level page tables; 47 bits otherwise). */
#define MP_ADDR_END (1ULL << 57)

#define MP_USABLE_UNKNOWN UINT64_MAX

/* [start, end); a block of zero bytes has end == start, and still keeps others off its start */
struct mp_blk {
	uint64_t start, end;
	uint64_t usable; /* bytes, or MP_USABLE_UNKNOWN */
	uint64_t t_ns;
	uint32_t site, tid;
	uint8_t tiered; /* MP_TIERED() */
	bool transit;   /* realloc was entered with it and has not returned */
};

struct mp_region;

struct mp_blocks {
	struct mp_mem *mem;
	struct mp_map regions;
	struct mp_omap big;
	uint64_t last_key; /* one-entry cache in front of the map */
	struct mp_region *last;
	uint64_t n;
	uint64_t bytes;    /* of all of them */
	uint64_t epoch_ns; /* times are kept relative to this */
};

/* @epoch_ns: no block is older; what is, counts as that old. */
void mp_blocks__init(struct mp_blocks *bs, struct mp_mem *mem, uint64_t epoch_ns);
void mp_blocks__fini(struct mp_blocks *bs);

/*
 * Puts @blk in. If another block overlaps it, takes that one out into *@hit instead and returns 1:
 * the caller tries again. 0 when done, -ENOMEM.
 */
int mp_blocks__add(struct mp_blocks *bs, const struct mp_blk *blk, struct mp_blk *hit);
/* The block that starts at @addr, taken out. */
bool mp_blocks__take(struct mp_blocks *bs, uint64_t addr, struct mp_blk *out);
/* The block that starts at @addr. */
bool mp_blocks__start(struct mp_blocks *bs, uint64_t addr, struct mp_blk *out);
/* The block that contains @addr. */
bool mp_blocks__at(struct mp_blocks *bs, uint64_t addr, struct mp_blk *out);
/* Marks the block that starts at @addr; nothing happens if there is none. */
void mp_blocks__set_transit(struct mp_blocks *bs, uint64_t addr, bool transit);
/* Copies all blocks of @from to the empty @to. 0 or -ENOMEM. */
int mp_blocks__copy(struct mp_blocks *to, const struct mp_blocks *from);

/* Every block by ascending address; do not change the blocks meanwhile. */
struct mp_blocks_iter {
	const struct mp_blocks *bs;
	uint64_t *keys; /* of the regions */
	size_t nr_keys, key;
	unsigned int page, i;
	struct mp_omap_iter big;
	struct mp_blk small_next, big_next;
	bool has_small, has_big;
};
/* 0 or -ENOMEM; then, and only then, to be ended by fini. */
int mp_blocks_iter__init(struct mp_blocks_iter *it, const struct mp_blocks *bs);
bool mp_blocks_iter__next(struct mp_blocks_iter *it, struct mp_blk *out);
void mp_blocks_iter__fini(struct mp_blocks_iter *it);

/* For tests: true if order, disjointness, bitmaps and counts hold. */
bool mp_blocks__sound(const struct mp_blocks *bs);

#endif
