// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/xray.h"

#include <inttypes.h>
#include <string.h>

#include "view/label.h"
#include "view/units.h"
#include "view/views.h"

const struct mp_xray_problem mp_xray_problems[] = {
	{ MP_XRAY_ZERO_IN, "zero_pages_unknown",
	  "this kernel does not tell zero pages to us: they count as present" },
	{ MP_XRAY_ARENAS, "arenas_missing",
	  "the list of arenas or of their heaps is broken: some are missing" },
	{ MP_XRAY_LISTS, "lists_broken",
	  "a list of free chunks is broken: some chunks of it are taken for live" },
	{ MP_XRAY_TCACHES, "tcaches_missing",
	  "the cache of a thread was not found: its chunks are taken for live" },
	{ MP_XRAY_MMAPPED, "mapped_differ",
	  "chunks that are mappings of their own: not as many found as malloc counts" },
	{ MP_XRAY_TOO_LARGE, "too_large",
	  "there is not enough memory for a copy of the whole heap: some was left out" },
	{ 0, NULL, NULL },
};

const char *mp_chunk_state_name(int state)
{
	static const char *const names[MP_CHUNK_STATES] = {
		[MP_CHUNK_LIVE] = "live",       [MP_CHUNK_TCACHE] = "tcache",
		[MP_CHUNK_FASTBIN] = "fastbin", [MP_CHUNK_BIN] = "bin",
		[MP_CHUNK_TOP] = "top",         [MP_CHUNK_OWN] = "metadata",
		[MP_CHUNK_UNKNOWN] = "unknown",
	};

	return state > 0 && state < MP_CHUNK_STATES ? names[state] : "?";
}

const char *mp_heap_end_name(int how)
{
	static const char *const names[MP_HEAP_END_MAX] = {
		[MP_HEAP_CLOSED] = "closed",
		[MP_HEAP_BAD_SIZE] = "a size that cannot be",
		[MP_HEAP_BAD_FOOT] = "a free chunk's two sizes differ",
		[MP_HEAP_ABSENT] = "its head is not in memory",
	};

	return how >= 0 && how < MP_HEAP_END_MAX ? names[how] : "?";
}

/* ---- small things --------------------------------------------------------------------------- */

static const char *bytes(uint64_t n, const struct mp_view_opts *opts, struct mp_text *text)
{
	*text = mp_units_bytes(mp_units_signed(n), opts->bytes);
	return text->s;
}

static const char *page_bytes(uint64_t pages, const struct mp_view_opts *opts, struct mp_text *text)
{
	return bytes(pages * MP_PAGE_SIZE, opts, text);
}

static void heading(const char *line, const struct mp_view_opts *opts, FILE *out)
{
	fprintf(out, "\n%s%s%s\n", opts->color ? "\033[1m" : "", line,
		opts->color ? "\033[0m" : "");
}

/* ---- the parts of the table ----------------------------------------------------------------- */

static void print_head(const struct mp_xray_report *r, FILE *out)
{
	const struct mp_ev_xray *f = &r->facts;
	char comm[80];

	fprintf(out, "process %" PRIu32 " (%s): its heap as it stands, copied in %s ", r->pid,
		mp_label_safe(comm, sizeof(comm), r->comm),
		mp_units_ns(mp_units_signed(f->end_ns - f->begin_ns), false).s);
	if (f->flags & MP_XRAY_FROZEN)
		fputs("while it stood still", out);
	else
		fputs("while it could run", out);
	if (f->tries > 1)
		fprintf(out, ", %" PRIu32 " tries", f->tries);
	fputc('\n', out);
}

static void print_row(const char *name, uint64_t chunks, const struct mp_xray_bytes *b,
		      bool swapped, const struct mp_view_opts *opts, FILE *out)
{
	struct mp_text all, present, away, gone;
	uint64_t absent = b->bytes - b->present - b->swapped;

	fprintf(out, "%-10s %12" PRIu64 " %14s %14s %14s", name, chunks,
		bytes(b->bytes, opts, &all), bytes(b->present, opts, &present),
		bytes(absent, opts, &away));
	if (swapped)
		fprintf(out, " %14s", bytes(b->swapped, opts, &gone));
	fputc('\n', out);
}

