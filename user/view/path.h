/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a report holds of one site: its VMAs, its pages and some of them as examples. */
#ifndef MP_VIEW_PATH_H
#define MP_VIEW_PATH_H

#include "model/model.h"

#define MP_PATH_VMAS     3
#define MP_PATH_EXAMPLES 3
#define MP_PATH_ZONES    8

struct mp_path {
	struct {
		const struct mp_vma *vma;
		uint32_t pid;
		uint64_t bytes; /* of the site: blocks that begin in it, or the mapping */
	} vmas[MP_PATH_VMAS];   /* most bytes first */
	size_t nr_vmas, more_vmas;
	uint64_t states[MP_STATE_GONE + 1]; /* pages by enum mp_state */
	uint64_t zones[MP_PATH_ZONES];      /* present pages; zones above are counted in the last */
	const struct mp_page *examples[MP_PATH_EXAMPLES]; /* present ones, by address */
	size_t nr_examples;
};

/* Needs a report with pages and blocks. 0 or -ENOMEM. @path points into @r. */
int mp_path_find(const struct mp_report *r, const struct mp_site *site, struct mp_path *path);

#endif
