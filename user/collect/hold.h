/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A traced process on its way from exec to the instant its dynamic linker is done: everything is
 * mapped and relocated, no constructor has run. glibc and musl call the empty function
 * _dl_debug_state for debuggers then (link.h, struct r_debug).
 *
 * The breakpoint there is a perf event, not a debug register set by ptrace and not an instruction
 * written into the text: it is ours by a file descriptor, so it ends with this process however that
 * dies, and copies no page. It stops the traced thread by SIGURG, which a program that has installed
 * no handler yet ignores: should we die between its coming and our taking it, it does nothing.
 * Where the kernel refuses the event (no free slot), each system call is a stop at which the linker's
 * state is read. That is the same instant where the linker has a cache to unmap, its last call;
 * otherwise a little late.
 */
#ifndef MP_COLLECT_HOLD_H
#define MP_COLLECT_HOLD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mp_hold {
	int linker_fd;    /* breakpoint at _dl_debug_state, or -1 */
	int entry_fd;     /* breakpoint at the program's entry, in case the first is never hit */
	uint64_t entry;   /* address of that */
	uint64_t r_debug; /* struct r_debug of the linker, 0: not found */
	uint64_t mask;    /* signal mask to put back */
	bool mask_changed;
	bool seen_add;   /* the linker has begun to add objects */
	bool by_syscall; /* resume with PTRACE_SYSCALL */
};

/* At the exec stop of @pid. 1: this is the instant already (static program); 0: resume it and ask
 * at each stop below; -errno: it is gone. */
int mp_hold_begin(struct mp_hold *hold, pid_t pid);

/* Whether the stop of @pid by @sig is a breakpoint of ours, to be told to mp_hold_reached. */
bool mp_hold_is_ours(const struct mp_hold *hold, pid_t pid, int sig);

/* At a breakpoint or system call stop: whether this is the instant. */
bool mp_hold_reached(struct mp_hold *hold, pid_t pid);

/* Takes everything back. @pid must be stopped or gone. */
void mp_hold_end(struct mp_hold *hold, pid_t pid);

/* For tests: 0 forbids breakpoints. Returns what it was. */
int mp_hold_use_breakpoints(int use);

#endif
