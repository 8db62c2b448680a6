/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of the model, counted. An account may have a parent, to which it adds up; the limit of the
 * topmost one bounds what hostile input can make the model use.
 */
#ifndef MP_MODEL_MEM_H
#define MP_MODEL_MEM_H

#include <stddef.h>

struct mp_mem {
	size_t used;  /* bytes taken from the heap, the heap's own headers included */
	size_t limit; /* 0: none; asked of the topmost account only */
	struct mp_mem *parent;
};

/* NULL when the heap or the limit is exhausted; errno is ENOMEM. */
void *mp_mem_alloc(struct mp_mem *mem, size_t size);
void *mp_mem_zalloc(struct mp_mem *mem, size_t size);
/* As realloc(3): on failure @old stands. */
void *mp_mem_resize(struct mp_mem *mem, void *old, size_t size);
/*
 * Makes room for @want elements of @size bytes in *@array, which has room for *@cap. 0 or -ENOMEM,
 * and then nothing changed.
 */
int mp_mem_grow(struct mp_mem *mem, void *array, size_t *cap, size_t want, size_t size);
void mp_mem_free(struct mp_mem *mem, void *ptr);

#endif
