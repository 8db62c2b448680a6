/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What waits for RCU grace periods, tens of milliseconds each, while traced processes may stand still
 * waiting for us, or run code whose tables are not there yet: done by threads that share them.
 */
#ifndef MP_COLLECT_GRACE_H
#define MP_COLLECT_GRACE_H

#include <stdint.h>

struct bpf_link;
struct mp_grace;

/* NULL on failure: then everything is done at once by the caller's thread. */
struct mp_grace *mp_grace__new(void);
/* Takes over @link or @fd (-1 or NULL: none). @g may be NULL. */
void mp_grace__close(struct mp_grace *g, struct bpf_link *link, int fd);
/*
 * Puts the map @fd, which is taken over, at @index of the map of maps @outer, or takes out what is
 * there if @fd is -1. Returns as soon as the programs see it so. 0 or -errno.
 */
int mp_grace__put(struct mp_grace *g, int outer, uint32_t index, int fd);
/* Waits until everything given is done. NULL is fine. */
void mp_grace__free(struct mp_grace *g);

#endif
