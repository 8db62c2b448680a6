/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory limits of the traced processes, and what happens when one is reached. */
#ifndef MP_COLLECT_LIMITS_H
#define MP_COLLECT_LIMITS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "collect/emit.h"
#include "collect/kernel.h"

struct mp_limits;

/* Memory has run out around a traced process. */
struct mp_shortage {
	pid_t pid;
	bool victim;          /* it is killed for that; else it lives on */
	uint64_t limit_bytes; /* ~0: not of a cgroup */
	const char *cgroup;   /* "" if none */
};

/* NULL without memory. */
struct mp_limits *mp_limits__new(void);
/* NULL is fine. */
void mp_limits__free(struct mp_limits *l);

/* @pid is traced from now on, or has a new image: it may be in another cgroup by then. */
void mp_limits__add(struct mp_limits *l, pid_t pid);
/* Emits MP_EV_CGROUP for @pid, if there is a limit. */
void mp_limits__tell(struct mp_limits *l, pid_t pid, mp_emit_fn emit, void *ctx);
/* An event says so: may be called while events are handed on. */
void mp_limits__victim(struct mp_limits *l, pid_t pid);
/* No event of @pid will come any more. */
void mp_limits__end(struct mp_limits *l, pid_t pid);

/*
 * Looks at the cgroups of those that live, at most ten times a second, and emits MP_EV_CGROUP for those
 * around which memory has run out. The next such process, or NULL; it holds until the next call.
 */
const struct mp_shortage *mp_limits__look(struct mp_limits *l, mp_emit_fn emit, void *ctx);

/*
 * Where we share a limit, some memory of ours is held until it runs out. If the kernel has chosen whom to
 * kill, this gives it back; call it before anything that may need memory. Without it the next page that we
 * need could cost us our life: what the victim had is free only later.
 */
void mp_limits__mind(struct mp_limits *l, struct mp_kernel *k);

/* The cgroup whose limit we share with a traced process, NULL: none. *@limit_bytes: that. */
const char *mp_limits__shared(const struct mp_limits *l, uint64_t *limit_bytes);

#endif
