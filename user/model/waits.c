// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/model.h"

void mp_waits_add(struct mp_waits *to, const struct mp_waits *n)
{
	to->reclaims += n->reclaims;
	to->reclaim_ns += n->reclaim_ns;
	to->memcg_reclaims += n->memcg_reclaims;
	to->memcg_ns += n->memcg_ns;
	to->compactions += n->compactions;
	to->compact_ns += n->compact_ns;
	to->wakes += n->wakes;
	to->unmet += n->unmet;
	to->unmet_memcg += n->unmet_memcg;
}

void mp_waits_count(struct mp_waits *w, const struct mp_ev_stall *ev)
{
	w->reclaims += ev->reclaims;
	w->reclaim_ns += ev->reclaim_ns;
	w->memcg_reclaims += ev->memcg_reclaims;
	w->memcg_ns += ev->memcg_ns;
	w->compactions += ev->compactions;
	w->compact_ns += ev->compact_ns;
	w->wakes += ev->wakes;
	w->unmet += !!ev->unmet;
	w->unmet_memcg += ev->unmet == MP_UNMET_CGROUP;
}
