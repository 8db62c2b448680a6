/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How pages.h keeps them: for pages.c and pages_iter.c alone. */
#ifndef MP_MODEL_PAGES_INSIDE_H
#define MP_MODEL_PAGES_INSIDE_H

#include "model/pages.h"

#define REGION 64 /* pages */

struct region {
	uint64_t live;      /* bit a page: held; other records keep only t_ns, when the page went */
	uint64_t newest_ns; /* last time a page of it went */
	struct mp_page_rec rec[REGION];
};

static inline bool mapped(const struct mp_page_rec *rec)
{
	return rec->state == MP_STATE_PRESENT || rec->state == MP_STATE_SHARED_COW;
}

/* The zero page is everybody's: it is not in the index. */
static inline bool indexed(const struct mp_pages *ps, const struct mp_page_rec *rec)
{
	return !ps->closed && rec->pfn && mapped(rec);
}

static inline struct mp_ref ref_of(const struct mp_pages *ps, uint64_t vpn)
{
	return (struct mp_ref){ .space = ps->space, .vpn = vpn };
}

static inline struct mp_page_rec *held(const struct region *r, uint64_t vpn)
{
	return r && r->live >> vpn % REGION & 1 ? (struct mp_page_rec *)&r->rec[vpn % REGION]
						: NULL;
}

#endif
