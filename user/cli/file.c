// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>

#include "cli/run.h"

int mp_read_trace(const struct mp_options *o, mp_event_fn fn, mp_soon_fn soon, void *ctx,
		  struct mp_err *err)
{
	int truncated = 0, rc;

	rc = mp_file_read(o->file, fn, soon, ctx, &truncated, err);
	if (rc == -ENOMEM && !err->exit)
		mp_fail(err, MP_EXIT_FAILED, ENOMEM, "no memory for the events of %s", o->file);
	if (truncated && !o->quiet)
		fprintf(stderr,
			"mallocpath: %s was not written to its end; shown is what was whole\n",
			o->file);
	return rc;
}
