// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/target.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

/* include/linux/proc_ns.h: PROC_PID_INIT_INO; the numbering that BPF programs see */
#define INIT_PID_NS_INO 0xEFFFFFFCU
/* include/linux/sched.h: PF_KTHREAD, shown in the flags field of /proc/PID/stat */
#define TASK_KTHREAD 0x00200000U

#define GOING_MS 200 /* from the loss of its memory to the end of a process */

#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#endif
#ifndef CAP_BPF
#define CAP_BPF 39
#endif

/* Reads at most @len bytes of /proc/PID/@what. The number of bytes or -errno. */
static ssize_t read_proc(pid_t pid, const char *what, char *buf, size_t len)
{
	char path[64];
	size_t got = 0;
	ssize_t n = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, what);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (got < len) {
		n = read(fd, buf + got, len - got);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	if (n < 0)
		n = -errno;
	close(fd);
	return n < 0 ? n : (ssize_t)got;
}

/* Text of /proc/PID/@what, NUL terminated and cut to @len - 1 bytes. */
static ssize_t read_text(pid_t pid, const char *what, char *buf, size_t len)
{
	ssize_t n = read_proc(pid, what, buf, len - 1);

	buf[n > 0 ? n : 0] = '\0';
	return n;
}

/* The text after "\n@key:" in a status file; comm cannot fake a line, the kernel escapes it. */
static const char *status_line(const char *status, const char *key)
{
	size_t len = strlen(key);
	const char *at = status;

	while (at) {
		if (!strncmp(at, key, len) && at[len] == ':')
			return at + len + 1;
		at = strchr(at, '\n');
		if (at)
			at++;
	}
	return NULL;
}

static int64_t status_number(const char *status, const char *key, int base)
{
	const char *at = status_line(status, key);
	char *end;
	uint64_t value;

	if (!at)
		return -ENOENT;
	errno = 0;
	value = strtoull(at, &end, base);
	if (end == at || errno || value > INT64_MAX)
		return -EBADMSG;
	return (int64_t)value;
}

int64_t mp_target_status(pid_t pid, const char *key)
{
	char text[8192];
	ssize_t n = read_text(pid, "status", text, sizeof(text));

	return n < 0 ? n : status_number(text, key, 10);
}

/* Appends the name of each capability that is missing. */
static void missing_caps(uint64_t have, char *text, size_t len)
{
	static const struct {
		int cap;
		const char *name;
	} needs[] = {
		{ CAP_BPF, "CAP_BPF" },
		{ CAP_PERFMON, "CAP_PERFMON" },
		{ CAP_SYS_PTRACE, "CAP_SYS_PTRACE" },
		{ CAP_SYS_ADMIN, "CAP_SYS_ADMIN" },
	};
	bool admin = have & (1ULL << CAP_SYS_ADMIN);
	size_t at = 0;

	text[0] = '\0';
	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
		/* CAP_SYS_ADMIN stands for both of those that were split from it */
		bool covered = admin && (needs[i].cap == CAP_BPF || needs[i].cap == CAP_PERFMON);

		if (covered || have & (1ULL << needs[i].cap))
			continue;
		at += (size_t)snprintf(text + at, len - at, "%s%s", at ? " " : "", needs[i].name);
	}
}

int mp_target_privilege(struct mp_err *err)
{
	char status[8192], missing[80], self[16] = "";
	struct stat st;
	int64_t caps;

	if (readlink("/proc/self", self, sizeof(self) - 1) < 0 || atoi(self) != getpid())
		return mp_fail(
			err, MP_EXIT_LACKS, EPERM,
			"/proc does not show this process: it is not mounted or belongs to "
			"another PID namespace; mount a fresh one (mount -t proc proc /proc)");
	if (stat("/proc/self/ns/pid", &st) == 0 && st.st_ino != INIT_PID_NS_INO)
		return mp_fail(err, MP_EXIT_LACKS, EPERM,
			       "inside a PID namespace: the kernel's process numbers differ from "
			       "those seen here; run on the host (or a container with --pid=host)");
	if (read_text(getpid(), "status", status, sizeof(status)) < 0)
		return mp_fail(err, MP_EXIT_LACKS, EPERM,
			       "/proc/self/status cannot be read: capabilities are unknown; check "
			       "how /proc is mounted");
	caps = status_number(status, "CapEff", 16);
	missing_caps(caps < 0 ? 0 : (uint64_t)caps, missing, sizeof(missing));
	if (missing[0])
		return mp_fail(err, MP_EXIT_LACKS, EPERM,
			       "not permitted: %s missing; run as root (sudo), or give the four "
			       "capabilities CAP_BPF CAP_PERFMON CAP_SYS_PTRACE CAP_SYS_ADMIN",
			       missing);
	return 0;
}

