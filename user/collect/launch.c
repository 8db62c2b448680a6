// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/launch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/kcmp.h>

#include "collect/target.h"
#include "collect/tracees.h"

#define SYSCALL_STOP (SIGTRAP | 0x80) /* PTRACE_O_TRACESYSGOOD */
#define FOLLOW                                                                                   \
	(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | \
	 PTRACE_O_TRACECLONE)

struct mp_launch {
	struct mp_launch_ops ops;
	void *ctx;
	int fd;
	sigset_t mask;       /* of before */
	bool chld_ignored;   /* SIGCHLD was ignored before */
	pid_t cmd;           /* 0: none */
	bool arrived;        /* CMD stands at its instant */
	bool released, over; /* CMD runs; CMD has ended */
	int status;
	int held_ret; /* first non-zero result of ops.held since the last poll */
	struct mp_tracees tracees;
};

/* ---- stops ---------------------------------------------------------------------------------- */

/* A tracee that was killed meanwhile does not mind; its end is reported in its own time. */
static void resume(const struct mp_tracee *t, int sig)
{
	bool by_syscall = t->holding && t->hold.by_syscall;

	ptrace(by_syscall ? PTRACE_SYSCALL : PTRACE_CONT, t->tid, NULL, (long)sig);
}

static bool is_stop_signal(int sig)
{
	return sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
}

/* After PTRACE_EVENT_STOP: a stopped process stays stopped until its SIGCONT. */
static void resume_stop(const struct mp_tracee *t, int sig)
{
	if (is_stop_signal(sig))
		ptrace(PTRACE_LISTEN, t->tid, NULL, NULL);
	else
		resume(t, 0);
}

static void call_held(struct mp_launch *l, pid_t pid, enum mp_held why)
{
	int ret = l->ops.held ? l->ops.held(l->ctx, pid, why) : 0;

	if (ret && !l->held_ret)
		l->held_ret = ret;
}

/* Whether a new process runs in the memory of its parent (vfork, posix_spawn): nothing to hold it
 * for until its exec. Its parent waits for it, or is another one by now. */
static bool shares_memory(pid_t pid)
{
	int64_t parent = mp_target_status(pid, "PPid");

	return parent > 0 && syscall(SYS_kcmp, pid, (pid_t)parent, KCMP_VM, 0, 0) == 0;
}

/* The first stop of a thread or process that the kernel attached for us. */
static void handle_birth(struct mp_launch *l, pid_t tid, int sig)
{
	int64_t tgid = mp_target_status(tid, "Tgid");
	struct mp_tracee *t = mp_tracees__add(&l->tracees, tid, tgid > 0 ? (pid_t)tgid : tid);

	if (!t) { /* no memory to follow it: let it run on its own */
		ptrace(PTRACE_DETACH, tid, NULL, NULL);
		return;
	}
	if (t->tgid == tid && !shares_memory(tid))
		call_held(l, tid, MP_HELD_FORK);
	resume_stop(t, sig);
}

/* The instant is there: nothing of ours is left in the process before the callback runs. */
static void arrive(struct mp_launch *l, struct mp_tracee *t)
{
	mp_tracee_end_hold(t);
	if (t->tid == l->cmd && !l->released) {
		l->arrived = true;
		return;
	}
	call_held(l, t->tid, MP_HELD_EXEC);
	resume(t, 0);
}

/* The thread that executed the program has the number of the first one by now. */
static enum mp_held whose_image(const struct mp_tracee *t)
{
	unsigned long before;

	if (ptrace(PTRACE_GETEVENTMSG, t->tid, NULL, &before) || (pid_t)before == t->tid)
		return MP_HELD_IMAGE;
	return MP_HELD_IMAGE_OF_THREAD;
}

static void handle_exec(struct mp_launch *l, struct mp_tracee *t)
{
	int now;

	mp_tracees__forget_threads(&l->tracees, t->tgid);
	mp_tracee_end_hold(t);
	if (mp_target_exe(t->tid, NULL) && (t->tid != l->cmd || l->released)) {
		resume(t, 0); /* a 32-bit program: cannot be traced, but its children may */
		return;
	}
	if (t->tid != l->cmd || l->released)
		call_held(l, t->tid, whose_image(t));
	now = mp_hold_begin(&t->hold, t->tid);
	t->holding = now >= 0;
	if (now > 0)
		arrive(l, t);
	else
		resume(t, 0);
}

