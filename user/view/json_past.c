// SPDX-License-Identifier: GPL-2.0-or-later
/* What became of pages, as JSON; nothing of it without --history. */
#include "model/model.h"
#include "view/json.h"

static void address_or_null(struct mp_json *j, const char *name, uint64_t addr)
{
	if (addr)
		mp_json_address(j, name, addr);
	else
		mp_json_word(j, name, NULL);
}

static void event(struct mp_json *j, const struct mp_past *p)
{
	mp_json_open(j, NULL, "{");
	mp_json_number(j, "t_ns", p->t_ns);
	mp_json_word(j, "what", mp_past_name(p->what));
	mp_json_known(j, "pfn", p->pfn);
	mp_json_number(j, "order", p->order);
	mp_json_word(j, "kind", p->kind == MP_KIND_NONE ? NULL : mp_kind_name(p->kind));
	mp_json_word(j, "by", p->by == MP_BY_NONE ? NULL : mp_by_name(p->by));
	mp_json_word(j, "fn", p->fn ? mp_fn_name(p->fn) : NULL);
	mp_json_known(j, "site", p->site);
	mp_json_known(j, "owner", p->owner);
	address_or_null(j, "other", p->other);
	mp_json_close(j, "}");
}

void mp_json_past(struct mp_json *j, const struct mp_page *p)
{
	uint32_t i;

	if (!p->past)
		return;
	mp_json_open(j, "history", "[");
	for (i = 0; i < p->nr_past; i++)
		event(j, &p->past[i]);
	mp_json_close(j, "]");
	mp_json_bool(j, "history_cut", p->past_cut);
}

void mp_json_departed(struct mp_json *j, const struct mp_departed *d, size_t nr)
{
	size_t i;

	if (!nr)
		return;
	mp_json_open(j, "departed", "[");
	for (i = 0; i < nr; i++) {
		mp_json_open(j, NULL, "{");
		mp_json_word(j, "how", mp_past_name(d[i].what));
		mp_json_known(j, "by", d[i].by);
		mp_json_number(j, "bytes", d[i].bytes);
		mp_json_close(j, "}");
	}
	mp_json_close(j, "]");
}

void mp_json_ways(struct mp_json *j, const uint64_t *bytes)
{
	int i;

	if (!bytes)
		return;
	mp_json_open(j, "departed", "{");
	for (i = 0; i < MP_PAST_NR; i++)
		if (bytes[i])
			mp_json_number(j, mp_past_name(i), bytes[i]);
	mp_json_close(j, "}");
}