/* Where every byte is. "not there" has the zero page in it. */
static void print_books(const struct mp_xray_report *r, const struct mp_view_opts *opts, FILE *out)
{
	static const uint8_t order[] = { MP_CHUNK_LIVE,   MP_CHUNK_TCACHE, MP_CHUNK_FASTBIN,
					 MP_CHUNK_BIN,    MP_CHUNK_TOP,    MP_CHUNK_OWN,
					 MP_CHUNK_UNKNOWN };
	const struct mp_xray_arena *t = &r->total;
	struct mp_xray_bytes sum = { 0 };
	uint64_t chunks = 0;
	bool swapped;

	for (int i = 1; i < MP_CHUNK_STATES; i++) {
		sum.bytes += t->by[i].bytes;
		sum.present += t->by[i].present;
		sum.swapped += t->by[i].swapped;
		chunks += t->chunks[i];
	}
	swapped = sum.swapped;
	heading(swapped ? "                 chunks          bytes       resident      not there        "
			  "swapped"
			: "                 chunks          bytes       resident      not there",
		opts, out);
	for (size_t i = 0; i < sizeof(order); i++)
		if (t->by[order[i]].bytes)
			print_row(mp_chunk_state_name(order[i]), t->chunks[order[i]],
				  &t->by[order[i]], swapped, opts, out);
	print_row("total", chunks, &sum, swapped, opts, out);
}

static void print_pins(const struct mp_xray_pages *p, const struct mp_view_opts *opts, FILE *out)
{
	struct mp_text size;
	uint64_t below = 0;

	heading("live bytes on it           pages           size", opts, out);
	fprintf(out, "%-18s %13" PRIu64 " %14s\n", "none", p->idle,
		page_bytes(p->idle, opts, &size));
	for (int i = 0; i < MP_XRAY_PINS; i++) {
		char label[32];

		if (!p->pins[i]) {
			below = mp_xray_pin_limits[i];
			continue;
		}
		if (mp_xray_pin_limits[i] == MP_PAGE_SIZE)
			snprintf(label, sizeof(label), "all");
		else
			snprintf(label, sizeof(label), "%" PRIu64 " to %" PRIu32, below + 1,
				 mp_xray_pin_limits[i]);
		below = mp_xray_pin_limits[i];
		fprintf(out, "%-18s %13" PRIu64 " %14s\n", label, p->pins[i],
			page_bytes(p->pins[i], opts, &size));
	}
}

static void print_pages(const struct mp_xray_report *r, const struct mp_view_opts *opts, FILE *out)
{
	const struct mp_xray_pages *p = &r->total.pages;
	struct mp_text a, b, c;

	fprintf(out,
		"\n%s resident on %" PRIu64 " pages; %s of it on pages with nothing live on them\n",
		page_bytes(p->present, opts, &a), p->present, page_bytes(p->idle, opts, &b));
	fprintf(out, "malloc_trim(0) would give back %s", bytes(r->total.trim_bytes, opts, &a));
	if (p->cached)
		fprintf(out, "; %s are held by thread caches and fastbins",
			page_bytes(p->cached, opts, &c));
	fputc('\n', out);
	if (p->huge)
		fprintf(out, "huge pages: %s resident, of it %s with nothing live on them\n",
			page_bytes(p->huge, opts, &a), page_bytes(p->huge_idle, opts, &b));
	print_pins(p, opts, out);
}

static void print_holder(const struct mp_xray_arena *a, const struct mp_view_opts *opts, FILE *out)
{
	struct mp_text size, below;

	if (!a->holder.addr)
		return;
	fprintf(out, "  top held by %s chunk %#" PRIx64 ", %s",
		mp_chunk_state_name(a->holder.state), a->holder.addr,
		bytes(a->holder.bytes, opts, &size));
	if (a->holder.free_below)
		fprintf(out, "; %s free below it", bytes(a->holder.free_below, opts, &below));
}

