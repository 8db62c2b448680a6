// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory that was asked for and refused, in words and as JSON. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "view/frames.h"
#include "view/json.h"
#include "view/label.h"
#include "view/units.h"
#include "view/views.h"

#define SHOWN 5 /* -v shows all */

static const char *error_name(int error)
{
	static const struct {
		int error;
		const char *name;
	} names[] = {
		{ EPERM, "EPERM" },   { EAGAIN, "EAGAIN" },       { ENOMEM, "ENOMEM" },
		{ EACCES, "EACCES" }, { EFAULT, "EFAULT" },       { EEXIST, "EEXIST" },
		{ ENODEV, "ENODEV" }, { EINVAL, "EINVAL" },       { EBADF, "EBADF" },
		{ EBUSY, "EBUSY" },   { EOVERFLOW, "EOVERFLOW" }, { ENOSYS, "ENOSYS" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].error == error)
			return names[i].name;
	return NULL;
}

/* What was called: a system call, or an allocation function that failed. */
static const char *call_name(const struct mp_refusal *r)
{
	return r->op ? mp_op_name(r->op) : mp_fn_name(r->fn);
}

static void row(struct mp_json *j, const struct mp_refusal *r)
{
	const char *error = error_name(r->error);
	char text[16];

	snprintf(text, sizeof(text), "%d", r->error);
	mp_json_line(j);
	mp_json_open(j, NULL, "{");
	mp_json_word(j, "call", call_name(r));
	mp_json_word(j, "within", r->op && r->fn ? mp_fn_name(r->fn) : NULL);
	mp_json_text(j, "errno", r->error ? error ? error : text : "");
	mp_json_word(j, "reason", r->why == MP_WHY_UNKNOWN ? NULL : mp_why_name(r->why));
	mp_json_signed(j, "limit", r->limit);
	mp_json_known(j, "site", r->site);
	mp_json_number(j, "count", r->count);
	mp_json_number(j, "bytes", r->bytes);
	mp_json_close(j, "}");
}

void mp_json_refusals(struct mp_json *j, const struct mp_proc *p)
{
	mp_json_open(j, "refusals", "[");
	for (size_t i = 0; i < p->nr_refusals; i++)
		row(j, &p->refusals[i]);
	mp_json_close(j, "]");
}

/* ---- in words -------------------------------------------------------------------------------- */

/* Rows that are alike in all that is shown. */
struct shown {
	struct mp_refusal sum;
	struct mp_label label; /* of the site */
	size_t nth;
};

static int by_count(const void *a, const void *b)
{
	const struct shown *x = a, *y = b;

	if (!x->sum.op != !y->sum.op) /* calls of the allocator that failed come first */
		return x->sum.op ? 1 : -1;
	if (x->sum.count != y->sum.count)
		return x->sum.count < y->sum.count ? 1 : -1;
	return x->nth < y->nth ? -1 : x->nth > y->nth;
}

static struct mp_label label_of(const struct mp_report *rep, uint32_t id, struct mp_symbols *sym,
				const struct mp_view_opts *opts)
{
	struct mp_frames f;

	if (!id || id > rep->nr_sites)
		return (struct mp_label){ "unknown" };
	mp_frames_shown(&f, &rep->sites[id - 1], sym, opts);
	return mp_frames_label(&f, opts->verbose ? MP_LABEL_PATHS : 0);
}

static bool alike(const struct shown *a, const struct shown *b)
{
	return a->sum.op == b->sum.op && a->sum.fn == b->sum.fn && a->sum.why == b->sum.why &&
	       a->sum.error == b->sum.error && !strcmp(a->label.s, b->label.s);
}

/* How many there are in @all, which has room for each. */
static size_t join(const struct mp_report *rep, const struct mp_proc *p, struct mp_symbols *sym,
		   const struct mp_view_opts *opts, struct shown *all)
{
	size_t i, k, nr = 0;

	for (i = 0; i < p->nr_refusals; i++) {
		struct shown *s = &all[nr];

		*s = (struct shown){ p->refusals[i], label_of(rep, p->refusals[i].site, sym, opts),
				     i };
		for (k = 0; !alike(&all[k], s);)
			k++;
		if (k == nr) {
			nr++;
			continue;
		}
		all[k].sum.count += s->sum.count;
		all[k].sum.bytes = s->sum.bytes > UINT64_MAX - all[k].sum.bytes
					   ? UINT64_MAX
					   : all[k].sum.bytes + s->sum.bytes;
		all[k].sum.limit = s->sum.limit;
	}
	return nr;
}

static const char *reason(int why)
{
	static const char *const words[MP_WHY_NR] = {
		[MP_WHY_UNKNOWN] = "unknown why",
		[MP_WHY_OVERCOMMIT] = "vm.overcommit_memory",
		[MP_WHY_RLIMIT_AS] = "RLIMIT_AS",
		[MP_WHY_RLIMIT_DATA] = "RLIMIT_DATA",
		[MP_WHY_RLIMIT_MEMLOCK] = "RLIMIT_MEMLOCK",
		[MP_WHY_MAX_MAP_COUNT] = "vm.max_map_count",
		[MP_WHY_ADDRESS_SPACE] = "no such range of addresses is free",
		[MP_WHY_NOT_MAPPED] = "not all of it is mapped",
		[MP_WHY_SIZE] = "no object can be that large",
		[MP_WHY_CALL] = "the call itself",
	};

	return words[why < MP_WHY_NR ? why : MP_WHY_UNKNOWN];
}

static void line(const struct shown *s, const struct mp_view_opts *opts, FILE *out)
{
	const struct mp_refusal *r = &s->sum;
	const char *error = error_name(r->error);

	fprintf(out, "    %" PRIu64 " %s", r->count, call_name(r));
	if (r->bytes)
		fprintf(out, " of %s", mp_units_bytes(mp_units_signed(r->bytes), opts->bytes).s);
	if (error)
		fprintf(out, ", %s", error);
	else if (r->error)
		fprintf(out, ", errno %d", r->error);
	fprintf(out, ": %s", reason(r->why));
	if (r->limit != MP_UNKNOWN && r->why == MP_WHY_MAX_MAP_COUNT)
		fprintf(out, " is %" PRId64, r->limit);
	else if (r->limit != MP_UNKNOWN && r->why != MP_WHY_SIZE)
		fprintf(out, " allows %s", mp_units_bytes(r->limit, opts->bytes).s);
	if (r->op && r->fn)
		fprintf(out, ", inside %s", mp_fn_name(r->fn));
	fprintf(out, "; by %s\n", s->label.s);
}

void mp_text_refusals(const struct mp_report *rep, const struct mp_proc *p, struct mp_symbols *sym,
		      const struct mp_view_opts *opts, FILE *out)
{
	struct shown *all = p->nr_refusals ? calloc(p->nr_refusals, sizeof(*all)) : NULL;
	uint64_t calls = 0, failed = 0;
	size_t i, nr, most;

	if (!all)
		return;
	nr = join(rep, p, sym, opts, all);
	most = opts->verbose || nr < SHOWN ? nr : SHOWN;
	for (i = 0; i < nr; i++)
		*(all[i].sum.op ? &calls : &failed) += all[i].sum.count;
	qsort(all, nr, sizeof(*all), by_count);
	fprintf(out, "  refused: %" PRIu64 " allocation%s and %" PRIu64 " system call%s failed%s\n",
		failed, failed == 1 ? "" : "s", calls, calls == 1 ? "" : "s",
		most < nr ? ", most of them:" : ":");
	for (i = 0; i < most; i++)
		line(&all[i], opts, out);
	free(all);
}
