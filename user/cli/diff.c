// SPDX-License-Identifier: GPL-2.0-or-later
/* mallocpath diff A B: what changed between two recorded traces. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/run.h"
#include "trace/trace.h"
#include "view/diff.h"

static int apply(void *ctx, const struct mp_ev *ev)
{
	return mp_model__apply(ctx, ev);
}

static int read_side(struct mp_options *o, const char *file, struct mp_report **r,
		     struct mp_err *err)
{
	struct mp_model *m = mp_model__new();
	const char *other = o->file;
	int rc = m ? 0 : -ENOMEM;

	o->file = file;
	if (!rc)
		rc = mp_read_trace(o, apply, m, err);
	if (!rc) {
		*r = mp_model__report(m, 0);
		rc = *r ? 0 : -ENOMEM;
	}
	if (rc == -ENOMEM && !err->exit)
		mp_fail(err, MP_EXIT_FAILED, ENOMEM, "no memory for the events of %s", file);
	o->file = other;
	mp_model__free(m);
	return rc;
}

/* On standard error, so that the difference itself can be read by a program. */
static void judge(struct mp_options *o, const struct mp_diff *d, struct mp_symbols *sym)
{
	enum mp_sort sort = o->view_opts.sort;
	double allowed = o->fail_over.n;

	if (o->fail_over.percent)
		allowed *= (double)d->totals[MP_DIFF_A][sort] / 100;
	if (!o->fail_over.set || (double)mp_diff_change(d->totals, sort) <= allowed)
		return;
	o->failed = true;
	fputs("mallocpath: failed: ", stderr);
	mp_diff_say(d, sym, &o->view_opts, stderr);
	fprintf(stderr, "; the most allowed is %s\n", o->fail_over.text);
}

static int show(struct mp_options *o, struct mp_report *const reports[MP_DIFF_SIDES],
		struct mp_err *err)
{
	struct mp_diff d = { .reports = { reports[MP_DIFF_A], reports[MP_DIFF_B] },
			     .files = { o->subject, o->file } };
	bool json = !strcmp(o->view->name, "json");
	struct mp_symbols *sym = mp_open_symbols(o);
	FILE *f = NULL;
	int rc;

	rc = mp_diff_make(&d, sym, &o->view_opts);
	if (rc)
		mp_fail(err, MP_EXIT_FAILED, -rc, "no memory for the difference");
	else if (!(f = mp_open_out(o->out, err)))
		rc = -EIO;
	if (!rc) {
		rc = (json ? mp_diff_json : mp_diff_table)(&d, sym, &o->view_opts, f);
		rc = mp_close_out(f, o->out, rc, err);
	}
	if (!rc)
		judge(o, &d, sym);
	mp_diff_free(&d);
	return rc;
}

int mp_cmd_diff(struct mp_options *o)
{
	struct mp_report *reports[MP_DIFF_SIDES] = { NULL };
	struct mp_err err = { .exit = 0 };
	int rc;

	rc = read_side(o, o->subject, &reports[MP_DIFF_A], &err);
	if (!rc)
		rc = read_side(o, o->file, &reports[MP_DIFF_B], &err);
	if (!rc)
		rc = show(o, reports, &err);
	mp_report__free(reports[MP_DIFF_A]);
	mp_report__free(reports[MP_DIFF_B]);
	mp_close_symbols(o);
	if (rc)
		return mp_complain(&err);
	return o->failed ? MP_EXIT_FAILED : MP_EXIT_OK;
}
