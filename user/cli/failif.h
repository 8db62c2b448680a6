/* SPDX-License-Identifier: GPL-2.0-or-later */
/* --fail-if 'site_coverage<0.9': a report as a check in somebody's CI. */
#ifndef MP_CLI_FAILIF_H
#define MP_CLI_FAILIF_H

#include <stdbool.h>

#include "model/model.h"

struct mp_failif {
	char metric[32];
	bool less, equal; /* < <= > >= */
	double bound;
};

/* "METRIC<NUMBER" (or <=, >, >=) into *@f; 0, or -EINVAL: no such metric, no number. */
int mp_failif_parse(const char *text, struct mp_failif *f);
/* Every metric's name, for messages. */
const char *mp_failif_metrics(void);
/*
 * True if the condition holds. *@value is the metric: for a share the mean over the processes,
 * weighted by Rss; for bytes and counts the sum. A metric that is not known never holds: *@value NaN.
 */
bool mp_failif_holds(const struct mp_failif *f, const struct mp_report *r, double *value);

#endif
