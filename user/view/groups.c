// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/groups.h"

#include <stdlib.h>

static int by_place(const void *a, const void *b)
{
	const struct mp_group *x = a, *y = b;

	if (x->place != y->place)
		return x->place < y->place ? -1 : 1;
	if (x->inlined != y->inlined)
		return x->inlined < y->inlined ? -1 : 1;
	return x->site->id < y->site->id ? -1 : x->site->id > y->site->id;
}

static int larger_first(const void *a, const void *b)
{
	const struct mp_group *x = a, *y = b;

	if (x->n != y->n)
		return x->n < y->n ? 1 : -1;
	return x->site->id < y->site->id ? -1 : x->site->id > y->site->id;
}

/* Neighbours of one place become one. How many are left. */
static size_t join(struct mp_group *g, size_t n)
{
	size_t i, last = 0;

	for (i = 1; i < n; i++) {
		if (g[i].place != g[last].place || g[i].inlined != g[last].inlined) {
			g[++last] = g[i];
			continue;
		}
		g[last].n += g[i].n;
		g[last].bytes += g[i].bytes;
	}
	return n ? last + 1 : 0;
}

struct mp_group *mp_groups_make(const struct mp_report *r, mp_weigh_fn weigh, const void *ctx,
				struct mp_symbols *sym, const struct mp_view_opts *opts, size_t *nr)
{
	struct mp_group *groups = calloc(r->nr_sites + 1, sizeof(*groups));
	struct mp_frames f;
	size_t i, n = 0;

	for (i = 0; groups && i < r->nr_sites; i++) {
		struct mp_group g = { .site = &r->sites[i] };

		weigh(ctx, &g);
		if (!g.n)
			continue;
		mp_frames_shown(&f, g.site, sym, opts);
		g.place = f.frame->place;
		g.inlined = f.inlined;
		groups[n++] = g;
	}
	if (!groups)
		return NULL;
	qsort(groups, n, sizeof(*groups), by_place);
	*nr = join(groups, n);
	qsort(groups, *nr, sizeof(*groups), larger_first);
	return groups;
}
