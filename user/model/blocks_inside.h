/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How blocks.h keeps them: for blocks.c and blocks_iter.c alone. */
#ifndef MP_MODEL_BLOCKS_INSIDE_H
#define MP_MODEL_BLOCKS_INSIDE_H

#include "model/blocks.h"

#include "../bpf/event.h"

#define REGION_SHIFT 18
#define REGION_PAGES 64
/* A small block reaches at most into the region after its own. */
#define SMALL_MAX 65536ULL

#define OFF_SHIFT     52 /* a block's offset in its page is above, its age below */
#define AGE_MAX       ((1ULL << OFF_SHIFT) - 1) /* ns: 52 days */
#define SLACK_UNKNOWN 0xffff
#define TRANSIT       1

struct packed {
	uint64_t off_age;
	uint32_t requested;
	uint32_t site;
	uint32_t tid;
	uint16_t slack; /* usable minus requested bytes */
	uint8_t tiered;
	uint8_t flags;
};
_Static_assert(sizeof(struct packed) == 24, "bytes a live block");

/*
 * A page: its blocks, sorted, and where they start, which is how many lie before one. Allocators start
 * blocks at multiples of 16 bytes; where two start in the same 16, @crowded, the bits say nothing.
 */
#define GRAIN_SHIFT 4
#define GRAIN_WORDS 4

struct page {
	struct packed *leaf;
	uint16_t n, cap;
	bool crowded;
	uint8_t below[GRAIN_WORDS - 1]; /* bits in the words before the second, third, fourth */
	uint64_t bits[GRAIN_WORDS];     /* a bit for each 16 bytes: a block starts there */
};
_Static_assert(4096 >> GRAIN_SHIFT == 64 * GRAIN_WORDS, "bits of a page");

struct mp_region {
	uint64_t starts; /* bit a page: a block starts in it, page[].n != 0 */
	struct page page[REGION_PAGES];
};

/* A block in the ordered map. */
struct big {
	struct mp_span span;
	struct mp_blk blk;
};

/* Where a small block is, or would be. */
struct spot {
	struct mp_region *region;
	uint64_t key;
	unsigned int page, i;
};

static inline unsigned int off_of(const struct packed *p)
{
	return p->off_age >> OFF_SHIFT;
}

static inline uint64_t key_of(uint64_t addr)
{
	return addr >> REGION_SHIFT;
}

static inline unsigned int page_of(uint64_t addr)
{
	return addr >> MP_PAGE_SHIFT & (REGION_PAGES - 1);
}

/* A block of no bytes holds its start, so that two blocks never start at one address. */
static inline uint64_t reach(uint64_t start, uint64_t end)
{
	return end > start ? end : start + 1;
}

static inline struct mp_blk unpack(const struct mp_blocks *bs, const struct spot *s)
{
	const struct packed *p = &s->region->page[s->page].leaf[s->i];
	uint64_t start = s->key << REGION_SHIFT | (uint64_t)s->page << MP_PAGE_SHIFT | off_of(p);

	return (struct mp_blk){
		.start = start,
		.end = start + p->requested,
		.usable = p->slack == SLACK_UNKNOWN ? MP_USABLE_UNKNOWN
						    : (uint64_t)p->requested + p->slack,
		.t_ns = bs->epoch_ns + (p->off_age & AGE_MAX),
		.site = p->site,
		.tid = p->tid,
		.tiered = p->tiered,
		.transit = p->flags & TRANSIT,
	};
}

#endif
