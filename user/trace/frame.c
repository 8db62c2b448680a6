// SPDX-License-Identifier: GPL-2.0-or-later
#include "trace/frame.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "trace/pack.h"

struct mp_frame_maker {
	int level;
	z_stream zlib;
	uint8_t *packed, *stored;
	size_t room; /* of @stored */
};

struct mp_frame_opener {
	z_stream zlib;
	uint8_t *packed, *content;
	size_t packed_room, content_room;
};

struct mp_frame_maker *mp_frame_maker__new(int level)
{
	struct mp_frame_maker *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->level = level;
	if (!level)
		return m;
	if (deflateInit(&m->zlib, level) != Z_OK)
		goto free_maker;
	m->packed = malloc(MP_PACK_ROOM(MP_FRAME_MAX));
	m->room = deflateBound(&m->zlib, MP_PACK_ROOM(MP_FRAME_MAX));
	m->stored = malloc(m->room);
	if (m->packed && m->stored)
		return m;
	free(m->packed);
	free(m->stored);
	deflateEnd(&m->zlib);
free_maker:
	free(m);
	return NULL;
}

void mp_frame_maker__free(struct mp_frame_maker *m)
{
	if (!m)
		return;
	if (m->level)
		deflateEnd(&m->zlib);
	free(m->packed);
	free(m->stored);
	free(m);
}

uint32_t mp_frame_crc(const struct mp_frame *f, const void *stored)
{
	uLong crc = crc32(0, (const Bytef *)f, offsetof(struct mp_frame, crc));

	return crc32(crc, stored, f->stored);
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
	if (m->level && f->kind == MP_FRAME_EVENTS) {
		f->method = MP_METHOD_ZLIB;
		f->packed = mp_pack(content, bytes, m->packed);
		if (deflateReset(&m->zlib) != Z_OK)
			return -EIO;
		m->zlib.next_in = m->packed;
		m->zlib.avail_in = f->packed;
		m->zlib.next_out = m->stored;
		m->zlib.avail_out = m->room;
		if (deflate(&m->zlib, Z_FINISH) != Z_STREAM_END)
			return -EIO;
		f->stored = m->room - m->zlib.avail_out;
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

	if (!o || inflateInit(&o->zlib) != Z_OK) {
		free(o);
		return NULL;
	}
	/* the frame's CRC has been checked: zlib's own check would be the second */
	inflateValidate(&o->zlib, 0);
	return o;
}

void mp_frame_opener__free(struct mp_frame_opener *o)
{
	if (!o)
		return;
	inflateEnd(&o->zlib);
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
	if (inflateReset(&o->zlib) != Z_OK)
		return -EBADMSG;
	o->zlib.next_in = (Bytef *)stored;
	o->zlib.avail_in = f->stored;
	o->zlib.next_out = o->packed;
	o->zlib.avail_out = f->packed;
	if (inflate(&o->zlib, Z_FINISH) != Z_STREAM_END || o->zlib.avail_out || o->zlib.avail_in)
		return -EBADMSG;
	memset(o->packed + f->packed, 0, MP_UNPACK_SLACK);
	return mp_unpack(o->packed, f->packed, o->content, f->bytes) == f->bytes ? 0 : -EBADMSG;
}
