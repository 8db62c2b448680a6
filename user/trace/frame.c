// SPDX-License-Identifier: GPL-2.0-or-later
#include "trace/frame.h"

#include <errno.h>
#include <libdeflate.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "trace/pack.h"

#define ZLIB_HEAD 2 /* RFC 1950: method and flags before the deflated bytes, */
#define ZLIB_TAIL 4 /* an Adler-32 behind them */

struct mp_frame_maker {
	struct libdeflate_compressor *deflate; /* NULL: nothing is compressed */
	uint8_t *packed, *stored;
	size_t room; /* of @stored */
};

struct mp_frame_opener {
	struct libdeflate_decompressor *inflate;
	uint8_t *packed, *content;
	size_t packed_room, content_room;
};

struct mp_frame_maker *mp_frame_maker__new(int level)
{
	struct mp_frame_maker *m = calloc(1, sizeof(*m));

	if (!m || !level)
		return m;
	m->deflate = libdeflate_alloc_compressor(level);
	if (!m->deflate)
		goto free_maker;
	m->packed = malloc(MP_PACK_ROOM(MP_FRAME_MAX));
	m->room = libdeflate_zlib_compress_bound(m->deflate, MP_PACK_ROOM(MP_FRAME_MAX));
	m->stored = malloc(m->room);
	if (m->packed && m->stored)
		return m;
free_maker:
	mp_frame_maker__free(m);
	return NULL;
}

void mp_frame_maker__free(struct mp_frame_maker *m)
{
	if (!m)
		return;
	libdeflate_free_compressor(m->deflate);
	free(m->packed);
	free(m->stored);
	free(m);
}

uint32_t mp_frame_crc(const struct mp_frame *f, const void *stored)
{
	uint32_t crc = libdeflate_crc32(0, f, offsetof(struct mp_frame, crc));

	return libdeflate_crc32(crc, stored, f->stored);
}

int mp_frame_maker__make(struct mp_frame_maker *m, struct mp_frame *f, const void *content,
			 size_t bytes, const void **stored)
{
	f->magic = MP_FRAME_MAGIC;
	f->bytes = bytes;
	f->packed = bytes;
	f->stored = bytes;
	f->method = MP_METHOD_PLAIN;
	*stored = content;
	if (m->deflate && f->kind == MP_FRAME_EVENTS) {
		f->method = MP_METHOD_ZLIB;
		f->packed = mp_pack(content, bytes, m->packed);
		f->stored = libdeflate_zlib_compress(m->deflate, m->packed, f->packed, m->stored,
						     m->room);
		if (!f->stored)
			return -EIO;
		*stored = m->stored;
	}
	f->crc = mp_frame_crc(f, *stored);
	return 0;
}

int mp_frame_check(const struct mp_frame *f)
{
	if (f->magic != MP_FRAME_MAGIC || f->bytes > MP_FRAME_MAX ||
	    f->packed > MP_PACK_ROOM(MP_FRAME_MAX) || f->method > MP_METHOD_ZLIB)
		return -EBADMSG;
	/* zlib adds a little to what it cannot make smaller */
	if (f->stored > MP_PACK_ROOM(MP_FRAME_MAX) + MP_FRAME_MAX / 64)
		return -EBADMSG;
	if (f->method == MP_METHOD_PLAIN && (f->stored != f->bytes || f->packed != f->bytes))
		return -EBADMSG;
	return 0;
}

struct mp_frame_opener *mp_frame_opener__new(void)
{
	struct mp_frame_opener *o = calloc(1, sizeof(*o));

	if (o)
		o->inflate = libdeflate_alloc_decompressor();
	if (o && o->inflate)
		return o;
	free(o);
	return NULL;
}

void mp_frame_opener__free(struct mp_frame_opener *o)
{
	if (!o)
		return;
	libdeflate_free_decompressor(o->inflate);
	free(o->packed);
	free(o->content);
	free(o);
}

/* Makes room for @want bytes, whatever was there before. */
static bool reserve(uint8_t **bytes, size_t *room, size_t want)
{
	if (want <= *room)
		return true;
	free(*bytes);
	*bytes = malloc(want);
	*room = *bytes ? want : 0;
	return *bytes;
}

/* The frame's CRC has been checked: the stream's own checksum would be the second. */
static bool inflate(struct mp_frame_opener *o, const struct mp_frame *f, const uint8_t *stored)
{
	size_t len = f->stored, used = 0;

	if (len < ZLIB_HEAD + ZLIB_TAIL || (stored[0] << 8 | stored[1]) % 31 ||
	    (stored[0] & 15) != 8 || stored[1] & 0x20)
		return false;
	len -= ZLIB_HEAD + ZLIB_TAIL;
	return libdeflate_deflate_decompress_ex(o->inflate, stored + ZLIB_HEAD, len, o->packed,
						f->packed, &used, NULL) == LIBDEFLATE_SUCCESS &&
	       used == len;
}

int mp_frame_opener__open(struct mp_frame_opener *o, const struct mp_frame *f, const void *stored,
			  const void **content)
{
	if (!reserve(&o->content, &o->content_room, f->bytes + 1) ||
	    !reserve(&o->packed, &o->packed_room, f->packed + MP_UNPACK_SLACK))
		return -ENOMEM;
	*content = o->content;
	if (f->method == MP_METHOD_PLAIN) {
		memcpy(o->content, stored, f->bytes);
		return 0;
	}
	if (!inflate(o, f, stored))
		return -EBADMSG;
	memset(o->packed + f->packed, 0, MP_UNPACK_SLACK);
	return mp_unpack(o->packed, f->packed, o->content, f->bytes) == f->bytes ? 0 : -EBADMSG;
}
