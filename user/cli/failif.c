// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/failif.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum kind { SHARE, BYTES, LOSS };

#define BOOK(name, kind, field)                              \
	{                                                    \
		name, kind, offsetof(struct mp_books, field) \
	}
#define LOST(name)                                          \
	{                                                   \
#name, LOSS, offsetof(struct mp_loss, name) \
	}

static const struct {
	const char *name;
	enum kind kind;
	size_t offset;
} metrics[] = {
	BOOK("coverage", SHARE, coverage),
	BOOK("site_coverage", SHARE, site_coverage),
	BOOK("rss_bytes", BYTES, rss),
	BOOK("block_bytes", BYTES, block),
	BOOK("retained_bytes", BYTES, retained),
	BOOK("unexplained_bytes", BYTES, unexplained),
	LOST(events_dropped),
	LOST(frees_lost),
	LOST(frees_unmatched),
	LOST(returns_missed),
	LOST(moved_unseen_pages),
};
#define NR (sizeof(metrics) / sizeof(metrics[0]))

const char *mp_failif_metrics(void)
{
	return "coverage, site_coverage, rss_bytes, block_bytes, retained_bytes, unexplained_bytes, "
	       "events_dropped, frees_lost, frees_unmatched, returns_missed, moved_unseen_pages";
}

static int find(const char *name)
{
	for (size_t i = 0; i < NR; i++)
		if (!strcmp(metrics[i].name, name))
			return i;
	return -EINVAL;
}

int mp_failif_parse(const char *text, struct mp_failif *f)
{
	size_t len = strcspn(text, "<>");
	const char *number = text + len;
	char *end;

	if (!*number || len >= sizeof(f->metric))
		return -EINVAL;
	memcpy(f->metric, text, len);
	f->metric[len] = 0;
	f->less = *number++ == '<';
	f->equal = *number == '=';
	number += f->equal;
	f->bound = strtod(number, &end);
	if (end == number || *end || !isfinite(f->bound))
		return -EINVAL;
	return find(f->metric) < 0 ? -EINVAL : 0;
}

static double share(const struct mp_report *r, size_t offset)
{
	double sum = 0, weight = 0;

	for (size_t i = 0; i < r->nr_procs; i++) {
		const struct mp_books *b = &r->procs[i].books;
		double v = *(const double *)((const char *)b + offset);

		if (isnan(v) || b->rss == MP_UNKNOWN)
			continue;
		sum += v * (double)b->rss;
		weight += (double)b->rss;
	}
	return weight > 0 ? sum / weight : NAN;
}

static double bytes(const struct mp_report *r, size_t offset)
{
	double sum = NAN;

	for (size_t i = 0; i < r->nr_procs; i++) {
		int64_t v = *(const int64_t *)((const char *)&r->procs[i].books + offset);

		if (v != MP_UNKNOWN)
			sum = (isnan(sum) ? 0 : sum) + (double)v;
	}
	return sum;
}

static double value_of(int metric, const struct mp_report *r)
{
	size_t offset = metrics[metric].offset;

	if (metrics[metric].kind == SHARE)
		return share(r, offset);
	if (metrics[metric].kind == BYTES)
		return bytes(r, offset);
	return (double)*(const uint64_t *)((const char *)&r->loss + offset);
}

bool mp_failif_holds(const struct mp_failif *f, const struct mp_report *r, double *value)
{
	*value = value_of(find(f->metric), r);
	if (isnan(*value))
		return false;
	if (f->equal && *value == f->bound)
		return true;
	return f->less ? *value < f->bound : *value > f->bound;
}
