/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What tests of trace files share: one file in a directory of its own, written and read back. */
#ifndef MP_TEST_TRACE_UTIL_H
#define MP_TEST_TRACE_UTIL_H

#include <stdint.h>

#include "trace/frame.h"
#include "trace/trace.h"

#define EVENTS 20000 /* more than one buffer of reader and writer */
#define HEADER ((long)sizeof(struct mp_file_header))
#define FRAME  ((long)sizeof(struct mp_frame))

extern char dir[], path[64];

struct seen {
	int nr, stop_at;
	uint64_t sum; /* of the times */
	long long bytes;
};

/* For mp_file_read() with a struct seen. */
int see(void *ctx, const struct mp_ev *ev);
/* Every type in turn, at the times 0, 1, ... */
void write_at(int nr, int level);
void write_events(int nr);
/* As mallocpath wrote files before there were frames. */
void write_version_1(int nr);
void write_bytes(const void *bytes, size_t len);
int read_all(struct seen *s, int *truncated, struct mp_err *err);
/* Reading the file fails with @error and a message that has @words and the path. */
void refused(int error, const char *words);

/* A whole file, to be damaged again and again. */
struct whole {
	char *bytes;
	long len;
	struct mp_frame frames[64];
	long offsets[64]; /* of the frames, and where the last one ends */
	int nr;
};

void read_whole(struct whole *w);
/* Events in the frames that end at @at or before. */
int events_before(const struct whole *w, long at);

int make_dir(void **state);
int remove_dir(void **state);

#endif
