/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Giving up what a process that parses hostile files does not need. */
#ifndef MP_SYMBOL_JAIL_H
#define MP_SYMBOL_JAIL_H

/*
 * For a child right after fork(2): of its descriptors only @keep stays, it becomes nobody if it was
 * root, its memory is bounded, and it can open, start and signal nothing any more. 0, or -errno: it
 * must not go on.
 */
int mp_jail_enter(int keep);

#endif
