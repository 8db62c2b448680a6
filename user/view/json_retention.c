// SPDX-License-Identifier: GPL-2.0-or-later
/* Limits of memory, what was given back, arenas, and who grew VMAs, as JSON. */
#include "model/model.h"
#include "view/json.h"

void mp_json_limit(struct mp_json *j, const struct mp_limit *l)
{
	if (!l->version) {
		mp_json_word(j, "cgroup", NULL);
		return;
	}
	mp_json_open(j, "cgroup", "{");
	mp_json_string(j, "path", l->path);
	mp_json_number(j, "version", l->version);
	mp_json_signed(j, "limit_bytes", l->limit_bytes);
	mp_json_signed(j, "usage_bytes", l->usage_bytes);
	mp_json_signed(j, "peak_bytes", l->peak_bytes);
	mp_json_signed(j, "limit_hits", l->limit_hits);
	mp_json_signed(j, "ooms", l->ooms);
	mp_json_signed(j, "oom_kills", l->oom_kills);
	mp_json_close(j, "}");
}

void mp_json_given_back(struct mp_json *j, const struct mp_give_back *g)
{
	mp_json_open(j, "given_back", "{");
	mp_json_number(j, "calls", g->calls);
	mp_json_number(j, "bytes", g->bytes);
	mp_json_number(j, "refaults", g->refaults);
	mp_json_number(j, "refault_bytes", g->refault_bytes);
	mp_json_number(j, "refault_ns", g->refault_ns);
	mp_json_close(j, "}");
}

static void new_heap(struct mp_json *j, const struct mp_new_heap *h)
{
	mp_json_line(j);
	mp_json_open(j, NULL, "{");
	mp_json_number(j, "t_ns", h->t_ns);
	mp_json_known(j, "tid", h->tid);
	mp_json_known(j, "site", h->site);
	mp_json_address(j, "heap", h->heap);
	mp_json_address(j, "arena", h->arena);
	mp_json_bool(j, "new_arena", h->first);
	mp_json_close(j, "}");
}

void mp_json_arenas(struct mp_json *j, const struct mp_heap_facts *g)
{
	mp_json_signed(j, "arenas", g->arenas);
	mp_json_number(j, "arenas_made", g->arenas_made);
	mp_json_number(j, "heaps_made", g->heaps_made);
	mp_json_open(j, "new_heaps", "[");
	for (size_t i = 0; i < g->nr_heaps; i++)
		new_heap(j, &g->heaps[i]);
	mp_json_close(j, "]");
}

void mp_json_growers(struct mp_json *j, const struct mp_vma *v)
{
	mp_json_open(j, "growers", "[");
	for (int i = 0; i < MP_GROWERS && v->growers[i].site; i++) {
		mp_json_open(j, NULL, "{");
		mp_json_number(j, "site", v->growers[i].site);
		mp_json_number(j, "bytes", v->growers[i].bytes);
		mp_json_close(j, "}");
	}
	mp_json_close(j, "]");
}
