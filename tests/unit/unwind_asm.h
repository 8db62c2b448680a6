/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Assembly with unwind information that no compiler here emits. */
#ifndef UNWIND_ASM_H
#define UNWIND_ASM_H

/* Instructions one after the other; "pc" stands for code they hold for. */
extern const char unwind_rules_s[];
/*
 * An .eh_frame by hand, for 4 KiB of code: common entries of other shapes, and entries that
 * overlap, are empty or lie elsewhere.
 */
extern const char unwind_entries_s[];

#endif
