/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The threads that are traced by ptrace, by thread ID.
 */
#ifndef MP_COLLECT_TRACEES_H
#define MP_COLLECT_TRACEES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "collect/hold.h"

#define MP_TRACEE_BUCKETS 1024

struct mp_tracee {
	struct mp_tracee *next; /* of its bucket */
	pid_t tid, tgid;
	bool holding; /* @hold is in use */
	struct mp_hold hold;
};

struct mp_tracees {
	size_t nr;
	struct mp_tracee *bucket[MP_TRACEE_BUCKETS];
};

struct mp_tracee *mp_tracees__find(const struct mp_tracees *all, pid_t tid);

/* @tid must not be there yet. NULL without memory. */
struct mp_tracee *mp_tracees__add(struct mp_tracees *all, pid_t tid, pid_t tgid);

/* Ends its hold, if any, and forgets it; the thread itself is left as it is. */
void mp_tracees__forget(struct mp_tracees *all, pid_t tid);

/* All threads of process @tgid but its leader: at an exec they are gone, and not each is reported. */
void mp_tracees__forget_threads(struct mp_tracees *all, pid_t tgid);

void mp_tracees__forget_all(struct mp_tracees *all);

/* Takes back what holding it needed, if it was. */
void mp_tracee_end_hold(struct mp_tracee *t);

#endif
