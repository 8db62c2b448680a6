// SPDX-License-Identifier: GPL-2.0-or-later
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "view/calltree.h"
#include "view/diff.h"
#include "view/metric.h"
#include "view/views.h"

#define NAME_WIDTH   16
#define NUMBER_WIDTH 14

struct table {
	const struct mp_diff *d;
	const struct mp_view_opts *opts;
	struct mp_symbols *sym;
	enum mp_sort sort;
	FILE *out;
};

static struct mp_text with_sign(struct mp_text t, int64_t n)
{
	struct mp_text signed_text;

	snprintf(signed_text.s, sizeof(signed_text.s), "%s%.30s", n > 0 ? "+" : "", t.s);
	return signed_text;
}

static int64_t difference(int64_t a, int64_t b)
{
	int64_t change;

	if (a == MP_UNKNOWN || b == MP_UNKNOWN)
		return MP_UNKNOWN;
	if (__builtin_sub_overflow(b, a, &change))
		return b < a ? -INT64_MAX : INT64_MAX;
	return change;
}

static void put_numbers(const struct table *t, enum mp_sort sort, int64_t a, int64_t b)
{
	int64_t change = difference(a, b);
	bool plain = t->opts->bytes;

	fprintf(t->out, "%*s%*s%*s", NUMBER_WIDTH, mp_metric_text(sort, a, plain).s, NUMBER_WIDTH,
		mp_metric_text(sort, b, plain).s, NUMBER_WIDTH,
		with_sign(mp_metric_text(sort, change, plain), change).s);
}

/* The books' lines that differ, and all of Rss. */
static void put_books(const struct table *t)
{
	struct mp_diff_book books[MP_DIFF_BOOKS];
	char name[NAME_WIDTH + 1], *dash;
	int i;

	fprintf(t->out, "%-*s%*s%*s%*s\n", NAME_WIDTH, "", NUMBER_WIDTH, "A", NUMBER_WIDTH, "B",
		NUMBER_WIDTH, "change");
	mp_diff_books(t->d, books);
	for (i = 0; i < MP_DIFF_BOOKS; i++) {
		if (i && books[i].bytes[MP_DIFF_A] == books[i].bytes[MP_DIFF_B])
			continue;
		snprintf(name, sizeof(name), "%s%s", i ? "  " : "", i ? books[i].name : "Rss");
		for (dash = name; (dash = strchr(dash, '_'));)
			*dash = ' ';
		fprintf(t->out, "%-*s", NAME_WIDTH, name);
		put_numbers(t, MP_SORT_RESIDENT, books[i].bytes[MP_DIFF_A],
			    books[i].bytes[MP_DIFF_B]);
		fputc('\n', t->out);
	}
}

static void put_metrics(const struct table *t)
{
	int i;

	fputs("all sites\n", t->out);
	for (i = 0; i < MP_METRICS; i++) {
		fprintf(t->out, "  %-*s", NAME_WIDTH - 2, mp_metric(i)->word);
		put_numbers(t, i, mp_units_signed(t->d->totals[MP_DIFF_A][i]),
			    mp_units_signed(t->d->totals[MP_DIFF_B][i]));
		fputc('\n', t->out);
	}
}

static void put_label(const struct table *t, const struct mp_diff_row *row)
{
	int width = (t->opts->width > 0 ? t->opts->width : MP_WIDTH_DEFAULT) - 3 * NUMBER_WIDTH - 2;
	char label[sizeof(struct mp_label) + 80];
	struct mp_frames f;

	if (!row->site) {
		fputs("  " MP_CALLTREE_UNKNOWN "\n", t->out);
		return;
	}
	mp_frames_shown(&f, row->site, t->sym, t->opts);
	snprintf(label, sizeof(label), "%s%s%s", row->site->mapping ? "(mmap) " : "",
		 row->match != MP_DIFF_ONE_SIDED ? ""
		 : row->sites[MP_DIFF_A]         ? "(only A) "
						 : "(only B) ",
		 mp_frames_label(&f, t->opts->verbose ? MP_LABEL_PATHS : 0).s);
	if (!t->opts->verbose)
		mp_label_clip(label, width < 12 ? 12 : width);
	fprintf(t->out, "  %s\n", label);
}