/* A signal on its way to the process, unless it comes from our own breakpoint. */
static void handle_signal(struct mp_launch *l, struct mp_tracee *t, int sig)
{
	if (!t->holding || !mp_hold_is_ours(&t->hold, t->tid, sig))
		resume(t, sig);
	else if (mp_hold_reached(&t->hold, t->tid))
		arrive(l, t);
	else
		resume(t, 0);
}

static void handle_stop(struct mp_launch *l, pid_t tid, int status)
{
	struct mp_tracee *t = mp_tracees__find(&l->tracees, tid);
	int sig = WSTOPSIG(status);
	int event = status >> 16;

	if (!t && event == PTRACE_EVENT_STOP) {
		handle_birth(l, tid, sig);
		return;
	}
	if (!t)
		t = mp_tracees__add(&l->tracees, tid, tid);
	if (!t) {
		ptrace(PTRACE_DETACH, tid, NULL, (long)(event ? 0 : sig));
		return;
	}
	if (event == PTRACE_EVENT_EXEC)
		handle_exec(l, t);
	else if (event == PTRACE_EVENT_STOP)
		resume_stop(t, sig);
	else if (event)
		resume(t, 0); /* fork, vfork, clone: the child reports itself */
	else if (sig == SYSCALL_STOP && t->holding && mp_hold_reached(&t->hold, tid))
		arrive(l, t);
	else if (sig == SYSCALL_STOP)
		resume(t, 0);
	else
		handle_signal(l, t, sig);
}

static void handle_end(struct mp_launch *l, pid_t tid, int status)
{
	const struct mp_tracee *t = mp_tracees__find(&l->tracees, tid);
	bool process = tid == l->cmd ? l->arrived : t && t->tgid == tid;

	mp_tracees__forget(&l->tracees, tid);
	if (tid == l->cmd) {
		l->over = true;
		l->status = status;
	}
	if (process && l->ops.ended)
		l->ops.ended(l->ctx, tid, status);
}

static void handle(struct mp_launch *l, pid_t tid, int status)
{
	if (WIFSTOPPED(status))
		handle_stop(l, tid, status);
	else
		handle_end(l, tid, status);
}

int mp_launch__poll(struct mp_launch *l)
{
	struct signalfd_siginfo info;
	int ret, status;
	pid_t tid;

	while (read(l->fd, &info, sizeof(info)) > 0)
		;
	/* one by one: a signal that is still on its way when we are killed reaches its process */
	while ((tid = waitpid(-1, &status, WNOHANG | __WALL)) > 0)
		handle(l, tid, status);
	ret = l->held_ret;
	l->held_ret = 0;
	return ret;
}

/* ---- a command ------------------------------------------------------------------------------ */

/* In the child: waits until it is traced, then becomes CMD. Tells why not through @error_fd. */
static void __attribute__((noreturn))
become(const struct mp_launch *l, char *const argv[], int go_fd, int error_fd)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	int error;
	char go;

	if (read(go_fd, &go, 1) != 1)
		_exit(127);
	if (l->chld_ignored)
		sigaction(SIGCHLD, &ignore, NULL);
	sigprocmask(SIG_SETMASK, &l->mask, NULL);
	execvp(argv[0], argv);
	error = errno;
	if (write(error_fd, &error, sizeof(error)) != sizeof(error))
		_exit(126);
	_exit(127);
}

static int exec_fail(const char *cmd, int error, struct mp_err *err)
{
	if (error == ENOENT && !strchr(cmd, '/'))
		return mp_fail(err, MP_EXIT_FAILED, error,
			       "%s: command not found in PATH; check its name or give its path",
			       cmd);
	if (error == ENOENT && access(cmd, F_OK) == 0)
		return mp_fail(
			err, MP_EXIT_FAILED, error,
			"%s: its interpreter (#!) or dynamic linker does not exist; check its "
			"first line, or file %s",
			cmd, cmd);
	if (error == ENOENT)
		return mp_fail(err, MP_EXIT_FAILED, error,
			       "%s: no such file; check the path of the command", cmd);
	if (error == EACCES)
		return mp_fail(err, MP_EXIT_FAILED, error,
			       "%s: not executable (permission denied, or a directory); see ls -ld",
			       cmd);
	return mp_fail(err, MP_EXIT_FAILED, error,
		       "%s: cannot be run: %s; try it without mallocpath", cmd, strerror(error));
}

