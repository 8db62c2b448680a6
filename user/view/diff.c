// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sites of two runs have other ids and lie at other addresses. They are the same if their frames are:
 * the same offset in the same object, in a function of the same name. Those left over may be of
 * another build, whose offsets are others: of them all with the same functions are one row.
 */
#include "view/diff.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "view/calltree.h"
#include "view/metric.h"
#include "view/order.h"

typedef struct mp_label (*key_fn)(const struct mp_frames *f);

/* The offset first: what does not fit is at the end. */
static struct mp_label by_place(const struct mp_frames *f)
{
	const struct mp_place *place = f->frame->place;
	const char *function = mp_frames_name(f)->function;
	struct mp_label key;

	/* without an object the offset is an address, which says nothing about another run */
	snprintf(key.s, sizeof(key.s), "%" PRIx64 "|%d|%zu|%s|%s",
		 *place->object || !function ? place->offset : 0, place->what == MP_PLACE_SYSCALL,
		 f->inlined, place->object, function ? function : "");
	return key;
}

static struct mp_label by_function(const struct mp_frames *f)
{
	const struct mp_place *place = f->frame->place;
	const char *function = mp_frames_name(f)->function, *slash = strrchr(place->object, '/');
	const char *object = slash ? slash + 1 : place->object;
	struct mp_label key;

	if (!function || !*function)
		return by_place(f);
	snprintf(key.s, sizeof(key.s), "%.*s|%s", (int)strcspn(object, " "), object, function);
	return key;
}

static struct mp_calltree_node *node_of(struct mp_calltree *t, const struct mp_site *site,
					struct mp_symbols *sym, key_fn key)
{
	struct mp_label label;
	struct mp_frames f;
	int err = 0;

	mp_calltree__begin(t);
	if (site->mapping)
		err = mp_calltree__push(t, MP_CALLTREE_MMAP);
	mp_frames_begin(&f, site, sym);
	while (!err && f.frame && t->nr_stack < MP_CALLTREE_DEPTH) {
		label = key(&f);
		err = mp_calltree__push(t, label.s);
		mp_frames_next(&f, sym);
	}
	return err ? NULL : mp_calltree__node(t);
}

static void add_numbers(uint64_t to[MP_METRICS], const uint64_t from[MP_METRICS])
{
	int i;

	for (i = 0; i < MP_METRICS; i++)
		to[i] = mp_metric_add(to[i], from[i]);
}

static void add_row(struct mp_diff_row *to, const struct mp_diff_row *from)
{
	int side;

	if (!to->site || (!to->sites[MP_DIFF_B] && from->sites[MP_DIFF_B]))
		to->site = from->site;
	for (side = 0; side < MP_DIFF_SIDES; side++) {
		to->sites[side] += from->sites[side];
		add_numbers(to->n[side], from->n[side]);
	}
}

static bool one_sided(const struct mp_diff_row *row)
{
	return !row->sites[MP_DIFF_A] || !row->sites[MP_DIFF_B];
}

/*
 * Puts together those of @rows with the same key. The caller frees the array, of *@nr. NULL: no
 * memory.
 */
static struct mp_diff_row *join(const struct mp_diff_row *rows, size_t n, struct mp_symbols *sym,
				key_fn key, size_t *nr)
{
	struct mp_calltree_node **nodes = calloc(n + 1, sizeof(*nodes));
	struct mp_diff_row *joined = NULL;
	struct mp_calltree t;
	size_t i;
	int err = mp_calltree__init(&t);

	for (i = 0; nodes && !err && i < n; i++) {
		nodes[i] = node_of(&t, rows[i].site, sym, key);
		if (!nodes[i])
			err = -ENOMEM;
	}
	if (nodes && !err)
		joined = calloc(t.nr, sizeof(*joined));
	for (i = 0; joined && i < n; i++)
		add_row(&joined[nodes[i]->index], &rows[i]);
	for (i = 0, *nr = 0; joined && i < t.nr; i++)
		if (joined[i].site)
			joined[(*nr)++] = joined[i];
	mp_calltree__fini(&t);
	free(nodes);
	return joined;
}

static struct mp_diff_row row_of(const struct mp_site *site, enum mp_diff_side side)
{
	struct mp_diff_row row = { .site = site };
	int i;

	row.sites[side] = 1;
	for (i = 0; i < MP_METRICS; i++)
		row.n[side][i] = mp_order_metric(site, i);
	return row;
}

/* One row a site of either side. */
static struct mp_diff_row *all_sites(const struct mp_diff *d, size_t *nr)
{
	size_t n = d->reports[MP_DIFF_A]->nr_sites + d->reports[MP_DIFF_B]->nr_sites, i;
	struct mp_diff_row *rows = calloc(n + 1, sizeof(*rows));
	int side;

	*nr = 0;
	for (side = 0; rows && side < MP_DIFF_SIDES; side++)
		for (i = 0; i < d->reports[side]->nr_sites; i++)
			rows[(*nr)++] = row_of(&d->reports[side]->sites[i], side);
	return rows;
}

