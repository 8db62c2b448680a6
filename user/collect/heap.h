/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The heap of a running process as events: what each of its chunks is, and which pages are there. */
#ifndef MP_COLLECT_HEAP_H
#define MP_COLLECT_HEAP_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "collect/emit.h"

struct mp_heap_options {
	bool freeze;          /* stop the process while its memory is copied */
	uint64_t limit_bytes; /* most that is copied; 0, or more: three quarters of what is available */
	uint32_t tries;       /* 0: five */
	void (*before)(void *ctx); /* called before each copy; may be NULL */
	void *ctx;
};

/*
 * @o may be NULL: none of these. Emits MP_EV_XRAY with what belongs to it, all at the time copying
 * began. A copy that does not hold together, of a process that runs on, is made anew a few times;
 * what is broken in the last one is told as broken.
 * 0, -errno with @err (may be NULL), or what @emit returned. -ENOENT: its malloc is not glibc's;
 * -EBADMSG: it is, but its heap was not found.
 */
int mp_heap_xray(pid_t pid, const struct mp_heap_options *o, mp_emit_fn emit, void *ctx,
		 struct mp_err *err);

#endif
