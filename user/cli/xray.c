// SPDX-License-Identifier: GPL-2.0-or-later
/* mallocpath xray -p PID: the heap as it stands now; nothing is traced and no BPF is used. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/run.h"
#include "collect/heap.h"
#include "collect/target.h"
#include "view/xray.h"

static int check(const struct mp_options *o, struct mp_err *err)
{
	if (o->argv)
		return mp_fail(err, MP_EXIT_USAGE, EINVAL,
			       "xray looks at running processes: give -p PID, not -- CMD");
	if (strcmp(o->view->name, "table") && strcmp(o->view->name, "json"))
		return mp_fail(err, MP_EXIT_USAGE, EINVAL,
			       "xray --view %s: there are table and json", o->view->name);
	return mp_check_out(o, err);
}

static int apply(void *ctx, const struct mp_ev *ev)
{
	return mp_xray__apply(ctx, ev);
}

static int take(const struct mp_options *o, pid_t pid, struct mp_xray **x, struct mp_err *err)
{
	struct mp_heap_options how = { .freeze = o->freeze };
	unsigned int want = (o->view_opts.pages ? MP_XRAY_WANT_MAP : 0) |
			    (o->view_opts.blocks ? MP_XRAY_WANT_BLOCKS : 0);
	int rc;

	*x = mp_xray__new(want);
	rc = *x ? mp_target_readable(pid, err) : -ENOMEM;
	if (rc && rc != -ENOMEM)
		return rc;
	if (!rc)
		rc = mp_target_proc(pid, false, apply, *x);
	if (rc && rc != -ENOMEM)
		return mp_target_ended(pid, err);
	if (!rc)
		rc = mp_heap_xray(pid, &how, apply, *x, err);
	return rc == -ENOMEM ? mp_fail(err, MP_EXIT_FAILED, ENOMEM, "no memory") : rc;
}

static int show(const struct mp_options *o, struct mp_xray **xrays, struct mp_err *err)
{
	const struct mp_xray_report *reports[MP_PIDS_MAX];
	FILE *f = mp_open_out(o->out, err);
	int rc;

	if (!f)
		return -EIO;
	for (size_t i = 0; i < o->nr_pids; i++)
		reports[i] = mp_xray__report(xrays[i]);
	rc = strcmp(o->view->name, "json")
		     ? mp_view_xray_table(reports, o->nr_pids, &o->view_opts, f)
		     : mp_view_xray_json(reports, o->nr_pids, &o->view_opts, f);
	return mp_close_out(f, o->out, rc, err);
}

int mp_cmd_xray(struct mp_options *o)
{
	struct mp_xray *xrays[MP_PIDS_MAX] = { NULL };
	struct mp_err err = { .exit = 0 };
	int rc = check(o, &err);

	for (size_t i = 0; !rc && i < o->nr_pids; i++)
		rc = take(o, o->pids[i], &xrays[i], &err);
	if (!rc)
		rc = show(o, xrays, &err);
	for (size_t i = 0; i < o->nr_pids; i++)
		mp_xray__free(xrays[i]);
	return rc ? mp_complain(&err) : MP_EXIT_OK;
}
