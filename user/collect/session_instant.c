// SPDX-License-Identifier: GPL-2.0-or-later
/* What is read of the traced processes and told of the tracing: when it begins, and at an instant. */
#include <errno.h>
#include <stdlib.h>

#include "collect/module.h"
#include "collect/pagemap.h"
#include "collect/procfs.h"
#include "collect/session_inside.h"
#include "collect/target.h"
#include "collect/tiers.h"

static int emit_pages(void *ctx, const struct mp_ev *ev)
{
	struct mp_session *s = ctx;

	if (ev->type == MP_EV_PAGES)
		mp_kernel_own(&s->k, (const struct mp_ev_pages *)ev);
	return mp_stream_emit(s->stream, ev);
}

int mp_session_pages(struct mp_session *s, pid_t pid, enum mp_source source, struct mp_err *err)
{
	size_t nr;
	uint64_t *addrs = mp_probes__addrs(s->probes, pid, &nr);
	int rc = mp_pagemap_read(pid, source, addrs, nr, emit_pages, s, err);

	free(addrs);
	return rc;
}

int mp_session_heap(struct mp_session *s, pid_t pid, struct mp_err *err)
{
	if (s->opts.no_alloc_probes || s->opts.no_xray)
		return 0;
	return mp_stream_heap(s->stream, pid, err);
}

static void tell_loss(struct mp_session *s)
{
	struct mp_ev_loss ev;

	mp_kernel_loss(&s->k, &ev);
	mp_stream_emit(s->stream, &ev.h);
}

static void tell_cost(struct mp_session *s)
{
	struct mp_ev_cost ev = {
		.h = { .type = MP_EV_COST, .size = sizeof(ev), .ts_ns = mp_mono_ns() }
	};

	ev.events = mp_stream__events(s->stream);
	ev.probe_hits = mp_probes__hits(s->probes);
	ev.probe_ns = ev.probe_hits * s->price_ns;
	ev.faults = mp_kernel_hits(&s->k, MP_HIT_FAULT);
	ev.tool_cpu_ns = mp_own_cpu_ns((uint64_t *)&ev.tool_peak_bytes) - s->tool_cpu_ns;
	for (size_t i = 0; i < s->nr; i++) {
		struct process *p = &s->list[i];
		uint64_t cpu = p->ended ? p->cpu_ns : mp_target_cpu_ns(p->pid);

		ev.target_cpu_ns += p->ended ? cpu : cpu > p->cpu_ns ? cpu - p->cpu_ns : 0;
	}
	mp_stream_emit(s->stream, &ev.h);
}

/*
 * The kernel module walks the page tables before pagemap is read back and puts the ledger right. It
 * tracks the process only for that while: in between, the process's faults cost no more, and there
 * is nothing that could be left behind.
 */
static void ask_witness(struct mp_session *s, pid_t pid)
{
	struct mp_err err;
	uint64_t *addrs;
	size_t nr;
	int rc;

	if (!s->module)
		return;
	addrs = mp_probes__addrs(s->probes, pid, &nr);
	rc = mp_module_walk(pid, addrs, nr, emit_pages, s, &err);
	free(addrs);
	if (rc < 0 && rc != -ESRCH)
		s->troubles.witness = err;
}

/* What is read of a process that ends meanwhile is left out: its EXIT tells the rest. */
static int read_process(struct mp_session *s, pid_t pid, bool brief, struct mp_err *err)
{
	int rc;

	if (!brief)
		ask_witness(s, pid);
	rc = mp_procfs_maps(pid, true, mp_stream_emit, s->stream, err);
	if (!rc && !brief)
		rc = mp_session_pages(s, pid, MP_SRC_CHECK, err);
	mp_probes__tell(s->probes, pid, mp_stream_emit, s->stream);
	mp_limits__tell(s->limits, pid, mp_stream_emit, s->stream);
	mp_tiers_again(&s->k, pid, mp_stream_emit, s->stream);
	return rc == -ESRCH || rc == -ENOENT ? 0 : rc;
}

int mp_session__instant(struct mp_session *s, bool brief, struct mp_err *err)
{
	struct mp_ev_instant ev = { .h = { .type = MP_EV_INSTANT, .size = sizeof(ev) },
				    .at = s->ran_out ? MP_AT_OOM : MP_AT_NOW };
	int64_t n = mp_stream__drain(s->stream);
	int rc = 0;

	/*
	 * First: it takes longest, and the rest is of one time. Where memory has run out there is none
	 * for a copy, and no time.
	 */
	for (size_t i = 0; !brief && !s->ran_out && i < s->nr; i++)
		if (!s->list[i].ended)
			mp_session_heap(s, s->list[i].pid, NULL);
	s->ran_out = false;
	for (size_t i = 0; i < s->nr && rc >= 0; i++)
		if (!s->list[i].ended)
			rc = read_process(s, s->list[i].pid, brief, err);
	tell_loss(s);
	tell_cost(s);
	ev.h.ts_ns = mp_mono_ns();
	mp_stream_emit(s->stream, &ev.h);
	if (n >= 0)
		n = mp_stream__drain(s->stream);
	return rc < 0 ? rc : n < 0 ? (int)n : 0;
}
