// SPDX-License-Identifier: GPL-2.0-or-later
/* What faults had to wait for where memory was short, as JSON and in words. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "view/groups.h"
#include "view/json.h"
#include "view/label.h"
#include "view/units.h"
#include "view/views.h"

#define SITES_SHOWN 3 /* -v shows all */

static void told(struct mp_json *j, const char *name, uint64_t n, int known)
{
	mp_json_signed(j, name, known ? mp_units_signed(n) : MP_UNKNOWN);
}

void mp_json_waits(struct mp_json *j, const struct mp_waits *w)
{
	int reclaim = w->told & MP_WAIT_RECLAIM, compact = w->told & MP_WAIT_COMPACT;

	told(j, "reclaims", w->reclaims, reclaim);
	told(j, "reclaim_ns", w->reclaim_ns, reclaim);
	told(j, "memcg_reclaims", w->memcg_reclaims, reclaim);
	told(j, "memcg_reclaim_ns", w->memcg_ns, reclaim);
	told(j, "compactions", w->compactions, compact);
	told(j, "compact_ns", w->compact_ns, compact);
	told(j, "kswapd_wakes", w->wakes, reclaim);
	told(j, "oom_faults", w->unmet, reclaim);
	told(j, "charge_failures", w->unmet_memcg, reclaim);
}

struct words {
	char *buf;
	size_t room, used;
	bool bytes;
};

/* "3 WHAT(s) (1.2 ms)"; @ns MP_UNKNOWN: it has no duration */
static void say(struct words *s, uint64_t n, const char *what, int64_t ns)
{
	int len;

	if (!n || s->used >= s->room)
		return;
	len = snprintf(s->buf + s->used, s->room - s->used, "%s%" PRIu64 " %s%s",
		       s->used ? ", " : "", n, what, n == 1 ? "" : "s");
	s->used += len;
	if (ns == MP_UNKNOWN || s->used >= s->room)
		return;
	s->used +=
		snprintf(s->buf + s->used, s->room - s->used, " (%s)", mp_units_ns(ns, s->bytes).s);
}

size_t mp_waits_say(char *buf, size_t room, const struct mp_waits *w, bool bytes)
{
	struct words s = { buf, room, 0, bytes };
	uint64_t machine = w->unmet > w->unmet_memcg ? w->unmet - w->unmet_memcg : 0;

	*buf = 0;
	say(&s, w->reclaims, "direct reclaim", mp_units_signed(w->reclaim_ns));
	say(&s, w->memcg_reclaims, "memcg reclaim", mp_units_signed(w->memcg_ns));
	say(&s, w->compactions, "compaction", mp_units_signed(w->compact_ns));
	say(&s, w->wakes, "kswapd wake-up", MP_UNKNOWN);
	say(&s, w->unmet_memcg, "memcg charge failure", MP_UNKNOWN);
	say(&s, machine, "out-of-memory fault", MP_UNKNOWN);
	return s.used;
}

static uint64_t waited_ns(const struct mp_waits *w)
{
	return w->reclaim_ns + w->memcg_ns + w->compact_ns;
}

static void weigh(const void *ctx, struct mp_group *g)
{
	const struct mp_waits *w = &g->site->waits;

	(void)ctx;
	g->n = waited_ns(w);
	g->bytes = w->reclaims + w->memcg_reclaims + w->compactions;
}

static void weigh_unmet(const void *ctx, struct mp_group *g)
{
	(void)ctx;
	g->n = g->site->waits.unmet;
}

static struct mp_label label_of(const struct mp_group *g, struct mp_symbols *sym,
				const struct mp_view_opts *opts)
{
	struct mp_frames f;

	mp_frames_shown(&f, g->site, sym, opts);
	return mp_frames_label(&f, opts->verbose ? MP_LABEL_PATHS : 0);
}

static void list(const struct mp_report *r, mp_weigh_fn what, struct mp_symbols *sym,
		 const struct mp_view_opts *opts, FILE *out)
{
	size_t nr, i;
	struct mp_group *g = mp_groups_make(r, what, NULL, sym, opts, &nr);

	for (i = 0; g && i < nr && (opts->verbose || i < SITES_SHOWN); i++)
		if (what == weigh)
			fprintf(out, "  waited    %10s %8" PRIu64 " time%s  %s\n",
				mp_units_ns(mp_units_signed(g[i].n), opts->bytes).s, g[i].bytes,
				g[i].bytes == 1 ? " " : "s", label_of(&g[i], sym, opts).s);
		else
			fprintf(out, "  no memory %10s %8" PRIu64 " fault%s %s\n", "", g[i].n,
				g[i].n == 1 ? " " : "s", label_of(&g[i], sym, opts).s);
	free(g);
}

void mp_text_waits(const struct mp_report *r, struct mp_symbols *sym,
		   const struct mp_view_opts *opts, FILE *out)
{
	struct mp_waits sum = { 0 };
	char text[300];

	for (size_t i = 0; i < r->nr_procs; i++)
		mp_waits_add(&sum, &r->procs[i].waits);
	if (!mp_waits_say(text, sizeof(text), &sum, opts->bytes))
		return;
	fprintf(out, "memory was short: %s\n", text);
	list(r, weigh, sym, opts, out);
	list(r, weigh_unmet, sym, opts, out);
}