static int seize_fail(pid_t pid, int error, struct mp_err *err)
{
	int64_t tracer = mp_target_status(pid, "TracerPid");

	if (error == ESRCH)
		return mp_target_ended(pid, err);
	if (tracer > 0)
		return mp_fail(err, MP_EXIT_FAILED, error,
			       "process %d is traced by process %d (a debugger or strace): its "
			       "children cannot be followed; end that, or leave out -f",
			       pid, (int)tracer);
	return mp_fail(err, MP_EXIT_LACKS, error,
		       "process %d: ptrace is refused (%s); see /proc/sys/kernel/yama/ptrace_scope",
		       pid, strerror(error));
}

/* Lets the traced child exec and waits until it stands at its instant. */
static int run_to_instant(struct mp_launch *l, const char *cmd, int go_fd, int error_fd,
			  struct mp_err *err)
{
	int error, status;
	pid_t tid;

	if (write(go_fd, "", 1) != 1)
		return mp_fail(err, MP_EXIT_FAILED, EIO, "%s: could not be started; try again",
			       cmd);
	while (!l->arrived && !l->over) {
		tid = waitpid(-1, &status, __WALL);
		if (tid < 0 && errno != EINTR)
			break;
		if (tid > 0)
			handle(l, tid, status);
	}
	if (read(error_fd, &error, sizeof(error)) == sizeof(error))
		return exec_fail(cmd, error, err);
	if (!l->arrived && WIFSIGNALED(l->status))
		return mp_fail(err, MP_EXIT_FAILED, ECHILD,
			       "%s: killed by signal %d before it began; try it without mallocpath",
			       cmd, WTERMSIG(l->status));
	if (!l->arrived)
		return mp_fail(err, MP_EXIT_FAILED, ECHILD,
			       "%s: ended before its program began; try it without mallocpath",
			       cmd);
	return mp_target_exe(l->cmd, err);
}

/* After a failure: CMD has run nothing of its own, and nobody else knows of it. */
static void drop_cmd(struct mp_launch *l)
{
	int status = W_STOPCODE(SIGSTOP);

	if (l->cmd && !l->over) {
		kill(l->cmd, SIGKILL);
		do {
			if (waitpid(l->cmd, &status, __WALL) < 0 && errno != EINTR)
				break;
		} while (WIFSTOPPED(status));
	}
	if (l->cmd)
		mp_tracees__forget(&l->tracees, l->cmd);
	l->cmd = 0;
	l->arrived = l->over = false;
}

pid_t mp_launch__start(struct mp_launch *l, char *const argv[], bool follow, struct mp_err *err)
{
	long options = follow ? FOLLOW : PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC;
	int go[2] = { -1, -1 }, error[2] = { -1, -1 };
	int ret = 0;

	if (pipe2(go, O_CLOEXEC) || pipe2(error, O_CLOEXEC)) {
		ret = mp_fail(err, MP_EXIT_FAILED, errno, "%s: no pipe: %s; raise ulimit -n",
			      argv[0], strerror(errno));
		goto out;
	}
	l->cmd = fork();
	if (l->cmd < 0) {
		ret = mp_fail(err, MP_EXIT_FAILED, errno, "%s: no new process: %s; see ulimit -u",
			      argv[0], strerror(errno));
		l->cmd = 0;
		goto out;
	}
	if (!l->cmd) {
		close(go[1]);
		become(l, argv, go[0], error[1]);
	}
	close(error[1]);
	error[1] = -1;
	if (!mp_tracees__add(&l->tracees, l->cmd, l->cmd))
		ret = mp_fail(err, MP_EXIT_FAILED, ENOMEM,
			      "out of memory; free some and try again");
	else if (ptrace(PTRACE_SEIZE, l->cmd, NULL, options))
		ret = seize_fail(l->cmd, errno, err);
	else
		ret = run_to_instant(l, argv[0], go[1], error[0], err);
	if (ret)
		drop_cmd(l);
out:
	for (int i = 0; i < 2; i++) {
		if (go[i] >= 0)
			close(go[i]);
		if (error[i] >= 0)
			close(error[i]);
	}
	return ret ? ret : l->cmd;
}

int mp_launch__release(struct mp_launch *l)
{
	const struct mp_tracee *t;

	if (!l->arrived || l->released)
		return -EINVAL;
	l->released = true;
	t = mp_tracees__find(&l->tracees, l->cmd);
	if (!t) /* killed while it was held */
		return 0;
	resume(t, 0); /* it stays seized: what it executes next is held in its turn */
	return 0;
}

