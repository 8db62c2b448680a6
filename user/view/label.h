/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names of places. A traced program chooses its file names, symbols and command line: nothing of
 * them reaches a terminal unescaped.
 */
#ifndef MP_VIEW_LABEL_H
#define MP_VIEW_LABEL_H

#include <stdbool.h>
#include <stddef.h>

#include "model/model.h"
#include "symbol/symbol.h"

/* Bytes of the well-formed UTF-8 sequence at @s, 0 if there is none (RFC 3629; "" gives 0). */
size_t mp_utf8_len(const char *s);

/*
 * Copies @from, cut to fit @size, with control characters, invalid bytes and what turns the
 * direction of writing shown as \xNN. Returns @to.
 */
char *mp_label_safe(char *to, size_t size, const char *from);

/* Columns @s takes, counting one per character. */
size_t mp_label_columns(const char *s);
/* Cuts @s to @columns, the last two becoming "..". */
void mp_label_clip(char *s, size_t columns);

struct mp_label {
	char s[1024];
};

enum mp_label_flag {
	MP_LABEL_PATHS = 1, /* whole paths, not only their last part */
};

#endif
