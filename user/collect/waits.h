/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a fault waits for where memory is short (bpf/stall.bpf.c): attached, and what of it is seen. */
#ifndef MP_COLLECT_WAITS_H
#define MP_COLLECT_WAITS_H

#include <stdbool.h>
#include <stdint.h>

struct bpf_link;
struct mallocpath_bpf;
struct mp_kernel;

/*
 * Before the program of mark_victim, which tells whom a fault without memory kills. Each link goes to
 * @keep (0 or -errno). False: not all could be attached, so nothing of it is known.
 */
bool mp_waits_attach(struct mallocpath_bpf *skel, int (*keep)(void *ctx, struct bpf_link *link),
		     void *ctx);

/* enum mp_wait_told */
uint16_t mp_waits_told(const struct mp_kernel *k);

#endif
