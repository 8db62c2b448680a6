// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory that runs out. A process that is killed for it is shown as of the instant it was chosen: what
 * the kernel takes from it afterwards (its exit, before that the reaper) would leave nothing to show.
 */
#include <errno.h>

#include "model/draft.h"

int mp_on_oom(struct mp_model *m, struct mp_process *p, const struct mp_ev_exit *ev)
{
	int err = 0;

	/* the kernel tells a moment after the signal: a process can have gone all the way by then */
	if (p->exited && p->at != MP_AT_EXIT)
		return 0;
	if (!p->exited)
		err = mp_on_exit(m, p, ev);
	p->at = MP_AT_OOM;
	return err;
}

static int64_t known(uint64_t n)
{
	return n > INT64_MAX ? MP_UNKNOWN : (int64_t)n;
}

int mp_on_cgroup(struct mp_model *m, struct mp_process *p, const struct mp_ev_cgroup *ev)
{
	const char *path = mp_strings__keep(&m->strings, ev->path, ev->h.size - sizeof(*ev));

	if (!path)
		return -ENOMEM;
	p->limit = (struct mp_limit){
		.path = path,
		.version = ev->version,
		.limit_bytes = known(ev->limit_bytes),
		.usage_bytes = known(ev->usage_bytes),
		.peak_bytes = known(ev->peak_bytes),
		.limit_hits = known(ev->limit_hits),
		.ooms = known(ev->ooms),
		.oom_kills = known(ev->oom_kills),
	};
	return 0;
}

int mp_limit_fill(struct mp_draft *d, struct mp_proc *out, const struct mp_process *p)
{
	out->limit = p->limit;
	out->limit.path = mp_draft_string(d, p->limit.path);
	return out->limit.path ? 0 : -ENOMEM;
}
