// SPDX-License-Identifier: GPL-2.0-or-later
/* mallocpath trace: every step as a line, as it happens. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/run.h"
#include "trace/trace.h"
#include "view/steps.h"

struct following {
	struct mp_model *m;
	struct mp_steps *steps;
	struct mp_loss loss;
	bool goes_on; /* a command runs to its end, whoever reads on */
	int broken;   /* -errno: the lines cannot be written */
};

static int follow(void *ctx, const struct mp_ev *ev)
{
	struct following *f = ctx;
	int rc;

	if (mp_decode(ev, ev->size) != ev->size)
		return -EBADMSG;
	if (ev->type == MP_EV_GAP)
		f->loss.events_dropped += ((const struct mp_ev_gap *)ev)->count;
	rc = f->broken ? 0 : mp_steps__put(f->steps, ev);
	if (rc && rc != -ENOMEM) {
		f->broken = rc;
		rc = f->goes_on ? 0 : rc;
	}
	return rc ? rc : mp_model__apply(f->m, ev);
}

static int run(struct mp_options *o, struct following *f, int *status, struct mp_err *err)
{
	static const struct mp_run_ops ops = { .sink = follow };

	if (!o->file)
		return mp_run(o, &ops, f, status, err);
	return mp_read_trace(o, follow, f, err);
}

static int print_all(struct mp_options *o, struct following *f, struct mp_symbols *sym, FILE *out,
		     int *status, struct mp_err *err)
{
	int rc;

	f->m = mp_model__new();
	f->steps = f->m ? mp_steps__new(f->m, sym, &o->steps, &o->view_opts, out) : NULL;
	rc = f->steps ? run(o, f, status, err) : mp_fail(err, MP_EXIT_FAILED, ENOMEM, "no memory");
	if (f->broken)
		rc = f->broken;
	if (!o->quiet && f->steps && rc != -EPIPE)
		fprintf(stderr, "mallocpath: %" PRIu64 " steps shown, %" PRIu64 " events lost\n",
			mp_steps__shown(f->steps), f->loss.events_dropped);
	mp_steps__free(f->steps);
	mp_model__free(f->m);
	return rc;
}

int mp_cmd_trace(struct mp_options *o)
{
	struct following f = { .goes_on = o->argv };
	struct mp_err err = { .exit = 0 };
	struct mp_symbols *sym;
	int status = -1, rc;
	FILE *out = mp_open_out(o->out, &err);

	if (!out)
		return mp_complain(&err);
	setvbuf(out, NULL, o->file ? _IOFBF : _IOLBF, 0);
	sym = mp_open_symbols(o);
	rc = print_all(o, &f, sym, out, &status, &err);
	mp_close_symbols(o);
	if (rc == -EPIPE)
		clearerr(out);
	if (!rc || f.broken)
		rc = mp_close_out(out, o->out, rc, &err);
	return rc ? mp_complain(&err) : mp_exit_status(o, status, &f.loss);
}
