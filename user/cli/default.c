// SPDX-License-Identifier: GPL-2.0-or-later
/* mallocpath -p PID, mallocpath -- CMD: trace, then report. */
#include <errno.h>

#include "cli/run.h"
#include "trace/trace.h"

struct tracing {
	struct mp_options *o;
	struct mp_model *m;
	struct mp_loss loss;
};

static int apply(void *ctx, const struct mp_ev *ev)
{
	struct tracing *t = ctx;

	if (mp_decode(ev, ev->size) != ev->size)
		return -EBADMSG;
	return mp_model__apply(t->m, ev);
}

static int snapshot(void *ctx, struct mp_session *s, struct mp_err *err)
{
	struct tracing *t = ctx;
	int rc = mp_session__instant(s, false, err);

	return rc ? rc : mp_print_report(t->o, t->m, NULL, err);
}

static int finish(void *ctx, struct mp_err *err)
{
	struct tracing *t = ctx;

	return mp_print_report(t->o, t->m, &t->loss, err);
}

int mp_cmd_default(struct mp_options *o)
{
	static const struct mp_run_ops ops = { .sink = apply,
					       .snapshot = snapshot,
					       .finish = finish };
	struct mp_err err = { .exit = 0 };
	struct tracing t = { .o = o, .m = mp_new_model(o, &err) };
	int status = -1, rc;

	rc = t.m ? mp_check_out(o, &err) : -ENOMEM;
	if (!rc)
		rc = mp_run(o, &ops, &t, &status, &err);
	mp_model__free(t.m);
	return rc ? mp_complain(&err) : mp_exit_status(o, status, &t.loss);
}
