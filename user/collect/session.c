// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collect/module.h"
#include "collect/procfs.h"
#include "collect/session_inside.h"
#include "collect/target.h"

#define RING_BYTES    (32U << 20)
#define TABLE_BYTES   (1ULL << 30)  /* of unwind tables: twice what libLLVM and all of KDE need */
#define RESCAN_NS     5000000ULL    /* between two looks at a process that has just changed */
#define EXIT_LOST_NS  1000000000ULL /* after the end of a process its event will not come any more */
#define RESCAN_END_NS 2000000000ULL /* a new image whose allocator is not there by then has none */

struct process *mp_session_find(struct mp_session *s, pid_t pid)
{
	for (size_t i = s->nr; i-- > 0;)
		if (s->list[i].pid == pid && !s->list[i].ended)
			return &s->list[i];
	return NULL;
}

static struct process *add(struct mp_session *s, pid_t pid, bool launched)
{
	struct process *list = realloc(s->list, (s->nr + 1) * sizeof(*list));

	if (!list)
		return NULL;
	s->list = list;
	list[s->nr] = (struct process){ .pid = pid, .pidfd = -1, .launched = launched };
	if (!launched)
		list[s->nr].cpu_ns = mp_target_cpu_ns(pid);
	s->nr_alive++;
	return &list[s->nr++];
}

static void end(struct mp_session *s, struct process *p, uint64_t cpu_ns)
{
	p->ended = true;
	p->rescan_ns = 0;
	p->cpu_ns = cpu_ns > p->cpu_ns ? cpu_ns - p->cpu_ns : 0;
	s->nr_alive--;
	mp_probes__detach(s->probes, p->pid);
	mp_unwinder__forget(s->unwinder, p->pid);
	mp_limits__end(s->limits, p->pid);
	if (p->pidfd >= 0)
		close(p->pidfd);
	p->pidfd = -1;
}

/* ---- what the stream itself asks of us ------------------------------------------------------- */

static void look_again(struct process *p, uint64_t for_ns)
{
	uint64_t now = mp_mono_ns();

	if (!p->rescan_ns)
		p->rescan_ns = now + RESCAN_NS;
	if (now + for_ns > p->rescan_end_ns)
		p->rescan_end_ns = now + for_ns;
}

#define PROT_EXEC_BIT 4

/* Nobody holds it: it may have run for some milliseconds already. */
static void begin_image(struct mp_session *s, struct process *p)
{
	struct mp_err err;

	mp_probes__renew(s->probes, p->pid);
	mp_unwinder__look(s->unwinder, p->pid, &err);
	look_again(p, RESCAN_END_NS);
}

/*
 * Whether launch.h stops @p at its exec. The command is seized without its threads: if another than
 * its first thread executes something, what comes is not.
 */
static bool is_held(const struct mp_session *s, const struct process *p)
{
	return (s->opts.follow && !p->loose) ||
	       (p->pid == s->command && mp_target_status(p->pid, "TracerPid") == getpid());
}

static void notice(struct mp_session *s, const struct mp_ev *ev)
{
	struct process *p = mp_session_find(s, ev->tgid);
	const struct mp_ev_range *range = (const void *)ev;

	if (!p)
		return;
	if (ev->type == MP_EV_OOM)
		mp_limits__victim(s->limits, p->pid);
	else if (ev->type == MP_EV_EXIT)
		end(s, p, ((const struct mp_ev_exit *)ev)->cpu_ns);
	else if (ev->type == MP_EV_EXEC && !is_held(s, p))
		begin_image(s, p);
	else if (ev->type == MP_EV_RANGE && range->op == MP_OP_MMAP &&
		 (range->prot & PROT_EXEC_BIT) && (int64_t)range->old_len >= 0 && range->ret > 0) {
		p->new_code = true;
		look_again(p, 0);
	} else if (ev->type == MP_EV_RANGE && range->op == MP_OP_MPROTECT &&
		   (range->prot & PROT_EXEC_BIT) && !range->ret &&
		   !mp_unwinder__knows(s->unwinder, p->pid, range->addr))
		look_again(p, 0); /* compiled at run time */
}

#define RESERVE_EVERY 64 /* events: what they may need is much less than the reserve */

static int on_event(void *ctx, const struct mp_ev *ev)
{
	struct mp_session *s = ctx;
	int rc;

	if (!(s->nr_handed_on++ % RESERVE_EVERY))
		mp_limits__mind(s->limits, &s->k);
	rc = s->muted ? 0 : s->sink(s->ctx, ev);
	if (ev->type == MP_EV_STACK)
		mp_unwinder__told(s->unwinder);
	else if (ev->type == MP_EV_EXIT || ev->type == MP_EV_OOM || ev->type == MP_EV_EXEC ||
		 ev->type == MP_EV_RANGE)
		notice(s, ev);
	return rc;
}

