/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sites put together by the frame that they are shown by, with two numbers of each. */
#ifndef MP_VIEW_GROUPS_H
#define MP_VIEW_GROUPS_H

#include "view/frames.h"

struct mp_group {
	const struct mp_site *site; /* the first of them */
	const struct mp_place *place;
	size_t inlined;
	uint64_t n, bytes;
};

/* Fills in @n and @bytes of the group of one site, @g->site; @n 0: it is left out. */
typedef void (*mp_weigh_fn)(const void *ctx, struct mp_group *g);

/* By @n, largest first. The caller frees the array. NULL: no memory. */
struct mp_group *mp_groups_make(const struct mp_report *r, mp_weigh_fn weigh, const void *ctx,
				struct mp_symbols *sym, const struct mp_view_opts *opts,
				size_t *nr);

#endif
