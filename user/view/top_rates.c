// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/top_rates.h"

#include <stdlib.h>

uint64_t mp_rates_key(const char *label)
{
	uint64_t hash = 0xcbf29ce484222325U; /* FNV-1a, 64 bits (RFC 9923) */

	for (; *label; label++)
		hash = (hash ^ (unsigned char)*label) * 0x100000001b3U;
	return hash;
}

static int by_key(const void *a, const void *b)
{
	const struct mp_sample *x = a, *y = b;

	return x->key < y->key ? -1 : x->key > y->key;
}

static const struct mp_sample *find(const struct mp_sample *list, size_t nr, uint64_t key)
{
	const struct mp_sample sought = { .key = key };

	return nr ? bsearch(&sought, list, nr, sizeof(*list), by_key) : NULL;
}

struct mp_rate mp_rates__of(const struct mp_rates *rates, uint64_t key)
{
	static const struct mp_sample nothing;
	const struct mp_sample *now = find(rates->now, rates->nr_now, key);
	const struct mp_sample *before = find(rates->before, rates->nr_before, key);

	if (!now || rates->seconds <= 0)
		return (struct mp_rate){ 0 };
	if (!before)
		before = &nothing;
	return (struct mp_rate){
		.calls = ((double)now->calls - (double)before->calls) / rates->seconds,
		.faults = ((double)now->faults - (double)before->faults) / rates->seconds,
		.resident = (now->resident - before->resident) / rates->seconds,
	};
}

void mp_rates__update(struct mp_rates *rates, struct mp_sample *now, size_t nr, uint64_t now_ns)
{
	free(rates->before);
	rates->before = rates->now;
	rates->nr_before = rates->nr_now;
	rates->now = now;
	rates->nr_now = nr;
	qsort(now, nr, sizeof(*now), by_key);
	rates->seconds = rates->now_ns ? (now_ns - rates->now_ns) / 1e9 : 0;
	rates->now_ns = now_ns;
	rates->all = (struct mp_rate){ 0 };
	for (size_t i = 0; i < nr; i++) {
		struct mp_rate rate = mp_rates__of(rates, now[i].key);

		rates->all.calls += rate.calls;
		rates->all.faults += rate.faults;
		rates->all.resident += rate.resident;
	}
}

void mp_rates__fini(struct mp_rates *rates)
{
	free(rates->now);
	free(rates->before);
}