/* ---- beginning to trace a process ----------------------------------------------------------- */

/*
 * Tables first: making them takes a busy process's time for thousands of faults, which would have no
 * stack. Then probes, VMAs, pages: what comes after the reading is seen by the probes.
 */
static int begin(struct mp_session *s, pid_t pid, bool launched, bool child, struct mp_err *err)
{
	struct process *p = mp_session_find(s, pid);
	int rc;

	mp_unwinder__look(s->unwinder, pid, err); /* without it there is the direct caller still */
	rc = mp_kernel_trace(&s->k, pid, mp_unwinder__layout(s->unwinder, pid));
	if (rc)
		return mp_fail(err, MP_EXIT_FAILED, -rc, "process %d cannot be traced: %s", pid,
			       strerror(-rc));
	rc = mp_target_proc(pid, launched, mp_stream_emit, s->stream);
	if (rc)
		return mp_fail(err, MP_EXIT_FAILED, -rc,
			       "process %d ended while it was being attached to", pid);
	if (p)
		p->told = true;
	mp_limits__add(s->limits, pid);
	if (!launched) /* what it has mapped in the meantime */
		mp_unwinder__look(s->unwinder, pid, err);
	if (!s->opts.no_alloc_probes)
		rc = mp_probes__attach(s->probes, pid, mp_stream_emit, s->stream, err);
	if (rc == -ENOENT && child) {
		rc = 0;               /* it has no malloc: its pages are of interest all the same */
		if (!launched && p) { /* or not yet: nobody holds it */
			p->heap_due = true;
			look_again(p, RESCAN_END_NS);
		}
	}
	if (rc >= 0)
		rc = mp_procfs_maps(pid, false, mp_stream_emit, s->stream, err);
	if (!rc)
		rc = mp_session_pages(s, pid, MP_SRC_SEEDED, err);
	return rc;
}

static void rescan(struct mp_session *s, struct process *p)
{
	uint64_t now = mp_mono_ns();
	struct mp_err err;
	int rc;

	if (p->loading) {
		p->rescan_ns = now + RESCAN_NS;
		return;
	}
	mp_unwinder__look(s->unwinder, p->pid, &err);
	rc = s->opts.no_alloc_probes
		     ? 0
		     : mp_probes__attach(s->probes, p->pid, mp_stream_emit, s->stream, &err);
	if (rc > 0)
		mp_probes__detach_old(s->probes, p->pid);
	if (rc > 0 && p->heap_due) {
		p->heap_due = false;
		mp_session_heap(s, p->pid, &err);
	}
	mp_procfs_maps(p->pid, false, mp_stream_emit, s->stream, &err);
	p->rescan_ns = rc < 0 && now < p->rescan_end_ns ? now + RESCAN_NS : 0;
}

/* Probes are set on a process by its first thread: they go with it. */
static void begin_loading(struct mp_session *s, struct process *p, bool has_probes)
{
	if (has_probes)
		mp_probes__renew(s->probes, p->pid);
	else
		mp_probes__detach(s->probes, p->pid);
	p->loading = true;
	p->heap_due = false;
	/* the faults of its dynamic linker have stacks too */
	mp_unwinder__look(s->unwinder, p->pid, &s->troubles.child);
}

/* A followed child stands still. What fails here is the child's loss, never the whole run's. */
static int held(void *ctx, pid_t pid, enum mp_held why)
{
	struct mp_session *s = ctx;
	struct process *p = mp_session_find(s, pid);
	bool born;

	if (!p) /* born by vfork: held for the first time in its new image */
		p = add(s, pid, true);
	if (why == MP_HELD_IMAGE || why == MP_HELD_IMAGE_OF_THREAD) {
		if (p)
			begin_loading(s, p, why == MP_HELD_IMAGE);
		return 0;
	}
	/* a child of one that was being attached to may have been born before that was traced */
	born = why != MP_HELD_FORK || mp_kernel_knows(&s->k, pid);
	if (!p || begin(s, pid, born, true, &s->troubles.child))
		s->troubles.nr_children++;
	else if (!born && !p->heap_due)
		mp_session_heap(s, pid, &s->troubles.heap);
	if (p)
		p->loading = false;
	mp_probes__detach_old(s->probes, pid);
	return 0;
}

static void child_ended(void *ctx, pid_t pid, int status)
{
	struct mp_session *s = ctx;
	struct process *p = mp_session_find(s, pid);

	if (pid == s->command)
		s->status = status;
	if (p) {
		p->gone_ns = mp_mono_ns();
		p->code = status;
	}
}

static const struct mp_launch_ops launch_ops = { .held = held, .ended = child_ended };

