// SPDX-License-Identifier: GPL-2.0-or-later
/* What served the blocks, and how glibc's thresholds moved, in words. */
#include <inttypes.h>
#include <string.h>

#include "view/frames.h"
#include "view/label.h"
#include "view/units.h"
#include "view/views.h"

#define RAISES_SHOWN 3 /* the last ones; -v shows all */

static const struct mp_site *site_of(const struct mp_report *r, uint32_t id)
{
	return id && id <= r->nr_sites ? &r->sites[id - 1] : NULL;
}

static void raise_line(const struct mp_report *r, const struct mp_raise *e, struct mp_symbols *sym,
		       const struct mp_view_opts *opts, FILE *out)
{
	const struct mp_site *site = site_of(r, e->site);
	struct mp_label label = { "unknown" };
	struct mp_frames f;

	if (site) {
		mp_frames_shown(&f, site, sym, opts);
		label = mp_frames_label(&f, opts->verbose ? MP_LABEL_PATHS : 0);
	}
	fprintf(out, "    %s -> %s by free() in %s\n",
		mp_units_bytes((int64_t)e->mmap_before, opts->bytes).s,
		mp_units_bytes((int64_t)e->mmap_after, opts->bytes).s, label.s);
}

static void xray_lines(const struct mp_xray_facts *x, const struct mp_view_opts *opts, FILE *out)
{
	uint64_t blocks = x->both + x->trace_only;

	if (x->seeded_live)
		fprintf(out,
			"  %s of the blocks are from before the attach, %s resident: by whom is not known\n",
			mp_units_count(mp_units_signed(x->seeded_live)).s,
			mp_units_bytes(mp_units_signed(x->seeded_resident), opts->bytes).s);
	if (x->compared)
		fprintf(out, "  malloc_trim(0) would give back %s\n",
			mp_units_bytes(mp_units_signed(x->trim_bytes), opts->bytes).s);
	/* what is allocated and freed while the heap is copied is no news */
	if (x->compared && (opts->verbose || (x->xray_only + x->trace_only) > blocks / 100))
		fprintf(out,
			"  X-ray of the heap%s: %" PRIu64 " blocks are there as traced; %" PRIu64
			" there are not known, %" PRIu64 " known are not there\n",
			x->partial ? " (partial)" : "", x->both, x->xray_only, x->trace_only);
}

void mp_text_heap(const struct mp_report *r, const struct mp_proc *p, struct mp_symbols *sym,
		  const struct mp_view_opts *opts, FILE *out)
{
	const struct mp_heap_facts *g = &p->glibc;
	char why[1024];
	size_t i;

	xray_lines(&p->xray, opts, out);
	if (g->told && !g->main_arena) {
		mp_label_safe(why, sizeof(why), g->why);
		fprintf(out, "  tiers unknown: %s\n", why);
		return;
	}
	if (!g->raised)
		return;
	i = opts->verbose || g->nr_raises < RAISES_SHOWN ? 0 : g->nr_raises - RAISES_SHOWN;
	fprintf(out,
		"  blocks from %s on have a mapping of their own; raised %" PRIu64 " time%s%s\n",
		mp_units_bytes(g->mmap_threshold, opts->bytes).s, g->raised,
		g->raised == 1 ? "" : "s", i ? ", at last:" : ":");
	for (; i < g->nr_raises; i++)
		raise_line(r, &g->raises[i], sym, opts, out);
}

static void shares(const struct mp_report *r, uint64_t calls, size_t width, FILE *out)
{
	size_t indent = strlen("tiers: "), column = (size_t)fprintf(out, "tiers: ");
	const char *sep = "";
	char text[64];

	for (int i = MP_TIER_UNKNOWN + 1; i <= MP_TIER_NR; i++) {
		int tier = i % MP_TIER_NR; /* what is unknown comes last */

		if (!r->tiers[tier].calls)
			continue;
		snprintf(text, sizeof(text), "%s %s", mp_tier_name(tier),
			 mp_units_percent((double)r->tiers[tier].calls / calls).s);
		column = mp_text_flow(out, column, indent, width, sep, text);
		sep = ", ";
	}
	fputc('\n', out);
}

void mp_text_tiers(const struct mp_report *r, const struct mp_view_opts *opts, FILE *out)
{
	uint64_t calls = 0, known = 0, certain = 0;
	int tier;

	for (tier = 0; tier < MP_TIER_NR; tier++) {
		calls += r->tiers[tier].calls;
		known += tier == MP_TIER_UNKNOWN ? 0 : r->tiers[tier].calls;
		certain += r->tiers[tier].sure[MP_SURE_CERTAIN];
	}
	if (!known || known == r->tiers[MP_TIER_OTHER].calls)
		return;
	shares(r, calls, opts->width > 0 ? (size_t)opts->width : MP_WIDTH_DEFAULT, out);
	fprintf(out, "       of %s calls; %s of the tiers are certain\n",
		mp_units_count((int64_t)calls).s, mp_units_percent((double)certain / known).s);
}
