// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The processes of a cgroup. Those born of one that is traced are followed like any child. Those that
 * come from elsewhere, moved in or born into it by a stranger, are attached to when the list shows
 * them: it is read soon after the kernel tells of such a one, and now and then in any case. What left
 * the cgroup is traced on.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/kcmp.h>

#include "collect/session_inside.h"
#include "collect/target.h"

#define READ_NS   1000000000ULL /* the list, if nothing asks for it sooner */
#define OUTSIDERS 4096
#define TURNS_MAX 64 /* readings of the list until nothing new is in it */

struct reading {
	struct mp_session *s;
	size_t nr_new;
};

static bool known_outside(const struct mp_outsiders *out, pid_t pid)
{
	for (size_t i = 0; i < out->nr; i++)
		if (out->pid[i] == pid)
			return true;
	return false;
}

/* One more that cannot be traced. Of very many the first are forgotten, and counted once more. */
static int leave_out(struct mp_session *s, pid_t pid)
{
	struct mp_outsiders *out = &s->outsiders;

	if (out->nr == OUTSIDERS)
		out->nr = 0;
	if (out->nr == out->room) {
		size_t room = out->room ? 2 * out->room : 16;
		pid_t *more = reallocarray(out->pid, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		out->pid = more;
		out->room = room;
	}
	out->pid[out->nr++] = pid;
	s->troubles.nr_children++;
	return 0;
}

/* As mp_launch's: until its exec it has no memory of its own. */
static bool runs_in_parent(pid_t pid, pid_t parent)
{
	return parent > 0 && syscall(SYS_kcmp, pid, parent, KCMP_VM, 0, 0) == 0;
}

static int join(void *ctx, pid_t pid)
{
	struct reading *r = ctx;
	struct mp_session *s = r->s;
	pid_t parent = (pid_t)mp_target_status(pid, "PPid");
	struct mp_err err = { .exit = 0 };
	int rc;

	/* held at its birth, or about to be: it is told of there */
	if (mp_session_find(s, pid) || mp_target_status(pid, "TracerPid") == getpid())
		return 0;
	if (pid == getpid() || parent == getpid())
		return 0;
	if (runs_in_parent(pid, parent)) {
		s->outsiders.soon = true;
		return 0;
	}
	rc = mp_target_check(pid, &err);
	if (!rc) {
		r->nr_new++;
		rc = mp_session_attach(s, pid, &err);
	}
	if (!rc || rc == -ESRCH || known_outside(&s->outsiders, pid))
		return 0;
	s->troubles.child = err;
	return leave_out(s, pid);
}

/* How many new ones there were, or -errno. */
static int64_t read_list(struct mp_session *s)
{
	struct reading r = { .s = s };
	int rc;

	s->outsiders.hits = mp_kernel_hits(&s->k, MP_HIT_CGROUP);
	s->outsiders.soon = false;
	rc = mp_members__each(s->members, join, &r);
	s->outsiders.read_ns = mp_mono_ns();
	s->outsiders.gone = rc == -ENODEV;
	return rc ? rc : (int64_t)r.nr_new;
}

int mp_session_begin_members(struct mp_session *s, struct mp_err *err)
{
	int64_t n = 1;

	mp_kernel_watch_cgroups(&s->k);
	for (int i = 0; n > 0 && i < TURNS_MAX; i++)
		n = read_list(s);
	if (n < 0)
		return mp_fail(err, MP_EXIT_FAILED, (int)-n, "the processes of --cgroup %.400s: %s",
			       s->opts.cgroup,
			       n == -ENODEV ? "it has been removed; give one that is there"
					    : strerror((int)-n));
	return 0;
}

bool mp_session_look_for_members(struct mp_session *s)
{
	struct mp_outsiders *out = &s->outsiders;

	if (out->gone)
		return false;
	if (out->soon || mp_kernel_hits(&s->k, MP_HIT_CGROUP) != out->hits ||
	    mp_mono_ns() - out->read_ns >= READ_NS)
		read_list(s);
	return !out->gone;
}