static int tell_host(struct mp_session *s)
{
	struct mp_ev_host ev;

	mp_kernel_host(&s->k, &ev);
	ev.alloc_probes = s->opts.no_alloc_probes ? MP_PROBES_NONE : MP_PROBES_ALL;
	ev.module = s->module = mp_module_there();
	return mp_stream_emit(s->stream, &ev.h);
}

/* Seized first: what is born from then on is held until this is done, and knows its parent. */
int mp_session_attach(struct mp_session *s, pid_t pid, struct mp_err *err)
{
	int fd = mp_target_open(pid, err), rc = 0;
	struct process *p;

	if (fd < 0)
		return fd;
	p = add(s, pid, false);
	if (!p) {
		close(fd);
		return mp_fail(err, MP_EXIT_FAILED, ENOMEM, "no memory");
	}
	p->pidfd = fd;
	if (s->opts.follow)
		rc = mp_launch__seize(s->launch, pid, err);
	p->loose = rc;
	if (rc && s->members) {
		/* then those that are born of it are found in the list */
		mp_fail(&s->troubles.child, MP_EXIT_FAILED, -rc,
			"process %d cannot be held (a debugger or strace has it?): it is traced, but what "
			"it executes and its children only from a moment later on",
			pid);
		s->troubles.nr_children++;
		rc = 0;
	}
	if (!rc)
		rc = begin(s, pid, false, s->members, err);
	if (!rc && !p->heap_due)
		mp_session_heap(s, pid, &s->troubles.heap);
	return rc ? mp_target_failed(pid, p->pidfd, rc, err) : 0;
}

static int begin_attached(struct mp_session *s, struct mp_err *err)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < s->opts.nr_pids; i++)
		rc = mp_session_attach(s, s->opts.pids[i], err);
	return rc;
}

/* The kernel side knows the command before it runs anything, so that its first fault is seen. */
static int begin_launched(struct mp_session *s, struct mp_err *err)
{
	s->command = mp_launch__start(s->launch, s->opts.argv, s->opts.follow, err);
	if (s->command < 0)
		return s->command;
	if (!add(s, s->command, true))
		return mp_fail(err, MP_EXIT_FAILED, ENOMEM, "no memory");
	return begin(s, s->command, true, false, err);
}

static int open_parts(struct mp_session *s, struct mp_err *err)
{
	int rc = mp_target_privilege(err);

	for (size_t i = 0; !rc && i < s->opts.nr_pids; i++)
		rc = mp_target_check(s->opts.pids[i], err);
	if (rc)
		return rc;
	if (s->opts.cgroup) {
		s->members = mp_members__open(s->opts.cgroup, err);
		if (!s->members)
			return -ENOENT;
	}
	if (s->opts.argv || s->opts.follow) {
		s->launch = mp_launch__new(&launch_ops, s, err);
		if (!s->launch)
			return -errno;
	}
	rc = mp_kernel_open(&s->k, s->opts.ring_bytes ? s->opts.ring_bytes : RING_BYTES,
			    (s->opts.follow ? MP_KERNEL_FOLLOW : 0) |
				    (s->opts.images ? MP_KERNEL_IMAGES : 0),
			    s->opts.row, err);
	if (rc)
		return rc;
	s->stream = mp_stream__new(&s->k, on_event, s);
	s->probes = mp_probes__new(&s->k);
	s->limits = mp_limits__new();
	if (!s->stream || !s->probes || !s->limits)
		return mp_fail(err, MP_EXIT_FAILED, ENOMEM, "no memory for the event ring");
	s->unwinder = mp_unwinder__new(&s->k, TABLE_BYTES, err);
	if (!s->unwinder)
		return -ENOMEM;
	mp_unwinder__tell_objects(s->unwinder, mp_stream_emit, s->stream);
	s->price_ns = mp_probes__price(s->probes);
	return tell_host(s);
}

struct mp_session *mp_session__new(const struct mp_session_opts *opts, mp_emit_fn sink, void *ctx,
				   struct mp_err *err)
{
	struct mp_session *s = calloc(1, sizeof(*s));
	int rc;

	if (!s) {
		mp_fail(err, MP_EXIT_FAILED, ENOMEM, "no memory");
		return NULL;
	}
	s->opts = *opts;
	s->opts.follow |= opts->cgroup != NULL;
	s->sink = sink;
	s->ctx = ctx;
	s->status = -1;
	rc = open_parts(s, err);
	if (!rc)
		rc = opts->argv     ? begin_launched(s, err)
		     : opts->cgroup ? mp_session_begin_members(s, err)
				    : begin_attached(s, err);
	if (!rc) {
		s->tool_cpu_ns = mp_own_cpu_ns(NULL);
		return s;
	}
	mp_session__free(s);
	return NULL;
}

int mp_session__go(struct mp_session *s)
{
	return s->opts.argv ? mp_launch__release(s->launch) : 0;
}

