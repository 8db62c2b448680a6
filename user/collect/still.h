/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process as it stands, without tracing it: what /proc and its heap tell. */
#ifndef MP_COLLECT_STILL_H
#define MP_COLLECT_STILL_H

#include <sys/types.h>

#include "base/err.h"
#include "collect/emit.h"

/*
 * Emits what an attach begins with: host, process, mappings, pages with their frame numbers, the blocks
 * of its heap, and an instant. Where its heap is not glibc's the blocks are missing and *@no_heap says
 * why (else its exit is 0). 0, -errno with @err, or what @emit returned.
 */
int mp_still_read(pid_t pid, mp_emit_fn emit, void *ctx, struct mp_err *no_heap,
		  struct mp_err *err);

#endif
