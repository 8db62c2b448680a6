/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the addresses of one process are: its VMAs as last read from /proc and changed by system
 * calls since; the mappings whose making was seen, with who made them; and the ranges known to be
 * an allocator's because a block was handed out of them.
 */
#ifndef MP_MODEL_RANGES_H
#define MP_MODEL_RANGES_H

#include <stdbool.h>
#include <stdint.h>

#include "model/mem.h"
#include "model/omap.h"
#include "model/sites.h"

struct mp_vma_rec {
	struct mp_span span;
	uint64_t offset, ino;
	uint32_t dev_major, dev_minor;
	const char *name;    /* interned */
	uint8_t perms, kind; /* as in MP_EV_MAP */
};

struct mp_mapping {
	struct mp_span span;
	uint64_t t_ns; /* made or last grown */
	uint32_t site;
	uint32_t flags; /* MAP_* */
	uint8_t op;     /* enum mp_op */
	uint8_t in_fn;  /* enum mp_fn: the allocator call it was made in; 0: outside any */
	bool anon;      /* private and anonymous */
	bool heap;      /* a block was handed out of it */
	bool hooked;    /* the kernel's own function was seen to make or grow it */
};

struct mp_ranges {
	struct mp_sites *sites;
	struct mp_omap vmas, mappings;
	struct mp_omap heaps;      /* spans only; where no mapping is known */
	uint64_t heap_lo, heap_hi; /* last range found to be heap: a cache */
};

void mp_ranges__init(struct mp_ranges *r, struct mp_mem *mem, struct mp_sites *sites);
void mp_ranges__fini(struct mp_ranges *r);

struct mp_vma_rec *mp_ranges__vma(const struct mp_ranges *r, uint64_t addr);
struct mp_mapping *mp_ranges__mapping(const struct mp_ranges *r, uint64_t addr);

/* Made inside an allocator call, or shown to be an allocator's by a block in it. */
static inline bool mp_mapping_is_heap(const struct mp_mapping *map)
{
	return map->in_fn || map->heap;
}

/* A block was handed out at @addr: the memory around it is an allocator's. 0 or -ENOMEM. */
int mp_ranges__note_block(struct mp_ranges *r, uint64_t addr);
/* Is that page an allocator's? */
bool mp_ranges__is_heap(const struct mp_ranges *r, uint64_t addr);

/* All of these: 0 or -ENOMEM. */
int mp_ranges__unmap(struct mp_ranges *r, uint64_t start, uint64_t end);
int mp_ranges__cut_mappings(struct mp_ranges *r, uint64_t start, uint64_t end);
/* Puts a VMA in, as /proc has it. */
int mp_ranges__add_vma(struct mp_ranges *r, const struct mp_vma_rec *vma);
/* Puts a VMA in the place of what was there; anonymous neighbours alike in all are joined. */
int mp_ranges__put_vma(struct mp_ranges *r, const struct mp_vma_rec *vma);
int mp_ranges__put_mapping(struct mp_ranges *r, const struct mp_mapping *map);
int mp_ranges__protect(struct mp_ranges *r, uint64_t start, uint64_t end, uint8_t perms);
/* Moves VMA pieces of [from, from + len) to @to. */
int mp_ranges__move_vmas(struct mp_ranges *r, uint64_t from, uint64_t len, uint64_t to);
int mp_ranges__copy(struct mp_ranges *to, const struct mp_ranges *from);
/* Forgets all (exec). */
void mp_ranges__clear(struct mp_ranges *r);
/* Forgets the VMAs only: a new reading follows. */
void mp_ranges__clear_vmas(struct mp_ranges *r);

#endif
