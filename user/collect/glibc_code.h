/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the code of a glibc allocation function tells about its data, which has no symbols: the words
 * of thread-local storage it loads, where in the thread cache it looks, which of libc's variables it
 * reads. Every path is followed from the entry, calls are stepped over. Code is hostile input.
 */
#ifndef MP_COLLECT_GLIBC_CODE_H
#define MP_COLLECT_GLIBC_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collect/elf.h"

/* A thread-local variable, named by how the code comes by its offset from the thread pointer. */
struct mp_code_tls {
	bool is_slot; /* @value is the ELF address of a word that will hold it, else it itself */
	int64_t value;
};

#define MP_CODE_TLS  8
#define MP_CODE_VARS 64
#define MP_CODE_JUMP 4

struct mp_glibc_code {
	struct mp_code_tls tls[MP_CODE_TLS]; /* 8-byte words loaded, in the order of first loads */
	size_t nr_tls;
	uint64_t vars[MP_CODE_VARS]; /* ELF addresses of 8-byte variables that are read */
	size_t nr_vars;
	uint64_t jumps[MP_CODE_JUMP]; /* functions it jumps to: tail calls */
	size_t nr_jumps;
	/* the arrays indexed in what tls[0] points to, by the size of their elements; -1: none is */
	int32_t counts, entries; /* uint16_t, pointers */
	bool calls_pointer;      /* it calls or jumps where a pointer leads: a hook */
	bool shifts_12;          /* it shifts by the page size, as the mangling of links does */
};

/*
 * Adds what the function of @size bytes at ELF address @value does to *@out, which was set up by
 * mp_glibc_code_init(). 0, -ENOENT (no code is there), -ENOMEM.
 */
void mp_glibc_code_init(struct mp_glibc_code *out);
int mp_glibc_code_add(const struct mp_elf *e, uint64_t value, uint64_t size,
		      struct mp_glibc_code *out);

#endif
