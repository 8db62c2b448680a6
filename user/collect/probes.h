/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Allocator probes: which are attached where, for which process, and how often each was hit. One
 * table for all processes; a probe of the same object and place has one index, whoever maps it.
 */
#ifndef MP_COLLECT_PROBES_H
#define MP_COLLECT_PROBES_H

#include "collect/emit.h"
#include "collect/kernel.h"
#include "collect/provider.h"

struct mp_probes;

struct mp_probes *mp_probes__new(struct mp_kernel *k);
/* Detaches everything. NULL is fine. */
void mp_probes__free(struct mp_probes *p);

/*
 * Finds @pid's allocators and attaches what is not attached to it yet; tells of each new allocator
 * by MP_EV_ALLOCATOR. Returns the number of objects newly attached, or -errno with @err.
 */
int mp_probes__attach(struct mp_probes *p, pid_t pid, mp_emit_fn emit, void *ctx,
		      struct mp_err *err);

/* @pid is gone: forget its links. */
void mp_probes__detach(struct mp_probes *p, pid_t pid);

/*
 * @pid has executed a program. A probe belongs to a file, and is there in the new program too if that
 * maps it: the next mp_probes__attach takes over what is wanted again. To detach and to attach anew
 * would have both there for a while, as closing takes its time. mp_probes__detach_old ends the rest.
 */
void mp_probes__renew(struct mp_probes *p, pid_t pid);
void mp_probes__detach_old(struct mp_probes *p, pid_t pid);

/* Addresses of @pid's probes, ascending; the caller frees. NULL and *@nr 0 if there are none. */
uint64_t *mp_probes__addrs(struct mp_probes *p, pid_t pid, size_t *nr);

/* One MP_EV_PROBE for each probe @pid has. */
int mp_probes__tell(struct mp_probes *p, pid_t pid, mp_emit_fn emit, void *ctx);

/* Hits of all probes, entries and returns. */
uint64_t mp_probes__hits(struct mp_probes *p);

/* What one hit costs here, in ns, measured on a function of our own; 0 if it could not be. */
uint64_t mp_probes__price(struct mp_probes *p);

#endif
