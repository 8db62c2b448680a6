/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of system calls, x86-64. */
#ifndef MP_VIEW_SYSCALL_H
#define MP_VIEW_SYSCALL_H

#include <stddef.h>
#include <stdint.h>

/* "read(2)" into @to, or "system call 999". */
void mp_syscall_name(uint64_t nr, char *to, size_t size);

#endif
