// SPDX-License-Identifier: GPL-2.0-or-later
/* mallocpath report FILE --view perfetto: follows the events of a recorded trace. */
#include <errno.h>

#include "cli/run.h"
#include "view/perfetto.h"

struct timeline {
	struct mp_model *m;
	struct mp_perfetto *view;
	struct mp_loss loss;
};

static int follow(void *ctx, const struct mp_ev *ev)
{
	struct timeline *t = ctx;
	int rc = mp_perfetto__put(t->view, ev);

	return rc ? rc : mp_model__apply(t->m, ev);
}

static int end(struct timeline *t)
{
	struct mp_report *r = mp_model__report(t->m, 0);
	int rc = r ? mp_perfetto__end(t->view, r) : -ENOMEM;

	if (r)
		t->loss = r->loss;
	mp_report__free(r);
	return rc;
}

int mp_report_timeline(struct mp_options *o)
{
	struct mp_err err = { .exit = 0 };
	struct timeline t = { .m = mp_model__new() };
	FILE *out = mp_open_out(o->out, &err);
	int rc = -ENOMEM;

	if (!out) {
		mp_model__free(t.m);
		return mp_complain(&err);
	}
	if (t.m)
		t.view = mp_perfetto__new(t.m, mp_open_symbols(o), &o->view_opts, out);
	if (t.view)
		rc = mp_read_trace(o, follow, &t, &err);
	if (!rc)
		rc = end(&t);
	if (rc == -ENOMEM && !err.exit)
		mp_fail(&err, MP_EXIT_FAILED, ENOMEM, "no memory");
	rc = err.exit ? (mp_close_out(out, o->out, rc, &(struct mp_err){ 0 }), rc)
		      : mp_close_out(out, o->out, rc, &err);
	mp_perfetto__free(t.view);
	mp_close_symbols(o);
	mp_model__free(t.m);
	return rc ? mp_complain(&err) : mp_exit_status(o, -1, &t.loss);
}
