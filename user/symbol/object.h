/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The names in one ELF object and its separate debug file. */
#ifndef MP_SYMBOL_OBJECT_H
#define MP_SYMBOL_OBJECT_H

#include <stdint.h>

#include "symbol/symbol.h"

struct mp_names;

/*
 * Takes the object file @fd, which it owns from now on also if it fails; @path names it. Debug files
 * are looked for in @debug_path (as dwfl_standard_find_debuginfo has it) and never on the network.
 * NULL if it is no ELF file or memory is short.
 */
struct mp_names *mp_names__open(int fd, const char *path, const char *debug_path);
void mp_names__close(struct mp_names *n);

/*
 * Fills @out for file offset @offset; its strings live as long as @n. 0, or -ENOENT if neither a
 * function nor a line is known.
 */
int mp_names__find(struct mp_names *n, uint64_t offset, struct mp_symbol *out);

#endif
