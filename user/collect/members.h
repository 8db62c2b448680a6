/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The processes of a cgroup and of those below it. Version 2; a hierarchy of version 1 lists them in
 * the same way.
 */
#ifndef MP_COLLECT_MEMBERS_H
#define MP_COLLECT_MEMBERS_H

#include <sys/types.h>

#include "base/err.h"

struct mp_members;

/*
 * @path: absolute; or below the mount point of cgroup2, with or without a '/' before it, as
 * /proc/PID/cgroup has it. NULL with @err: there is none, it is no cgroup, it is threaded.
 */
struct mp_members *mp_members__open(const char *path, struct mp_err *err);
/* NULL is fine. */
void mp_members__free(struct mp_members *m);

/*
 * Hands each process to @fn, until that gives non-zero. What comes or goes meanwhile may be there or
 * not. 0, what @fn gave, -ENODEV (the cgroup has been removed) or another -errno.
 */
int mp_members__each(const struct mp_members *m, int (*fn)(void *ctx, pid_t pid), void *ctx);

#endif
