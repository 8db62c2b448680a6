// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "view/label.h"
#include "view/order.h"
#include "view/units.h"
#include "view/views.h"

enum column { RESIDENT, LIVE, UNTOUCHED, CALLS, FREES, FAULTS, FAULT_TIME, CHARGED, COLUMNS };

static const char *const titles[COLUMNS] = {
	[RESIDENT] = "resident",     [LIVE] = "live",       [UNTOUCHED] = "untouched",
	[CALLS] = "calls",           [FREES] = "frees",     [FAULTS] = "faults",
	[FAULT_TIME] = "fault time", [CHARGED] = "charged",
};

/* Numbers of one row, summed for "others" and "total"; MP_UNKNOWN: not known. */
struct row {
	int64_t n[COLUMNS];
};

struct table {
	const struct mp_report *r;
	struct mp_symbols *sym;
	const struct mp_view_opts *opts;
	FILE *out;
	const struct mp_site **sites;
	size_t nr_sites, nr_shown;
	struct row others, unknown, total;
	uint64_t unknown_blocks;
	int width[COLUMNS]; /* 0: not shown */
};

static struct row site_row(const struct mp_site *s)
{
	struct row row = { {
		[RESIDENT] = mp_units_signed(s->resident_bytes),
		[LIVE] = mp_units_signed(s->live_bytes),
		[UNTOUCHED] = mp_units_signed(s->untouched_bytes),
		[CALLS] = mp_units_signed(s->calls),
		[FREES] = mp_units_signed(s->frees),
		[FAULTS] = mp_units_signed(mp_order_faults(s->faults)),
		[FAULT_TIME] = s->timed_faults ? mp_units_signed(s->fault_ns) : MP_UNKNOWN,
		[CHARGED] = mp_units_signed(s->charged_bytes),
	} };

	return row;
}

static void add(struct row *sum, const struct row *row)
{
	int i;

	for (i = 0; i < COLUMNS; i++) {
		if (row->n[i] == MP_UNKNOWN)
			continue;
		if (sum->n[i] == MP_UNKNOWN)
			sum->n[i] = row->n[i];
		else if (__builtin_add_overflow(sum->n[i], row->n[i], &sum->n[i]))
			sum->n[i] = INT64_MAX;
	}
}

static const struct row nothing = { {
	[FAULT_TIME] = MP_UNKNOWN,
} };

/*
 * Blocks without a known site have no entry in the report: they are what the books hold beyond the
 * sites. Mappings are not part of the books' blocks.
 */
static void find_unknown(struct table *t)
{
	uint64_t book = 0, sited = 0, blocks = 0, sited_blocks = 0;
	size_t i;

	for (i = 0; i < t->r->nr_procs; i++) {
		if (t->r->procs[i].books.block > 0)
			book += t->r->procs[i].books.block;
		blocks += t->r->procs[i].live_blocks;
	}
	for (i = 0; i < t->r->nr_sites; i++) {
		sited += t->r->sites[i].mapping ? 0 : t->r->sites[i].resident_bytes;
		sited_blocks += t->r->sites[i].live_blocks;
	}
	for (i = 0; i < COLUMNS; i++)
		t->unknown.n[i] = MP_UNKNOWN;
	t->unknown.n[RESIDENT] = book > sited ? mp_units_signed(book - sited) : 0;
	t->unknown_blocks = blocks > sited_blocks ? blocks - sited_blocks : 0;
}

static struct mp_text cell(const struct table *t, const struct row *row, enum column c)
{
	if (c == CALLS || c == FREES || c == FAULTS)
		return mp_units_count(row->n[c]);
	if (c == FAULT_TIME)
		return mp_units_ns(row->n[c], t->opts->bytes);
	return mp_units_bytes(row->n[c], t->opts->bytes);
}

static void widen(struct table *t, const struct row *row)
{
	int c, len;

	for (c = 0; c < COLUMNS; c++) {
		len = strlen(cell(t, row, c).s);
		if (t->width[c] && t->width[c] < len)
			t->width[c] = len;
	}
}

static int numbers_width(const struct table *t)
{
	int c, sum = 0;

	for (c = 0; c < COLUMNS; c++)
		sum += t->width[c] ? t->width[c] + 2 : 0;
	return sum;
}

