/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rows of the table: sites put together by the frame that they are shown by. */
#ifndef MP_VIEW_ROWS_H
#define MP_VIEW_ROWS_H

#include "view/view.h"

struct mp_table_row {
	struct mp_site sum;         /* of all its sites; what is not a number is the first one's */
	const struct mp_site *site; /* that has most of what is sorted by */
	size_t sites;
	uint64_t metric; /* what it is sorted by */
};

/*
 * Largest first by @opts->sort, then by the lowest site id; with @opts->stacks one row a site. *@nr:
 * how many. The caller frees the array. NULL: no memory.
 */
struct mp_table_row *mp_rows_make(const struct mp_report *r, struct mp_symbols *sym,
				  const struct mp_view_opts *opts, size_t *nr);

#endif
