// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/proto.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { VARINT = 0, LENGTH = 2 }; /* wire types */

void mp_proto_fini(struct mp_proto *p)
{
	free(p->bytes);
	memset(p, 0, sizeof(*p));
}

void mp_proto_clear(struct mp_proto *p)
{
	p->len = 0;
}

static void put(struct mp_proto *p, const void *bytes, size_t len)
{
	size_t room = p->room ? p->room : 256;
	unsigned char *grown;

	while (room - p->len < len)
		room *= 2;
	if (room != p->room) {
		grown = realloc(p->bytes, room);
		if (!grown) {
			p->err = -ENOMEM;
			return;
		}
		p->bytes = grown;
		p->room = room;
	}
	if (len) /* else @bytes may be NULL */
		memcpy(p->bytes + p->len, bytes, len);
	p->len += len;
}

static size_t varint(uint64_t n, unsigned char out[10])
{
	size_t len = 0;

	for (; n >= 0x80; n >>= 7)
		out[len++] = (unsigned char)(n | 0x80);
	out[len++] = (unsigned char)n;
	return len;
}

static void put_varint(struct mp_proto *p, uint64_t n)
{
	unsigned char bytes[10];

	put(p, bytes, varint(n, bytes));
}

void mp_proto_set(struct mp_proto *p, uint32_t field, uint64_t n)
{
	put_varint(p, (uint64_t)field << 3 | VARINT);
	put_varint(p, n);
}

void mp_proto_number(struct mp_proto *p, uint32_t field, uint64_t n)
{
	if (n)
		mp_proto_set(p, field, n);
}

void mp_proto_bytes(struct mp_proto *p, uint32_t field, const void *bytes, size_t len)
{
	put_varint(p, (uint64_t)field << 3 | LENGTH);
	put_varint(p, len);
	put(p, bytes, len);
}

void mp_proto_string(struct mp_proto *p, uint32_t field, const char *s)
{
	mp_proto_bytes(p, field, s, strlen(s));
}

void mp_proto_packed(struct mp_proto *p, uint32_t field, const uint64_t *n, size_t nr)
{
	unsigned char bytes[10];
	size_t i, len = 0;

	for (i = 0; i < nr; i++)
		len += varint(n[i], bytes);
	put_varint(p, (uint64_t)field << 3 | LENGTH);
	put_varint(p, len);
	for (i = 0; i < nr; i++)
		put_varint(p, n[i]);
}

void mp_proto_message(struct mp_proto *p, uint32_t field, const struct mp_proto *m)
{
	if (m->err)
		p->err = m->err;
	mp_proto_bytes(p, field, m->bytes, m->len);
}
