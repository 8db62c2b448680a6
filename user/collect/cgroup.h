/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory cgroup that a process is limited by: of its own and those above it the one with the least
 * limit. Version 1 or 2, whichever has the memory controller.
 */
#ifndef MP_COLLECT_CGROUP_H
#define MP_COLLECT_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "collect/emit.h"

struct mp_cgroup;

/*
 * A descriptor (O_PATH) of where the hierarchy of that version is mounted, 1: the one with the memory
 * controller; -1: nowhere. *@above (may be NULL): how much of a path in /proc/PID/cgroup lies above it.
 */
int mp_cgroup_mount(int version, size_t *above);

/* NULL: there is no limit, or it cannot be read. */
struct mp_cgroup *mp_cgroup__open(pid_t pid);
/* NULL is fine. */
void mp_cgroup__free(struct mp_cgroup *cg);

/* Below the mount point; "/" is the root. */
const char *mp_cgroup__path(const struct mp_cgroup *cg);
uint64_t mp_cgroup__limit(const struct mp_cgroup *cg);

/* What can be had until the limit, if files that were not used lately make room; all of it if unknown. */
uint64_t mp_cgroup__room(const struct mp_cgroup *cg);

/* Has memory run out in it since it was opened, or since this last said so? */
bool mp_cgroup__ran_out(struct mp_cgroup *cg);

/* Emits MP_EV_CGROUP with its numbers of now. What @emit returned; 0 if the cgroup is gone. */
int mp_cgroup__tell(struct mp_cgroup *cg, pid_t pid, mp_emit_fn emit, void *ctx);

#endif
