// SPDX-License-Identifier: GPL-2.0-or-later
/* What applying an event will need is asked for from memory before its turn comes. */
#include "base/soon.h"
#include "model/inside.h"

/* The process, without making one. */
static const struct mp_process *known(const struct mp_model *m, uint32_t tgid)
{
	return m->last && m->last->tgid == tgid ? m->last : mp_map__get(&m->by_tgid, tgid);
}

static bool is_alloc(const struct mp_ev *ev)
{
	return ev->type == MP_EV_ALLOC || ev->type == MP_EV_REALLOC_DONE;
}

/* The process in which @ev is about a block at *@addr, or NULL. */
static const struct mp_process *about(const struct mp_model *m, const struct mp_ev *ev,
				      uint64_t *addr)
{
	_Static_assert(offsetof(struct mp_ev_alloc, addr) == offsetof(struct mp_ev_free, addr),
		       "of both");
	if (!ev || ev->type < MP_EV_ALLOC || ev->type > MP_EV_REALLOC_DONE)
		return NULL;
	*addr = ((const struct mp_ev_free *)ev)->addr;
	return known(m, ev->tgid);
}

static uint32_t stack_of(const struct mp_ev *ev)
{
	return ((const struct mp_ev_alloc *)ev)->stack;
}

static void far(const struct mp_model *m, const struct mp_ev *ev)
{
	uint64_t addr;
	const struct mp_process *p = about(m, ev, &addr);

	if (!p)
		return;
	mp_blocks__soon_leaf(&p->blocks, addr);
	if (is_alloc(ev))
		mp_map__soon(&m->resolved, mp_stack_key(p, stack_of(ev)));
}

static void mid(const struct mp_model *m, const struct mp_ev *ev)
{
	uint64_t addr;
	const struct mp_process *p = about(m, ev, &addr);

	if (!p)
		return;
	mp_blocks__soon_block(&p->blocks, addr);
	if (is_alloc(ev))
		mp_sites__soon(&m->sites, mp_site_kept(m, p, stack_of(ev)));
}

static void near(const struct mp_model *m, const struct mp_ev *ev)
{
	uint64_t addr;
	const struct mp_process *p = about(m, ev, &addr);

	if (p && !is_alloc(ev))
		mp_sites__soon(&m->sites, mp_blocks__site(&p->blocks, addr));
}

void mp_model__soon(const struct mp_model *m, const struct mp_ev *const *next)
{
	far(m, next[MP_SOON_FAR]);
	mid(m, next[MP_SOON_MID]);
	near(m, next[MP_SOON_NEAR]);
}
