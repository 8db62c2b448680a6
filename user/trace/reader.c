// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reads with read(2), not mmap(2): a file that shrinks meanwhile must not become a SIGBUS, and
 * pipes work. The index is for those who want to know without reading all (info.c).
 */
#include "trace/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "trace/frame.h"

#define BUFFER_BYTES (256 * 1024) /* grows to the largest frame */

struct reader {
	const char *path;
	struct mp_err *err;
	mp_event_fn fn;
	void *ctx;
	int fd;
	uint64_t offset; /* in the file, of buffer[at] */
	size_t at, used, room;
	char *buffer;
	struct mp_file_header header;
	bool ended; /* the last frame says that it is */
	struct mp_frame_opener *opener;
	struct mp_wide wide; /* for one that an older mallocpath has written */
};

/* Bytes that were read and not consumed. */
static char *next(const struct reader *r)
{
	return r->buffer + r->at;
}

static size_t have(const struct reader *r)
{
	return r->used - r->at;
}

static int make_room(struct reader *r, size_t want)
{
	char *larger;

	if (want <= r->room - r->at)
		return 0;
	memmove(r->buffer, next(r), have(r));
	r->used -= r->at;
	r->at = 0;
	if (want <= r->room)
		return 0;
	larger = realloc(r->buffer, want);
	if (!larger)
		return mp_fail(r->err, MP_EXIT_FAILED, ENOMEM, "cannot read %s: out of memory",
			       r->path);
	r->buffer = larger;
	r->room = want;
	return 0;
}