static void wait_for_work(struct mp_session *s, int timeout_ms)
{
	struct pollfd fds[] = {
		{ .fd = s->launch ? mp_launch__fd(s->launch) : -1, .events = POLLIN },
		{ .fd = mp_stream__fd(s->stream), .events = POLLIN },
	};

	poll(fds, 2, timeout_ms);
	if (s->launch)
		mp_launch__poll(s->launch);
}

/* What the process had at its end is lost with the event that told of it. */
static void tell_end(struct mp_session *s, struct process *p)
{
	struct mp_ev_exit ev = {
		.h = { .type = MP_EV_EXIT, .size = sizeof(ev), .tgid = p->pid, .tid = p->pid },
		.code = p->code,
	};

	ev.h.ts_ns = p->gone_ns;
	p->gone_ns = UINT64_MAX;
	if (!p->told || mp_stream_emit(s->stream, &ev.h))
		end(s, p, p->cpu_ns);
}

/*
 * A process whose EXIT event was lost, or that died before it was traced in full. The event stands in
 * the ring before the process can be waited for, but another's that is being written may be before it.
 */
static void notice_ends(struct mp_session *s)
{
	uint64_t now = mp_mono_ns();

	for (size_t i = 0; i < s->nr; i++) {
		struct process *p = &s->list[i];
		struct pollfd fd = { .fd = p->pidfd, .events = POLLIN };

		if (p->ended)
			continue;
		if (!p->gone_ns && p->pidfd >= 0 && poll(&fd, 1, 0) > 0)
			p->gone_ns = now;
		if (p->gone_ns && p->gone_ns < now && now - p->gone_ns > EXIT_LOST_NS)
			tell_end(s, p);
	}
}

/* Its stacks end there until then; that cannot wait for the next look at its allocators. */
static void look_at_new_code(struct mp_session *s, struct process *p)
{
	struct mp_err err;

	p->new_code = false;
	mp_unwinder__look(s->unwinder, p->pid, &err);
}

int mp_session__poll(struct mp_session *s, int timeout_ms, struct mp_err *err)
{
	uint64_t now;
	int64_t n;

	wait_for_work(s, timeout_ms);
	mp_limits__mind(s->limits, &s->k);
	n = mp_stream__drain(s->stream);
	if (n < 0)
		return mp_fail(err, MP_EXIT_FAILED, -n, "the event stream broke: %s", strerror(-n));
	notice_ends(s);
	for (size_t i = 0; i < s->nr; i++)
		if (s->list[i].new_code && !s->list[i].ended)
			look_at_new_code(s, &s->list[i]);
	now = mp_mono_ns();
	for (size_t i = 0; i < s->nr; i++)
		if (s->list[i].rescan_ns && s->list[i].rescan_ns <= now)
			rescan(s, &s->list[i]);
	if (s->members)
		return mp_session_look_for_members(s) || s->nr_alive;
	if (s->command > 0)
		return !mp_launch__ended(s->launch, NULL) || s->nr_alive;
	return s->nr_alive > 0;
}

const struct mp_shortage *mp_session__shortage(struct mp_session *s)
{
	const struct mp_shortage *found = mp_limits__look(s->limits, mp_stream_emit, s->stream);

	s->ran_out |= found && !found->victim;
	return found;
}

const char *mp_session__shared_limit(const struct mp_session *s, uint64_t *limit_bytes)
{
	return mp_limits__shared(s->limits, limit_bytes);
}

const struct mp_session_troubles *mp_session__troubles(const struct mp_session *s)
{
	return &s->troubles;
}

const struct mp_unwinder_memory *mp_session__stacks(const struct mp_session *s)
{
	return mp_unwinder__memory(s->unwinder);
}

size_t mp_session__alive(const struct mp_session *s)
{
	return s->nr_alive;
}

void mp_session__mute(struct mp_session *s)
{
	s->muted = true;
}

int mp_session__status(const struct mp_session *s)
{
	return s->status;
}

void mp_session__stop(struct mp_session *s)
{
	mp_probes__free(s->probes);
	s->probes = NULL;
	mp_launch__free(s->launch);
	s->launch = NULL;
	mp_kernel_detach(&s->k);
}

void mp_session__free(struct mp_session *s)
{
	if (!s)
		return;
	mp_launch__free(s->launch);
	mp_probes__free(s->probes);
	mp_unwinder__free(s->unwinder);
	mp_limits__free(s->limits);
	mp_members__free(s->members);
	free(s->outsiders.pid);
	mp_stream__free(s->stream);
	if (s->k.skel)
		mp_kernel_close(&s->k);
	for (size_t i = 0; i < s->nr; i++)
		if (s->list[i].pidfd >= 0)
			close(s->list[i].pidfd);
	free(s->list);
	free(s);
}
