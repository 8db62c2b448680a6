/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One run of tracing: the kernel side, the probes, the processes and the readings of /proc, as one
 * stream of events to a sink. Nothing here knows what the events mean.
 */
#ifndef MP_COLLECT_SESSION_H
#define MP_COLLECT_SESSION_H

#include <stdbool.h>
#include <sys/types.h>

#include "collect/emit.h"
#include "collect/kernel.h"
#include "collect/probes.h"

struct mp_session;

struct mp_unwinder_memory; /* collect/unwinder.h */
struct mp_shortage;        /* collect/limits.h */

struct mp_session_opts {
	const pid_t *pids; /* attach to these, or */
	size_t nr_pids;
	char *const *argv;  /* launch this, or */
	const char *cgroup; /* trace what is in there, what comes, and what is born of it */
	bool follow;
	bool images;         /* those that an exec replaces are kept, as of that instant */
	uint32_t ring_bytes; /* 0: the default */
	bool no_alloc_probes;
	bool no_xray;    /* heaps are read neither when attaching nor at an instant */
	enum mp_row row; /* 0: the first this kernel has */
};

/*
 * Attaches, or launches and holds the command; the first events (HOST, PROC, maps, seeds) are in the
 * stream when it returns. NULL with @err filled; then nothing is left behind.
 */
struct mp_session *mp_session__new(const struct mp_session_opts *opts, mp_emit_fn sink, void *ctx,
				   struct mp_err *err);

/* Lets a launched command run. */
int mp_session__go(struct mp_session *s);

/*
 * Waits up to @timeout_ms for events, hands them on. Returns 1 while something is traced, 0 when
 * every traced process has ended, or -errno with @err.
 */
int mp_session__poll(struct mp_session *s, int timeout_ms, struct mp_err *err);

/*
 * The next traced process around which memory has run out, or NULL; ask after each poll. One that is
 * killed for it needs nothing more: the stream holds its report of that instant. For those that live on
 * an instant is to be told.
 */
const struct mp_shortage *mp_session__shortage(struct mp_session *s);

/* The cgroup whose memory limit we share with a traced process, NULL: none. */
const char *mp_session__shared_limit(const struct mp_session *s, uint64_t *limit_bytes);

/*
 * Reads /proc now, so that the stream holds all a report of this instant needs. @brief: neither
 * pagemap nor heaps, so that pages and blocks are as the events tell.
 */
int mp_session__instant(struct mp_session *s, bool brief, struct mp_err *err);

/* What could not be done while tracing went on. An error with @exit 0: it could. */
struct mp_session_troubles {
	size_t nr_children;  /* followed ones that could not be traced in full */
	struct mp_err child; /* why the last of these could not */
	struct mp_err heap; /* why the blocks from before the attach are not known, of the last one */
	struct mp_err witness; /* why the kernel module, though it is there, could not be asked */
};
const struct mp_session_troubles *mp_session__troubles(const struct mp_session *s);

/* What call stacks took up, and how much they may. */
const struct mp_unwinder_memory *mp_session__stacks(const struct mp_session *s);

/* How many processes are traced now. */
size_t mp_session__alive(const struct mp_session *s);

/* What happens from now on is not handed to the sink. */
void mp_session__mute(struct mp_session *s);

/* The launched command's status as of waitpid; -1 if none was launched or it has not ended. */
int mp_session__status(const struct mp_session *s);

/* Nothing more is traced; what is attached goes while the caller does something else. */
void mp_session__stop(struct mp_session *s);
void mp_session__free(struct mp_session *s);

#endif
