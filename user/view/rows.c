// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/rows.h"

#include <search.h>
#include <stdlib.h>

#include "view/frames.h"
#include "view/order.h"

/* What makes two sites one row. */
struct key {
	const struct mp_place *place;
	size_t inlined;
	bool mapping;
	struct mp_table_row *row;
};

static int compare(const void *p, const void *q)
{
	const struct key *a = p, *b = q;

	if (a->place != b->place)
		return a->place < b->place ? -1 : 1;
	if (a->inlined != b->inlined)
		return a->inlined < b->inlined ? -1 : 1;
	return a->mapping - b->mapping;
}

/* What the table shows and what rows are sorted by. */
static void add(struct mp_site *sum, const struct mp_site *s)
{
	int i;

	sum->calls += s->calls;
	sum->frees += s->frees;
	sum->live_bytes += s->live_bytes;
	sum->resident_bytes += s->resident_bytes;
	sum->charged_bytes += s->charged_bytes;
	sum->untouched_bytes += s->untouched_bytes;
	if (s->pinned != MP_UNKNOWN)
		sum->pinned = sum->pinned == MP_UNKNOWN ? s->pinned : sum->pinned + s->pinned;
	sum->fault_ns += s->fault_ns;
	sum->timed_faults += s->timed_faults;
	for (i = 0; i < MP_KIND_NR; i++)
		sum->faults[i] += s->faults[i];
}

static int larger_first(const void *a, const void *b)
{
	const struct mp_table_row *x = a, *y = b;

	if (x->metric != y->metric)
		return x->metric < y->metric ? 1 : -1;
	if (x->sum.resident_bytes != y->sum.resident_bytes)
		return x->sum.resident_bytes < y->sum.resident_bytes ? 1 : -1;
	return x->sum.id < y->sum.id ? -1 : x->sum.id > y->sum.id;
}

static struct key key_of(const struct mp_site *s, struct mp_symbols *sym,
			 const struct mp_view_opts *opts)
{
	struct mp_frames f;

	mp_frames_shown(&f, s, sym, opts);
	return (struct key){ f.frame->place, f.inlined, s->mapping, NULL };
}

static void keep(void *key)
{
	(void)key;
}

/* Puts the @n sites, largest first, into rows. How many, or 0 without memory. */
static size_t put_together(const struct mp_site **sites, size_t n, struct mp_symbols *sym,
			   const struct mp_view_opts *opts, struct mp_table_row *rows,
			   struct key *keys)
{
	struct mp_table_row *row;
	struct key **found;
	void *tree = NULL;
	size_t i, nr = 0;

	for (i = 0; i < n; i++) {
		keys[i] = key_of(sites[i], sym, opts);
		found = tsearch(&keys[i], &tree, compare);
		if (!found) {
			nr = 0;
			break;
		}
		row = (*found)->row;
		if (row) {
			add(&row->sum, sites[i]);
			if (sites[i]->id < row->sum.id)
				row->sum.id = sites[i]->id;
			row->sites++;
			continue;
		}
		row = &rows[nr++];
		*row = (struct mp_table_row){ .sum = *sites[i], .site = sites[i], .sites = 1 };
		keys[i].row = row;
	}
	tdestroy(tree, keep);
	return nr;
}

struct mp_table_row *mp_rows_make(const struct mp_report *r, struct mp_symbols *sym,
				  const struct mp_view_opts *opts, size_t *nr)
{
	const struct mp_site **sites;
	struct mp_table_row *rows;
	struct key *keys;
	size_t i, n;

	sites = mp_order_sites(r, opts->sort, &n);
	rows = calloc(n + 1, sizeof(*rows));
	keys = calloc(n + 1, sizeof(*keys));
	*nr = n;
	for (i = 0; sites && rows && opts->stacks && i < n; i++)
		rows[i] = (struct mp_table_row){ .sum = *sites[i], .site = sites[i], .sites = 1 };
	if (sites && rows && keys && !opts->stacks)
		*nr = put_together(sites, n, sym, opts, rows, keys);
	if (!sites || !rows || !keys || (n && !*nr)) {
		free(rows);
		rows = NULL;
		*nr = 0;
	}
	free(sites);
	free(keys);
	for (i = 0; i < *nr; i++)
		rows[i].metric = mp_order_metric(&rows[i].sum, opts->sort);
	if (rows)
		qsort(rows, *nr, sizeof(*rows), larger_first);
	return rows;
}