static void print_arena(const struct mp_xray_arena *a, const char *name,
			const struct mp_view_opts *opts, FILE *out)
{
	struct mp_text live, present, idle, trim;

	fprintf(out, "%-16s %7" PRIu32 " %12" PRIu64 " %12s %12s %12s %12s", name, a->threads,
		a->chunks[MP_CHUNK_LIVE], bytes(a->by[MP_CHUNK_LIVE].bytes, opts, &live),
		page_bytes(a->pages.present, opts, &present),
		page_bytes(a->pages.idle, opts, &idle), bytes(a->trim_bytes, opts, &trim));
	if (a->flags & MP_ARENA_BUSY)
		fputs("  (in use while copied)", out);
	if (a->broken)
		fprintf(out, "  (%" PRIu64 " of %" PRIu64 " parts broken)", a->broken, a->parts);
	fputc('\n', out);
	print_holder(a, opts, out);
	if (a->holder.addr)
		fputc('\n', out);
}

static void print_arenas(const struct mp_xray_report *r, const struct mp_view_opts *opts, FILE *out)
{
	size_t nr = r->nr_arenas;

	heading("arena            threads  live blocks         live     resident         idle  "
		"trim gives",
		opts, out);
	if (opts->top && nr > (size_t)opts->top)
		nr = (size_t)opts->top;
	for (size_t i = 0; i < nr; i++) {
		char name[32] = "main";

		if (!(r->arenas[i].flags & MP_ARENA_MAIN))
			snprintf(name, sizeof(name), "%#" PRIx64, r->arenas[i].addr);
		print_arena(&r->arenas[i], name, opts, out);
	}
	if (nr < r->nr_arenas)
		fprintf(out, "%zu more arenas (-n 0 shows all)\n", r->nr_arenas - nr);
	if (r->mapped.parts)
		print_arena(&r->mapped, "mapped", opts, out);
}

static void print_thresholds(const struct mp_xray_report *r, const struct mp_view_opts *opts,
			     FILE *out)
{
	struct mp_text a, b;

	fprintf(out, "\nmalloc maps from %s on, and trims the main arena's top from %s on\n",
		bytes(r->facts.mmap_threshold, opts, &a), bytes(r->facts.trim_threshold, opts, &b));
}

static void print_problems(const struct mp_xray_report *r, FILE *out)
{
	for (const struct mp_xray_problem *p = mp_xray_problems; p->flag; p++)
		if (r->facts.flags & p->flag)
			fprintf(out, "partial: %s\n", p->text);
	for (size_t i = 0; i < r->nr_breaks; i++)
		fprintf(out, "partial: heap %#" PRIx64 "-%#" PRIx64 " breaks at %#" PRIx64 ": %s\n",
			r->breaks[i].start, r->breaks[i].end, r->breaks[i].at,
			mp_heap_end_name(r->breaks[i].how));
	if (r->total.broken > r->nr_breaks)
		fprintf(out, "partial: %" PRIu64 " more heaps are broken\n",
			r->total.broken - r->nr_breaks);
	if ((r->total.broken || r->facts.flags & MP_XRAY_LISTS) &&
	    !(r->facts.flags & MP_XRAY_FROZEN))
		fputs("the process ran while it was copied; --freeze stops it for that time\n",
		      out);
}

int mp_view_xray_table(const struct mp_xray_report *const *reports, size_t nr,
		       const struct mp_view_opts *opts, FILE *out)
{
	for (size_t i = 0; i < nr; i++) {
		const struct mp_xray_report *r = reports[i];

		if (i)
			fputc('\n', out);
		print_head(r, out);
		print_books(r, opts, out);
		print_pages(r, opts, out);
		print_arenas(r, opts, out);
		print_thresholds(r, opts, out);
		if (opts->pages)
			mp_view_xray_map(r, out);
		print_problems(r, out);
	}
	return mp_view_finish(out);
}
