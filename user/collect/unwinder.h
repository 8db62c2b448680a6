/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the BPF programs need to unwind the stacks of traced processes: a table for each object that
 * one of them has mapped to execute (shared by all that have it), and a layout for each process.
 */
#ifndef MP_COLLECT_UNWINDER_H
#define MP_COLLECT_UNWINDER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "collect/emit.h"
#include "collect/kernel.h"

struct mp_unwinder;

/* @max_bytes: what all tables may take in the kernel; objects beyond it have none. NULL and -errno. */
struct mp_unwinder *mp_unwinder__new(struct mp_kernel *k, uint64_t max_bytes, struct mp_err *err);
/* NULL is fine. */
void mp_unwinder__free(struct mp_unwinder *u);

/* Each file that is looked at is told to @emit from now on, once. */
void mp_unwinder__tell_objects(struct mp_unwinder *u, mp_emit_fn emit, void *ctx);

/*
 * Reads the executable mappings of @pid as they are now and compiles what has no table yet; from here
 * on its stacks are unwound. Call it again when mappings have come. 0, or -errno with @err: then
 * what held before goes on.
 */
int mp_unwinder__look(struct mp_unwinder *u, pid_t pid, struct mp_err *err);
/* What the kernel side is to be told when it begins to trace @pid; 0: its stacks are not unwound. */
uint32_t mp_unwinder__layout(const struct mp_unwinder *u, pid_t pid);
/* Was @addr executable when @pid was last looked at? */
bool mp_unwinder__knows(const struct mp_unwinder *u, pid_t pid, uint64_t addr);
/* @pid is gone, or its address space is. */
void mp_unwinder__forget(struct mp_unwinder *u, pid_t pid);

/* Call it at each MP_EV_STACK that is read: the programs are given an id for the one they used. */
void mp_unwinder__told(struct mp_unwinder *u);

struct mp_unwinder_memory {
	uint64_t peak_bytes, max_bytes; /* of unwind tables in the kernel at once, and the bound */
	size_t peak_tables;
	uint64_t nr_refused;        /* objects that were left without for want of room */
	uint64_t nr_told, max_told; /* pieces of stacks, and the bound */
};
const struct mp_unwinder_memory *mp_unwinder__memory(const struct mp_unwinder *u);

#endif
