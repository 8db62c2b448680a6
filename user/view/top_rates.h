/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What became of sites from one report to the next, a second. */
#ifndef MP_VIEW_TOP_RATES_H
#define MP_VIEW_TOP_RATES_H

#include <stddef.h>
#include <stdint.h>

struct mp_sample {    /* of what a row of a report says */
	uint64_t key; /* the same from report to report */
	uint64_t calls, faults;
	int64_t resident; /* bytes */
};

struct mp_rate {
	double calls, faults; /* a second */
	int64_t resident;     /* bytes a second */
};

struct mp_rates {
	struct mp_rate all;
	double seconds; /* between the last two; 0: there was one only */
	uint64_t now_ns;
	struct mp_sample *now, *before; /* by key */
	size_t nr_now, nr_before;
};

/* Takes the @nr samples at @now over; they are put in order of their keys. */
void mp_rates__update(struct mp_rates *rates, struct mp_sample *now, size_t nr, uint64_t now_ns);
struct mp_rate mp_rates__of(const struct mp_rates *rates, uint64_t key);
void mp_rates__fini(struct mp_rates *rates);

/* FNV-1a of a row's label. */
uint64_t mp_rates_key(const char *label);

#endif
