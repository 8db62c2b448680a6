// SPDX-License-Identifier: GPL-2.0-or-later
/* The heap of a process that is being traced: read once, quickly, and never at the cost of events. */
#include "collect/heap.h"
#include "collect/stream.h"

#define MOST_BYTES (4ULL << 30) /* that are copied: about a second, and as much memory */
#define TRIES      2            /* a copy that does not hold together is told as it is */

/* The ring has room for what happens during the copy; an earlier copy is not told. */
static void drain(void *stream)
{
	mp_stream__drain(stream); /* if it breaks, it does at the next one too */
}

int mp_stream_heap(struct mp_stream *s, pid_t pid, struct mp_err *err)
{
	struct mp_heap_options o = {
		.limit_bytes = MOST_BYTES, .tries = TRIES, .before = drain, .ctx = s
	};

	return mp_heap_xray(pid, &o, mp_stream_emit, s, err);
}
