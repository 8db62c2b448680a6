/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rows of the fault stage (DESIGN section 5): which functions this kernel has for the hooks
 * and how they can be reached. Asked of BTF and by trial, never of the release string.
 */
#ifndef MP_COLLECT_ROWS_H
#define MP_COLLECT_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "../bpf/event.h"
#include "base/err.h"

struct bpf_object;
struct bpf_link;

/* The five that a malloc passes, in the order of table[] in rows.c; details; a page's later life. */
enum mp_hook_index {
	MP_HOOK_FAULT,
	MP_HOOK_ANONYMOUS,
	MP_HOOK_ALLOC_PAGES,
	MP_HOOK_BRK,
	MP_HOOK_MMAP,
	MP_HOOK_FREELIST,
	MP_HOOK_COMPACT,
	MP_HOOK_UNMAP,
	MP_HOOK_MIGRATED,
	MP_HOOK_COLLAPSE,
	MP_HOOKS
};

struct mp_hook {
	const char *wanted;   /* "handle_mm_fault", ... */
	const char *function; /* what this kernel has for it; NULL: nothing */
	bool attached;
	uint32_t hit; /* MP_HIT_* */
};

struct mp_rows {
	enum mp_row row;
	bool preempts;  /* programs may lose the CPU in the middle */
	bool images;    /* the last instant of an image that an exec replaces is told */
	bool exit_hook; /* exit_mm_release is hooked, for sched_process_exit comes too late */
	struct mp_hook hook[MP_HOOKS];
};

/*
 * A quick trial, before much is loaded in vain: false if the kernel refuses this row, true if it may
 * have it.
 */
bool mp_row_possible(enum mp_row row);

/* Before load: finds the functions, switches on the programs of @row. 0, or -ENOENT with @err when
 * this kernel cannot have the row (handle_mm_fault not to be hooked so). */
int mp_rows_prepare(struct mp_rows *r, enum mp_row row, bool exit_early, bool preempts,
		    struct bpf_object *obj, struct mp_err *err);
/* After that: images are wanted. Without effect where this kernel has no hook for it. */
void mp_rows_want_images(struct mp_rows *r, struct bpf_object *obj);
int mp_rows_attach_images(struct mp_rows *r, struct bpf_object *obj,
			  int (*keep)(void *ctx, struct bpf_link *link), void *ctx);

/* After load: attaches; each link goes to @keep (0 or -errno). A hook other than handle_mm_fault
 * that cannot be attached is left out and stays attached == false. */
int mp_rows_attach(struct mp_rows *r, struct bpf_object *obj,
		   int (*keep)(void *ctx, struct bpf_link *link), void *ctx, struct mp_err *err);

const char *mp_row_name(enum mp_row row);

#endif
