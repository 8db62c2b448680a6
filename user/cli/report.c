// SPDX-License-Identifier: GPL-2.0-or-later
/* mallocpath report FILE: any view of a recorded trace, without root and without BPF. */
#include <errno.h>
#include <stdio.h>

#include "cli/run.h"
#include "trace/trace.h"

struct replay {
	struct mp_model *m;
	bool find_peak;
	uint64_t nr;         /* events applied */
	uint64_t peak, most; /* the event after which most pages stood, and how many */
	uint64_t last;       /* stop after this one; 0: do not */
};

static int apply(void *ctx, const struct mp_ev *ev)
{
	struct replay *r = ctx;
	int rc;

	if (r->last && r->nr == r->last)
		return 0;
	rc = mp_model__apply(r->m, ev);
	r->nr++;
	if (r->find_peak && mp_model__pages(r->m) > r->most) {
		r->most = mp_model__pages(r->m);
		r->peak = r->nr;
	}
	return rc;
}

static int read_events(struct mp_options *o, struct replay *r, struct mp_err *err)
{
	r->m = mp_new_model(o, err);
	return r->m ? mp_read_trace(o, apply, r, err) : -ENOMEM;
}

/* Without a page there is no peak, and all of it is shown. */
static int go_to_peak(struct mp_options *o, struct replay *r, struct mp_err *err)
{
	struct replay again = { .last = r->peak };
	int rc, quiet = o->quiet;

	if (!r->peak)
		return 0;
	mp_model__free(r->m);
	r->m = NULL;
	o->quiet = 1; /* a file cut short was told of */
	rc = read_events(o, &again, err);
	o->quiet = quiet;
	r->m = again.m;
	if (!rc)
		mp_model__at_peak(r->m);
	return rc;
}

int mp_cmd_report(struct mp_options *o)
{
	struct mp_err err = { .exit = 0 };
	struct mp_loss loss = { 0 };
	struct replay r = { .find_peak = o->at == MP_AT_PEAK };
	int rc;

	if (o->perfetto)
		return mp_report_timeline(o);
	rc = read_events(o, &r, &err);

	if (!rc && o->at == MP_AT_PEAK)
		rc = go_to_peak(o, &r, &err);
	if (!rc)
		rc = mp_print_report(o, r.m, &loss, &err);
	mp_close_symbols(o);
	mp_model__free(r.m);
	return rc ? mp_complain(&err) : mp_exit_status(o, -1, &loss);
}
