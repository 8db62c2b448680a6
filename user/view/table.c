// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "view/frames.h"
#include "view/metric.h"
#include "view/order.h"
#include "view/rows.h"
#include "view/units.h"
#include "view/views.h"

#define STACK_INDENT 12 /* left of the labels: frames have long names */

enum column {
	RESIDENT,
	LIVE,
	UNTOUCHED,
	CALLS,
	FREES,
	FAULTS,
	FAULT_TIME,
	CHARGED,
	PINNED,
	COLUMNS
};

static const char *const titles[COLUMNS] = {
	[RESIDENT] = "resident",     [LIVE] = "live",       [UNTOUCHED] = "untouched",
	[CALLS] = "calls",           [FREES] = "frees",     [FAULTS] = "faults",
	[FAULT_TIME] = "fault time", [CHARGED] = "charged", [PINNED] = "pinned",
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
	struct mp_table_row *rows;
	size_t nr_rows, nr_shown;
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
		[PINNED] = s->pinned,
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
	[PINNED] = MP_UNKNOWN,
} };

static void add_pinned(struct row *row, uint64_t bytes)
{
	if (row->n[PINNED] == MP_UNKNOWN)
		row->n[PINNED] = 0;
	row->n[PINNED] += mp_units_signed(bytes);
}

static void find_unknown(struct table *t)
{
	const struct mp_unknown unknown = mp_unknown_find(t->r);
	size_t i;

	for (i = 0; i < COLUMNS; i++)
		t->unknown.n[i] = MP_UNKNOWN;
	t->unknown.n[RESIDENT] = mp_units_signed(unknown.resident_bytes);
	for (i = 0; i < t->r->nr_procs; i++)
		if (t->r->procs[i].xray.compared)
			add_pinned(&t->unknown, t->r->procs[i].xray.pinned_unknown);
	t->unknown_blocks = unknown.live_blocks;
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

/* On a line of which @used columns are taken. */
static void end_line(const struct table *t, int used, char *label)
{
	int width = t->opts->width > 0 ? t->opts->width : MP_WIDTH_DEFAULT;

	if (!t->opts->verbose)
		mp_label_clip(label, width - used < 12 ? 12 : width - used);
	fprintf(t->out, "%s\n", label);
}

static void print_label(const struct table *t, char *label)
{
	fprintf(t->out, "%*s", STACK_INDENT, "");
	end_line(t, STACK_INDENT, label);
}

static void print_row(const struct table *t, const struct row *row, char *label)
{
	int c;

	for (c = 0; c < COLUMNS; c++)
		if (t->width[c])
			fprintf(t->out, "%*s", t->width[c] + 2, cell(t, row, c).s);
	fputs("  ", t->out);
	end_line(t, numbers_width(t) + 2, label);
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

/* The frames from the one that is shown outwards, one a line below the label. */
static void print_stack(const struct table *t, const struct mp_site *site, struct mp_frames *f,
			unsigned int flags)
{
	const char *end = mp_frames_end(site->end);
	char label[sizeof(struct mp_label) + 8];

	for (mp_frames_next(f, t->sym); f->frame; mp_frames_next(f, t->sym)) {
		snprintf(label, sizeof(label), "< %s", mp_frames_label(f, flags).s);
		print_label(t, label);
	}
	snprintf(label, sizeof(label), "(%s)", end ? end : "");
	if (end)
		print_label(t, label);
}

static void print_site(const struct table *t, const struct mp_table_row *r)
{
	unsigned int flags = t->opts->verbose ? MP_LABEL_PATHS : 0;
	struct row row = site_row(&r->sum);
	struct mp_frames f;
	struct mp_label name;
	char label[sizeof(name.s) + 40];

	mp_frames_shown(&f, r->site, t->sym, t->opts);
	name = mp_frames_label(&f, flags);
	snprintf(label, sizeof(label), "%s%s", r->site->mapping ? "(mmap) " : "", name.s);
	print_row(t, &row, label);
	if (t->opts->stacks)
		print_stack(t, r->site, &f, flags);
}

static void print_rows(const struct table *t)
{
	struct row row;
	char label[80];
	size_t i;

	print_titles(t);
	for (i = 0; i < t->nr_shown; i++)
		print_site(t, &t->rows[i]);
	if (t->nr_shown < t->nr_rows) {
		row = t->others;
		snprintf(label, sizeof(label), "others (%zu sites)", t->nr_rows - t->nr_shown);
		print_row(t, &row, label);
	}
	if (t->unknown_blocks || t->unknown.n[RESIDENT]) {
		snprintf(label, sizeof(label), "unknown (%" PRIu64 " blocks)", t->unknown_blocks);
		print_row(t, &t->unknown, label);
	}
	snprintf(label, sizeof(label), "total");
	print_row(t, &t->total, label);
}

static bool is_shown(const struct table *t, enum column c)
{
	return (c != CHARGED || t->opts->sort == MP_SORT_CHARGED) &&
	       (c != PINNED || t->opts->sort == MP_SORT_PINNED);
}

static void measure(struct table *t)
{
	struct row row;
	size_t i;
	int c;

	for (c = 0; c < COLUMNS; c++)
		t->width[c] = is_shown(t, c) ? strlen(titles[c]) : 0;
	t->others = t->total = nothing;
	t->nr_shown = t->nr_rows;
	if (t->opts->top > 0 && (size_t)t->opts->top < t->nr_rows)
		t->nr_shown = t->opts->top;
	for (i = 0; i < t->nr_rows; i++) {
		row = site_row(&t->rows[i].sum);
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

	t.rows = mp_rows_make(r, sym, opts, &t.nr_rows);
	if (!t.rows)
		return -ENOMEM;
	for (i = 0; i < r->nr_procs; i++) {
		mp_text_books(&r->procs[i], opts, out);
		mp_text_limit(&r->procs[i], opts, out);
		mp_text_heap(r, &r->procs[i], sym, opts, out);
		mp_text_arenas(r, &r->procs[i], sym, opts, out);
		mp_text_refusals(r, &r->procs[i], sym, opts, out);
	}
	measure(&t);
	fputc('\n', out);
	if (t.nr_rows || t.unknown_blocks)
		print_rows(&t);
	else
		fputs("no allocation was seen while tracing\n", out);
	fputc('\n', out);
	mp_text_pins(t.rows, t.nr_rows, r, sym, opts, out);
	mp_text_tiers(r, opts, out);
	mp_text_given_back(r, sym, opts, out);
	mp_text_waits(r, sym, opts, out);
	mp_text_past(r, sym, opts, out);
	mp_text_audit(r, opts, out);
	mp_text_loss(&r->loss, opts, out);
	mp_text_cost(&r->cost, opts, out);
	free(t.rows);
	return mp_view_finish(out);
}
