/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How much there was when: one process's memory over time, in at most MP_MOMENTS steps of equal
 * length, whatever the length of the run. When they are used up the steps become twice as long. Steps
 * without an event of the process are left out.
 */
#ifndef MP_MODEL_TIMELINE_H
#define MP_MODEL_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/mem.h"
#include "model/model.h"

#define MP_MOMENTS 1024

struct mp_timeline {
	struct mp_moment *moments; /* by time; sites are the model's */
	size_t nr, cap;
	uint64_t first_ns;
	uint64_t until_ns;  /* the last time that belongs to the last moment */
	unsigned int shift; /* a step is 2^shift ns */
};

/* What holds right after an event, and what the event itself told. */
struct mp_timeline_fact {
	uint64_t t_ns, live_bytes, resident_bytes;
	int64_t rss_bytes;    /* MP_UNKNOWN: not read just now */
	uint64_t grown_bytes; /* 0: nothing was reserved */
	uint32_t site;        /* that reserved it */
};

/* mp_timeline__note() of a fact that is no more than how much there is now, if its moment is there. */
static inline bool mp_timeline__again(struct mp_timeline *t, uint64_t t_ns, uint64_t live_bytes,
				      uint64_t resident_bytes)
{
	struct mp_moment *last;

	if (!t->nr || t_ns > t->until_ns)
		return false;
	last = &t->moments[t->nr - 1];
	last->live_bytes = live_bytes;
	last->resident_bytes = resident_bytes;
	if (live_bytes > last->live_peak)
		last->live_peak = live_bytes;
	if (resident_bytes > last->resident_peak)
		last->resident_peak = resident_bytes;
	return true;
}

/* An event may be told after a later one: it counts in the step of that. 0 or -ENOMEM. */
int mp_timeline__note(struct mp_timeline *t, struct mp_mem *mem,
		      const struct mp_timeline_fact *fact);
void mp_timeline__fini(struct mp_timeline *t, struct mp_mem *mem);

#endif
