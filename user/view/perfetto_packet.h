/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packets of Perfetto's trace format, one after the other; strings are told once and have numbers. */
#ifndef MP_VIEW_PERFETTO_PACKET_H
#define MP_VIEW_PERFETTO_PACKET_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "view/proto.h"

enum mp_track { /* what a track's number begins with; below are pid or tid */
		MP_TRACK_PROCESS = 1,
		MP_TRACK_THREAD = 2,
		MP_TRACK_WAITS = 3, /* of a thread: reclaim and compaction */
		MP_TRACK_LIVE = 4,
		MP_TRACK_RESIDENT = 5,
		MP_TRACK_RSS = 6,
};
#define MP_TRACK(kind, id) ((uint64_t)(kind) << 32 | (uint32_t)(id))

enum mp_slice { /* TrackEvent.Type */
		MP_SLICE_BEGIN = 1,
		MP_SLICE_END = 2,
		MP_SLICE_INSTANT = 3,
		MP_SLICE_COUNTER = 4,
};

struct mp_packets { /* begins as all zero but for @out */
	FILE *out;
	bool begun;
	struct mp_proto packet, event, note, interned, whole;
	void *strings; /* tsearch(3) tree of those that have a number */
	void *tracks;  /* and of tracks that were told */
	uint64_t last_iid;
	int err;
};

void mp_packets_fini(struct mp_packets *p);

/* False: it has been told of before. */
bool mp_packets_new_track(struct mp_packets *p, uint64_t track);
/* @cmdline: @len bytes of words with a NUL between two. @pid for a process, and @tid too for a thread of it; else @name below @parent. */
void mp_packets_process(struct mp_packets *p, uint32_t pid, const char *name, const char *cmdline,
			size_t len);
void mp_packets_thread(struct mp_packets *p, uint32_t pid, uint32_t tid);
void mp_packets_track(struct mp_packets *p, uint64_t track, uint64_t parent, const char *name,
		      bool counts_bytes);

/* An event is begun, given notes, and put. @name: NULL for the end of a slice. */
void mp_packets_begin(struct mp_packets *p, uint64_t track, enum mp_slice type, const char *name);
void mp_packets_number(struct mp_packets *p, const char *key, uint64_t n);
void mp_packets_addr(struct mp_packets *p, const char *key, uint64_t addr);
/* Nothing if @text is "". */
void mp_packets_text(struct mp_packets *p, const char *key, const char *text);
void mp_packets_put(struct mp_packets *p, uint64_t t_ns);
void mp_packets_count(struct mp_packets *p, uint64_t track, uint64_t t_ns, uint64_t value);

/* 0, or -errno of what went wrong first. */
int mp_packets_err(const struct mp_packets *p);

#endif
