// SPDX-License-Identifier: GPL-2.0-or-later
/* Sites whose blocks keep much more memory than they have in it. */
#include "view/frames.h"
#include "view/units.h"
#include "view/views.h"

#define SHOWN 5     /* rows; -v: all */
#define LEAST 65536 /* bytes kept beyond their own, below which it is not worth a line */

/* What a row's blocks keep of the memory that is not theirs. */
static int64_t excess(const struct mp_table_row *row)
{
	int64_t resident = mp_units_signed(row->sum.resident_bytes);

	return row->sum.pinned == MP_UNKNOWN || row->sum.pinned < resident
		       ? 0
		       : row->sum.pinned - resident;
}

static void line(const struct mp_table_row *row, struct mp_symbols *sym,
		 const struct mp_view_opts *opts, FILE *out)
{
	unsigned int flags = opts->verbose ? MP_LABEL_PATHS : 0;
	struct mp_frames f;

	mp_frames_shown(&f, row->site, sym, opts);
	fprintf(out, "  %12s by %12s of", mp_units_bytes(row->sum.pinned, opts->bytes).s,
		mp_units_bytes(mp_units_signed(row->sum.resident_bytes), opts->bytes).s);
	fprintf(out, " %s\n", mp_frames_label(&f, flags).s);
}

void mp_text_pins(const struct mp_table_row *rows, size_t nr, const struct mp_report *r,
		  struct mp_symbols *sym, const struct mp_view_opts *opts, FILE *out)
{
	int64_t last = INT64_MAX, least = LEAST;
	size_t i, shown = 0, best;

	for (i = 0; i < r->nr_procs; i++)
		if (r->procs[i].books.rss != MP_UNKNOWN && r->procs[i].books.rss / 100 > least)
			least = r->procs[i].books.rss / 100;
	while (shown < (opts->verbose ? nr : SHOWN)) {
		for (i = 0, best = nr; i < nr; i++) /* rows that are equal: one stands for them */
			if (excess(&rows[i]) < last &&
			    (best == nr || excess(&rows[i]) > excess(&rows[best])))
				best = i;
		if (best == nr || excess(&rows[best]) < least)
			break;
		if (!shown)
			fputs("memory kept by few bytes (what freeing these, and malloc_trim, would "
			      "give back):\n",
			      out);
		line(&rows[best], sym, opts, out);
		last = excess(&rows[best]);
		shown++;
	}
	if (shown)
		fputc('\n', out);
}
