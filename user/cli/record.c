// SPDX-License-Identifier: GPL-2.0-or-later
/* mallocpath record -o FILE: keep the events. */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "cli/run.h"
#include "trace/trace.h"

struct recording {
	struct mp_writer *w;
	struct mp_loss loss;
};

static int put(void *ctx, const struct mp_ev *ev)
{
	struct recording *r = ctx;

	if (ev->type == MP_EV_GAP)
		r->loss.events_dropped += ((const struct mp_ev_gap *)ev)->count;
	return mp_writer__put(r->w, ev);
}

static uint64_t wall_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

int mp_cmd_record(struct mp_options *o)
{
	static const struct mp_run_ops ops = { .sink = put };
	struct recording r = { 0 };
	struct mp_err err = { .exit = 0 }, close_err = { .exit = 0 };
	int status = -1, rc, close_rc;

	if (!o->out) {
		mp_fail(&err, MP_EXIT_USAGE, EINVAL, "record needs -o FILE to keep the events in");
		return mp_complain(&err);
	}
	r.w = mp_writer__open(o->out, o->level, wall_ns(), mp_mono_ns(), &err);
	if (!r.w)
		return mp_complain(&err);
	rc = mp_run(o, &ops, &r, &status, &err);
	close_rc = mp_writer__close(r.w, &close_err);
	if (close_rc)
		return mp_complain(
			&close_err); /* the cause, where the stream broke because of it */
	return rc ? mp_complain(&err) : mp_exit_status(o, status, &r.loss);
}
