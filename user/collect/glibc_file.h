/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a glibc's file tells about its heap: ELF addresses, not yet a process's. */
#ifndef MP_COLLECT_GLIBC_FILE_H
#define MP_COLLECT_GLIBC_FILE_H

#include <stdint.h>

#include "collect/glibc.h"
#include "collect/glibc_code.h"

struct mp_glibc_code_at { /* a function, 0: not known */
	uint64_t value, size;
};

struct mp_glibc_file {
	uint64_t main_arena, mp; /* ELF addresses */
	struct mp_code_tls tcache, thread_arena;
	struct mp_glibc_layout at;
};

/* 0, -ENOMEM, or -EBADMSG with @why saying what could not be found. */
int mp_glibc_read_file(const struct mp_elf *e, struct mp_glibc_code_at malloc_at,
		       struct mp_glibc_code_at calloc_at, struct mp_glibc_file *out,
		       const char **why);

#endif