/* ---- a running process ---------------------------------------------------------------------- */

/* Seizes the threads not seized yet. Their number, or -errno. */
static int seize_threads(struct mp_launch *l, pid_t pid, struct mp_err *err)
{
	const struct dirent *entry;
	char path[64];
	int nr = 0, ret = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		return seize_fail(pid, errno == ENOENT ? ESRCH : errno, err);
	while (!ret && (entry = readdir(dir))) {
		pid_t tid = atoi(entry->d_name);
		int error;

		if (tid <= 0 || mp_tracees__find(&l->tracees, tid))
			continue;
		error = ptrace(PTRACE_SEIZE, tid, NULL, FOLLOW) ? errno : 0;
		if (!error && !mp_tracees__add(&l->tracees, tid, pid))
			ret = mp_fail(err, MP_EXIT_FAILED, ENOMEM,
				      "out of memory; free some and try again");
		/* else it has ended, or came to us with the thread that made it */
		else if (error && error != ESRCH && mp_target_status(tid, "TracerPid") != getpid())
			ret = seize_fail(tid, error, err);
		nr += !error;
	}
	closedir(dir);
	return ret ? ret : nr;
}

int mp_launch__seize(struct mp_launch *l, pid_t pid, struct mp_err *err)
{
	int nr;

	/* a thread not yet seized can make another one while the list is read */
	do {
		nr = seize_threads(l, pid, err);
	} while (nr > 0);
	if (!nr && !mp_tracees__find(&l->tracees, pid))
		return seize_fail(pid, ESRCH, err);
	return nr;
}

/* ---- the object ----------------------------------------------------------------------------- */

struct mp_launch *mp_launch__new(const struct mp_launch_ops *ops, void *ctx, struct mp_err *err)
{
	struct sigaction normal = { .sa_handler = SIG_DFL }, before;
	struct mp_launch *l = calloc(1, sizeof(*l));
	sigset_t chld;

	if (!l) {
		mp_fail(err, MP_EXIT_FAILED, ENOMEM, "out of memory; free some and try again");
		errno = ENOMEM;
		return NULL;
	}
	l->ops = *ops;
	l->ctx = ctx;
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, &l->mask);
	/* ignored, or with SA_NOCLDSTOP, it would not tell of stops or eat the exit status */
	sigaction(SIGCHLD, &normal, &before);
	l->chld_ignored = before.sa_handler == SIG_IGN;
	l->fd = signalfd(-1, &chld, SFD_NONBLOCK | SFD_CLOEXEC);
	if (l->fd < 0) {
		int error = errno;

		mp_fail(err, MP_EXIT_FAILED, error, "no signalfd: %s; raise ulimit -n",
			strerror(error));
		sigprocmask(SIG_SETMASK, &l->mask, NULL);
		free(l);
		errno = error;
		return NULL;
	}
	return l;
}

int mp_launch__fd(const struct mp_launch *l)
{
	return l->fd;
}

bool mp_launch__ended(const struct mp_launch *l, int *status)
{
	if (l->over && status)
		*status = l->status;
	return l->over;
}

size_t mp_launch__traced(const struct mp_launch *l)
{
	return l->tracees.nr;
}

/* Detaches whatever has stopped. Only system calls, so that a signal handler may run it. */
static void let_go(int sig)
{
	int error = errno, status;
	pid_t tid;

	(void)sig;
	while ((tid = waitpid(-1, &status, WNOHANG | __WALL)) > 0) {
		int pass = WSTOPSIG(status);

		if (!WIFSTOPPED(status))
			continue;
		if (status >> 16 || pass == SYSCALL_STOP)
			pass = 0;
		ptrace(PTRACE_DETACH, tid, NULL, (long)pass);
	}
	errno = error;
}

void mp_launch__free(struct mp_launch *l)
{
	struct sigaction action = { .sa_handler = let_go, .sa_flags = SA_RESTART };
	sigset_t chld;

	if (!l)
		return;
	if (l->cmd && !l->released)
		drop_cmd(l);
	mp_tracees__forget_all(&l->tracees);
	sigaction(SIGCHLD, &action, NULL);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_UNBLOCK, &chld, NULL);
	let_go(SIGCHLD);
	close(l->fd);
	free(l);
}
