// SPDX-License-Identifier: GPL-2.0-or-later
/* mallocpath report FILE: any view of a recorded trace, without root and without BPF. */
#include <errno.h>
#include <stdio.h>

#include "cli/run.h"
#include "trace/trace.h"

static int apply(void *ctx, const struct mp_ev *ev)
{
	return mp_model__apply(ctx, ev);
}

int mp_cmd_report(struct mp_options *o)
{
	struct mp_model *m = mp_model__new();
	struct mp_err err = { .exit = 0 };
	struct mp_loss loss = { 0 };
	int truncated = 0, rc;

	rc = m ? mp_file_read(o->file, apply, m, &truncated, &err)
	       : mp_fail(&err, MP_EXIT_FAILED, ENOMEM, "no memory");
	if (rc == -ENOMEM && !err.exit)
		mp_fail(&err, MP_EXIT_FAILED, ENOMEM, "no memory for the events of %s", o->file);
	if (!rc && truncated)
		fprintf(stderr,
			"mallocpath: %s ends in the middle of an event; shown is what was whole\n",
			o->file);
	if (!rc)
		rc = mp_print_report(o, m, &loss, &err);
	mp_model__free(m);
	return rc ? mp_complain(&err) : mp_exit_status(o, -1, &loss);
}
