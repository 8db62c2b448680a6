/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small malloc workload of our own, traced: shows that what is hooked also fires. */
#ifndef MP_COLLECT_EXERCISE_H
#define MP_COLLECT_EXERCISE_H

#include "collect/kernel.h"

/*
 * Runs a child that grows its heap, maps and touches memory, traced by @k without allocator probes.
 * 0, or -errno with @err. What fired is in mp_kernel_hits() afterwards.
 */
int mp_exercise(struct mp_kernel *k, struct mp_err *err);

#endif
