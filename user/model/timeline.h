/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How much there was when: one process's memory over time, in at most MP_MOMENTS steps of equal
 * length, whatever the length of the run. When they are used up the steps become twice as long. Steps
 * without an event of the process are left out.
 */
#ifndef MP_MODEL_TIMELINE_H
#define MP_MODEL_TIMELINE_H

#include <stddef.h>
#include <stdint.h>

#include "model/mem.h"
#include "model/model.h"

#define MP_MOMENTS 1024

struct mp_timeline {
	struct mp_moment *moments; /* by time; sites are the model's */
	size_t nr, cap;
	uint64_t first_ns;
	unsigned int shift; /* a step is 2^shift ns */
};

/* What holds right after an event, and what the event itself told. */
struct mp_timeline_fact {
	uint64_t t_ns, live_bytes, resident_bytes;
	int64_t rss_bytes;    /* MP_UNKNOWN: not read just now */
	uint64_t grown_bytes; /* 0: nothing was reserved */
	uint32_t site;        /* that reserved it */
};

/* An event may be told after a later one: it counts in the step of that. 0 or -ENOMEM. */
int mp_timeline__note(struct mp_timeline *t, struct mp_mem *mem,
		      const struct mp_timeline_fact *fact);
void mp_timeline__fini(struct mp_timeline *t, struct mp_mem *mem);

#endif
