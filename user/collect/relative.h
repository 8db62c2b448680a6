/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Words of an ELF object that hold addresses of its own: what the dynamic linker only rebases. */
#ifndef MP_COLLECT_RELATIVE_H
#define MP_COLLECT_RELATIVE_H

#include <stdint.h>

#include "collect/elf.h"

/* The word at ELF address @slot is to hold ELF address @value. Non-zero stops and is handed back. */
typedef int (*mp_relative_fn)(void *ctx, uint64_t slot, uint64_t value);

/*
 * Calls @fn for each relative relocation (DT_RELA's R_X86_64_RELATIVE, then DT_RELR); for an object
 * without any, which was linked to fixed addresses, for each word of its writable segments that
 * holds an address of them.
 */
int mp_relative_walk(const struct mp_elf *e, mp_relative_fn fn, void *ctx);

#endif