/* Reads until there are @want bytes, if the file has them: 0 or -errno. */
static int fill(struct reader *r, size_t want)
{
	ssize_t n;
	int ret = have(r) < want ? make_room(r, want) : 0;

	while (!ret && have(r) < want) {
		n = read(r->fd, r->buffer + r->used, r->room - r->used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return mp_fail(r->err, MP_EXIT_FAILED, errno, "cannot read %s: %s", r->path,
				       strerror(errno));
		if (n == 0)
			break;
		r->used += n;
	}
	return ret;
}

static void consume(struct reader *r, size_t n)
{
	r->at += n;
	r->offset += n;
}

static int foreign(struct reader *r, const char *why)
{
	return mp_fail(r->err, MP_EXIT_FAILED, EBADMSG,
		       "%s is not a mallocpath trace: %s; make one with mallocpath record -o FILE",
		       r->path, why);
}

static int corrupt(struct reader *r, uint64_t offset, const char *what)
{
	return mp_fail(r->err, MP_EXIT_FAILED, EBADMSG,
		       "%s is corrupt at offset %" PRIu64 ": not %s; record it again", r->path,
		       offset, what);
}

static int check_header(struct reader *r)
{
	struct mp_file_header header;
	int ret = fill(r, sizeof(header));

	if (ret)
		return ret;
	if (!have(r))
		return foreign(r, "it is empty");
	if (have(r) < sizeof(header.magic) ||
	    memcmp(next(r), MP_FILE_MAGIC, sizeof(header.magic)) != 0)
		return foreign(r, "it does not begin with MPTRACE");
	if (have(r) < sizeof(header))
		return foreign(r, "it ends within its header");
	memcpy(&header, next(r), sizeof(header));
	if (header.byte_order == 0x04030201)
		return mp_fail(r->err, MP_EXIT_FAILED, EPROTONOSUPPORT,
			       "%s was written on a machine of the other byte order; "
			       "read it on one like that",
			       r->path);
	if (header.byte_order != MP_FILE_ORDER)
		return foreign(r, "its header is corrupt");
	if (header.version < 1 || header.version > MP_FILE_VERSION)
		return mp_fail(r->err, MP_EXIT_FAILED, EPROTONOSUPPORT,
			       "%s is a trace of format version %" PRIu32 "; this mallocpath reads "
			       "versions 1 and %d: use the one that wrote it",
			       r->path, header.version, MP_FILE_VERSION);
	r->header = header;
	consume(r, sizeof(header));
	return 0;
}

/*
 * Hands over the whole events in @bytes; *@used: the bytes of those. 0 or what the callback returned;
 * @bad: what follows them is no event.
 */
static int hand_over(struct reader *r, const char *bytes, size_t len, size_t *used, bool *bad)
{
	const struct mp_ev *ev;
	int64_t size;
	int ret = 0;

	for (*used = 0; !ret; *used += size) {
		size = mp_decode_old(bytes + *used, len - *used, &r->wide, &ev);
		*bad = size < 0;
		if (size <= 0)
			break;
		ret = r->fn(r->ctx, ev);
	}
	return ret;
}

/* Version 1: events without anything around them. */
static int read_events(struct reader *r)
{
	bool bad = false;
	size_t used, before;
	bool more;
	int ret;

	do {
		before = have(r);
		ret = fill(r, r->room);
		if (ret)
			return ret;
		more = have(r) > before;
		ret = hand_over(r, next(r), have(r), &used, &bad);
		if (!ret && bad)
			ret = corrupt(r, r->offset + used, "an event");
		consume(r, used);
	} while (!ret && more);
	return ret;
}

static bool all_zero(const void *bytes, size_t len)
{
	const char *at = bytes;

	return !len || (!*at && !memcmp(at, at + 1, len - 1));
}

/* A fuzzer cannot make CRCs: for it what is behind them is open. */
static bool unharmed(const struct mp_frame *f, const void *stored)
{
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
	(void)f, (void)stored;
	return true;
#else
	return mp_frame_crc(f, stored) == f->crc;
#endif
}

/*
 * The next frame, whole, at the beginning of the buffer: 1, 0 if there is none more, -errno. After a
 * crash of the machine the end of a file may be missing, torn or zeros: that is no damage of what is
 * before.
 */
static int next_frame(struct reader *r, struct mp_frame *f)
{
	size_t whole;
	int ret = fill(r, sizeof(*f));

	if (ret || have(r) < sizeof(*f))
		return ret;
	memcpy(f, next(r), sizeof(*f));
	if (all_zero(f, sizeof(*f)))
		return 0;
	if (mp_frame_check(f))
		return corrupt(r, r->offset, "a frame");
	whole = sizeof(*f) + f->stored;
	ret = fill(r, whole);
	if (ret || have(r) < whole)
		return ret;
	if (unharmed(f, next(r) + sizeof(*f)))
		return 1;
	ret = fill(r, whole + 1);
	return ret || have(r) == whole ? ret : corrupt(r, r->offset, "a frame");
}

static int open_frame(struct reader *r, const struct mp_frame *f)
{
	const void *content;
	int ret = mp_frame_opener__open(r->opener, f, next(r) + sizeof(*f), &content);
	bool bad = false;
	size_t used;

	if (ret == -ENOMEM)
		return mp_fail(r->err, MP_EXIT_FAILED, ENOMEM, "cannot read %s: out of memory",
			       r->path);
	if (ret)
		return corrupt(r, r->offset, "a frame");
	ret = hand_over(r, content, f->bytes, &used, &bad);
	if (!ret && used != f->bytes)
		ret = corrupt(r, r->offset, "a frame of events");
	return ret;
}

static int read_frames(struct reader *r)
{
	struct mp_frame f;
	int ret;

	r->opener = mp_frame_opener__new();
	if (!r->opener)
		return mp_fail(r->err, MP_EXIT_FAILED, ENOMEM, "cannot read %s: out of memory",
			       r->path);
	while ((ret = next_frame(r, &f)) > 0) {
		ret = f.kind == MP_FRAME_EVENTS ? open_frame(r, &f) : 0;
		if (ret)
			break;
		r->ended = f.kind == MP_FRAME_END;
		consume(r, sizeof(f) + f.stored);
	}
	mp_frame_opener__free(r->opener);
	return ret;
}

static int read_all(struct reader *r, int *truncated)
{
	int ret = check_header(r);

	if (!ret)
		ret = r->header.version == 1 ? read_events(r) : read_frames(r);
	*truncated = !ret && (have(r) || (r->header.version > 1 && !r->ended));
	return ret;
}

static int open_file(struct reader *r)
{
	r->room = BUFFER_BYTES;
	r->buffer = malloc(r->room);
	if (!r->buffer)
		return mp_fail(r->err, MP_EXIT_FAILED, ENOMEM, "cannot read %s: out of memory",
			       r->path);
	r->fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (r->fd >= 0)
		return 0;
	free(r->buffer);
	return mp_fail(r->err, MP_EXIT_FAILED, errno, "cannot open %s: %s", r->path,
		       strerror(errno));
}

static void close_file(struct reader *r)
{
	close(r->fd);
	free(r->buffer);
}

int mp_file_read(const char *path, mp_event_fn fn, void *ctx, int *truncated, struct mp_err *err)
{
	struct reader r = { .path = path, .err = err, .fn = fn, .ctx = ctx };
	int ret = open_file(&r);

	*truncated = 0;
	if (ret)
		return ret;
	ret = read_all(&r, truncated);
	close_file(&r);
	return ret;
}

int mp_file_header(const char *path, struct mp_file_header *header, struct mp_err *err)
{
	struct reader r = { .path = path, .err = err };
	int ret = open_file(&r);

	if (ret)
		return ret;
	ret = check_header(&r);
	close_file(&r);
	*header = r.header;
	return ret;
}
