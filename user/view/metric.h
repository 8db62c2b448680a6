/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What --metric and --sort can name, and what of it has no site. */
#ifndef MP_VIEW_METRIC_H
#define MP_VIEW_METRIC_H

#include "view/units.h"
#include "view/view.h"

struct mp_metric {
	const char *word;  /* on the command line */
	const char *title; /* for people */
	const char *unit;  /* "bytes", "nanoseconds" or "count" */
};

const struct mp_metric *mp_metric(enum mp_sort sort);
/* @n in the metric's unit; @plain: the number alone. */
struct mp_text mp_metric_text(enum mp_sort sort, int64_t n, bool plain);

/*
 * Blocks without a known site have no entry in the report: they are what the books hold beyond the
 * sites. Mappings are not part of the books' blocks.
 */
struct mp_unknown {
	uint64_t resident_bytes, live_blocks;
};
struct mp_unknown mp_unknown_find(const struct mp_report *r);
/* What they have of the metric; 0 also where that is not known. */
uint64_t mp_unknown_metric(const struct mp_unknown *u, enum mp_sort sort);

/* Saturates. */
uint64_t mp_metric_add(uint64_t a, uint64_t b);
/* Over all sites, and what has none: the same in every view of a report. Saturates. */
uint64_t mp_metric_total(const struct mp_report *r, enum mp_sort sort);

#endif
