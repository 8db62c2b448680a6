/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of a session share: session.c, session_instant.c, session_members.c. */
#ifndef MP_COLLECT_SESSION_INSIDE_H
#define MP_COLLECT_SESSION_INSIDE_H

#include "collect/launch.h"
#include "collect/limits.h"
#include "collect/members.h"
#include "collect/session.h"
#include "collect/stream.h"
#include "collect/unwinder.h"

struct process {
	pid_t pid;
	int pidfd;
	bool launched, ended;
	bool told;     /* events of it are in the stream */
	bool new_code; /* mapped, and the unwinder has not looked yet */
	bool loose;    /* none of its children or execs is held, although others' are */
	bool heap_due; /* it had no allocator yet when it was attached to */
	bool loading;  /* a held program, on the way to the instant when it has its objects */
	uint64_t rescan_ns, rescan_end_ns; /* look again for objects, 0: no */
	uint64_t gone_ns;                  /* when it was found to have ended, 0: it lives */
	int code;                          /* as wait(2) gives it, if that is known */
	uint64_t cpu_ns; /* used before tracing began; after its end: while traced */
};

/* Processes of the cgroup that cannot be traced: each is told of once. */
struct mp_outsiders {
	pid_t *pid;
	size_t nr, room;
	uint64_t hits;    /* of MP_HIT_CGROUP, when the list was read last, */
	uint64_t read_ns; /* and the time of that */
	bool soon;        /* read it again: one of them was on its way to its own address space */
	bool gone;        /* the cgroup is */
};

struct mp_session {
	struct mp_kernel k;
	struct mp_probes *probes;
	struct mp_unwinder *unwinder;
	struct mp_stream *stream;
	struct mp_launch *launch;
	struct mp_limits *limits;
	struct mp_members *members; /* of the cgroup, or NULL */
	struct mp_outsiders outsiders;
	struct mp_session_opts opts;
	mp_emit_fn sink;
	bool muted; /* it gets nothing more */
	void *ctx;
	struct process *list;
	size_t nr, nr_alive;
	pid_t command;
	int status;
	uint64_t price_ns, tool_cpu_ns;
	bool module; /* the kernel module is there */
	struct mp_session_troubles troubles;
	bool ran_out;          /* of memory, and no instant was told since */
	uint64_t nr_handed_on; /* events */
};

/* Of those that live, or NULL. */
struct process *mp_session_find(struct mp_session *s, pid_t pid);

/* Attaches to a running process and to what is born of it. With @err one that ended is not listed. */
int mp_session_attach(struct mp_session *s, pid_t pid, struct mp_err *err);

/* Its pages, from pagemap, into the stream. */
int mp_session_pages(struct mp_session *s, pid_t pid, enum mp_source source, struct mp_err *err);
/* Its heap; without it the blocks from before are not known, and nothing else is missing. */
int mp_session_heap(struct mp_session *s, pid_t pid, struct mp_err *err);

/* Where a cgroup is traced. Attaches to all in there, until none is new. 0, or -errno with @err. */
int mp_session_begin_members(struct mp_session *s, struct mp_err *err);
/* Attaches to those that have come since. False: the cgroup has gone. */
bool mp_session_look_for_members(struct mp_session *s);

#endif
