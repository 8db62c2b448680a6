/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Holding processes at the right instant: a launched command until its dynamic linker is done (and
 * no constructor has run), at each of its execs, and with follow every new process of the tree.
 *
 * One object serves all of them, because wait(2) is one queue: nothing else in this process may
 * wait for children or use SIGCHLD. All calls come from one thread (ptrace binds to a thread).
 *
 * The life of it:
 *	l = mp_launch__new(&ops, ctx, &err);       before any signal is blocked or ignored
 *	mp_launch__start(l, argv, follow, &err);   CMD is held; attach probes, seed pages
 *	mp_launch__release(l);                     CMD runs
 *	poll(mp_launch__fd(l)) -> mp_launch__poll(l), until mp_launch__ended(l, &status)
 *	mp_launch__free(l);
 *
 * If this process dies at any point the kernel lets the held processes go: a breakpoint is a perf
 * event of ours, so it goes with us, and none is left set while a process is held (hold.h).
 */
#ifndef MP_COLLECT_LAUNCH_H
#define MP_COLLECT_LAUNCH_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

enum mp_held {
	MP_HELD_FORK = 1,  /* a copy of its parent; has not run an instruction yet */
	MP_HELD_EXEC = 2,  /* a new program; its dynamic linker is done, no constructor has run */
	MP_HELD_IMAGE = 3, /* a new program before its first instruction; EXEC follows */
	MP_HELD_IMAGE_OF_THREAD = 4, /* the same, but not by the first thread, which is gone */
};

struct mp_launch_ops {
	/* @pid (a process) stands still during the call and goes on after it, whatever it returns;
	 * non-zero is handed back by mp_launch__poll. Not called for the CMD of mp_launch__start. */
	int (*held)(void *ctx, pid_t pid, enum mp_held why);
	/* A followed process or CMD is gone; @status as of waitpid. May be NULL. */
	void (*ended)(void *ctx, pid_t pid, int status);
};

struct mp_launch;

/* Blocks SIGCHLD and opens a signalfd for it. CMD will get the signal mask of before this call. */
struct mp_launch *mp_launch__new(const struct mp_launch_ops *ops, void *ctx, struct mp_err *err);

/*
 * Starts @argv (searched in PATH) in our process group with our stdin, stdout and stderr, and
 * returns while it is held. Its PID, or -errno with @err (exit 1: not found, not executable, no
 * 64-bit program, or it died before it could be held).
 */
pid_t mp_launch__start(struct mp_launch *l, char *const argv[], bool follow, struct mp_err *err);

/* Lets CMD run. It stays seized: a program that it executes is held in its turn. */
int mp_launch__release(struct mp_launch *l);

/* Follows the children of the running process @pid from now on; does not stop it. */
int mp_launch__seize(struct mp_launch *l, pid_t pid, struct mp_err *err);

/* Readable when mp_launch__poll has work. Owned by @l. */
int mp_launch__fd(const struct mp_launch *l);

/* Handles all that is pending without waiting. Call it soon: stopped processes wait for it.
 * 0, or the first non-zero result of ops.held. */
int mp_launch__poll(struct mp_launch *l);

/* Whether CMD has ended; then *@status is as of waitpid (may be NULL). */
bool mp_launch__ended(const struct mp_launch *l, int *status);

/* How many processes or threads are traced by ptrace now. */
size_t mp_launch__traced(const struct mp_launch *l);

/*
 * Lets everything go, without interrupting what runs (that could cut a sleep or poll short): from
 * now on a handler of SIGCHLD detaches each process at its next stop and takes the status of every
 * child, and this process's end detaches the rest. A CMD that was never released is killed (it has
 * run nothing of its own). NULL is fine.
 */
void mp_launch__free(struct mp_launch *l);

#endif
