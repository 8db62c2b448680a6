/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Strings kept once; they stay until fini. */
#ifndef MP_MODEL_STRINGS_H
#define MP_MODEL_STRINGS_H

#include <stddef.h>

#include "model/mem.h"

struct mp_string;

struct mp_strings {
	struct mp_mem *mem;
	struct mp_string **slots;
	size_t n, room; /* room is 0 or a power of two */
};

void mp_strings__init(struct mp_strings *s, struct mp_mem *mem);
void mp_strings__fini(struct mp_strings *s);
/* The kept copy of the first @len bytes of @text (up to a NUL); NULL without memory. */
const char *mp_strings__keep(struct mp_strings *s, const char *text, size_t len);

#endif
