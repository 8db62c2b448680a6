// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/run.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collect/emit.h"
#include "collect/limits.h"
#include "collect/unwinder.h"

/* Idle: short enough that the ring (32 MiB) holds what a busy target sends in between. */
#define POLL_MS 10

static volatile sig_atomic_t stop_asked, snapshot_asked;

static void on_signal(int sig)
{
	if (sig == SIGUSR1)
		snapshot_asked = 1;
	else
		stop_asked++;
}

static void catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };
	int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGUSR1 };

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int library_says(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	(void)level;
	return vfprintf(stderr, fmt, ap);
}

static int library_is_quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	(void)level, (void)fmt, (void)ap;
	return 0;
}

static void say_begin(const struct mp_options *o, const struct mp_session *s)
{
	size_t n = mp_session__alive(s);

	if (o->quiet)
		return;
	if (o->cgroup)
		fprintf(stderr,
			"mallocpath: tracing the cgroup %s (%zu process%s now); Ctrl-C or its removal "
			"ends it\n",
			o->cgroup, n, n == 1 ? "" : "es");
	else if (o->argv && o->seconds > 0)
		fprintf(stderr, "mallocpath: tracing %s for %g s, or until it ends\n", o->argv[0],
			o->seconds);
	else if (o->argv)
		fprintf(stderr, "mallocpath: tracing %s; it ends with the command\n", o->argv[0]);
	else if (o->seconds > 0)
		fprintf(stderr, "mallocpath: tracing process %d for %g s; Ctrl-C ends it sooner\n",
			o->pids[0], o->seconds);
	else
		fprintf(stderr, "mallocpath: tracing process %d; Ctrl-C ends it and reports\n",
			o->pids[0]);
}

/* Our maps in the kernel and what we learn are charged to our cgroup. */
static void say_shared_limit(const struct mp_options *o, const struct mp_session *s)
{
	uint64_t limit;
	const char *path = mp_session__shared_limit(s, &limit);

	if (path && !o->quiet)
		fprintf(stderr,
			"mallocpath: this run shares the memory limit of the cgroup %s (%.1f MiB) with what "
			"it traces: its own memory, 100 MiB and more, counts too, and it may be killed in the "
			"other's place; attach with -p from outside that cgroup to avoid both\n",
			path, limit / 1048576.0);
}

/* @reports: for one that lives on a report is made. */
static void say_shortage(const struct mp_options *o, const struct mp_shortage *out, bool reports)
{
	char where[600] = "";

	if (o->quiet)
		return;
	if (*out->cgroup)
		snprintf(where, sizeof(where), " in the cgroup %.500s (limit %.1f MiB)",
			 out->cgroup, out->limit_bytes / 1048576.0);
	fprintf(stderr, "mallocpath: memory ran out%s: process %d %s\n", where, out->pid,
		out->victim ? "is being killed; its report is of this instant"
		: reports   ? "lives on; here is a report of this instant"
			    : "lives on");
}

/* Tells of memory that ran out. True: a report of this instant is wanted. */
static bool ran_out(const struct mp_options *o, struct mp_session *s, bool reports)
{
	const struct mp_shortage *out;
	bool living = false;

	while ((out = mp_session__shortage(s))) {
		say_shortage(o, out, reports);
		living |= !out->victim;
	}
	return living && reports;
}

/* One line on a terminal, rewritten each second. */
static void say_progress(const struct mp_options *o, uint64_t begin_ns, uint64_t *last_ns)
{
	uint64_t now = mp_mono_ns();

	if (o->quiet || o->argv || now - *last_ns < 1000000000U || !isatty(STDERR_FILENO))
		return;
	*last_ns = now;
	fprintf(stderr, "\rmallocpath: %llu s ",
		(unsigned long long)(now - begin_ns) / 1000000000U);
}

/*
 * Whether to go on. A launched command gets the terminal's Ctrl-C too and ends by itself; a second
 * one does not wait for that.
 */
static bool go_on(const struct mp_options *o, uint64_t begin_ns)
{
	if (stop_asked > (o->argv ? 1 : 0))
		return false;
	return !(o->seconds > 0 && mp_mono_ns() - begin_ns >= o->seconds * 1e9);
}

static int loop(struct mp_options *o, struct mp_session *s, const struct mp_run_ops *ops, void *ctx,
		struct mp_err *err)
{
	uint64_t begin = mp_mono_ns(), last = begin;
	int rc = 1;

	while (rc > 0 && go_on(o, begin)) {
		rc = mp_session__poll(s, POLL_MS, err);
		if (ran_out(o, s, ops->snapshot))
			snapshot_asked = 1;
		if (rc > 0 && snapshot_asked && ops->snapshot) {
			snapshot_asked = 0;
			rc = ops->snapshot(ctx, s, err) ? -EIO : 1;
		}
		if (rc > 0 && ops->tick) {
			int done = ops->tick(ctx, s, err);

			if (done)
				return done < 0 ? done : 0;
		}
		say_progress(o, begin, &last);
	}
	if (last != begin)
		fputc('\n', stderr);
	return rc < 0 ? rc : 0;
}

