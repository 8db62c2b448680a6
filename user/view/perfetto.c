// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/perfetto.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/step.h"
#include "view/frames.h"
#include "view/perfetto_packet.h"
#include "view/views.h"

struct mp_perfetto {
	struct mp_model *m;
	struct mp_symbols *sym;
	const struct mp_view_opts *opts;
	struct mp_packets packets;
	char **labels; /* by site; NULL: not asked for yet */
	size_t nr_labels;
	struct mp_step step;
	struct mp_step_site at; /* the one being named: large */
	struct mp_frames frames;
};

struct mp_perfetto *mp_perfetto__new(struct mp_model *m, struct mp_symbols *sym,
				     const struct mp_view_opts *opts, FILE *out)
{
	struct mp_perfetto *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->m = m;
	p->sym = sym;
	p->opts = opts;
	p->packets.out = out;
	return p;
}

void mp_perfetto__free(struct mp_perfetto *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->nr_labels; i++)
		free(p->labels[i]);
	free(p->labels);
	mp_packets_fini(&p->packets);
	free(p);
}

/* ---- sites and tracks ------------------------------------------------------------------------ */

static char *name_site(struct mp_perfetto *p, uint32_t site)
{
	mp_model__step_site(p->m, site, &p->at);
	if (!p->at.site.frame)
		return strdup("");
	mp_frames_shown(&p->frames, &p->at.site, p->sym, p->opts);
	return strdup(mp_frames_label(&p->frames, 0).s);
}

/* "" for 0, and where there is no memory, which is kept in mind. */
static const char *label_of(struct mp_perfetto *p, uint32_t site)
{
	if (site >= p->nr_labels) {
		size_t n = (site + (size_t)1) * 2;
		char **more = reallocarray(p->labels, n, sizeof(*more));

		if (!more)
			goto no_memory;
		memset(more + p->nr_labels, 0, (n - p->nr_labels) * sizeof(*more));
		p->labels = more;
		p->nr_labels = n;
	}
	if (!p->labels[site])
		p->labels[site] = site ? name_site(p, site) : strdup("");
	if (p->labels[site])
		return p->labels[site];
no_memory:
	p->packets.err = -ENOMEM;
	return "";
}

static void know_process(struct mp_perfetto *p, uint32_t pid)
{
	if (mp_packets_new_track(&p->packets, MP_TRACK(MP_TRACK_PROCESS, pid)))
		mp_packets_process(&p->packets, pid, "", NULL, 0);
}

/* The track of the event's thread, which is told of if it is new. */
static uint64_t thread_of(struct mp_perfetto *p, const struct mp_ev *ev)
{
	uint64_t track = MP_TRACK(MP_TRACK_THREAD, ev->tid);

	know_process(p, ev->tgid);
	if (!ev->tid)
		return MP_TRACK(MP_TRACK_PROCESS, ev->tgid);
	if (mp_packets_new_track(&p->packets, track))
		mp_packets_thread(&p->packets, ev->tgid, ev->tid);
	return track;
}

static void end_slice(struct mp_perfetto *p, uint64_t track, uint64_t t_ns)
{
	mp_packets_begin(&p->packets, track, MP_SLICE_END, NULL);
	mp_packets_put(&p->packets, t_ns);
}

/* A begun event becomes a slice of @ns that ends at @end_ns. */
static void put_slice(struct mp_perfetto *p, uint64_t track, uint64_t end_ns, uint64_t ns)
{
	mp_packets_put(&p->packets, end_ns - (ns < end_ns ? ns : end_ns));
	end_slice(p, track, end_ns);
}

/* ---- events ---------------------------------------------------------------------------------- */

static const char *stage_name(uint8_t stage)
{
	return stage & MP_STAGE_REFILL  ? "pcp list, refilled"
	       : stage & MP_STAGE_PCP   ? "pcp list"
	       : stage & MP_STAGE_BUDDY ? "buddy lists"
					: "";
}

/* Inside the slice of its fault, which began at @begin_ns. */
static void put_page_alloc(struct mp_perfetto *p, const struct mp_ev_fault *ev, uint64_t track,
			   uint64_t begin_ns)
{
	uint64_t end = begin_ns + (ev->alloc_ns < ev->fault_ns ? ev->alloc_ns : ev->fault_ns);
	uint64_t ns = ev->page_ns < end - begin_ns ? ev->page_ns : end - begin_ns;

	mp_packets_begin(&p->packets, track, ns ? MP_SLICE_BEGIN : MP_SLICE_INSTANT,
			 "page allocation");
	mp_packets_number(&p->packets, "pfn", ev->pfn);
	mp_packets_number(&p->packets, "order", ev->order);
	mp_packets_number(&p->packets, "gfp", ev->gfp);
	mp_packets_text(&p->packets, "from", stage_name(ev->stage));
	if (ev->stage & MP_STAGE_SLOW)
		mp_packets_text(&p->packets, "path", "slow");
	if (ns)
		put_slice(p, track, end, ns);
	else
		mp_packets_put(&p->packets, end);
}

