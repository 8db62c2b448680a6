// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel module's page walk against the ledger. Nothing of the ledger is put right here: that is
 * left to the reading of pagemap, which comes after. What changed since the walk began, or may have,
 * is no contradiction.
 */
#include <errno.h>

#include "model/inside.h"

static void mismatch(struct mp_model *m, const struct mp_process *p, uint64_t vpn,
		     const struct mp_page_rec *ledger, const struct mp_page_rec *module)
{
	uint64_t n = m->module_mismatches++;

	if (n >= MP_MISMATCHES)
		return;
	m->mismatches[n] = (struct mp_mismatch){ .pid = p->tgid,
						 .addr = vpn << MP_PAGE_SHIFT,
						 .ledger_pfn = ledger ? ledger->pfn : 0,
						 .module_pfn = module ? module->pfn : 0 };
}

/* More system calls came since then than are remembered: nobody knows what they changed. */
static bool forgot_since(const struct mp_process *p, uint64_t since_ns)
{
	return p->nr_recent > MP_RECENT && p->recent[p->nr_recent % MP_RECENT].h.ts_ns > since_ns;
}

static bool younger(const struct mp_process *p, uint64_t vpn, uint64_t since_ns)
{
	uint64_t addr = vpn << MP_PAGE_SHIFT;

	return mp_pages__changed_ns(&p->pages, vpn) > since_ns ||
	       mp_changed_since(p, addr, addr + MP_PAGE_SIZE, since_ns);
}

static bool has_entry(const struct mp_page_rec *rec)
{
	return rec->state == MP_STATE_PRESENT || rec->state == MP_STATE_SHARED_COW ||
	       rec->state == MP_STATE_ZERO;
}

/* What the ledger holds and the walk did not find; a swapped page has no entry to be found. */
static int compare_absent(struct mp_model *m, struct mp_process *p)
{
	bool lost = forgot_since(p, p->walk.begin_ns);
	const struct mp_page_rec *rec;
	struct mp_pages_iter it;
	uint64_t vpn;

	if (mp_pages_iter__init(&it, &p->pages))
		return -ENOMEM;
	while ((rec = mp_pages_iter__next(&it, &vpn))) {
		if (lost || rec->flags & MP_PAGE_SEEN || !has_entry(rec) ||
		    younger(p, vpn, p->walk.begin_ns))
			continue;
		m->module_pages++;
		mismatch(m, p, vpn, rec, NULL);
	}
	mp_pages_iter__fini(&it);
	return 0;
}

static int forget_seen(struct mp_process *p)
{
	struct mp_pages_iter it;
	uint64_t vpn;

	if (mp_pages_iter__init(&it, &p->pages))
		return -ENOMEM;
	while (mp_pages_iter__next(&it, &vpn))
		mp_pages__get(&p->pages, vpn)->flags &= ~MP_PAGE_SEEN;
	mp_pages_iter__fini(&it);
	return 0;
}

int mp_on_witness(struct mp_model *m, struct mp_process *p, const struct mp_ev_witness *ev)
{
	int err;

	if (ev->phase == MP_WITNESS_BEGINS) {
		p->walk.done = false;
		p->walk.open = ev->begin_ns >= p->walk.image_ns;
		p->walk.begin_ns = ev->begin_ns;
		return forget_seen(p);
	}
	if (ev->phase != MP_WITNESS_DONE || !p->walk.open)
		return 0;
	err = compare_absent(m, p);
	p->walk.open = false;
	p->walk.done = !err;
	return err;
}

static void compare(struct mp_model *m, const struct mp_process *p, uint64_t vpn, uint64_t entry,
		    uint64_t begin_ns)
{
	struct mp_page_rec *old = mp_pages__get(&p->pages, vpn);
	struct mp_page_rec now = { .state = mp_entry_state(entry), .pfn = entry & MP_PAGE_PFN };

	if (old)
		old->flags |= MP_PAGE_SEEN;
	if (now.state != MP_STATE_PRESENT && now.state != MP_STATE_ZERO)
		return;
	if (forgot_since(p, begin_ns) || younger(p, vpn, begin_ns))
		return;
	if (!(old && mp_page_agrees(old, &now))) {
		if (mp_freed_since(m, now.pfn, begin_ns))
			return;
		mismatch(m, p, vpn, old, &now);
	}
	m->module_pages++;
}

void mp_on_witness_pages(struct mp_model *m, struct mp_process *p, const struct mp_ev_pages *ev)
{
	uint64_t vpn = ev->addr >> MP_PAGE_SHIFT, i;

	if (!p->walk.open || ev->begin_ns < p->walk.begin_ns)
		return;
	/* a run is a 2 MiB mapping at most */
	for (i = 0; i < ev->nr && i < 512 && vpn + i < MP_ADDR_END >> MP_PAGE_SHIFT; i++)
		compare(m, p, vpn + i,
			ev->contig ? mp_entry_nth(ev->entries[0], i) : ev->entries[i],
			ev->begin_ns);
}