static void say_children(struct mp_session *s)
{
	const struct mp_session_troubles *t = mp_session__troubles(s);
	size_t n = t->nr_children;

	if (n)
		fprintf(stderr,
			"mallocpath: %zu followed process%s could not be traced in full; the last: %s\n",
			n, n == 1 ? "" : "es", t->child.text);
}

/* Tracing goes on: what is allocated from now on is known all the same. */
static void say_heap(const struct mp_options *o, struct mp_session *s)
{
	const struct mp_err *err = &mp_session__troubles(s)->heap;

	if (err->exit && !o->quiet)
		fprintf(stderr, "mallocpath: blocks from before are not known: %s\n", err->text);
}

static void say_witness(const struct mp_options *o, struct mp_session *s)
{
	const struct mp_err *err = &mp_session__troubles(s)->witness;

	if (err->exit && !o->quiet)
		fprintf(stderr, "mallocpath: a report lacks its audit: %s\n", err->text);
}

static void say_living(const struct mp_options *o, const struct mp_session *s)
{
	size_t n = mp_session__alive(s);

	if (n && o->at == MP_AT_EXIT && !o->quiet)
		fprintf(stderr,
			"mallocpath: --at exit: %zu process%s not ended: shown as of now; without -d "
			"it is waited for\n",
			n, n == 1 ? " has" : "es have");
}

static void say_stacks(const struct mp_options *o, const struct mp_run_ops *ops, void *ctx,
		       const struct mp_session *s)
{
	const struct mp_unwinder_memory *m = mp_session__stacks(s);

	if (ops->stacks)
		ops->stacks(ctx, m);
	else if (o->verbose || (m->nr_refused && !o->quiet))
		mp_print_stacks(stderr, "mallocpath: ", m);
}

/* The command outlives -d or a second Ctrl-C: its own status is still ours to give. */
static void wait_for_command(struct mp_session *s)
{
	struct mp_err err;

	while (mp_session__status(s) < 0 && stop_asked < 3)
		if (mp_session__poll(s, POLL_MS, &err) <= 0)
			break;
	mp_session__stop(s);
}

int mp_run(struct mp_options *o, const struct mp_run_ops *ops, void *ctx, int *status,
	   struct mp_err *err)
{
	struct mp_session_opts so = {
		.pids = o->pids,
		.nr_pids = o->nr_pids,
		.argv = o->argv,
		.cgroup = o->cgroup,
		.images = o->at == MP_AT_EXIT,
		.follow = o->follow,
		.ring_bytes = o->ring_bytes,
		.no_alloc_probes = o->no_alloc_probes,
		.no_xray = o->no_xray,
		.row = o->row,
	};
	struct mp_session *s;
	bool outlived;
	int rc;

	libbpf_set_print(o->verbose > 1 ? library_says : library_is_quiet);
	/* a Ctrl-C that comes early still gets its report; a command inherits what was set before us */
	if (!o->argv)
		catch_signals();
	s = mp_session__new(&so, ops->sink, ctx, err);
	if (!s)
		return -EINVAL;
	catch_signals();
	say_begin(o, s);
	say_shared_limit(o, s);
	say_heap(o, s);
	rc = mp_session__go(s);
	if (rc)
		mp_fail(err, MP_EXIT_FAILED, -rc, "the command cannot be let go: %s",
			strerror(-rc));
	else
		rc = loop(o, s, ops, ctx, err);
	say_living(o, s);
	if (!rc && !ops->brief)
		rc = mp_session__instant(s, false, err);
	mp_session__mute(
		s); /* the report is of that instant, whatever comes of a command that goes on */
	say_children(s);
	say_witness(o, s);
	say_stacks(o, ops, ctx, s);
	outlived = o->argv && mp_session__status(s) < 0;
	if (!outlived)
		mp_session__stop(s);
	if (!rc && ops->finish)
		rc = ops->finish(ctx, err);
	if (outlived)
		wait_for_command(s);
	*status = mp_session__status(s);
	mp_session__free(s);
	return rc;
}

void mp_print_stacks(FILE *f, const char *before, const struct mp_unwinder_memory *m)
{
	fprintf(f, "%scall stacks: %zu unwind tables took %.1f MiB in the kernel, of %.0f at most",
		before, m->peak_tables, m->peak_bytes / 1048576.0, m->max_bytes / 1048576.0);
	if (m->nr_refused)
		fprintf(f, " (%llu objects had no room)", (unsigned long long)m->nr_refused);
	fprintf(f, "; %llu pieces of stacks were told, of %llu at most\n",
		(unsigned long long)m->nr_told, (unsigned long long)m->max_told);
}