static void take(struct mp_diff *d, const struct mp_diff_row *row, enum mp_diff_match match)
{
	if (!memcmp(row->n[MP_DIFF_A], row->n[MP_DIFF_B], sizeof(row->n[MP_DIFF_A])))
		return;
	d->rows[d->nr_rows] = *row;
	d->rows[d->nr_rows++].match = match;
}

static void take_unknown(struct mp_diff *d)
{
	struct mp_diff_row row = { .site = NULL };
	struct mp_unknown unknown;
	int side, i;

	for (side = 0; side < MP_DIFF_SIDES; side++) {
		unknown = mp_unknown_find(d->reports[side]);
		for (i = 0; i < MP_METRICS; i++)
			row.n[side][i] = mp_unknown_metric(&unknown, i);
	}
	take(d, &row, MP_DIFF_UNKNOWN);
}

/* Those that both sides have are done with; the others, moved to the front, are left. How many. */
static size_t take_both(struct mp_diff *d, struct mp_diff_row *rows, size_t n,
			enum mp_diff_match match)
{
	size_t i, left = 0;

	for (i = 0; i < n; i++) {
		if (one_sided(&rows[i]))
			rows[left++] = rows[i];
		else
			take(d, &rows[i], match);
	}
	return left;
}

static int match(struct mp_diff *d, struct mp_symbols *sym)
{
	struct mp_diff_row *rows, *places = NULL, *functions = NULL;
	size_t n, left, i;

	rows = all_sites(d, &n);
	d->rows = calloc(n + 1, sizeof(*d->rows));
	if (rows && d->rows)
		places = join(rows, n, sym, by_place, &n);
	if (places) {
		left = take_both(d, places, n, MP_DIFF_PLACES);
		functions = join(places, left, sym, by_function, &n);
	}
	if (functions) {
		left = take_both(d, functions, n, MP_DIFF_FUNCTIONS);
		for (i = 0; i < left; i++)
			take(d, &functions[i], MP_DIFF_ONE_SIDED);
		take_unknown(d);
	}
	free(rows);
	free(places);
	free(functions);
	return functions ? 0 : -ENOMEM;
}

int64_t mp_diff_change(const uint64_t n[MP_DIFF_SIDES][MP_METRICS], enum mp_sort sort)
{
	return mp_units_signed(n[MP_DIFF_B][sort]) - mp_units_signed(n[MP_DIFF_A][sort]);
}

static int largest_first(const void *a, const void *b, void *sort)
{
	const struct mp_diff_row *x = a, *y = b;
	int64_t i = mp_diff_change(x->n, *(enum mp_sort *)sort);
	int64_t k = mp_diff_change(y->n, *(enum mp_sort *)sort);

	if (llabs(i) != llabs(k))
		return llabs(i) < llabs(k) ? 1 : -1;
	if (i != k)
		return i < k ? 1 : -1;
	if (!x->site || !y->site)
		return !x->site - !y->site;
	return x->site->id < y->site->id ? -1 : x->site->id > y->site->id;
}

int mp_diff_make(struct mp_diff *d, struct mp_symbols *sym, const struct mp_view_opts *opts)
{
	enum mp_sort sort = opts->sort < MP_METRICS ? opts->sort : MP_SORT_RESIDENT;
	int side, i, err;

	d->rows = NULL;
	d->nr_rows = 0;
	for (side = 0; side < MP_DIFF_SIDES; side++)
		for (i = 0; i < MP_METRICS; i++)
			d->totals[side][i] = mp_metric_total(d->reports[side], i);
	err = match(d, sym);
	if (!err)
		qsort_r(d->rows, d->nr_rows, sizeof(*d->rows), largest_first, &sort);
	return err;
}

void mp_diff_free(struct mp_diff *d)
{
	free(d->rows);
	d->rows = NULL;
}

void mp_diff_books(const struct mp_diff *d, struct mp_diff_book books[MP_DIFF_BOOKS])
{
#define BOOK(field)                                      \
	{                                                \
#field, offsetof(struct mp_books, field) \
	}
	static const struct {
		const char *name;
		size_t offset;
	} fields[MP_DIFF_BOOKS] = { BOOK(rss),      BOOK(block),         BOOK(retained),
				    BOOK(metadata), BOOK(before_attach), BOOK(other_anon),
				    BOOK(stack),    BOOK(file),          BOOK(shmem),
				    BOOK(tool),     BOOK(unexplained),   BOOK(zero),
				    BOOK(hugetlb) };
#undef BOOK
	int i, side;
	size_t k;

	for (i = 0; i < MP_DIFF_BOOKS; i++) {
		books[i].name = fields[i].name;
		for (side = 0; side < MP_DIFF_SIDES; side++) {
			int64_t *sum = &books[i].bytes[side], n;

			*sum = MP_UNKNOWN;
			for (k = 0; k < d->reports[side]->nr_procs; k++) {
				n = *(const int64_t
					      *)((const char *)&d->reports[side]->procs[k].books +
						 fields[i].offset);
				if (n == MP_UNKNOWN)
					continue;
				if (*sum == MP_UNKNOWN)
					*sum = n;
				else if (__builtin_add_overflow(*sum, n, sum))
					*sum = INT64_MAX;
			}
		}
	}
}