int mp_target_exe(pid_t pid, struct mp_err *err)
{
	unsigned char head[EI_NIDENT + 4];
	ssize_t n = read_proc(pid, "exe", (char *)head, sizeof(head));
	int machine;

	/* EACCES is also what a link of a process gives that went in between (proc_pid_get_link) */
	if (n == -EACCES && kill(pid, 0) && errno == ESRCH)
		return mp_target_ended(pid, err);
	if (n == -EACCES || n == -EPERM)
		return mp_fail(err, MP_EXIT_LACKS, EPERM,
			       "process %d: not permitted to read its program; run as root (sudo)",
			       pid);
	if (n < 0)
		return mp_fail(
			err, MP_EXIT_FAILED, (int)-n,
			"process %d: its program cannot be read (%s): it may have just ended", pid,
			strerror((int)-n));
	if (n < (ssize_t)sizeof(head) || memcmp(head, ELFMAG, SELFMAG))
		return mp_fail(
			err, MP_EXIT_FAILED, ENOEXEC,
			"process %d: its program is not an ELF file; only ELF programs can be "
			"traced",
			pid);
	machine = head[EI_NIDENT + 2] | head[EI_NIDENT + 3] << 8;
	if (head[EI_CLASS] != ELFCLASS64)
		return mp_fail(
			err, MP_EXIT_FAILED, ENOEXEC,
			"process %d: 32-bit programs are not supported; use a 64-bit build of "
			"it",
			pid);
	if (head[EI_DATA] != ELFDATA2LSB || machine != EM_X86_64)
		return mp_fail(
			err, MP_EXIT_FAILED, ENOEXEC,
			"process %d: ELF machine %d is not supported; use an x86-64 build of it",
			pid, machine);
	return 0;
}

/* PF_ flags of /proc/PID/stat; the name before them is in parentheses and may hold any byte. */
static uint32_t task_flags(pid_t pid)
{
	char text[1024];
	const char *at;
	unsigned int flags;

	if (read_text(pid, "stat", text, sizeof(text)) <= 0)
		return 0;
	at = strrchr(text, ')');
	/* state ppid pgrp session tty tpgid flags */
	if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %u", &flags) != 1)
		return 0;
	return flags;
}

/* Is it a process that has a program? */
static int check_kind(pid_t pid, struct mp_err *err)
{
	char status[8192];
	ssize_t n = read_text(pid, "status", status, sizeof(status));
	const char *state;
	int64_t leader;

	if (n == -ENOENT || n == -ESRCH)
		return mp_fail(err, MP_EXIT_FAILED, ESRCH,
			       "no process %d: it does not exist or has ended; list with ps -e",
			       pid);
	if (n < 0)
		return mp_fail(
			err, MP_EXIT_LACKS, (int)-n,
			"process %d: /proc/%d/status cannot be read (%s); run as root (sudo)", pid,
			pid, strerror((int)-n));
	leader = status_number(status, "Tgid", 10);
	if (leader > 0 && leader != pid)
		return mp_fail(err, MP_EXIT_FAILED, EINVAL,
			       "%d is a thread of process %" PRId64
			       ": give the process (-p %" PRId64 "), -t %d narrows the view",
			       pid, leader, leader, pid);
	if (task_flags(pid) & TASK_KTHREAD)
		return mp_fail(
			err, MP_EXIT_FAILED, EINVAL,
			"process %d is a kernel thread: it has no memory of its own; choose a "
			"user process (ps -e)",
			pid);
	state = status_line(status, "State");
	state = state ? state + strspn(state, " \t") : "";
	if (*state == 'Z' || *state == 'X')
		return mp_fail(
			err, MP_EXIT_FAILED, ESRCH,
			"process %d has ended (zombie): its memory is gone; choose a running "
			"process (ps -e)",
			pid);
	return 0;
}

