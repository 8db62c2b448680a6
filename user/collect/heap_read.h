/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Copying the heap of a process. Nothing of it is changed: only pages that are in memory are read,
 * as reading others would bring them there. It runs on meanwhile, unless it is frozen.
 */
#ifndef MP_COLLECT_HEAP_READ_H
#define MP_COLLECT_HEAP_READ_H

#include <stdbool.h>
#include <sys/types.h>

#include "collect/heap_arenas.h"

/* ---- heap_pages.c */

/* Fills @spans and @runs of @image. 0 or -errno with @err. */
int mp_heap_read_pages(pid_t pid, struct mp_heap_image *image, struct mp_err *err);
/* For tests: 0 forbids the PAGEMAP_SCAN ioctl. Returns what it was. */
int mp_heap_use_scan(int use);

/* ---- heap_memory.c */

/*
 * A process's memory, as far as it is there. process_vm_readv pins pages, and before it does the kernel
 * makes a copy for the process of one that may be shared with a child (FAULT_FLAG_UNSHARE, since 5.19;
 * of pages of a huge one also long after the child has gone): that would change what is looked at, and
 * take memory. So it is only asked for pages that pagemap shows to be mapped once, of a process that
 * has never forked; the others are read through /proc/PID/mem, which takes about twice as long.
 */
struct mp_heap_memory {
	pid_t pid;
	int pagemap, mem;
	bool alone; /* it shares pages with none, nor has it ever */
};

enum mp_heap_pages_kind { MP_HEAP_NOT_THERE = 0, MP_HEAP_SHARED, MP_HEAP_EXCLUSIVE };

/* 0 or -errno */
int mp_heap_memory__open(struct mp_heap_memory *m, pid_t pid);
void mp_heap_memory__close(struct mp_heap_memory *m);
/* What is so of each of @nr pages from @addr on, at most MP_HEAP_PIECE bytes of them. */
enum mp_heap_pages_kind mp_heap_memory__kind(const struct mp_heap_memory *m, uint64_t addr,
					     size_t nr);
/* As mp_heap_read_fn, for few bytes. -ENODATA: not there. */
int mp_heap_memory__read(const void *memory, uint64_t addr, void *to, size_t len);

struct mp_heap_piece { /* memory to be copied, at most MP_HEAP_PIECE bytes */
	uint64_t addr, len;
	void *to;
	uint64_t got; /* bytes that could be */
};
#define MP_HEAP_PIECE (128U << 10)

/* Copies all of them, by several threads. */
void mp_heap_memory__copy(const struct mp_heap_memory *m, struct mp_heap_piece *list, size_t nr);

/* ---- heap_threads.c */

/* Fills @threads of @image; those that are not found set MP_XRAY_TCACHES. 0 or -errno. */
int mp_heap_read_threads(const struct mp_heap_memory *m, struct mp_heap_image *image);

/* ---- heap_heads.c */

/* Fills @heads of @image from memory that is of none of @arenas' parts. 0 or -ENOMEM. */
int mp_heap_read_heads(const struct mp_heap_memory *m, struct mp_heap_image *image,
		       const struct mp_heap_arenas *arenas);

/* ---- heap_freeze.c */

struct mp_freeze;
/*
 * Stops every thread of @pid with ptrace, as no signal does: system calls that sleep go on after it,
 * but for those that signal(7) lists as ending with EINTR at a stop. The kernel lets it go when we
 * die. NULL with @err.
 */
struct mp_freeze *mp_freeze__begin(pid_t pid, struct mp_err *err);
/* Lets it go on. NULL is fine. */
void mp_freeze__end(struct mp_freeze *f);

/* ---- heap_copy.c */

struct mp_heap_buffers; /* memory for copies, kept from one try to the next */
struct mp_heap_buffers *mp_heap_buffers__new(void);
void mp_heap_buffers__free(struct mp_heap_buffers *b);
/* Makes room for what the process's heap is now, @limit bytes at most: copying will not wait for it. */
int mp_heap_buffers__prepare(struct mp_heap_buffers *b, pid_t pid, const struct mp_glibc *glibc,
			     uint64_t limit, struct mp_err *err);
/*
 * Fills *@image. At most @limit bytes are copied, then MP_XRAY_TOO_LARGE is set. Its copies are in
 * @b: free the image first. 0 or -errno with @err.
 */
int mp_heap_copy(struct mp_heap_buffers *b, pid_t pid, const struct mp_glibc *glibc, uint64_t limit,
		 struct mp_heap_image *image, struct mp_err *err);

#endif
