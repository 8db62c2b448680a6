// SPDX-License-Identifier: GPL-2.0-or-later
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "collect/heap_read.h"

struct mp_freeze {
	pid_t *tids; /* stopped, or gone since */
	size_t nr;
};

static bool holds(const struct mp_freeze *f, pid_t tid)
{
	for (size_t i = 0; i < f->nr; i++)
		if (f->tids[i] == tid)
			return true;
	return false;
}

/*
 * Stops one thread and waits for it. A signal that came first is given back to it: it takes it when it
 * goes on. 1; 0 if it is gone; -errno.
 */
static int stop(pid_t tid)
{
	int status;

	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL))
		return errno == ESRCH ? 0 : -errno;
	if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL))
		return 0;
	for (;;) {
		if (waitpid(tid, &status, __WALL) < 0) {
			if (errno == EINTR)
				continue;
			return 0;
		}
		if (!WIFSTOPPED(status))
			return 0;
		if (status >> 16 == PTRACE_EVENT_STOP)
			return 1;
		/* the interrupt is still to come: it stops the thread before its handler runs */
		if (ptrace(PTRACE_CONT, tid, NULL, (void *)(long)WSTOPSIG(status)))
			return 0;
	}
}

/* Threads that are not stopped yet; 0: none was left, 1: look again. */
static int stop_more(struct mp_freeze *f, pid_t pid)
{
	struct dirent *d;
	char path[64];
	int ret = 0, stopped = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		return -ESRCH;
	while (ret >= 0 && (d = readdir(dir))) {
		pid_t tid = atoi(d->d_name);

		if (tid <= 0 || holds(f, tid))
			continue;
		ret = stop(tid);
		if (ret > 0) {
			stopped = 1;
			ret = mp_heap_image_add(&f->tids, &f->nr, &tid, sizeof(tid));
		}
	}
	closedir(dir);
	return ret < 0 ? ret : stopped;
}

struct mp_freeze *mp_freeze__begin(pid_t pid, struct mp_err *err)
{
	struct mp_freeze *f = calloc(1, sizeof(*f));
	int ret = f ? 1 : -ENOMEM;

	while (ret > 0)
		ret = stop_more(f, pid);
	if (!ret && f->nr)
		return f;
	mp_freeze__end(f);
	if (ret == -EPERM)
		mp_fail(err, MP_EXIT_LACKS, EPERM,
			"process %d: it may not be stopped with ptrace: another program traces it, "
			"or this is not root; try without --freeze",
			pid);
	else
		mp_fail(err, MP_EXIT_FAILED, ret ? -ret : ESRCH, "process %d: cannot stop it: %s",
			pid, strerror(ret ? -ret : ESRCH));
	return NULL;
}

void mp_freeze__end(struct mp_freeze *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->nr; i++)
		ptrace(PTRACE_DETACH, f->tids[i], NULL, NULL);
	free(f->tids);
	free(f);
}
