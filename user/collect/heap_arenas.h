/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The arenas of a process's glibc and the parts their heaps are made of, by whatever reads memory. */
#ifndef MP_COLLECT_HEAP_ARENAS_H
#define MP_COLLECT_HEAP_ARENAS_H

#include <stddef.h>
#include <stdint.h>

#include "collect/heap_image.h"

#define MP_FASTBINS 10 /* malloc.c: NFASTBINS where the largest fast chunk may be 160 bytes */

struct mp_heap_arena {
	uint64_t addr, top, system_bytes;
	uint64_t fastbins[MP_FASTBINS]; /* first chunks, 0 where the list is empty or there is none */
	uint32_t flags;                 /* enum mp_arena_flag */
	uint32_t threads;
};

/*
 * [start, end): first the allocator's own, then from the chunk @first on chunks. Where the top chunk
 * is another part's, chunks go on to an end mark.
 */
struct mp_heap_part {
	uint64_t start, end, first;
	uint64_t top;   /* the top chunk, 0: it is not in this part */
	uint32_t arena; /* index */
	uint8_t kind;   /* enum mp_heap_kind */
};

struct mp_heap_arenas {
	struct mp_heap_arena *list; /* as the process links them; the main one first */
	size_t nr;
	struct mp_heap_part *parts; /* by arena, then address; no two overlap */
	size_t nr_parts;
	uint32_t flags; /* MP_XRAY_ARENAS */
};

/* Copies memory at @addr to @to: all @len bytes and 0, or -errno. */
typedef int (*mp_heap_read_fn)(const void *ctx, uint64_t addr, void *to, size_t len);

/* Of @image @glibc and @spans are used. 0 or -ENOMEM; free with mp_heap_arenas__clear(). */
int mp_heap_arenas__find(const struct mp_heap_image *image, mp_heap_read_fn read, const void *ctx,
			 struct mp_heap_arenas *out);
void mp_heap_arenas__clear(struct mp_heap_arenas *arenas);

/* Where their parts are: by address, disjoint. The caller frees it; NULL without memory. */
struct mp_heap_span *mp_heap_arenas__spans(const struct mp_heap_arenas *arenas);

/* sizeof(struct malloc_state) */
uint64_t mp_heap_state_bytes(const struct mp_glibc_layout *at);

#endif