static void print_row(const struct table *t, const struct row *row, char *label)
{
	int width = t->opts->width > 0 ? t->opts->width : MP_WIDTH_DEFAULT;
	int room = width - numbers_width(t) - 2;
	int c;

	for (c = 0; c < COLUMNS; c++)
		if (t->width[c])
			fprintf(t->out, "%*s", t->width[c] + 2, cell(t, row, c).s);
	if (!t->opts->verbose)
		mp_label_clip(label, room < 12 ? 12 : room);
	fprintf(t->out, "  %s\n", label);
}

static const char *title(const struct table *t, enum column c)
{
	return c == FAULT_TIME && t->opts->bytes ? "fault ns" : titles[c];
}

static void print_titles(const struct table *t)
{
	int c;

	fputs(t->opts->color ? "\033[1m" : "", t->out);
	for (c = 0; c < COLUMNS; c++)
		if (t->width[c])
			fprintf(t->out, "%*s", t->width[c] + 2, title(t, c));
	fprintf(t->out, "  site%s\n", t->opts->color ? "\033[0m" : "");
}

static void print_site(const struct table *t, const struct mp_site *site)
{
	unsigned int flags = mp_label_site_flags(site) | (t->opts->verbose ? MP_LABEL_PATHS : 0);
	struct mp_label name = mp_label_site(t->r, site->id, t->sym, flags);
	struct row row = site_row(site);
	char label[sizeof(name.s) + 40];

	snprintf(label, sizeof(label), "%s%s", site->mapping ? "(mmap) " : "", name.s);
	print_row(t, &row, label);
}

static void print_rows(const struct table *t)
{
	struct row row;
	char label[80];
	size_t i;

	print_titles(t);
	for (i = 0; i < t->nr_shown; i++)
		print_site(t, t->sites[i]);
	if (t->nr_shown < t->nr_sites) {
		row = t->others;
		snprintf(label, sizeof(label), "others (%zu sites)", t->nr_sites - t->nr_shown);
		print_row(t, &row, label);
	}
	if (t->unknown_blocks || t->unknown.n[RESIDENT]) {
		snprintf(label, sizeof(label), "unknown (%" PRIu64 " blocks)", t->unknown_blocks);
		print_row(t, &t->unknown, label);
	}
	snprintf(label, sizeof(label), "total");
	print_row(t, &t->total, label);
}

static void measure(struct table *t)
{
	struct row row;
	size_t i;
	int c;

	for (c = 0; c < COLUMNS; c++)
		t->width[c] = c == CHARGED && t->opts->sort != MP_SORT_CHARGED ? 0
									       : strlen(titles[c]);
	t->others = t->total = nothing;
	t->nr_shown = t->nr_sites;
	if (t->opts->top > 0 && (size_t)t->opts->top < t->nr_sites)
		t->nr_shown = t->opts->top;
	for (i = 0; i < t->nr_sites; i++) {
		row = site_row(t->sites[i]);
		if (i >= t->nr_shown)
			add(&t->others, &row);
		else
			widen(t, &row);
		add(&t->total, &row);
	}
	find_unknown(t);
	add(&t->total, &t->unknown);
	widen(t, &t->others);
	widen(t, &t->unknown);
	widen(t, &t->total);
}

int mp_view_table(const struct mp_report *r, struct mp_symbols *sym,
		  const struct mp_view_opts *opts, FILE *out)
{
	struct table t = { .r = r, .sym = sym, .opts = opts, .out = out };
	size_t i;

	t.sites = mp_order_sites(r, opts->sort, &t.nr_sites);
	if (!t.sites)
		return -ENOMEM;
	for (i = 0; i < r->nr_procs; i++)
		mp_text_books(&r->procs[i], opts, out);
	measure(&t);
	fputc('\n', out);
	if (t.nr_sites || t.unknown_blocks)
		print_rows(&t);
	else
		fputs("no allocation was seen while tracing\n", out);
	fputc('\n', out);
	mp_text_loss(&r->loss, out);
	mp_text_cost(&r->cost, opts, out);
	free(t.sites);
	return mp_view_finish(out);
}
