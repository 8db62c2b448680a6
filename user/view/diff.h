/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What changed between two reports, by site and metric. */
#ifndef MP_VIEW_DIFF_H
#define MP_VIEW_DIFF_H

#include "view/view.h"

enum mp_diff_side { MP_DIFF_A, MP_DIFF_B, MP_DIFF_SIDES };

/* How the sites of a row were found to be the same. */
enum mp_diff_match {
	MP_DIFF_PLACES,    /* the same functions at the same offsets of the same objects */
	MP_DIFF_FUNCTIONS, /* the same functions: the objects are of another build */
	MP_DIFF_ONE_SIDED,
	MP_DIFF_UNKNOWN, /* what has no site */
};

struct mp_diff_row {
	const struct mp_site *site; /* one of them, of B if there is one there; NULL: none */
	enum mp_diff_match match;
	uint64_t sites[MP_DIFF_SIDES];
	uint64_t n[MP_DIFF_SIDES][MP_METRICS];
};

struct mp_diff {
	const struct mp_report *reports[MP_DIFF_SIDES];
	const char *files[MP_DIFF_SIDES];
	struct mp_diff_row *rows; /* that differ in any metric: largest change of the metric first */
	size_t nr_rows;
	uint64_t totals[MP_DIFF_SIDES][MP_METRICS];
};

/* 0 or -ENOMEM. @d has @reports and @files; the rest is filled in. */
int mp_diff_make(struct mp_diff *d, struct mp_symbols *sym, const struct mp_view_opts *opts);
void mp_diff_free(struct mp_diff *d);

/* B less A; saturates. */
int64_t mp_diff_change(const uint64_t n[MP_DIFF_SIDES][MP_METRICS], enum mp_sort sort);

/* What the books have; the sum over the processes of one side, MP_UNKNOWN if none knows. */
struct mp_diff_book {
	const char *name; /* as in the JSON view, without "_bytes" */
	int64_t bytes[MP_DIFF_SIDES];
};
#define MP_DIFF_BOOKS 13
void mp_diff_books(const struct mp_diff *d, struct mp_diff_book books[MP_DIFF_BOOKS]);

/* Views: 0 or -errno. */
int mp_diff_table(const struct mp_diff *d, struct mp_symbols *sym, const struct mp_view_opts *opts,
		  FILE *out);
int mp_diff_json(const struct mp_diff *d, struct mp_symbols *sym, const struct mp_view_opts *opts,
		 FILE *out);

/* "resident bytes grew by ..., from ... to ...", and which site did most of it; no line feed. */
void mp_diff_say(const struct mp_diff *d, struct mp_symbols *sym, const struct mp_view_opts *opts,
		 FILE *out);

#endif
