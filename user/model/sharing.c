// SPDX-License-Identifier: GPL-2.0-or-later
/* Which pages are shared, and how much of a process's memory is its own share. */
#include <errno.h>

#include "model/inside.h"

/*
 * pagemap tells whether others map a page too. It is the only one who does of those with whom a
 * process shared its pages when it was attached to, and of the end of a child that is not followed.
 * What has happened since the reading began stands; and what is known of a huge page, for where it is
 * mapped whole pagemap tells all its pages what holds for the first (before 6.11, pagemap_pmd_range()).
 */
void mp_sharing_learn(const struct mp_process *p, struct mp_page_rec *rec, uint64_t entry,
		      const struct mp_ev_pages *ev)
{
	bool shared = entry & MP_PAGE_SHARED, was = rec->state == MP_STATE_SHARED_COW;
	uint64_t since_ns = shared ? p->pages.unshared_ns : p->pages.forked_ns;

	if (rec->order == 9 && ev->source == MP_SRC_CHECK)
		return;
	if (ev->shares && shared != was && (was || rec->state == MP_STATE_PRESENT) &&
	    since_ns < ev->begin_ns)
		rec->state = shared ? MP_STATE_SHARED_COW : MP_STATE_PRESENT;
}

#define PSS_SHIFT 12 /* of the fractions, as in the kernel's own sum (fs/proc/task_mmu.c) */

int64_t mp_sharing_pss(const struct mp_process *p)
{
	const struct mp_pfns *pfns = &p->pages.ledger->pfns;
	const struct mp_page_rec *rec;
	struct mp_pages_iter it;
	uint64_t vpn, sum = 0, n;
	bool known = true;

	if (mp_pages_iter__init(&it, &p->pages))
		return MP_UNKNOWN;
	while (known && (rec = mp_pages_iter__next(&it, &vpn))) {
		if (rec->state != MP_STATE_PRESENT && rec->state != MP_STATE_SHARED_COW)
			continue;
		n = rec->state == MP_STATE_PRESENT ? 1 : mp_pfns__nr(pfns, rec->pfn);
		/* shared, and with nobody who is traced */
		known = n > (rec->state == MP_STATE_SHARED_COW);
		sum += known ? (MP_PAGE_SIZE << PSS_SHIFT) / n : 0;
	}
	mp_pages_iter__fini(&it);
	return known ? (int64_t)(sum >> PSS_SHIFT) : MP_UNKNOWN;
}

int mp_on_pss(struct mp_process *p, const struct mp_ev_pss *ev)
{
	p->reading.pss = ev->pss_bytes < INT64_MAX ? (int64_t)ev->pss_bytes : MP_UNKNOWN;
	return 0;
}
