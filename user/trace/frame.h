/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a trace file of version 2 is made of (docs/FORMAT.md): frames, each checked by itself. */
#ifndef MP_TRACE_FRAME_H
#define MP_TRACE_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define MP_FILE_VERSION 2
#define MP_FILE_ORDER   0x01020304

#define MP_FRAME_MAGIC 0x0a46504dU /* "MPF\n" */
/* Bytes of events in one, at most: what a reader has to have room for. */
#define MP_FRAME_MAX (1U << 20)

enum mp_frame_kind {
	MP_FRAME_EVENTS = 1,
	MP_FRAME_INDEX = 2, /* struct mp_frame_entry, one for each frame of events before it */
	MP_FRAME_END = 3,   /* struct mp_frame_end: nothing is missing */
};

enum mp_frame_method {
	MP_METHOD_PLAIN = 0,
	MP_METHOD_ZLIB = 1, /* of events: packed (pack.h), then a zlib stream */
};

struct mp_frame {
	uint32_t magic;
	uint8_t kind, method;
	uint16_t zero;
	uint32_t stored; /* bytes that follow this header */
	uint32_t packed; /* bytes they are once inflated; plain: as @stored */
	uint32_t bytes;  /* bytes of content */
	uint32_t events;
	uint64_t first_ns, last_ns; /* the least and the greatest time of the events; 0: none */
	uint32_t zero2;
	uint32_t crc; /* CRC-32 of this header up to here and of what follows it */
};
_Static_assert(sizeof(struct mp_frame) == 48, "file format");

struct mp_frame_entry {
	uint64_t offset; /* of the frame in the file */
	uint64_t first_ns, last_ns;
	uint32_t events, bytes;
};
_Static_assert(sizeof(struct mp_frame_entry) == 32, "file format");

struct mp_frame_end {
	uint64_t index;  /* offset of the first frame of the index, */
	uint64_t frames; /* entries in it, which may be spread over several frames, */
	uint64_t events; /* and events in all */
	uint64_t zero;
};
_Static_assert(sizeof(struct mp_frame_end) == 32, "file format");

struct mp_frame_maker;
/* @level: libdeflate's, 1 to 12; 0: content stays as it is. NULL: no memory. */
struct mp_frame_maker *mp_frame_maker__new(int level);
void mp_frame_maker__free(struct mp_frame_maker *m);
/*
 * Makes a frame of @content: its header in *@f and what follows it, owned by @m until the next call,
 * in *@stored. @f->kind, events, first_ns and last_ns are the caller's. 0 or -errno.
 */
int mp_frame_maker__make(struct mp_frame_maker *m, struct mp_frame *f, const void *content,
			 size_t bytes, const void **stored);

/* 0, or -EBADMSG: its lengths cannot be, or it is no header at all. */
int mp_frame_check(const struct mp_frame *f);
uint32_t mp_frame_crc(const struct mp_frame *f, const void *stored);

struct mp_frame_opener;
struct mp_frame_opener *mp_frame_opener__new(void);
void mp_frame_opener__free(struct mp_frame_opener *o);
/*
 * The content of a frame whose header and CRC were checked: f->bytes in *@content, 8-byte aligned and
 * @o's until the next call. 0, -EBADMSG: it is damaged, or -ENOMEM.
 */
int mp_frame_opener__open(struct mp_frame_opener *o, const struct mp_frame *f, const void *stored,
			  const void **content);

#endif
