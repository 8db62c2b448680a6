// SPDX-License-Identifier: GPL-2.0-or-later
/* Limits of memory, and what was given back and wanted again, in words. */
#include <inttypes.h>

#include "view/frames.h"
#include "view/label.h"
#include "view/units.h"
#include "view/views.h"

void mp_text_limit(const struct mp_proc *p, const struct mp_view_opts *opts, FILE *out)
{
	const struct mp_limit *l = &p->limit;
	char path[600];

	if (p->at == MP_AT_OOM && p->exited)
		fputs("  out of memory: the kernel chose it to be killed; this is that instant\n",
		      out);
	else if (p->at == MP_AT_OOM)
		fputs("  out of memory: this is the instant after; the process lives on\n", out);
	if (!l->version)
		return;
	mp_label_safe(path, sizeof(path), l->path);
	fprintf(out, "  limit %s by the cgroup %s", mp_units_bytes(l->limit_bytes, opts->bytes).s,
		path);
	if (l->peak_bytes != MP_UNKNOWN)
		fprintf(out, ": %s at most so far", mp_units_bytes(l->peak_bytes, opts->bytes).s);
	if (l->limit_hits != MP_UNKNOWN)
		fprintf(out, ", limit met %" PRId64 " time%s", l->limit_hits,
			l->limit_hits == 1 ? "" : "s");
	if (l->oom_kills > 0)
		fprintf(out, ", %" PRId64 " killed", l->oom_kills);
	fputc('\n', out);
}

static uint64_t gave(const struct mp_site *s)
{
	return s->given_back.bytes;
}

static uint64_t wanted(const struct mp_site *s)
{
	return s->given_back.refaults;
}

/* The site with most of it below @under, the lowest id of equals; NULL: there is none. */
static const struct mp_site *next_most(const struct mp_report *r,
				       uint64_t (*what)(const struct mp_site *s),
				       const struct mp_site *under)
{
	const struct mp_site *best = NULL;

	for (size_t i = 0; i < r->nr_sites; i++) {
		const struct mp_site *s = &r->sites[i];
		uint64_t n = what(s);

		if (!n || (best && n <= what(best)))
			continue;
		if (!under || n < what(under) || (n == what(under) && s->id > under->id))
			best = s;
	}
	return best;
}

#define SITES_SHOWN 3 /* -v shows all */

static struct mp_label label_of(const struct mp_site *s, struct mp_symbols *sym,
				const struct mp_view_opts *opts)
{
	struct mp_frames f;

	mp_frames_shown(&f, s, sym, opts);
	return mp_frames_label(&f, opts->verbose ? MP_LABEL_PATHS : 0);
}

static void line(FILE *out, const char *role, uint64_t bytes, uint64_t n, const char *what,
		 const struct mp_label *site, const struct mp_view_opts *opts)
{
	fprintf(out, "  %-10s %10s %8" PRIu64 " %-6s  %s\n", role,
		mp_units_bytes((int64_t)bytes, opts->bytes).s, n, what, site->s);
}

static void most(const struct mp_report *r, uint64_t (*what)(const struct mp_site *s),
		 struct mp_symbols *sym, const struct mp_view_opts *opts, FILE *out)
{
	const struct mp_site *s = NULL;

	for (int i = 0; (opts->verbose || i < SITES_SHOWN) && (s = next_most(r, what, s)); i++) {
		const struct mp_give_back *g = &s->given_back;
		struct mp_label label = label_of(s, sym, opts);

		if (what == gave)
			line(out, "given back", g->bytes, g->calls,
			     g->calls == 1 ? "call" : "calls", &label, opts);
		else
			line(out, "came again", g->refault_bytes, g->refaults,
			     g->refaults == 1 ? "fault" : "faults", &label, opts);
	}
}

void mp_text_given_back(const struct mp_report *r, struct mp_symbols *sym,
			const struct mp_view_opts *opts, FILE *out)
{
	struct mp_give_back sum = { 0 };

	for (size_t i = 0; i < r->nr_procs; i++) {
		const struct mp_give_back *g = &r->procs[i].given_back;

		sum.bytes += g->bytes;
		sum.refaults += g->refaults;
		sum.refault_bytes += g->refault_bytes;
		sum.refault_ns += g->refault_ns;
	}
	if (!sum.refaults)
		return;
	fprintf(out, "refaults: %" PRIu64 " fault%s (%s) brought back %s", sum.refaults,
		sum.refaults == 1 ? "" : "s", mp_units_ns((int64_t)sum.refault_ns, opts->bytes).s,
		mp_units_bytes((int64_t)sum.refault_bytes, opts->bytes).s);
	fprintf(out, " of %s of heap given to the kernel\n",
		mp_units_bytes((int64_t)sum.bytes, opts->bytes).s);
	most(r, wanted, sym, opts, out);
	most(r, gave, sym, opts, out);
}
