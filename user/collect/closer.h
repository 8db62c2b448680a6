/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Closing a BPF link waits for RCU grace periods, tens of milliseconds each, while traced processes
 * may stand still waiting for us. So links are closed by threads of their own, which share the
 * grace periods.
 */
#ifndef MP_COLLECT_CLOSER_H
#define MP_COLLECT_CLOSER_H

struct bpf_link;
struct mp_closer;

/* NULL on failure: then everything is closed at once by the caller's thread. */
struct mp_closer *mp_closer__new(void);
/* Takes over @link or @fd (-1 or NULL: none). @c may be NULL. */
void mp_closer__close(struct mp_closer *c, struct bpf_link *link, int fd);
/* Waits until everything given is closed. NULL is fine. */
void mp_closer__free(struct mp_closer *c);

#endif
