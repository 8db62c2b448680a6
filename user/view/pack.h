/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Columns of numbers for a page that is opened from disk: variable-length (seven bits a byte, least
 * first), then deflate as of zlib(3), then base64.
 */
#ifndef MP_VIEW_PACK_H
#define MP_VIEW_PACK_H

#include <stddef.h>
#include <stdint.h>

#include "view/json.h"

struct mp_pack {
	unsigned char *data;
	size_t n, cap;
	uint64_t last; /* of mp_pack_next() */
	int err;       /* 0 or -ENOMEM */
};

void mp_pack_number(struct mp_pack *p, uint64_t n);
/* How much @n differs from the one before, the sign in the lowest bit. */
void mp_pack_next(struct mp_pack *p, uint64_t n);
/* Writes the column as a string, "" if it is empty, and empties it. */
void mp_pack_finish(struct mp_pack *p, struct mp_json *j, const char *name);

#endif
