/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where readings of /proc go: each one becomes a wire event handed to a callback, so that it enters
 * the same stream as what the kernel side sends.
 */
#ifndef MP_COLLECT_EMIT_H
#define MP_COLLECT_EMIT_H

#include <stdint.h>
#include <time.h>

#include "../bpf/event.h"

/* Gets one whole event, valid during the call only; non-zero stops and is handed back. */
typedef int (*mp_emit_fn)(void *ctx, const struct mp_ev *ev);

#define MP_EV_SIZE_MAX 65528U /* largest multiple of 8 that mp_ev.size can hold */

static inline uint64_t mp_mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

#endif
