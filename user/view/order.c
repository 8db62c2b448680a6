// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/order.h"

#include <stdlib.h>

struct row {
	uint64_t metric;
	const struct mp_site *site;
};

uint64_t mp_order_faults(const uint64_t faults[MP_KIND_NR])
{
	uint64_t sum = 0;
	int i;

	for (i = 0; i < MP_KIND_NR; i++)
		sum += faults[i];
	return sum;
}

uint64_t mp_order_metric(const struct mp_site *site, enum mp_sort sort)
{
	switch (sort) {
	case MP_SORT_RESIDENT:
		return site->resident_bytes;
	case MP_SORT_CHARGED:
		return site->charged_bytes;
	case MP_SORT_LIVE:
		return site->live_bytes;
	case MP_SORT_UNTOUCHED:
		return site->untouched_bytes;
	case MP_SORT_FAULTS:
		return mp_order_faults(site->faults);
	case MP_SORT_FAULT_NS:
		return site->fault_ns;
	case MP_SORT_CALLS:
		return site->calls;
	case MP_SORT_PINNED:
		return site->pinned > 0 ? (uint64_t)site->pinned : 0;
	case MP_SORT_NR:
		break;
	}
	return 0;
}

static int larger_first(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->metric != y->metric)
		return x->metric < y->metric ? 1 : -1;
	if (x->site->resident_bytes != y->site->resident_bytes)
		return x->site->resident_bytes < y->site->resident_bytes ? 1 : -1;
	return x->site->id < y->site->id ? -1 : x->site->id > y->site->id;
}

static bool owns(const struct mp_site *s)
{
	return s->calls || s->failed || s->live_blocks || s->live_bytes || s->resident_bytes ||
	       mp_order_faults(s->faults);
}

const struct mp_site **mp_order_sites(const struct mp_report *r, enum mp_sort sort, size_t *nr)
{
	const struct mp_site **sites;
	struct row *rows;
	size_t i, n = 0;

	sites = calloc(r->nr_sites + 1, sizeof(*sites));
	rows = calloc(r->nr_sites + 1, sizeof(*rows));
	if (!sites || !rows) {
		free(sites);
		free(rows);
		return NULL;
	}
	for (i = 0; i < r->nr_sites; i++) {
		if (!owns(&r->sites[i]))
			continue;
		rows[n].site = &r->sites[i];
		rows[n++].metric = mp_order_metric(&r->sites[i], sort);
	}
	qsort(rows, n, sizeof(*rows), larger_first);
	for (i = 0; i < n; i++)
		sites[i] = rows[i].site;
	free(rows);
	*nr = n;
	return sites;
}
