// SPDX-License-Identifier: GPL-2.0-or-later
#include "symbol/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

#define NOBODY 65534 /* the kernel's overflow uid */

/* On top of what the fork inherited: the largest debug files are some gigabytes, and are mapped. */
#define MORE_MEMORY (8ULL << 30)
/* The parent bounds each request; this is for a reader whose parent is gone. */
#define CPU_SECONDS 3600

static const int allowed[] = {
	SYS_read,          SYS_pread64,         SYS_lseek,
	SYS_close,         SYS_fstat,           SYS_newfstatat,
	SYS_fcntl,         SYS_munmap,          SYS_mremap,
	SYS_brk,           SYS_madvise,         SYS_recvmsg,
	SYS_sendmsg,       SYS_futex,           SYS_exit,
	SYS_exit_group,    SYS_getpid,          SYS_gettid,
	SYS_clock_gettime, SYS_rt_sigaction,    SYS_rt_sigprocmask,
	SYS_rt_sigreturn,  SYS_restart_syscall, SYS_getrandom,
};

static void *emit(struct sock_filter **at, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	**at = (struct sock_filter)BPF_JUMP(code, k, jt, jf);
	return (*at)++;
}

/* mmap and mprotect are allowed but for code. A call not listed fails with EPERM. */
static int forbid_calls(void)
{
#ifdef ARCH
	const size_t nr = sizeof(allowed) / sizeof(allowed[0]);
	struct sock_filter code[sizeof(allowed) / sizeof(allowed[0]) + 16], *at = code;
	struct sock_fprog prog = { .filter = code };

	emit(&at, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), 0, 0);
	emit(&at, BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
	emit(&at, BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0, 0);
	emit(&at, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
	for (size_t i = 0; i < nr; i++)
		emit(&at, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)allowed[i], (uint8_t)(nr - i + 4),
		     0);
	emit(&at, BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 2, 0);
	emit(&at, BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 1, 0);
	emit(&at, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM, 0, 0);
	emit(&at, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2]), 0, 0);
	emit(&at, BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0);
	emit(&at, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
	emit(&at, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM, 0, 0);
	prog.len = (unsigned short)(at - code);
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) ? -errno : 0;
#else
	return 0;
#endif
}

static int drop_root(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { 0 };

	if (!geteuid() && !setgroups(0, NULL) && !setresgid(NOBODY, NOBODY, NOBODY) &&
	    !setresuid(NOBODY, NOBODY, NOBODY) && !getuid())
		return -EPERM;
	/* a user namespace may have no such user: then as it is, without capabilities */
	return syscall(SYS_capset, &head, none) ? -errno : 0;
}

static void limit(int what, rlim_t n)
{
	struct rlimit r;

	getrlimit(what, &r);
	r.rlim_cur = n < r.rlim_max ? n : r.rlim_max;
	r.rlim_max = r.rlim_cur;
	setrlimit(what, &r);
}

static void limit_memory(void)
{
	unsigned long long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f && fscanf(f, "%llu", &pages) != 1)
		pages = 0;
	if (f)
		fclose(f);
	limit(RLIMIT_AS, pages * (unsigned long long)sysconf(_SC_PAGESIZE) + MORE_MEMORY);
}

/* Should memory run short, this process goes before the traced one does. */
static void first_to_go(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, "1000", 4) != 4)
		errno = 0; /* it is only a wish */
	close(fd);
}

static void close_others(int keep)
{
	int null = open("/dev/null", O_RDWR);

	for (int fd = 0; fd <= 2; fd++)
		if (null >= 0 && fd != keep && !(SANITIZED && fd == 2))
			dup2(null, fd);
	if (keep > 3)
		syscall(SYS_close_range, 3, keep - 1, 0);
	syscall(SYS_close_range, keep < 3 ? 3 : keep + 1, ~0U, 0);
}

static void settle_signals(void)
{
	const int quiet[] = { SIGINT, SIGQUIT, SIGHUP, SIGTERM, SIGUSR1, SIGPIPE };
	sigset_t none;

	/* Ctrl-C is for the tool: it ends its reader when it is done */
	for (size_t i = 0; i < sizeof(quiet) / sizeof(quiet[0]); i++)
		signal(quiet[i], SIG_IGN);
	if (!SANITIZED) {
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

int mp_jail_enter(int keep)
{
	struct rlimit files;
	int rc;

	settle_signals();
	close_others(keep);
	first_to_go();
	if (!getrlimit(RLIMIT_NOFILE, &files)) /* each object takes up to three */
		limit(RLIMIT_NOFILE, files.rlim_max);
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_CPU, CPU_SECONDS);
	if (!SANITIZED)
		limit_memory();
	rc = drop_root();
	if (rc)
		return rc;
	/* after the change of user, which undoes them */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || prctl(PR_SET_DUMPABLE, SANITIZED) ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	/* the sanitizers' own work needs more calls than can be listed */
	return SANITIZED ? 0 : forbid_calls();
}
