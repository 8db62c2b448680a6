/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the kernel side must know of a process's glibc to tell which part of it served a block. */
#ifndef MP_COLLECT_TIERS_H
#define MP_COLLECT_TIERS_H

#include "collect/emit.h"
#include "collect/kernel.h"
#include "collect/provider.h"

/*
 * Looks for the heap of @pid's glibc, tells the kernel side, and the stream by MP_EV_HEAP: what was
 * found, or which check failed. Nothing is told where malloc is not glibc's.
 */
void mp_tiers_begin(struct mp_kernel *k, pid_t pid, const struct mp_providers *providers,
		    mp_emit_fn emit, void *ctx);

/*
 * Tells what the program may have set since then, if the heap was found then: mallopt() and tunables take
 * effect at the first allocation, which a launched program has still before it.
 */
void mp_tiers_again(struct mp_kernel *k, pid_t pid, mp_emit_fn emit, void *ctx);

#endif