static void on_fault(struct mp_perfetto *p, const struct mp_ev_fault *ev)
{
	uint64_t track = thread_of(p, &ev->h), ns = ev->fault_ns, end = ev->h.ts_ns;
	bool timed = ev->flags & MP_FAULT_TIMED && ns;
	char name[40];

	if (ns > end)
		ns = end;
	snprintf(name, sizeof(name), "fault %s", mp_kind_name(p->step.kind));
	mp_packets_begin(&p->packets, track, timed ? MP_SLICE_BEGIN : MP_SLICE_INSTANT, name);
	mp_packets_addr(&p->packets, "address", ev->addr);
	mp_packets_text(&p->packets, "by", mp_by_name(p->step.by));
	mp_packets_text(&p->packets, "memory of", label_of(p, p->step.owner));
	mp_packets_text(&p->packets, "touched by", label_of(p, p->step.site));
	if (ev->pfn)
		mp_packets_number(&p->packets, "pfn", ev->pfn);
	mp_packets_put(&p->packets, timed ? end - ns : end);
	if (!timed)
		return;
	if (ev->flags & MP_FAULT_ALLOC)
		put_page_alloc(p, ev, track, end - ns);
	end_slice(p, track, end);
}

static void on_range(struct mp_perfetto *p, const struct mp_ev_range *ev)
{
	uint64_t track = thread_of(p, &ev->h), end = ev->h.ts_ns;
	bool failed = ev->ret < 0 && ev->ret > -4096;
	char name[60];

	snprintf(name, sizeof(name), "%s%s%s%s", mp_op_name(ev->op),
		 ev->in_fn && ev->in_fn != MP_FN_MMAP ? " inside " : "",
		 ev->in_fn && ev->in_fn != MP_FN_MMAP ? mp_fn_name(ev->in_fn) : "",
		 failed ? ": failed" : "");
	mp_packets_begin(&p->packets, track, MP_SLICE_BEGIN, name);
	mp_packets_addr(&p->packets, "address",
			ev->op == MP_OP_MMAP && !failed ? (uint64_t)ev->ret : ev->addr);
	if (ev->op == MP_OP_BRK && (uint64_t)ev->ret > ev->old)
		mp_packets_number(&p->packets, "bytes", (uint64_t)ev->ret - ev->old);
	else if (ev->op != MP_OP_BRK)
		mp_packets_number(&p->packets, "bytes", ev->len);
	if (failed)
		mp_packets_number(&p->packets, "errno", (uint64_t)-ev->ret);
	mp_packets_text(&p->packets, "called by", label_of(p, p->step.site));
	put_slice(p, track, end, ev->enter_ns && ev->enter_ns < end ? end - ev->enter_ns : 0);
}

/*
 * How long is known, and not when within the fault: they end where they are told, one after the other,
 * on a track of their own.
 */
static void on_stall(struct mp_perfetto *p, const struct mp_ev_stall *ev)
{
	const struct {
		const char *name;
		uint64_t ns, times;
	} waits[] = {
		{ "compaction", ev->compact_ns, ev->compactions },
		{ "reclaim in the cgroup", ev->memcg_ns, ev->memcg_reclaims },
		{ "direct reclaim", ev->reclaim_ns, ev->reclaims },
	};
	uint64_t thread = thread_of(p, &ev->h), end = ev->h.ts_ns;
	uint64_t track = MP_TRACK(MP_TRACK_WAITS, ev->h.tid);

	if (mp_packets_new_track(&p->packets, track))
		mp_packets_track(&p->packets, track, thread, "waits of faults", false);
	for (size_t i = 0; i < 3; i++) {
		uint64_t ns = waits[i].ns < end ? waits[i].ns : end;

		if (!waits[i].times)
			continue;
		mp_packets_begin(&p->packets, track, MP_SLICE_BEGIN, waits[i].name);
		mp_packets_addr(&p->packets, "fault at", ev->addr);
		mp_packets_number(&p->packets, "times", waits[i].times);
		put_slice(p, track, end, ns);
		end -= ns;
	}
}

