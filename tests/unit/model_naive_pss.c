// SPDX-License-Identifier: GPL-2.0-or-later
/* The naive model's Pss. */
#include "model_naive.h"
#include "model_naive_inside.h"

int64_t naive_pss(const struct naive *n, const struct proc *p)
{
	uint64_t sum = 0, count;
	int i, j, k;

	for (i = 0; i < NAIVE_PAGES; i++) {
		const struct page *g = &p->pages[i];

		if (!g->there || g->state == MP_STATE_ZERO || g->state == MP_STATE_SWAPPED)
			continue;
		count = g->state == MP_STATE_PRESENT;
		for (j = 0; g->state != MP_STATE_PRESENT && j < NAIVE_PROCS; j++)
			for (k = 0; !n->procs[j].exited && k < NAIVE_PAGES; k++)
				count += naive_indexed(g) && naive_indexed(&n->procs[j].pages[k]) &&
					 n->procs[j].pages[k].pfn == g->pfn;
		if (g->state == MP_STATE_SHARED_COW && count < 2)
			return MP_UNKNOWN;
		sum += (MP_PAGE_SIZE << 12) / count;
	}
	return (int64_t)(sum >> 12);
}
