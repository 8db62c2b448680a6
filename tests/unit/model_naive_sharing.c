// SPDX-License-Identifier: GPL-2.0-or-later
/* The obvious model: who shares which page. */
#include "model_naive_inside.h"

/* A mapping of @pfn that was shared is gone: if one is left, its owner has it alone. */
void naive_unshare(struct naive *n, uint64_t pfn)
{
	struct page *only = NULL;
	struct proc *owner = NULL;
	int p, i, count = 0;

	for (p = 0; p < NAIVE_PROCS; p++)
		for (i = 0; !n->procs[p].exited && i < NAIVE_PAGES; i++)
			if (naive_indexed(&n->procs[p].pages[i]) &&
			    n->procs[p].pages[i].pfn == pfn) {
				count++;
				owner = &n->procs[p];
				only = &owner->pages[i];
			}
	if (count != 1 || only->state != MP_STATE_SHARED_COW || only->t_ns <= owner->shared_ns)
		return;
	only->state = MP_STATE_PRESENT;
	owner->unshared_ns = n->now_ns;
}

/* What a reading says of those who share a page, unless that has changed since. */
void naive_learn_sharing(const struct proc *p, struct page *g, const struct mp_ev_pages *ev,
			 uint64_t e)
{
	if (!ev->shares || (g->order == 9 && ev->source == MP_SRC_CHECK))
		return;
	if (e & MP_PAGE_SHARED && g->state == MP_STATE_PRESENT && p->unshared_ns < ev->begin_ns)
		g->state = MP_STATE_SHARED_COW;
	else if (!(e & MP_PAGE_SHARED) && g->state == MP_STATE_SHARED_COW &&
		 p->forked_ns < ev->begin_ns)
		g->state = MP_STATE_PRESENT;
}