static void on_proc(struct mp_perfetto *p, const struct mp_ev_proc *ev)
{
	mp_packets_new_track(&p->packets, MP_TRACK(MP_TRACK_PROCESS, ev->h.tgid));
	mp_packets_process(&p->packets, ev->h.tgid, ev->comm, ev->cmdline, ev->cmdline_len);
}

static const char *instant_name(uint16_t type)
{
	switch (type) {
	case MP_EV_FORK:
		return "fork";
	case MP_EV_EXEC:
		return "exec";
	case MP_EV_EXIT:
		return "exit";
	case MP_EV_OOM:
		return "killed for want of memory";
	case MP_EV_THRESHOLD:
		return "mmap threshold raised by free";
	case MP_EV_NEW_HEAP:
		return "heap made for a thread";
	case MP_EV_GAP:
		return "events lost";
	}
	return NULL;
}

static void on_instant(struct mp_perfetto *p, const struct mp_ev *ev, const char *name)
{
	/* what was lost is of no process: it goes to the track all have in common */
	uint64_t track = ev->type == MP_EV_GAP ? 0 : thread_of(p, ev);

	mp_packets_begin(&p->packets, track, MP_SLICE_INSTANT, name);
	if (ev->type == MP_EV_GAP)
		mp_packets_number(&p->packets, "events", ((const struct mp_ev_gap *)ev)->count);
	if (ev->type == MP_EV_THRESHOLD)
		mp_packets_number(&p->packets, "to bytes",
				  ((const struct mp_ev_threshold *)ev)->mmap_after);
	mp_packets_text(&p->packets, "called by", label_of(p, p->step.site));
	mp_packets_put(&p->packets, ev->ts_ns);
}

int mp_perfetto__put(struct mp_perfetto *p, const struct mp_ev *ev)
{
	const char *name = instant_name(ev->type);

	if (!name && ev->type != MP_EV_FAULT && ev->type != MP_EV_RANGE &&
	    ev->type != MP_EV_STALL && ev->type != MP_EV_PROC)
		return 0;
	if (ev->type != MP_EV_GAP && mp_model__step(p->m, ev, &p->step))
		return -ENOMEM;
	if (ev->type == MP_EV_FAULT)
		on_fault(p, (const struct mp_ev_fault *)ev);
	else if (ev->type == MP_EV_RANGE)
		on_range(p, (const struct mp_ev_range *)ev);
	else if (ev->type == MP_EV_STALL)
		on_stall(p, (const struct mp_ev_stall *)ev);
	else if (ev->type == MP_EV_PROC)
		on_proc(p, (const struct mp_ev_proc *)ev);
	else
		on_instant(p, ev, name);
	return mp_packets_err(&p->packets);
}

/* ---- counters -------------------------------------------------------------------------------- */

static void counter(struct mp_perfetto *p, enum mp_track kind, uint32_t pid, const char *name)
{
	mp_packets_track(&p->packets, MP_TRACK(kind, pid), MP_TRACK(MP_TRACK_PROCESS, pid), name,
			 true);
}

static void count_process(struct mp_perfetto *p, const struct mp_proc *proc)
{
	uint32_t pid = proc->pid;

	know_process(p, pid);
	counter(p, MP_TRACK_LIVE, pid, "live bytes");
	counter(p, MP_TRACK_RESIDENT, pid, "anonymous Rss by events");
	counter(p, MP_TRACK_RSS, pid, "Rss as read");
	for (size_t i = 0; i < proc->nr_moments; i++) {
		const struct mp_moment *m = &proc->moments[i];

		mp_packets_count(&p->packets, MP_TRACK(MP_TRACK_LIVE, pid), m->t_ns, m->live_bytes);
		mp_packets_count(&p->packets, MP_TRACK(MP_TRACK_RESIDENT, pid), m->t_ns,
				 m->resident_bytes);
		if (m->rss_bytes != MP_UNKNOWN)
			mp_packets_count(&p->packets, MP_TRACK(MP_TRACK_RSS, pid), m->t_ns,
					 (uint64_t)m->rss_bytes);
	}
}

int mp_perfetto__end(struct mp_perfetto *p, const struct mp_report *r)
{
	int err;

	for (size_t i = 0; i < r->nr_procs; i++)
		count_process(p, &r->procs[i]);
	err = mp_packets_err(&p->packets);
	return err ? err : mp_view_finish(p->packets.out);
}
