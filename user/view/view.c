// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/view.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "view/views.h"

const struct mp_view mp_views[] = {
	{ "table", "where Rss went, then the sites that own it", 0, mp_view_table },
	{ "tree", "one site's path from malloc to the physical pages",
	  MP_REPORT_PAGES | MP_REPORT_BLOCKS, mp_view_tree },
	{ "json", "everything, for programs (schema mallocpath.report/1)", 0, mp_view_json },
	{ "fold", "call stacks with what they have of the metric, for flame graphs", 0,
	  mp_view_fold },
	{ "flame", "the same as one picture (SVG) that can be zoomed and searched", 0,
	  mp_view_flame },
	{ "pprof", "a profile for pprof (gzip, profile.proto)", 0, mp_view_pprof },
	{ "csv", "the sites, for spreadsheets and data frames (RFC 4180)", 0, mp_view_csv },
	{ "html",
	  "a page for the browser: books, flame graph, heap map, matrix, time, one block's life",
	  MP_REPORT_PAGES | MP_REPORT_BLOCKS, mp_view_html },
	{ NULL, NULL, 0, NULL },
};

const struct mp_view *mp_view_find(const char *name)
{
	const struct mp_view *v;

	for (v = mp_views; v->name; v++)
		if (!strcmp(v->name, name))
			return v;
	return NULL;
}

double mp_cost_fraction(const struct mp_cost *cost)
{
	if (cost->probe_ns == MP_UNKNOWN || cost->target_cpu_ns == MP_UNKNOWN ||
	    cost->target_cpu_ns <= 0)
		return NAN;
	return (double)cost->probe_ns / cost->target_cpu_ns;
}

int mp_view_finish(FILE *out)
{
	errno = 0;
	if (fflush(out))
		return errno ? -errno : -EIO;
	return ferror(out) ? -EIO : 0; /* an earlier write failed: its errno is gone */
}
