// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/pack.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#define LONGEST 10 /* bytes of a number */

void mp_pack_number(struct mp_pack *p, uint64_t n)
{
	size_t cap = p->cap ? p->cap * 2 : 4096;
	unsigned char *data;

	if (p->cap - p->n < LONGEST) {
		data = p->err ? NULL : realloc(p->data, cap);
		if (!data) {
			p->err = -ENOMEM;
			return;
		}
		p->data = data;
		p->cap = cap;
	}
	for (; n > 127; n >>= 7)
		p->data[p->n++] = n | 128;
	p->data[p->n++] = n;
}

void mp_pack_next(struct mp_pack *p, uint64_t n)
{
	int64_t more = (int64_t)(n - p->last);

	p->last = n;
	mp_pack_number(p, (uint64_t)more << 1 ^ (uint64_t)(more >> 63));
}

/* NULL without memory. The caller frees it. */
static char *base64(const unsigned char *from, size_t n)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = malloc((n + 2) / 3 * 4 + 1), *to = text;
	size_t i;

	for (i = 0; text && i < n; i += 3) {
		uint32_t three = from[i] << 16 | (i + 1 < n ? from[i + 1] << 8 : 0) |
				 (i + 2 < n ? from[i + 2] : 0);

		*to++ = digits[three >> 18];
		*to++ = digits[three >> 12 & 63];
		*to++ = i + 1 < n ? digits[three >> 6 & 63] : '=';
		*to++ = i + 2 < n ? digits[three & 63] : '=';
	}
	if (text)
		*to = '\0';
	return text;
}

/* NULL without memory. The caller frees it. */
static char *deflated(const struct mp_pack *p)
{
	uLongf size = compressBound(p->n);
	unsigned char *small = malloc(size);
	char *text = NULL;

	if (small && compress2(small, &size, p->data, p->n, Z_DEFAULT_COMPRESSION) == Z_OK)
		text = base64(small, size);
	free(small);
	return text;
}

void mp_pack_finish(struct mp_pack *p, struct mp_json *j, const char *name)
{
	char *text = p->n && !p->err ? deflated(p) : NULL;

	if ((p->err || (p->n && !text)) && !j->err)
		j->err = -ENOMEM;
	mp_json_word(j, name, text ? text : "");
	free(text);
	free(p->data);
	*p = (struct mp_pack){ .err = p->err };
}
