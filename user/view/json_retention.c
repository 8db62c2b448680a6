// SPDX-License-Identifier: GPL-2.0-or-later
/* Limits of memory, as JSON. */
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
