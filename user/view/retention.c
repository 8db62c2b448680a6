// SPDX-License-Identifier: GPL-2.0-or-later
/* Limits of memory, what was given back and wanted again, and who made arenas, in words. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "view/groups.h"
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

#define SITES_SHOWN 3 /* -v shows all */

static struct mp_label label_of(const struct mp_site *s, struct mp_symbols *sym,
				const struct mp_view_opts *opts)
{
	struct mp_frames f;

	mp_frames_shown(&f, s, sym, opts);
	return mp_frames_label(&f, opts->verbose ? MP_LABEL_PATHS : 0);
}

/* How many arenas each site has made, by its id. */
static void weigh_made(const void *ctx, struct mp_group *g)
{
	const uint64_t *made = ctx;

	g->n = made[g->site->id];
}

static void list_makers(const struct mp_report *r, const uint64_t *made, struct mp_symbols *sym,
			const struct mp_view_opts *opts, FILE *out)
{
	size_t nr, i;
	struct mp_group *g = mp_groups_make(r, weigh_made, made, sym, opts, &nr);

	for (i = 0; g && i < nr && (opts->verbose || i < SITES_SHOWN); i++)
		fprintf(out, "    %" PRIu64 " by %s\n", g[i].n, label_of(g[i].site, sym, opts).s);
	if (made[0])
		fprintf(out, "    %" PRIu64 " by unknown\n", made[0]);
	free(g);
}

void mp_text_arenas(const struct mp_report *r, const struct mp_proc *p, struct mp_symbols *sym,
		    const struct mp_view_opts *opts, FILE *out)
{
	const struct mp_heap_facts *g = &p->glibc;
	uint64_t *made = g->arenas_made ? calloc(r->nr_sites + 1, sizeof(*made)) : NULL;

	if (!made)
		return;
	for (size_t i = 0; i < g->nr_heaps; i++)
		made[g->heaps[i].site] += g->heaps[i].first;
	fprintf(out, "  %s arenas, %" PRIu64 " of them made since tracing began; ",
		mp_units_count(g->arenas).s, g->arenas_made);
	fprintf(out, "%" PRIu64 " heap%s for them, by:\n", g->heaps_made,
		g->heaps_made == 1 ? "" : "s");
	list_makers(r, made, sym, opts, out);
	free(made);
}

static void weigh_gave(const void *ctx, struct mp_group *g)
{
	(void)ctx;
	g->n = g->site->given_back.calls;
	g->bytes = g->site->given_back.bytes;
}

static void weigh_wanted(const void *ctx, struct mp_group *g)
{
	(void)ctx;
	g->n = g->site->given_back.refaults;
	g->bytes = g->site->given_back.refault_bytes;
}

static void list(const struct mp_report *r, bool gave, struct mp_symbols *sym,
		 const struct mp_view_opts *opts, FILE *out)
{
	const char *what = gave ? "call" : "fault";
	size_t nr, i;
	struct mp_group *g =
		mp_groups_make(r, gave ? weigh_gave : weigh_wanted, NULL, sym, opts, &nr);

	for (i = 0; g && i < nr && (opts->verbose || i < SITES_SHOWN); i++)
		fprintf(out, "  %-10s %10s %8" PRIu64 " %s%-*s  %s\n",
			gave ? "given back" : "came again",
			mp_units_bytes((int64_t)g[i].bytes, opts->bytes).s, g[i].n, what,
			(int)(strlen("faults") - strlen(what)), g[i].n == 1 ? "" : "s",
			label_of(g[i].site, sym, opts).s);
	free(g);
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
	list(r, false, sym, opts, out);
	list(r, true, sym, opts, out);
}
