// SPDX-License-Identifier: GPL-2.0-or-later
/* The difference for programs: docs/diff.schema.json. */
#include "view/diff.h"
#include "view/json.h"
#include "view/views.h"

static const char *const sides[MP_DIFF_SIDES] = { "a", "b" };

static void put_side(struct mp_json *j, const struct mp_diff *d, int side)
{
	const struct mp_report *r = d->reports[side];
	size_t i;

	mp_json_open(j, sides[side], "{");
	mp_json_text(j, "file", d->files[side]);
	mp_json_text(j, "kernel", r->host.release);
	mp_json_number(j, "events_dropped", r->loss.events_dropped);
	mp_json_open(j, "processes", "[");
	for (i = 0; i < r->nr_procs; i++) {
		mp_json_open(j, NULL, "{");
		mp_json_number(j, "pid", r->procs[i].pid);
		mp_json_text(j, "comm", r->procs[i].comm);
		mp_json_word(j, "at", mp_at_name(r->procs[i].at));
		mp_json_close(j, "}");
	}
	mp_json_close(j, "]");
	mp_json_close(j, "}");
}

static void put_books(struct mp_json *j, const struct mp_diff *d)
{
	struct mp_diff_book books[MP_DIFF_BOOKS];
	char name[40];
	int i;

	mp_diff_books(d, books);
	mp_json_open(j, "books", "{");
	for (i = 0; i < MP_DIFF_BOOKS; i++) {
		int64_t a = books[i].bytes[MP_DIFF_A], b = books[i].bytes[MP_DIFF_B], change;

		if (a == MP_UNKNOWN || b == MP_UNKNOWN || __builtin_sub_overflow(b, a, &change))
			change = MP_UNKNOWN;
		snprintf(name, sizeof(name), "%s_bytes", books[i].name);
		mp_json_open(j, name, "{");
		mp_json_signed(j, "a", a);
		mp_json_signed(j, "b", b);
		mp_json_signed(j, "change", change);
		mp_json_close(j, "}");
	}
	mp_json_close(j, "}");
}

static void put_numbers(struct mp_json *j, const uint64_t n[MP_DIFF_SIDES][MP_METRICS])
{
	static const char *const names[MP_METRICS] = {
		[MP_SORT_RESIDENT] = "resident_bytes",
		[MP_SORT_CHARGED] = "charged_bytes",
		[MP_SORT_LIVE] = "live_bytes",
		[MP_SORT_UNTOUCHED] = "untouched_bytes",
		[MP_SORT_FAULTS] = "faults",
		[MP_SORT_FAULT_NS] = "fault_ns",
		[MP_SORT_CALLS] = "calls",
	};
	int side, i;

	for (side = 0; side < MP_DIFF_SIDES; side++) {
		mp_json_open(j, sides[side], "{");
		for (i = 0; i < MP_METRICS; i++)
			mp_json_number(j, names[i], n[side][i]);
		mp_json_close(j, "}");
	}
	mp_json_open(j, "change", "{");
	for (i = 0; i < MP_METRICS; i++)
		mp_json_signed(j, names[i], mp_diff_change(n, i));
	mp_json_close(j, "}");
}

static void put_row(struct mp_json *j, const struct mp_diff_row *row, struct mp_symbols *sym,
		    const struct mp_view_opts *opts)
{
	static const char *const matches[] = {
		[MP_DIFF_PLACES] = "places",
		[MP_DIFF_FUNCTIONS] = "functions",
		[MP_DIFF_ONE_SIDED] = "one_sided",
		[MP_DIFF_UNKNOWN] = "unknown",
	};

	mp_json_line(j);
	mp_json_open(j, NULL, "{");
	mp_json_word(j, "match", matches[row->match]);
	mp_json_number(j, "sites_a", row->sites[MP_DIFF_A]);
	mp_json_number(j, "sites_b", row->sites[MP_DIFF_B]);
	mp_json_word(j, "kind", !row->site ? NULL : row->site->mapping ? "mmap" : "malloc");
	if (row->site) {
		mp_json_frames(j, sym, opts, row->site);
	} else {
		mp_json_word(j, "frames", NULL);
		mp_json_word(j, "shown", NULL);
		mp_json_word(j, "stack_end", NULL);
	}
	put_numbers(j, row->n);
	mp_json_close(j, "}");
}

int mp_diff_json(const struct mp_diff *d, struct mp_symbols *sym, const struct mp_view_opts *opts,
		 FILE *out)
{
	struct mp_json j = { .out = out };
	size_t i;
	int err = mp_json_init(&j);

	if (err)
		return err;
	mp_json_open(&j, NULL, "{");
	mp_json_word(&j, "schema", "mallocpath.diff/1");
	put_side(&j, d, MP_DIFF_A);
	put_side(&j, d, MP_DIFF_B);
	put_books(&j, d);
	mp_json_open(&j, "totals", "{");
	put_numbers(&j, d->totals);
	mp_json_close(&j, "}");
	mp_json_open(&j, "sites", "[");
	for (i = 0; i < d->nr_rows; i++)
		put_row(&j, &d->rows[i], sym, opts);
	mp_json_close(&j, "]");
	mp_json_close(&j, "}");
	mp_json_line(&j);
	mp_json_end(&j);
	err = mp_view_finish(out);
	return err ? err : j.err;
}
