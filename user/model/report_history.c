// SPDX-License-Identifier: GPL-2.0-or-later
/* The past of pages, those that are gone included, and who gave whose back, in a report. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/draft.h"

/* ---- pages ------------------------------------------------------------------------------------ */

static struct mp_past past_of(const struct mp_draft *d, const struct mp_past_rec *rec)
{
	return (struct mp_past){
		.t_ns = rec->t_ns,
		.pfn = rec->pfn,
		.other = (uint64_t)rec->other << MP_PAGE_SHIFT,
		.site = d->ids[rec->site],
		.owner = d->ids[rec->owner],
		.what = rec->what,
		.kind = rec->kind < MP_KIND_NR ? rec->kind : MP_KIND_NONE,
		.by = rec->by < MP_BY_NR ? rec->by : MP_BY_NONE,
		.order = rec->order,
		.fn = rec->fn,
	};
}

/* The process has ended, and its pages with it; that is told of what stood at the report's instant. */
static struct mp_past end_of(const struct mp_process *p, const struct mp_page *row, uint32_t owner)
{
	return (struct mp_past){
		.t_ns = p->instant_ns,
		.pfn = row->pfn,
		.owner = owner,
		.what = p->at == MP_AT_OOM ? MP_PAST_OOM : MP_PAST_EXIT,
		.kind = MP_KIND_NONE,
		.by = MP_BY_NONE,
		.order = row->order,
	};
}

/* The past of the page of @row, oldest first. */
static int fill_past(struct mp_draft *d, const struct mp_process *p, struct mp_page *row)
{
	const struct mp_history *h = d->m->history;
	uint64_t last = mp_history__last(h, p->pages.space, row->addr >> MP_PAGE_SHIFT), at;
	bool ends = p->exited && row->state != MP_STATE_GONE, cut = false;
	struct mp_past *past;
	size_t n = ends;

	for (at = last; at; at = mp_history__before(h, at, &cut))
		n++;
	past = mp_draft_take(d, n * sizeof(*past));
	if (!past)
		return -ENOMEM;
	row->past = past;
	row->nr_past = n;
	row->past_cut = cut;
	if (ends) {
		uint32_t owner = last ? d->ids[mp_history__at(h, last)->owner] : 0;

		past[--n] = end_of(p, row, owner);
	}
	for (at = last; at; at = mp_history__before(h, at, &cut))
		past[--n] = past_of(d, mp_history__at(h, at));
	return 0;
}

/* How a page that is gone had come, as far as it is known; its time is that of its end. */
static void describe_gone(struct mp_page *row)
{
	static const uint8_t sources[] = {
		[MP_PAST_FAULT] = MP_SRC_FAULT,   [MP_PAST_POPULATE] = MP_SRC_POPULATE,
		[MP_PAST_SEEDED] = MP_SRC_SEEDED, [MP_PAST_RECONCILED] = MP_SRC_RECONCILED,
		[MP_PAST_TOOL] = MP_SRC_TOOL,
	};
	uint32_t i;

	row->kind = MP_KIND_NONE;
	row->by = MP_BY_NONE;
	row->fault_ns = row->alloc_ns = row->page_ns = MP_UNKNOWN;
	for (i = 0; i < row->nr_past; i++) {
		const struct mp_past *past = &row->past[i];

		row->pfn = past->pfn;
		row->order = past->order;
		row->t_ns = past->t_ns;
		if (past->what > MP_PAST_TOOL)
			continue;
		row->kind = past->kind;
		row->by = past->by;
		row->toucher = past->what == MP_PAST_FAULT ? past->site : 0;
		row->source = sources[past->what];
	}
}

static int add_gone(struct mp_draft *d, const struct mp_process *p, struct mp_page *row,
		    uint64_t vpn)
{
	*row = (struct mp_page){ .addr = vpn << MP_PAGE_SHIFT, .state = MP_STATE_GONE };
	if (fill_past(d, p, row))
		return -ENOMEM;
	describe_gone(row);
	return 0;
}

/* Merges the rows, which are by address, with those of the pages @vpns that are gone. */
static int merge(struct mp_draft *d, const struct mp_process *p, struct mp_proc *out,
		 const uint64_t *vpns, size_t nr)
{
	struct mp_page *rows = calloc(out->nr_pages + nr + 1, sizeof(*rows));
	size_t n = 0, i = 0, k = 0;
	int err = rows ? 0 : -ENOMEM;

	while (!err && (i < out->nr_pages || k < nr)) {
		uint64_t here = i < out->nr_pages ? out->pages[i].addr >> MP_PAGE_SHIFT
						  : UINT64_MAX;

		if (k < nr && vpns[k] < here) {
			err = add_gone(d, p, &rows[n++], vpns[k++]);
			continue;
		}
		k += k < nr && vpns[k] == here;
		rows[n] = out->pages[i++];
		err = fill_past(d, p, &rows[n++]);
	}
	if (err) {
		free(rows);
		return err;
	}
	free(out->pages);
	out->pages = rows;
	out->nr_pages = n;
	return 0;
}

