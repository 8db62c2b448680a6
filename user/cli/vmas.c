// SPDX-License-Identifier: GPL-2.0-or-later
/* mallocpath vmas -p PID: the kernel module's numbers; nothing is traced and no BPF is used. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/run.h"
#include "view/vmas.h"

static volatile sig_atomic_t stop_asked;

static void on_signal(int sig)
{
	stop_asked = sig;
}

/* From here on a signal ends the wait and not us: what we had tracked must be let go. */
static void catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };
	int signals[] = { SIGINT, SIGTERM, SIGHUP };

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int check(const struct mp_options *o, struct mp_err *err)
{
	if (o->argv)
		return mp_fail(err, MP_EXIT_USAGE, EINVAL,
			       "vmas looks at running processes: give -p PID, not -- CMD");
	if (strcmp(o->view->name, "table") && strcmp(o->view->name, "json"))
		return mp_fail(err, MP_EXIT_USAGE, EINVAL,
			       "vmas --view %s: there are table and json", o->view->name);
	return mp_check_out(o, err);
}

static void wait_for(double seconds)
{
	uint64_t end_ns = mp_mono_ns() + (uint64_t)(seconds * 1e9), now;

	while (!stop_asked && (now = mp_mono_ns()) < end_ns)
		poll(NULL, 0, (int)((end_ns - now) / 1000000 % 1000) + 1);
}

static void say_begin(const struct mp_options *o, pid_t pid)
{
	if (o->quiet || o->seconds > 0)
		return;
	fprintf(stderr,
		"mallocpath: the module did not track process %d: none of its faults are counted "
		"yet; -d SEC counts for so long, echo %d >/sys/kernel/debug/mallocpath/track goes "
		"on counting\n",
		pid, pid);
}

static int show(const struct mp_options *o, struct mp_vmas_report *r, struct mp_err *err)
{
	FILE *f;
	int rc = 0;

	for (; !rc && r->nr < o->nr_pids; r->nr++) {
		r->procs[r->nr].pid = o->pids[r->nr];
		rc = mp_module_vmas(o->pids[r->nr], &r->procs[r->nr].vmas, err);
	}
	if (!rc)
		rc = mp_module_status(&r->module, err);
	if (rc)
		return rc;
	r->now_ns = mp_mono_ns();
	f = mp_open_out(o->out, err);
	if (!f)
		return -EIO;
	rc = strcmp(o->view->name, "json") ? mp_view_vmas_table(r, &o->view_opts, f)
					   : mp_view_vmas_json(r, f);
	return mp_close_out(f, o->out, rc, err);
}

static int track_and_show(const struct mp_options *o, struct mp_err *err)
{
	struct mp_vmas_report r = { .procs = calloc(o->nr_pids, sizeof(*r.procs)) };
	bool ours[MP_PIDS_MAX] = { false };
	size_t i, n = 0;
	int rc = r.procs ? 0 : mp_fail(err, MP_EXIT_FAILED, ENOMEM, "no memory");

	for (; !rc && n < o->nr_pids; n++) {
		int tracked = mp_module_track(o->pids[n], err);

		ours[n] = tracked > 0;
		if (tracked < 0)
			rc = tracked;
		else if (tracked)
			say_begin(o, o->pids[n]);
	}
	if (!rc && o->seconds > 0)
		wait_for(o->seconds);
	if (!rc)
		rc = show(o, &r, err);
	for (i = 0; i < n; i++)
		if (ours[i])
			mp_module_untrack(o->pids[i]);
	for (i = 0; i < r.nr; i++)
		mp_module_vmas_free(&r.procs[i].vmas);
	free(r.procs);
	return rc;
}

int mp_cmd_vmas(struct mp_options *o)
{
	struct mp_module_status status;
	struct mp_err err = { .exit = 0 };
	int rc = check(o, &err);

	if (!rc)
		rc = mp_module_status(&status, &err);
	if (!rc) {
		catch_signals();
		rc = track_and_show(o, &err);
	}
	return rc ? mp_complain(&err) : MP_EXIT_OK;
}
