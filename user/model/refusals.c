// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory that was asked for and refused: who asked, how much, and why there was none. */
#include <errno.h>
#include <string.h>

#include "model/draft.h"

static uint64_t add_up(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* @limit is of the last one. */
static bool alike(const struct mp_refusal *a, const struct mp_refusal *b)
{
	return a->op == b->op && a->fn == b->fn && a->error == b->error && a->why == b->why &&
	       a->site == b->site;
}

static struct mp_refusal *row_like(struct mp_refusal *rows, size_t nr, const struct mp_refusal *r)
{
	for (size_t i = 0; i < nr; i++)
		if (alike(&rows[i], r))
			return &rows[i];
	return NULL;
}

static void add_to(struct mp_refusal *row, const struct mp_refusal *r)
{
	row->count += r->count;
	row->bytes = add_up(row->bytes, r->bytes);
	row->limit = r->limit;
}

static int count(struct mp_model *m, struct mp_process *p, struct mp_refusal r)
{
	struct mp_refusals_rec *all = &p->refusals;
	struct mp_refusal *row = row_like(all->rows, all->nr_rows, &r);

	if (!row && all->nr_rows >= MP_REFUSALS_MAX) {
		r.site = 0;
		row = row_like(all->rows, all->nr_rows, &r);
	}
	if (row) {
		add_to(row, &r);
		return 0;
	}
	if (mp_mem_grow(&m->mem, &all->rows, &all->cap_rows, all->nr_rows + 1, sizeof(r)))
		return -ENOMEM;
	all->rows[all->nr_rows++] = r;
	return 0;
}

static uint64_t bytes_asked(const struct mp_ev_refusal *ev)
{
	const struct mp_ev_range *r = &ev->r;

	switch (r->op) {
	case MP_OP_BRK:
		return r->addr - r->old;
	case MP_OP_MREMAP:
		return r->len > r->old_len ? r->len - r->old_len : 0;
	case MP_OP_MUNMAP:
	case MP_OP_MLOCKALL:
	case MP_OP_SHMAT:
		return 0;
	}
	return r->len;
}

/* The allocator call that @ev was made in may fail for it. */
static int keep_open(struct mp_model *m, struct mp_process *p, const struct mp_ev_range *ev,
		     const struct mp_refusal *r)
{
	struct mp_refusals_rec *all = &p->refusals;
	struct mp_refused *o = NULL;

	for (size_t i = 0; i < all->nr_open; i++)
		if (all->open[i].tid == ev->h.tid)
			o = &all->open[i];
	if (!o && all->nr_open == MP_REFUSED_MAX)
		memmove(all->open, all->open + 1, --all->nr_open * sizeof(*o));
	if (!o) {
		if (mp_mem_grow(&m->mem, &all->open, &all->cap_open, all->nr_open + 1, sizeof(*o)))
			return -ENOMEM;
		o = &all->open[all->nr_open++];
	}
	*o = (struct mp_refused){
		.tid = ev->h.tid,
		.stack = ev->stack,
		.caller = ev->caller,
		.error = r->error,
		.why = r->why,
		.limit = r->limit,
	};
	return 0;
}

int mp_on_refusal(struct mp_model *m, struct mp_process *p, const struct mp_ev_refusal *ev)
{
	bool inside = ev->r.in_fn != MP_FN_NONE && ev->r.in_fn != MP_FN_MMAP;
	struct mp_refusal_why why = mp_why_refused(m, p, ev);
	struct mp_refusal r = {
		.op = ev->r.op,
		.fn = inside ? ev->r.in_fn : 0,
		.error = ev->r.op == MP_OP_BRK
				 ? ENOMEM
				 : (int)(0 - (uint64_t)ev->r.ret), /* as libc tells it */
		.why = why.why,
		.limit = why.limit,
		.count = 1,
		.bytes = bytes_asked(ev),
	};

	if (mp_process_site(m, p, ev->r.stack, ev->r.caller, MP_PLACE_RETURN, &r.site))
		return -ENOMEM;
	if (inside && keep_open(m, p, &ev->r, &r))
		return -ENOMEM;
	return count(m, p, r);
}

/* Takes it away: the call that it was made in has returned, or was left by a jump. */
static bool take_open(struct mp_process *p, uint32_t tid, struct mp_refused *out)
{
	struct mp_refusals_rec *all = &p->refusals;

	for (size_t i = 0; i < all->nr_open; i++)
		if (all->open[i].tid == tid) {
			*out = all->open[i];
			all->open[i] = all->open[--all->nr_open];
			return true;
		}
	return false;
}

void mp_refusals_returned(struct mp_process *p, const struct mp_ev_alloc *ev)
{
	struct mp_refused o;

	if (p->refusals.nr_open)
		take_open(p, ev->h.tid, &o);
}

int mp_refusals_failed(struct mp_model *m, struct mp_process *p, const struct mp_ev_alloc *ev,
		       uint32_t site)
{
	struct mp_refused o;
	struct mp_refusal r = {
		.fn = ev->fn,
		.site = site,
		.why = MP_WHY_UNKNOWN,
		.limit = MP_UNKNOWN,
		.count = 1,
		.bytes = ev->requested,
	};

	if (take_open(p, ev->h.tid, &o) && o.caller == ev->caller && o.stack == ev->stack) {
		r.why = o.why;
		r.error = o.error;
		r.limit = o.limit;
	} else if (ev->requested >
		   PTRDIFF_MAX) { /* no object is that large, so none is asked for */
		r.why = MP_WHY_SIZE;
		r.error = ENOMEM;
		r.limit = PTRDIFF_MAX;
	}
	return count(m, p, r);
}

void mp_refusals_clear(struct mp_model *m, struct mp_process *p)
{
	mp_mem_free(&m->mem, p->refusals.rows);
	mp_mem_free(&m->mem, p->refusals.open);
	p->refusals = (struct mp_refusals_rec){ 0 };
}

/* Sites that turned out to be one have one row. */
int mp_refusals_fill(struct mp_draft *d, struct mp_proc *out, const struct mp_process *p)
{
	const struct mp_refusals_rec *all = &p->refusals;

	out->refusals = mp_draft_take(d, all->nr_rows * sizeof(*out->refusals));
	if (!out->refusals)
		return -ENOMEM;
	for (size_t i = 0; i < all->nr_rows; i++) {
		struct mp_refusal r = all->rows[i], *row;

		r.site = d->ids[r.site];
		row = row_like(out->refusals, out->nr_refusals, &r);
		if (row)
			add_to(row, &r);
		else
			out->refusals[out->nr_refusals++] = r;
	}
	return 0;
}

const char *mp_why_name(int why)
{
	static const char *const names[MP_WHY_NR] = {
		[MP_WHY_UNKNOWN] = "unknown",
		[MP_WHY_OVERCOMMIT] = "overcommit",
		[MP_WHY_RLIMIT_AS] = "rlimit_as",
		[MP_WHY_RLIMIT_DATA] = "rlimit_data",
		[MP_WHY_RLIMIT_MEMLOCK] = "rlimit_memlock",
		[MP_WHY_MAX_MAP_COUNT] = "max_map_count",
		[MP_WHY_ADDRESS_SPACE] = "address_space",
		[MP_WHY_NOT_MAPPED] = "not_mapped",
		[MP_WHY_SIZE] = "size",
		[MP_WHY_CALL] = "call",
	};

	return why >= 0 && why < MP_WHY_NR ? names[why] : "unknown";
}

const char *mp_op_name(int op)
{
	static const char *const names[] = {
		[MP_OP_BRK] = "brk",           [MP_OP_MMAP] = "mmap",
		[MP_OP_MUNMAP] = "munmap",     [MP_OP_MREMAP] = "mremap",
		[MP_OP_MADVISE] = "madvise",   [MP_OP_MPROTECT] = "mprotect",
		[MP_OP_MLOCK] = "mlock",       [MP_OP_MUNLOCK] = "munlock",
		[MP_OP_MLOCKALL] = "mlockall", [MP_OP_SHMAT] = "shmat",
		[MP_OP_SHMDT] = "shmdt",
	};

	return op > 0 && op < (int)(sizeof(names) / sizeof(names[0])) ? names[op] : "unknown";
}
