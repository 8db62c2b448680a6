// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reads with read(2), not mmap(2): a file that shrinks meanwhile must not become a SIGBUS, and
 * pipes work.
 */
#include "trace/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUFFER_BYTES (256 * 1024) /* stays in the second-level cache; the largest event is 64 KiB */

struct reader {
	const char *path;
	struct mp_err *err;
	int fd;
	uint64_t offset; /* in the file, of buffer[0] */
	size_t used;
	char buffer[BUFFER_BYTES] __attribute__((aligned(8)));
};

/* Reads until the buffer is full or the file ends: > 0 bytes added, 0 at the end, -errno. */
static ssize_t fill(struct reader *r)
{
	size_t before = r->used;
	ssize_t n;

	while (r->used < sizeof(r->buffer)) {
		n = read(r->fd, r->buffer + r->used, sizeof(r->buffer) - r->used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return mp_fail(r->err, MP_EXIT_FAILED, errno, "cannot read %s: %s", r->path,
				       strerror(errno));
		if (n == 0)
			break;
		r->used += n;
	}
	return r->used - before;
}

static void consume(struct reader *r, size_t n)
{
	memmove(r->buffer, r->buffer + n, r->used - n);
	r->used -= n;
	r->offset += n;
}

static int foreign(struct reader *r, const char *why)
{
	return mp_fail(r->err, MP_EXIT_FAILED, EBADMSG,
		       "%s is not a mallocpath trace: %s; make one with mallocpath record -o FILE",
		       r->path, why);
}

static int check_header(struct reader *r)
{
	struct mp_file_header header;

	if (r->used == 0)
		return foreign(r, "it is empty");
	if (r->used < sizeof(header.magic) ||
	    memcmp(r->buffer, MP_FILE_MAGIC, sizeof(header.magic)) != 0)
		return foreign(r, "it does not begin with MPTRACE");
	if (r->used < sizeof(header))
		return foreign(r, "it ends within its header");
	memcpy(&header, r->buffer, sizeof(header));
	if (header.byte_order == 0x04030201)
		return mp_fail(r->err, MP_EXIT_FAILED, EPROTONOSUPPORT,
			       "%s was written on a machine of the other byte order; "
			       "read it on one like that",
			       r->path);
	if (header.byte_order != 0x01020304)
		return foreign(r, "its header is corrupt");
	if (header.version != 1)
		return mp_fail(r->err, MP_EXIT_FAILED, EPROTONOSUPPORT,
			       "%s is a trace of format version %" PRIu32 "; this mallocpath reads "
			       "version 1: use the one that wrote it",
			       r->path, header.version);
	consume(r, sizeof(header));
	return 0;
}

/* Hands over every whole event in the buffer. *@used: their bytes. */
static int hand_over(struct reader *r, mp_event_fn fn, void *ctx, size_t *used)
{
	size_t at = 0;
	int64_t size;
	int ret = 0;

	while (!ret) {
		size = mp_decode(r->buffer + at, r->used - at);
		if (size == 0)
			break;
		if (size < 0) {
			ret = mp_fail(r->err, MP_EXIT_FAILED, EBADMSG,
				      "%s is corrupt at offset %" PRIu64 ": not an event; "
				      "record it again",
				      r->path, r->offset + at);
			break;
		}
		ret = fn(ctx, (const struct mp_ev *)(r->buffer + at));
		at += size;
	}
	*used = at;
	return ret;
}

static int read_events(struct reader *r, mp_event_fn fn, void *ctx, int *truncated)
{
	size_t used = 0;
	ssize_t n;
	int ret;

	n = fill(r);
	if (n < 0)
		return n;
	ret = check_header(r);
	while (!ret) {
		ret = hand_over(r, fn, ctx, &used);
		consume(r, used);
		if (ret)
			break;
		n = fill(r);
		if (n <= 0) {
			ret = n;
			break;
		}
	}
	*truncated = !ret && r->used > 0;
	return ret;
}

int mp_file_read(const char *path, mp_event_fn fn, void *ctx, int *truncated, struct mp_err *err)
{
	struct reader *r;
	int ret;

	*truncated = 0;
	r = malloc(sizeof(*r));
	if (!r)
		return mp_fail(err, MP_EXIT_FAILED, ENOMEM, "cannot read %s: out of memory", path);
	r->path = path;
	r->err = err;
	r->offset = 0;
	r->used = 0;
	r->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (r->fd < 0) {
		ret = mp_fail(err, MP_EXIT_FAILED, errno, "cannot open %s: %s", path,
			      strerror(errno));
		goto free_reader;
	}
	ret = read_events(r, fn, ctx, truncated);
	close(r->fd);
free_reader:
	free(r);
	return ret;
}
