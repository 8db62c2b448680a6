// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The sites as a table for spreadsheets and data frames (RFC 4180): one row a site, all of them, largest
 * first; an empty field is not known. Blocks without a site are a last row with id 0.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "view/calltree.h"
#include "view/metric.h"
#include "view/order.h"
#include "view/views.h"

/*
 * Text of others. A spreadsheet takes what begins with one of these for a formula: such a name is given
 * an apostrophe in front, which it shows as text.
 */
static void put_text(const char *text, FILE *out)
{
	struct mp_label safe;

	mp_label_safe(safe.s, sizeof(safe.s), text);
	if (!*safe.s) {
		fputc(',', out);
		return;
	}
	fputs(strchr("=+-@", *safe.s) ? ",\"'" : ",\"", out);
	for (text = safe.s; *text; text++) {
		if (*text == '"')
			fputc('"', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

static void put(uint64_t n, FILE *out)
{
	fprintf(out, ",%" PRIu64, n);
}

static void put_signed(int64_t n, FILE *out)
{
	if (n == MP_UNKNOWN)
		fputc(',', out);
	else
		fprintf(out, ",%" PRId64, n);
}

static void header(FILE *out)
{
	int i;

	fputs("id,kind,function,file,line,object,offset,calls,frees,failed,requested_bytes,"
	      "live_blocks,live_bytes,resident_bytes,charged_bytes,untouched_bytes,pinned_bytes,"
	      "faults,fault_ns,timed_faults",
	      out);
	for (i = 0; i < MP_KIND_NR; i++)
		fprintf(out, ",faults_%s", mp_kind_name(i));
	fputs(",stack_end\r\n", out);
}

/* The frame that the site is shown by. */
static void frame(const struct mp_frames *f, FILE *out)
{
	const struct mp_symbol *name = mp_frames_name(f);
	const struct mp_place *place = f->frame->place;
	bool kernel = place->what == MP_PLACE_SYSCALL;

	put_text(kernel ? mp_frames_label(f, 0).s : name->function ? name->function : "", out);
	put_text(name->file ? name->file : "", out);
	put_signed(name->line > 0 ? name->line : MP_UNKNOWN, out);
	put_text(kernel ? "[kernel]" : place->object, out);
	put_signed(*place->object ? mp_units_signed(place->offset) : MP_UNKNOWN, out);
}

static void row(const struct mp_site *s, struct mp_symbols *sym, const struct mp_view_opts *opts,
		FILE *out)
{
	uint64_t faults = mp_order_faults(s->faults);
	struct mp_frames f;
	int i;

	mp_frames_shown(&f, s, sym, opts);
	fprintf(out, "%" PRIu32 ",%s", s->id, s->mapping ? "mmap" : "malloc");
	frame(&f, out);
	put(s->calls, out);
	put(s->frees, out);
	put(s->failed, out);
	put(s->requested_bytes, out);
	put(s->live_blocks, out);
	put(s->live_bytes, out);
	put(s->resident_bytes, out);
	put(s->charged_bytes, out);
	put(s->untouched_bytes, out);
	put_signed(s->pinned, out);
	put(faults, out);
	put_signed(s->timed_faults || !faults ? mp_units_signed(s->fault_ns) : MP_UNKNOWN, out);
	put(s->timed_faults, out);
	for (i = 0; i < MP_KIND_NR; i++)
		put(s->faults[i], out);
	fprintf(out, ",%s\r\n", mp_stack_end_name(s->end));
}

static void unknown(const struct mp_unknown *u, FILE *out)
{
	int i;

	if (!u->resident_bytes && !u->live_blocks)
		return;
	fprintf(out, "0,unknown,,,,,,,,,,%" PRIu64 ",,%" PRIu64 ",,,,,,", u->live_blocks,
		u->resident_bytes);
	for (i = 0; i < MP_KIND_NR; i++)
		fputc(',', out);
	fputs(",\r\n", out);
}

int mp_view_csv(const struct mp_report *r, struct mp_symbols *sym, const struct mp_view_opts *opts,
		FILE *out)
{
	const struct mp_unknown u = mp_unknown_find(r);
	const struct mp_site **sites;
	size_t i, nr;

	sites = mp_order_sites(r, opts->sort, &nr);
	if (!sites)
		return -ENOMEM;
	header(out);
	for (i = 0; i < nr; i++)
		row(sites[i], sym, opts, out);
	unknown(&u, out);
	free(sites);
	return mp_view_finish(out);
}
