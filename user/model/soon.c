// SPDX-License-Identifier: GPL-2.0-or-later
/* What applying an event will need is asked for from memory before its turn comes. */
#include "model/inside.h"

/* The process, without making one. */
static struct mp_process *known(const struct mp_model *m, uint32_t tgid)
{
	return m->last && m->last->tgid == tgid ? m->last : mp_map__get(&m->by_tgid, tgid);
}

static void soon_alloc(const struct mp_model *m, struct mp_process *p, const struct mp_ev_alloc *ev,
		       int near)
{
	mp_blocks__soon(&p->blocks, ev->addr, near);
	if (near == 0)
		mp_map__soon(&m->resolved, mp_stack_key(p, ev->stack));
	else if (near == 1)
		mp_sites__soon(&m->sites, mp_site_kept(m, p, ev->stack));
}

static void soon_end(const struct mp_model *m, struct mp_process *p, uint64_t addr, int near)
{
	mp_blocks__soon(&p->blocks, addr, near);
	if (near == 2)
		mp_sites__soon(&m->sites, mp_blocks__site(&p->blocks, addr));
}

void mp_model__soon(const struct mp_model *m, const struct mp_ev *ev, int near)
{
	struct mp_process *p;

	if (ev->type < MP_EV_ALLOC || ev->type > MP_EV_REALLOC_DONE)
		return;
	p = known(m, ev->tgid);
	if (!p)
		return;
	if (ev->type == MP_EV_FREE || ev->type == MP_EV_REALLOC)
		soon_end(m, p, ((const struct mp_ev_free *)ev)->addr, near);
	else
		soon_alloc(m, p, (const struct mp_ev_alloc *)ev, near);
}
