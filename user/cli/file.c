// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>

#include "cli/run.h"

struct reading {
	struct mp_symbols *sym;
	mp_event_fn fn;
	void *ctx;
};

/* What a file says of names is for whoever looks them up later. */
static int hand_on(void *ctx, const struct mp_ev *ev)
{
	struct reading *r = ctx;
	int rc = 0;

	if (ev->type >= MP_EV_OBJECT && r->sym)
		rc = mp_symbols__hear(r->sym, ev);
	return rc ? rc : r->fn(r->ctx, ev);
}

int mp_read_trace(struct mp_options *o, mp_event_fn fn, void *ctx, struct mp_err *err)
{
	struct reading r = { mp_open_symbols(o), fn, ctx };
	int truncated = 0, rc;

	rc = mp_file_read(o->file, hand_on, &r, &truncated, err);
	if (rc == -ENOMEM && !err->exit)
		mp_fail(err, MP_EXIT_FAILED, ENOMEM, "no memory for the events of %s", o->file);
	if (truncated && !o->quiet)
		fprintf(stderr,
			"mallocpath: %s was not written to its end; shown is what was whole\n",
			o->file);
	return rc;
}