static void put_row(const struct table *t, const uint64_t n[MP_DIFF_SIDES][MP_METRICS])
{
	put_numbers(t, t->sort, mp_units_signed(n[MP_DIFF_A][t->sort]),
		    mp_units_signed(n[MP_DIFF_B][t->sort]));
}

static void put_others(const struct table *t, size_t from, size_t to)
{
	uint64_t n[MP_DIFF_SIDES][MP_METRICS] = { 0 };
	size_t i;
	int side;

	if (from == to)
		return;
	for (i = from; i < to; i++)
		for (side = 0; side < MP_DIFF_SIDES; side++)
			n[side][t->sort] =
				mp_metric_add(n[side][t->sort], t->d->rows[i].n[side][t->sort]);
	put_row(t, n);
	fprintf(t->out, "  others (%zu sites)\n", to - from);
}

static void put_rows(const struct table *t)
{
	size_t i, differ = 0, shown;

	while (differ < t->d->nr_rows && mp_diff_change(t->d->rows[differ].n, t->sort))
		differ++;
	if (!differ) {
		fprintf(t->out, "no site differs in %s", mp_metric(t->sort)->title);
	} else {
		shown = t->opts->top > 0 && (size_t)t->opts->top < differ ? (size_t)t->opts->top
									  : differ;
		fprintf(t->out, "%*s%*s%*s  %s by site\n", NUMBER_WIDTH, "A", NUMBER_WIDTH, "B",
			NUMBER_WIDTH, "change", mp_metric(t->sort)->title);
		for (i = 0; i < shown; i++) {
			put_row(t, t->d->rows[i].n);
			put_label(t, &t->d->rows[i]);
		}
		put_others(t, shown, differ);
	}
	if (differ < t->d->nr_rows)
		fprintf(t->out, "%ssites that differ in something else (--metric): %zu",
			differ ? "" : "; ", t->d->nr_rows - differ);
	if (!differ || differ < t->d->nr_rows)
		fputc('\n', t->out);
}

int mp_diff_table(const struct mp_diff *d, struct mp_symbols *sym, const struct mp_view_opts *opts,
		  FILE *out)
{
	const struct table t = { d, opts, sym,
				 opts->sort < MP_METRICS ? opts->sort : MP_SORT_RESIDENT, out };
	uint64_t lost[MP_DIFF_SIDES];
	int side;

	put_books(&t);
	put_metrics(&t);
	fputc('\n', out);
	put_rows(&t);
	for (side = 0; side < MP_DIFF_SIDES; side++)
		lost[side] = d->reports[side]->loss.events_dropped;
	if (lost[MP_DIFF_A] || lost[MP_DIFF_B])
		fprintf(out, "events lost: %" PRIu64 " in A, %" PRIu64 " in B\n", lost[MP_DIFF_A],
			lost[MP_DIFF_B]);
	return mp_view_finish(out);
}

void mp_diff_say(const struct mp_diff *d, struct mp_symbols *sym, const struct mp_view_opts *opts,
		 FILE *out)
{
	enum mp_sort sort = opts->sort;
	int64_t n = mp_diff_change(d->totals, sort);
	struct mp_frames f;

	fprintf(out, "%s grew by %s, from %s to %s", mp_metric(sort)->title,
		mp_metric_text(sort, n, opts->bytes).s,
		mp_metric_text(sort, mp_units_signed(d->totals[MP_DIFF_A][sort]), opts->bytes).s,
		mp_metric_text(sort, mp_units_signed(d->totals[MP_DIFF_B][sort]), opts->bytes).s);
	n = d->nr_rows ? mp_diff_change(d->rows[0].n, sort) : 0;
	if (n <= 0 || !d->rows[0].site)
		return;
	mp_frames_shown(&f, d->rows[0].site, sym, opts);
	fprintf(out, ", %s of it at %s%s", mp_metric_text(sort, n, opts->bytes).s,
		d->rows[0].site->mapping ? "(mmap) " : "", mp_frames_label(&f, 0).s);
}