int mp_history_fill(struct mp_draft *d, const struct mp_process *p, struct mp_proc *out)
{
	const struct mp_history *h = d->m->history;
	uint64_t *vpns, *bytes;
	size_t i, nr;
	int err;

	if (!h)
		return 0;
	bytes = mp_draft_take(d, MP_PAST_NR * sizeof(*bytes));
	if (!bytes)
		return -ENOMEM;
	for (i = 0; i < MP_PAST_NR; i++)
		bytes[i] = p->departed[i] << MP_PAGE_SHIFT;
	out->departed = bytes;
	if (!(d->flags & MP_REPORT_PAGES))
		return 0;
	vpns = mp_history__pages(h, p->pages.space, &nr);
	if (!vpns)
		return -ENOMEM;
	err = merge(d, p, out, vpns, nr);
	mp_mem_free(h->mem, vpns);
	return err;
}

/* ---- sites ------------------------------------------------------------------------------------ */

struct gone {
	uint32_t owner;
	struct mp_departed to;
};

/* By owner; then what is most, and of equals by how and who. */
static int order_of(const struct gone *x, const struct gone *y)
{
	if (x->owner != y->owner)
		return x->owner < y->owner ? -1 : 1;
	if (x->to.what != y->to.what)
		return x->to.what < y->to.what ? -1 : 1;
	return (x->to.by > y->to.by) - (x->to.by < y->to.by);
}

static int by_owner(const void *a, const void *b)
{
	return order_of(a, b);
}

static int by_bytes(const void *a, const void *b)
{
	const struct gone *x = a, *y = b;

	if (x->owner == y->owner && x->to.bytes != y->to.bytes)
		return x->to.bytes > y->to.bytes ? -1 : 1;
	return order_of(x, y);
}

/* Sites of the model that turned out to be one have an id together. */
static size_t collect(const struct mp_draft *d, struct gone *gone)
{
	const struct mp_map *map = &d->m->history->gone;
	size_t i, n = 0, kept = 0;

	for (i = 0; i < mp_map__room(map); i++) {
		const struct mp_map_slot *slot = &map->slots[i];

		if (slot->val)
			gone[n++] = (struct gone){
				.owner = d->ids[slot->key >> 28 & (MP_GONE_SITES_MAX - 1)],
				.to = { .by = d->ids[slot->key & (MP_GONE_SITES_MAX - 1)],
					.what = slot->key >> 56,
					.bytes = (uintptr_t)slot->val << MP_PAGE_SHIFT },
			};
	}
	qsort(gone, n, sizeof(*gone), by_owner);
	for (i = 0; i < n; i++) {
		if (kept && !order_of(&gone[kept - 1], &gone[i]))
			gone[kept - 1].to.bytes += gone[i].to.bytes;
		else
			gone[kept++] = gone[i];
	}
	qsort(gone, kept, sizeof(*gone), by_bytes);
	return kept;
}

/* What the first of @n has, and those after it of the same owner: how many. NULL without memory. */
static const struct mp_departed *list_of(struct mp_draft *d, const struct gone *gone, size_t n,
					 size_t *nr)
{
	struct mp_departed *list;
	size_t i;

	for (*nr = 0; *nr < n && gone[*nr].owner == gone->owner; ++*nr)
		;
	list = mp_draft_take(d, *nr * sizeof(*list));
	for (i = 0; list && i < *nr; i++)
		list[i] = gone[i].to;
	return list;
}

static int give(struct mp_draft *d, const struct gone *gone, size_t n)
{
	struct mp_report *r = d->report;
	const struct mp_departed *list;
	size_t i, nr;

	for (i = 0; i < n; i += nr) {
		struct mp_site *s = gone[i].owner ? &r->sites[gone[i].owner - 1] : NULL;

		list = list_of(d, &gone[i], n - i, &nr);
		if (!list)
			return -ENOMEM;
		*(s ? &s->departed : &r->departed) = list;
		*(s ? &s->nr_departed : &r->nr_departed) = nr;
	}
	return 0;
}

int mp_history_sites(struct mp_draft *d)
{
	struct mp_history *h = d->m->history;
	struct mp_report *r = d->report;
	struct gone *gone;
	int err;

	if (!h)
		return 0;
	r->history = true;
	r->loss.history_lost = h->lost;
	gone = mp_mem_alloc(h->mem, (h->gone.n + 1) * sizeof(*gone));
	if (!gone)
		return -ENOMEM;
	err = give(d, gone, collect(d, gone));
	mp_mem_free(h->mem, gone);
	return err;
}
