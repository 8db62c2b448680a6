// SPDX-License-Identifier: GPL-2.0-or-later
/* Limits of memory, and what was given back, as JSON. */
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
