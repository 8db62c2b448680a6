// SPDX-License-Identifier: GPL-2.0-or-later
/* Cross-checks of the model against itself; tests call it between events. */
#include <stdlib.h>

#include "model/inside.h"

/* What the running sums of a site ought to be. */
struct sums {
	uint64_t blocks, bytes, mapped;
};

static bool add_blocks(struct sums *sums, const struct mp_process *p)
{
	struct mp_blocks_iter it;
	struct mp_blk blk;

	if (mp_blocks_iter__init(&it, &p->blocks))
		return false;
	while (mp_blocks_iter__next(&it, &blk)) {
		sums[blk.site].blocks++;
		sums[blk.site].bytes += blk.end - blk.start;
	}
	mp_blocks_iter__fini(&it);
	return true;
}

/* False if mappings overlap or are out of order. */
static bool add_mappings(struct sums *sums, const struct mp_process *p)
{
	struct mp_omap_iter it = mp_omap__iter(&p->ranges.mappings);
	const struct mp_mapping *map;
	uint64_t edge = 0;

	while ((map = mp_omap_iter__next(&it))) {
		if (map->span.start < edge || map->span.end <= map->span.start)
			return false;
		edge = map->span.end;
		if (map->anon && !mp_mapping_is_heap(map))
			sums[map->site].mapped += map->span.end - map->span.start;
	}
	return true;
}

static bool ordered(const struct mp_omap *map)
{
	struct mp_omap_iter it = mp_omap__iter(map);
	const struct mp_span *s;
	uint64_t edge = 0, n = 0;

	for (; (s = mp_omap_iter__next(&it)); n++) {
		if (s->start < edge || s->end <= s->start)
			return false;
		edge = s->end;
	}
	return n == map->n;
}

static const char *check_sums(const struct mp_model *m, const struct sums *sums)
{
	size_t i;

	for (i = 0; i < m->sites.n; i++) {
		const struct mp_site_rec *rec = &m->sites.recs[i];

		if (rec->live_blocks != sums[i].blocks || rec->live_bytes != sums[i].bytes)
			return "a site's live sums are not its blocks'";
		if (rec->mapped_bytes != sums[i].mapped)
			return "a site's mapped bytes are not its mappings'";
	}
	return NULL;
}

const char *mp_model_check(struct mp_model *m)
{
	struct sums *sums = calloc(m->sites.n, sizeof(*sums));
	const char *wrong = sums ? NULL : "no memory";
	size_t i;

	for (i = 0; i < m->nr_procs && !wrong; i++) {
		const struct mp_process *p = m->procs[i];

		if (!mp_blocks__sound(&p->blocks))
			wrong = "blocks are out of order, overlap, or are miscounted";
		else if (!add_blocks(sums, p) || !add_mappings(sums, p))
			wrong = "mappings overlap";
		else if (!ordered(&p->ranges.vmas) || !ordered(&p->ranges.heaps))
			wrong = "VMAs overlap";
	}
	if (!wrong)
		wrong = check_sums(m, sums);
	if (!wrong && !mp_ledger__sound(&m->ledger))
		wrong = "pages and PFN index disagree";
	free(sums);
	return wrong;
}