static int cannot_write(const char *path, struct mp_err *err)
{
	return mp_fail(err, MP_EXIT_FAILED, errno, "cannot write %s: %s; choose another -o FILE",
		       path, strerror(errno));
}

int mp_check_out(const struct mp_options *o, struct mp_err *err)
{
	int fd;

	if (!o->out)
		return 0;
	fd = open(o->out, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0)
		unlink(o->out); /* it was only tried */
	else if (errno == EEXIST)
		fd = open(o->out, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return cannot_write(o->out, err);
	close(fd);
	return 0;
}

FILE *mp_open_out(const char *path, struct mp_err *err)
{
	struct stat st;
	FILE *f;
	int fd;

	if (!path)
		return stdout;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode))
		fchmod(fd, 0600);
	f = fd < 0 ? NULL : fdopen(fd, "w");
	if (!f)
		cannot_write(path, err);
	return f;
}

int mp_close_out(FILE *f, const char *path, int rc, struct mp_err *err)
{
	if (!rc && (fflush(f) || ferror(f)))
		rc = errno ? -errno : -EIO;
	if (f != stdout && fclose(f) && !rc)
		rc = -errno;
	if (rc == -EPIPE && !path)
		return 0; /* the reader (head, less) has had enough */
	if (rc)
		mp_fail(err, MP_EXIT_FAILED, -rc, "the report cannot be written to %s: %s%s",
			path ? path : "standard output", strerror(-rc),
			rc == -ENOSPC ? "; free some space or choose another -o FILE" : "");
	return rc;
}

/* On standard error, so that the report itself can be read by a program. */
static void judge(struct mp_options *o, const struct mp_report *r)
{
	double value;

	for (size_t i = 0; i < o->nr_fail_if; i++) {
		const struct mp_failif *f = &o->fail_if[i];

		if (!mp_failif_holds(f, r, &value))
			continue;
		fprintf(stderr, "mallocpath: failed: %s is %g, and %g is the %s allowed\n",
			f->metric, value, f->bound, f->less ? "least" : "most");
		o->failed = true;
	}
}

struct mp_symbols *mp_open_symbols(struct mp_options *o)
{
	if (o->symbols)
		return o->symbols;
	o->symbols = mp_symbols__new();
	for (size_t i = 0; o->symbols && i < o->nr_debug_dirs; i++)
		mp_symbols__debug_dir(o->symbols, o->debug_dirs[i]);
	if (o->symbols && !o->file)
		mp_symbols__use_jit_maps(o->symbols);
	return o->symbols;
}

void mp_close_symbols(struct mp_options *o)
{
	mp_symbols__free(o->symbols);
	o->symbols = NULL;
}

static void say_trouble(const struct mp_options *o, struct mp_symbols *sym)
{
	struct mp_err err;

	if (sym && !o->quiet && mp_symbols__trouble(sym, &err))
		fprintf(stderr, "mallocpath: %s\n", err.text);
}

struct mp_model *mp_new_model(const struct mp_options *o, struct mp_err *err)
{
	struct mp_model *m = mp_model__new();

	if (m && o->history && mp_model__keep_history(m, MP_HISTORY_MAX)) {
		mp_model__free(m);
		m = NULL;
	}
	if (!m)
		mp_fail(err, MP_EXIT_FAILED, ENOMEM, "no memory");
	return m;
}

int mp_print_report(struct mp_options *o, struct mp_model *m, struct mp_loss *loss,
		    struct mp_err *err)
{
	unsigned int flags = o->view->report_flags | (o->view_opts.pages ? MP_REPORT_PAGES : 0) |
			     (o->view_opts.blocks ? MP_REPORT_BLOCKS : 0);
	struct mp_report *r = mp_model__report(m, flags);
	struct mp_symbols *sym;
	FILE *f;
	int rc;

	if (!r)
		return mp_fail(err, MP_EXIT_FAILED, ENOMEM, "no memory for the report");
	if (loss)
		*loss = r->loss;
	f = mp_open_out(o->out, err);
	if (!f) {
		mp_report__free(r);
		return -EIO;
	}
	sym = mp_open_symbols(o);
	rc = mp_close_out(f, o->out, o->view->print(r, sym, &o->view_opts, f), err);
	judge(o, r);
	say_trouble(o, sym);
	mp_close_symbols(o);
	mp_report__free(r);
	return rc;
}

int mp_exit_status(const struct mp_options *o, int status, const struct mp_loss *loss)
{
	if (o->strict && loss && loss->events_dropped)
		return MP_EXIT_LOST;
	if (status <= 0)
		return o->failed ? MP_EXIT_FAILED : MP_EXIT_OK;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
