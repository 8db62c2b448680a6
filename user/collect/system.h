/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the machine, and no limit of a process, refuses memory by. */
#ifndef MP_COLLECT_SYSTEM_H
#define MP_COLLECT_SYSTEM_H

#include "collect/emit.h"

/* Reads it. What cannot be read is ~0. */
void mp_system_read(struct mp_ev_system *ev);

/* Address of the kernel's variable or function @name; 0: it is not told. */
uint64_t mp_system_symbol(const char *name);

#endif
