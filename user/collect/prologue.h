/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where in a function to put a uprobe. The kernel emulates a few instructions (push, relative jump
 * and call, nop) and single-steps all others out of line, which costs a second exception; so the
 * probe goes to the first emulated instruction at which the function's arguments and the return
 * address are still where they were at its entry.
 */
#ifndef MP_COLLECT_PROLOGUE_H
#define MP_COLLECT_PROLOGUE_H

#include <stddef.h>
#include <stdint.h>

struct mp_spot {
	uint32_t into; /* bytes from the function's entry */
	uint8_t kind;  /* enum mp_probe_kind */
};

/*
 * Decodes the x86-64 function whose @len bytes are @code. The first @nr_args (0..4) integer
 * arguments are intact at the spot, [rsp] is the return address, and every call passes it exactly
 * once. Where no such instruction is, *@out is the entry itself, kind MP_PROBE_STEPPED. Returns 0,
 * or -EINVAL if @code does not begin with a valid instruction (nothing can be probed there).
 */
int mp_prologue_find(const uint8_t *code, size_t len, unsigned int nr_args, struct mp_spot *out);

#endif
