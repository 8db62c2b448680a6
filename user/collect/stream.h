/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One stream out of two sources: events of the ring in their order, and readings of /proc woven in
 * at the time they began, so that what happened before a reading comes before it.
 */
#ifndef MP_COLLECT_STREAM_H
#define MP_COLLECT_STREAM_H

#include "collect/emit.h"
#include "collect/kernel.h"

struct mp_stream;

/* Every event of the stream goes to @sink. NULL and errno on failure. */
struct mp_stream *mp_stream__new(struct mp_kernel *k, mp_emit_fn sink, void *ctx);
void mp_stream__free(struct mp_stream *s);

/* A mp_emit_fn (@ctx: the stream): keeps a copy of the reading until its turn. */
int mp_stream_emit(void *ctx, const struct mp_ev *ev);

/* An X-ray of @pid as a reading (stream_heap.c). As mp_heap_xray(). */
int mp_stream_heap(struct mp_stream *s, pid_t pid, struct mp_err *err);

/* Readable when an event wants to be seen at once; most come without. Owned by @s. */
int mp_stream__fd(const struct mp_stream *s);

/* Hands on all that is there now. Returns the number of ring events, or what the sink returned. */
int64_t mp_stream__drain(struct mp_stream *s);

/* Events handed on so far. */
uint64_t mp_stream__events(const struct mp_stream *s);

#endif
