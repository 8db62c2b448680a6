/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process to be traced: may it be, is it still there, what is it called.
 */
#ifndef MP_COLLECT_TARGET_H
#define MP_COLLECT_TARGET_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "collect/emit.h"

/*
 * 0 if @pid can be traced by us; else -errno with a one-line @err: no such process, a thread, a
 * kernel thread, a zombie, ourselves, a 32-bit program (exit 1 or 2), missing privilege, a /proc or
 * PID namespace that is not the kernel's own numbering (exit 3).
 */
int mp_target_check(pid_t pid, struct mp_err *err);

/* The part of the check that needs no privilege: for what only reads /proc. */
int mp_target_readable(pid_t pid, struct mp_err *err);

/* The part of the check that needs no process: capabilities and PID namespace. Call it before a
 * command is launched. 0, or -EPERM with exit 3. */
int mp_target_privilege(struct mp_err *err);

/* 0 if /proc/PID/exe is a 64-bit x86 ELF file, else -errno and exit 1. */
int mp_target_exe(pid_t pid, struct mp_err *err);

/* A pidfd (close-on-exec) that becomes readable when @pid has ended; -errno with @err on failure.
 * Holding it open also keeps a later process with the same number from being mistaken for it. */
int mp_target_open(pid_t pid, struct mp_err *err);

/* Fills @err: @pid went while it was being attached to, exit 1. Returns -ESRCH. */
int mp_target_ended(pid_t pid, struct mp_err *err);

/*
 * What could not be read of a process that is going is said to be missing in many ways (EACCES and
 * EPERM among them); its memory is gone a moment before its pidfd tells of its end. @rc, or as above.
 */
int mp_target_failed(pid_t pid, int pidfd, int rc, struct mp_err *err);

/* Emits MP_EV_PROC. A command line over about 64 KiB is cut. 0, -errno (process gone) or what
 * @emit returned. */
int mp_target_proc(pid_t pid, bool launched, mp_emit_fn emit, void *ctx);

/* CPU time of all its threads, living and gone (utime + stime of /proc/PID/stat, in ticks of 10 ms);
 * 0 if it is not there. */
uint64_t mp_target_cpu_ns(pid_t pid);

/* Our own CPU time; *@peak_bytes (may be NULL): the most memory we ever had. */
uint64_t mp_own_cpu_ns(uint64_t *peak_bytes);

/* Value of the line "@key:" of /proc/PID/status as a decimal number, -errno if not there. */
int64_t mp_target_status(pid_t pid, const char *key);

#endif
