// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/metric.h"

#include <errno.h>
#include <string.h>

#include "view/order.h"

static const struct mp_metric metrics[MP_SORT_NR] = {
	[MP_SORT_RESIDENT] = { "resident", "resident bytes", "bytes" },
	[MP_SORT_CHARGED] = { "charged", "charged bytes", "bytes" },
	[MP_SORT_LIVE] = { "live", "live bytes", "bytes" },
	[MP_SORT_UNTOUCHED] = { "untouched", "untouched bytes", "bytes" },
	[MP_SORT_FAULTS] = { "faults", "page faults", "count" },
	[MP_SORT_FAULT_NS] = { "fault-ns", "fault time", "nanoseconds" },
	[MP_SORT_CALLS] = { "calls", "calls", "count" },
	[MP_SORT_PINNED] = { "pinned", "pinned bytes", "bytes" },
};

const struct mp_metric *mp_metric(enum mp_sort sort)
{
	return &metrics[sort];
}

const char *mp_sort_name(enum mp_sort sort)
{
	return sort < MP_SORT_NR ? metrics[sort].word : "?";
}

int mp_sort_parse(const char *word, enum mp_sort *sort)
{
	size_t i;

	for (i = 0; i < MP_SORT_NR; i++) {
		if (!strcmp(metrics[i].word, word)) {
			*sort = i;
			return 0;
		}
	}
	return -EINVAL;
}

struct mp_text mp_metric_text(enum mp_sort sort, int64_t n, bool plain)
{
	switch (*metrics[sort].unit) {
	case 'b':
		return mp_units_bytes(n, plain);
	case 'n':
		return mp_units_ns(n, plain);
	}
	return mp_units_count(n);
}

struct mp_unknown mp_unknown_find(const struct mp_report *r)
{
	uint64_t book = 0, sited = 0, blocks = 0, sited_blocks = 0;
	size_t i;

	for (i = 0; i < r->nr_procs; i++) {
		if (r->procs[i].books.block > 0)
			book += r->procs[i].books.block;
		blocks += r->procs[i].live_blocks;
	}
	for (i = 0; i < r->nr_sites; i++) {
		sited += r->sites[i].mapping ? 0 : r->sites[i].resident_bytes;
		sited_blocks += r->sites[i].live_blocks;
	}
	return (struct mp_unknown){
		.resident_bytes = book > sited ? book - sited : 0,
		.live_blocks = blocks > sited_blocks ? blocks - sited_blocks : 0,
	};
}

uint64_t mp_unknown_metric(const struct mp_unknown *u, enum mp_sort sort)
{
	return sort == MP_SORT_RESIDENT ? u->resident_bytes : 0;
}

uint64_t mp_metric_add(uint64_t a, uint64_t b)
{
	return __builtin_add_overflow(a, b, &a) ? UINT64_MAX : a;
}

uint64_t mp_metric_total(const struct mp_report *r, enum mp_sort sort)
{
	const struct mp_unknown unknown = mp_unknown_find(r);
	uint64_t sum = mp_unknown_metric(&unknown, sort);
	size_t i;

	for (i = 0; i < r->nr_sites; i++)
		sum = mp_metric_add(sum, mp_order_metric(&r->sites[i], sort));
	return sum;
}
