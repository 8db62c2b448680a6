/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the X-ray knows of a process: copies of its memory and where its pages are. All that is made
 * of it comes from here alone, so that a heap can also be made up by a test. Everything in it is what
 * the process chose to have there.
 */
#ifndef MP_COLLECT_HEAP_IMAGE_H
#define MP_COLLECT_HEAP_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../bpf/event.h"
#include "collect/glibc.h"

struct mp_heap_span { /* private writable memory without a file; what touches is one span */
	uint64_t start, end;
};

struct mp_heap_run { /* pages of spans; those in none are not there */
	uint64_t start, end;
	uint8_t state; /* enum mp_heap_page */
	uint8_t huge;
};

struct mp_heap_copy {
	uint64_t start, end;
	uint8_t *bytes;
	uint64_t *have; /* a bit a page counted from @start's, NULL: all of them were copied */
	bool borrowed;  /* @bytes are another's */
};

struct mp_heap_head { /* sixteen bytes that could be the head of a chunk mapped on its own */
	uint64_t addr, prev_size, size;
};

struct mp_heap_thread {
	int32_t tid;
	uint64_t tcache; /* where its cache is; 0: it has none yet */
};

struct mp_heap_marks { /* chunks that were found in lists, and marked in the copies */
	uint64_t nr;
	uint64_t key;     /* what chunks of thread caches bear in their second word; 0: none seen */
	uint32_t tcaches; /* threads' caches read */
	uint32_t flags;   /* MP_XRAY_LISTS, MP_XRAY_TCACHES */
};

/* Each list by ascending address, disjoint. */
struct mp_heap_image {
	struct mp_glibc glibc;
	struct mp_heap_span *spans;
	size_t nr_spans;
	struct mp_heap_run *runs;
	size_t nr_runs;
	struct mp_heap_copy *copies;
	size_t nr_copies;
	struct mp_heap_head *heads;
	size_t nr_heads;
	struct mp_heap_thread *threads; /* in no order */
	size_t nr_threads;
	uint32_t flags; /* enum mp_xray_flag: what is already known */
	uint32_t tries;
	uint64_t begin_ns, end_ns;
	bool marked; /* by mp_heap_mark_lists */
	struct mp_heap_marks marks;
};

/* Frees what @image owns. */
void mp_heap_image__clear(struct mp_heap_image *image);
/* Adds an element to one of the lists above: a copy of *@elem. 0 or -ENOMEM. */
int mp_heap_image_add(void *list, size_t *nr, const void *elem, size_t size);
/* Puts the copies and heads in order. */
void mp_heap_image__sort(struct mp_heap_image *image);

/* The copy that holds @addr; NULL: none. */
struct mp_heap_copy *mp_heap_image__at(const struct mp_heap_image *image, uint64_t addr);
/*
 * Bytes of @copy from @addr on, at least @len of them and all copied; NULL if they are not. May be
 * written to: the lists of free chunks leave marks.
 */
uint8_t *mp_heap_copy_at(const struct mp_heap_copy *copy, uint64_t addr, uint64_t len);
/* Copies @len bytes to @to. 0, or -ENODATA if they are not all in one copy. */
int mp_heap_image__read(const void *image, uint64_t addr, void *to, size_t len);
/* Index of the first run that ends above @addr, @nr_runs if there is none. */
size_t mp_heap_image__run(const struct mp_heap_image *image, uint64_t addr);
/* The span that holds @addr; NULL: none. */
const struct mp_heap_span *mp_heap_image__span(const struct mp_heap_image *image, uint64_t addr);

#endif
