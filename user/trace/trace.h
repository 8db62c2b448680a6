/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes to events, and the .mpt file that holds them. Every bounds check of the house is here.
 */
#ifndef MP_TRACE_H
#define MP_TRACE_H

#include <stddef.h>
#include <stdint.h>

#include "../bpf/event.h"
#include "base/err.h"

/*
 * Checks the event at @buf: header, size, and that every length inside it fits. Returns its size
 * (> 0), 0 if @len is too short to hold the whole event, or -EBADMSG. An unknown type is valid.
 * @buf must be 8-byte aligned.
 */
int64_t mp_decode(const void *buf, size_t len);

/* Room for an event that was written when its struct was shorter. */
struct mp_wide {
	uint64_t words[24];
};

/*
 * As mp_decode(), and an event that an older mallocpath wrote without the fields appended since is
 * valid, too: they are 0, which means that they are not known. *@whole is the event as it may be
 * read: @buf, or its copy in @wide. Returned are the bytes it takes in @buf.
 */
int64_t mp_decode_old(const void *buf, size_t len, struct mp_wide *wide,
		      const struct mp_ev **whole);

/* Gets each event of a file or ring; a non-zero return stops and is handed back. */
typedef int (*mp_event_fn)(void *ctx, const struct mp_ev *ev);

/* docs/FORMAT.md. The file begins with this header; frames follow, in version 1 bare events. */
#define MP_FILE_MAGIC "MPTRACE\n"
struct mp_file_header {
	char magic[8];
	uint32_t version;    /* 2 */
	uint32_t byte_order; /* 0x01020304 as the writer's CPU stores it */
	uint64_t wall_ns;    /* CLOCK_REALTIME when the file was begun */
	uint64_t mono_ns;    /* CLOCK_MONOTONIC at the same moment */
};

#define MP_LEVEL_DEFAULT 1 /* libdeflate's, 0: nothing is compressed */

struct mp_writer;
/*
 * Creates @path with mode 0600. NULL with @err filled on failure. What is put reaches the file in
 * frames, which a thread of the writer's own compresses and writes; the last second may be missing if
 * the program is killed.
 */
struct mp_writer *mp_writer__open(const char *path, int level, uint64_t wall_ns, uint64_t mono_ns,
				  struct mp_err *err);
/* 0 or -errno; the first error sticks and is given again by close. */
int mp_writer__put(struct mp_writer *w, const struct mp_ev *ev);
/*
 * Writes what is left and the index, and closes; -errno and @err if anything did not reach the file
 * (full disk): what is in the file then is good up to there. NULL is fine.
 */
int mp_writer__close(struct mp_writer *w, struct mp_err *err);

/* The header of the file, which this program can read. 0, or -errno as mp_file_read(). */
int mp_file_header(const char *path, struct mp_file_header *header, struct mp_err *err);

/*
 * Reads the file and calls @fn for each event. Returns 0, @fn's value, or -errno with @err filled: not a
 * trace, another version or byte order, corrupt at offset N. A file that was not written to its end is
 * read up to the last whole frame (version 1: event) and *@truncated set (may not be NULL).
 */
int mp_file_read(const char *path, mp_event_fn fn, void *ctx, int *truncated, struct mp_err *err);

#endif
