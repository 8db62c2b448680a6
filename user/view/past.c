// SPDX-License-Identifier: GPL-2.0-or-later
/* Whose pages went, how, and who gave them back, in words. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "view/frames.h"
#include "view/units.h"
#include "view/views.h"

#define WAYS_SHOWN 5 /* -v shows all */

struct way {
	const struct mp_departed *d;
	uint32_t owner;
};

static int more_first(const void *a, const void *b)
{
	const struct way *x = a, *y = b;

	if (x->d->bytes != y->d->bytes)
		return x->d->bytes > y->d->bytes ? -1 : 1;
	if (x->owner != y->owner)
		return x->owner < y->owner ? -1 : 1;
	return x->d < y->d ? -1 : x->d > y->d;
}

/* All ways in which pages went, most bytes first. The caller frees the array. NULL: none, or no memory. */
static struct way *ways_of(const struct mp_report *r, size_t *nr)
{
	size_t i, k, n = r->nr_departed;
	struct way *ways;

	for (i = 0; i < r->nr_sites; i++)
		n += r->sites[i].nr_departed;
	ways = n ? calloc(n, sizeof(*ways)) : NULL;
	if (!ways)
		return NULL;
	for (n = 0; n < r->nr_departed; n++)
		ways[n] = (struct way){ &r->departed[n], 0 };
	for (i = 0; i < r->nr_sites; i++)
		for (k = 0; k < r->sites[i].nr_departed; k++)
			ways[n++] = (struct way){ &r->sites[i].departed[k], r->sites[i].id };
	qsort(ways, n, sizeof(*ways), more_first);
	*nr = n;
	return ways;
}

static void print_site(const struct mp_report *r, uint32_t id, const char *before,
		       struct mp_symbols *sym, const struct mp_view_opts *opts, FILE *out)
{
	struct mp_frames f;

	if (!id || id > r->nr_sites)
		return;
	mp_frames_shown(&f, &r->sites[id - 1], sym, opts);
	fprintf(out, "%s%s\n", before, mp_frames_label(&f, opts->verbose ? MP_LABEL_PATHS : 0).s);
}

static void print_sums(const struct mp_report *r, const struct mp_view_opts *opts, FILE *out)
{
	size_t width = opts->width > 0 ? opts->width : MP_WIDTH_DEFAULT, column, i;
	uint64_t sums[MP_PAST_NR] = { 0 }, all = 0;
	const char *sep = ": ";
	char text[80];
	int what;

	for (i = 0; i < r->nr_procs; i++)
		for (what = 0; r->procs[i].departed && what < MP_PAST_NR; what++) {
			sums[what] += r->procs[i].departed[what];
			all += r->procs[i].departed[what];
		}
	column = fprintf(out, "gone: %s of pages",
			 mp_units_bytes(mp_units_signed(all), opts->bytes).s);
	for (what = 0; what < MP_PAST_NR; what++) {
		if (!sums[what])
			continue;
		snprintf(text, sizeof(text), "%s %s", mp_past_name(what),
			 mp_units_bytes(mp_units_signed(sums[what]), opts->bytes).s);
		column = mp_text_flow(out, column, strlen("gone: "), width, sep, text);
		sep = ", ";
	}
	fputc('\n', out);
}

void mp_text_past(const struct mp_report *r, struct mp_symbols *sym,
		  const struct mp_view_opts *opts, FILE *out)
{
	struct way *ways;
	size_t nr = 0, i;

	if (!r->history)
		return;
	print_sums(r, opts, out);
	ways = ways_of(r, &nr);
	for (i = 0; i < nr && (opts->verbose || i < WAYS_SHOWN); i++) {
		fprintf(out, "  %10s  %-13s  %s",
			mp_units_bytes(mp_units_signed(ways[i].d->bytes), opts->bytes).s,
			mp_past_name(ways[i].d->what), ways[i].owner ? "" : "of nobody known\n");
		print_site(r, ways[i].owner, "of ", sym, opts, out);
		print_site(r, ways[i].d->by, "                             by ", sym, opts, out);
	}
	free(ways);
}
