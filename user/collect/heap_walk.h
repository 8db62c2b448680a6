/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From copied memory to chunks. Pure: of the process only the image is known, and nothing in it is
 * trusted. What does not hold together ends a part of the heap, or is said in the flags.
 */
#ifndef MP_COLLECT_HEAP_WALK_H
#define MP_COLLECT_HEAP_WALK_H

#include <stdbool.h>

#include "collect/emit.h"
#include "collect/heap_arenas.h"

/*
 * Follows every thread cache and fastbin, and writes the state of each chunk found into the four high
 * bits of its size, in the copy: no heap is so large that they could mean anything else.
 */
void mp_heap_mark_lists(struct mp_heap_image *image, const struct mp_heap_arenas *arenas,
			struct mp_heap_marks *out);

struct mp_heap_mapped { /* a chunk that is a mapping of its own */
	uint64_t start, end;
	uint64_t chunk; /* its head; past @start where it was aligned */
};

/* Whether the mapping that @head tells of could be: *@out. */
bool mp_heap_head_holds(const struct mp_heap_image *image, const struct mp_heap_head *head,
			struct mp_heap_mapped *out);

struct mp_heap_counted { /* what malloc says of these */
	uint64_t nr, bytes;
};

/*
 * The heads of @image that hold and lie outside of @arenas: by address, disjoint. If there are more
 * than @counted says, those go that have other memory before and after them: memory of any kind can hold
 * such bytes (a virtual machine's, say), but what malloc maps begins or ends a mapping, or touches
 * what does. 0 or -ENOMEM; the caller frees *@list.
 */
int mp_heap_find_mapped(const struct mp_heap_image *image, const struct mp_heap_arenas *arenas,
			const struct mp_heap_counted *counted, struct mp_heap_mapped **list,
			size_t *nr);

struct mp_heap_result {
	uint64_t parts, broken; /* parts walked, and those whose chunks did not lead to the end */
	uint64_t chunks;
	uint32_t busy;  /* arenas whose lock was held */
	uint32_t flags; /* enum mp_xray_flag */
};

/*
 * Emits MP_EV_XRAY with all that belongs to it. The lists of @image are marked once, by the first
 * call: ask with @emit NULL how it would go, then again. 0, -ENOMEM, or what @emit returned.
 */
int mp_heap_walk(struct mp_heap_image *image, struct mp_ev h, mp_emit_fn emit, void *ctx,
		 struct mp_heap_result *result);

#endif