int mp_target_readable(pid_t pid, struct mp_err *err)
{
	int ret = check_kind(pid, err);

	return ret ? ret : mp_target_exe(pid, err);
}

int mp_target_check(pid_t pid, struct mp_err *err)
{
	int ret;

	if (pid <= 0)
		return mp_fail(err, MP_EXIT_USAGE, EINVAL,
			       "%d is no process ID: give a positive number; list with ps -e", pid);
	if (pid == getpid())
		return mp_fail(
			err, MP_EXIT_USAGE, EINVAL,
			"process %d is mallocpath itself, which would trace its own tracing; "
			"give another PID",
			pid);
	ret = check_kind(pid, err);
	if (!ret)
		ret = mp_target_privilege(err);
	if (!ret)
		ret = mp_target_exe(pid, err);
	return ret;
}

int mp_target_ended(pid_t pid, struct mp_err *err)
{
	return mp_fail(err, MP_EXIT_FAILED, ESRCH,
		       "process %d ended while being attached; list with ps -e", pid);
}

int mp_target_open(pid_t pid, struct mp_err *err)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0); /* sets close-on-exec by itself */

	if (fd >= 0)
		return fd;
	if (errno == ESRCH)
		return mp_target_ended(pid, err);
	return mp_fail(err, MP_EXIT_LACKS, errno,
		       "process %d: pidfd_open failed (%s); Linux 5.3 or later is needed", pid,
		       strerror(errno));
}

int mp_target_proc(pid_t pid, bool launched, mp_emit_fn emit, void *ctx)
{
	const size_t max = MP_EV_SIZE_MAX - sizeof(struct mp_ev_proc);
	struct mp_ev_proc *ev = calloc(1, MP_EV_SIZE_MAX);
	ssize_t n;
	int ret;

	if (!ev)
		return -ENOMEM;
	n = read_text(pid, "comm", ev->comm, sizeof(ev->comm));
	if (n > 0 && ev->comm[n - 1] == '\n') /* a name may hold others, the last is not its own */
		ev->comm[n - 1] = '\0';
	if (n >= 0)
		n = read_proc(pid, "cmdline", ev->cmdline, max);
	ret = n < 0 ? (int)n : 0;
	if (!ret) {
		ev->h.type = MP_EV_PROC;
		ev->h.size = (uint16_t)(sizeof(*ev) + (((size_t)n + 7) & ~7UL));
		ev->h.ts_ns = mp_mono_ns();
		ev->h.tgid = (uint32_t)pid;
		ev->launched = launched;
		ev->cmdline_len = (uint32_t)n;
		ret = emit(ctx, &ev->h);
	}
	free(ev);
	return ret;
}

uint64_t mp_target_cpu_ns(pid_t pid)
{
	unsigned long long utime = 0, stime = 0;
	char text[1024];
	const char *at;

	if (read_text(pid, "stat", text, sizeof(text)) < 0)
		return 0;
	at = strrchr(text, ')');
	if (at)
		sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &utime,
		       &stime);
	return (utime + stime) * (1000000000ULL / sysconf(_SC_CLK_TCK));
}

/* Not ru_maxrss: that is at least what the program had that executed this one. */
static uint64_t own_peak_bytes(void)
{
	char text[4096];
	const char *at;

	if (read_text(getpid(), "status", text, sizeof(text)) < 0)
		return 0;
	at = status_line(text, "VmHWM");
	return at ? strtoull(at, NULL, 10) * 1024 : 0;
}

uint64_t mp_own_cpu_ns(uint64_t *peak_bytes)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	if (peak_bytes)
		*peak_bytes = own_peak_bytes();
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000ULL +
	       (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000ULL;
}

int mp_target_failed(pid_t pid, int pidfd, int rc, struct mp_err *err)
{
	struct pollfd fd = { .fd = pidfd, .events = POLLIN };

	return poll(&fd, 1, GOING_MS) > 0 ? mp_target_ended(pid, err) : rc;
}
