// SPDX-License-Identifier: GPL-2.0-or-later
#include <argp.h>
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/cli.h"
#include "collect/rows.h"
#include "model/model.h"
#include "trace/trace.h"

const char *argp_program_version = "mallocpath " MP_VERSION;

enum {
	OPT_VIEW = 256,
	OPT_SORT,
	OPT_METRIC,
	OPT_BYTES,
	OPT_PAGES,
	OPT_BLOCKS,
	OPT_STRICT,
	OPT_ALLOC,
	OPT_SOURCE,
	OPT_RING,
	OPT_SITE,
	OPT_FAIL_IF,
	OPT_FAIL_OVER,
	OPT_DEBUG_DIR,
	OPT_STACKS,
	OPT_SKIP,
	OPT_FREEZE,
	OPT_NO_XRAY,
	OPT_ONLY,
	OPT_MIN_SIZE,
	OPT_FUNCTION,
	OPT_INTERVAL,
	OPT_CGROUP,
	OPT_AT,
	OPT_COMPRESS,
	OPT_HISTORY,
};

static const struct argp_option target_options[] = {
	{ "pid", 'p', "PID[,PID]", 0, "trace these running processes", 1 },
	{ "duration", 'd', "SEC", 0, "stop after SEC seconds", 1 },
	{ "follow-fork", 'f', NULL, 0, "trace children too (they are held briefly with ptrace)",
	  1 },
	{ "cgroup", OPT_CGROUP, "PATH", 0,
	  "trace all processes of a cgroup and of those below it, and those that come (implies -f)",
	  1 },
	{ "alloc", OPT_ALLOC, "SET", 0, "allocator probes: auto, all, none", 1 },
	{ "fault-source", OPT_SOURCE, "ROW", 0,
	  "how faults are seen: auto, fentry, kprobe, tracepoint", 1 },
	{ "ring-size", OPT_RING, "BYTES", 0, "event buffer, a power of two (default 32M)", 1 },
	{ "no-xray", OPT_NO_XRAY, NULL, 0,
	  "-p: do not read the heap for blocks from before, nor compare it at reports", 1 },
	{ "freeze", OPT_FREEZE, NULL, 0,
	  "stop the process (with ptrace) while its heap is copied; see the manual for EINTR", 1 },
	{ "strict", OPT_STRICT, NULL, 0, "exit with 4 if events were lost", 1 },
	{}
};

static const struct argp_option view_options[] = {
	{ "view", OPT_VIEW, "VIEW", 0, NULL, 2 }, /* the text is made from the table of views */
	{ "output", 'o', "FILE", 0, "write to FILE (mode 0600) instead of standard output", 2 },
	{ "at", OPT_AT, "WHEN", 0,
	  "of which instant: now (default), exit (images replaced by an exec are kept too), "
	  "peak (report)",
	  2 },
	{ "top", 'n', "N", 0, "show N sites (0: all; default 20)", 2 },
	{ "metric", OPT_METRIC, "KEY", 0,
	  "what is shown: resident (default), charged, live, untouched, faults, fault-ns or calls",
	  2 },
	{ "sort", OPT_SORT, "KEY", 0, "the same, or pinned: what sites are ordered by", 2 },
	{ "stacks", OPT_STACKS, NULL, 0, "table: one row a call stack, its frames below", 2 },
	{ "skip", OPT_SKIP, "PATTERN", 0,
	  "a wrapper: show sites by the function that called it ('my_alloc*'); can be repeated",
	  2 },
	{ "site", OPT_SITE, "ID", 0, "tree: the site with this id (see --view json)", 2 },
	{ "bytes", OPT_BYTES, NULL, 0, "plain numbers, no units", 2 },
	{ "pages", OPT_PAGES, NULL, 0, "json: one row a page; xray: a map of the pages", 2 },
	{ "blocks", OPT_BLOCKS, NULL, 0, "json: one row a block", 2 },
	{ "history", OPT_HISTORY, NULL, 0,
	  "keep what became of pages: whose went, how and by whom; --pages: those that are gone too",
	  2 },
	{ "fail-if", OPT_FAIL_IF, "CONDITION", 0,
	  "exit with 1 if it holds, e.g. 'site_coverage<0.9'; can be repeated", 2 },
	{ "fail-over", OPT_FAIL_OVER, "N[K|M|G|%]", 0,
	  "exit with 1 if the metric of all sites grew by more", 2 },
	{ "compress", OPT_COMPRESS, "LEVEL", 0, "1 (default) to 12; 0: not at all", 2 },
	{ "debug-dir", OPT_DEBUG_DIR, "DIR[:DIR]", 0,
	  "look here too for separate debug files; can be repeated", 2 },
	{ "only", OPT_ONLY, "STEP[,STEP]", 0, "only steps of these kinds", 2 },
	{ "min-size", OPT_MIN_SIZE, "BYTES", 0, "only steps about so many bytes or more", 2 },
	{ "function", OPT_FUNCTION, "PATTERN", 0,
	  "only steps with such a function in their call stack", 2 },
	{ "interval", OPT_INTERVAL, "SEC", 0, "seconds between two screens (default 1)", 2 },
	{ "quiet", 'q', NULL, 0, "only errors on standard error", 3 },
	{ "verbose", 'v', NULL, 0, "say more; -vv: also the library and the BPF verifier", 3 },
	{}
};

/* The commands that look at an option, where not all do that could; the one without a name is "". */
static const struct {
	int key;
	const char *commands[8];
} owners[] = {
	{ 'd', { "", "record", "trace", "top", "doctor", "vmas" } },
	{ 'f', { "", "record", "trace", "top" } },
	{ OPT_CGROUP, { "", "record", "trace", "top" } },
	{ OPT_ALLOC, { "", "record", "trace", "top" } },
	{ OPT_SOURCE, { "", "record", "trace", "top", "doctor" } },
	{ OPT_RING, { "", "record", "trace", "top" } },
	{ OPT_NO_XRAY, { "", "record", "trace", "top" } },
	{ OPT_FREEZE, { "xray" } },
	{ OPT_STRICT, { "", "record", "trace", "top" } },
	{ OPT_VIEW, { "", "report", "diff", "vmas", "xray" } },
	{ OPT_AT, { "", "report" } },
	{ 'n', { "", "report", "top", "diff", "xray" } },
	{ OPT_METRIC, { "", "report", "top", "diff" } },
	{ OPT_SORT, { "", "report", "top", "diff" } },
	{ OPT_STACKS, { "", "report", "trace" } },
	{ OPT_SITE, { "", "report" } },
	{ OPT_PAGES, { "", "report", "xray" } },
	{ OPT_BLOCKS, { "", "report", "xray" } },
	{ OPT_HISTORY, { "", "report" } },
	{ OPT_FAIL_IF, { "", "report" } },
	{ OPT_FAIL_OVER, { "diff" } },
	{ OPT_COMPRESS, { "record", "symbolize" } },
	{ OPT_ONLY, { "trace" } },
	{ OPT_MIN_SIZE, { "trace" } },
	{ OPT_FUNCTION, { "trace" } },
	{ OPT_INTERVAL, { "top" } },
};

static bool takes(const struct mp_command *cmd, int key)
{
	for (size_t i = 0; i < sizeof(owners) / sizeof(owners[0]); i++) {
		const char *const *name = owners[i].commands;

		if (owners[i].key != key)
			continue;
		while (*name && strcmp(*name, cmd->name))
			name++;
		return *name;
	}
	return true;
}

struct parsing {
	const struct mp_command *cmd;
	struct mp_options *o;
};

static void parse_pids(struct argp_state *st, struct mp_options *o, const char *text)
{
	const char *w = text;
	char *end;

	for (;; w = end + 1) {
		long pid;

		errno = 0;
		pid = strtol(w, &end, 10);
		if (errno || end == w || (*end && *end != ',') || pid <= 0 || pid > INT32_MAX)
			argp_error(st, "-p %s: give process IDs (see ps), with commas between them",
				   text);
		if (o->nr_pids == MP_PIDS_MAX)
			argp_error(st, "at most %d processes can be given to -p", MP_PIDS_MAX);
		o->pids[o->nr_pids++] = pid;
		if (!*end)
			return;
	}
}

static double parse_seconds(struct argp_state *st, const char *name, const char *text)
{
	char *end;
	double sec = strtod(text, &end);

	if (*end || end == text || !(sec > 0) || sec > 1e9)
		argp_error(st, "%s %s: give a number of seconds above 0", name, text);
	return sec;
}

static uint32_t parse_ring(struct argp_state *st, const char *text)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 0);
	unsigned int shift = *end == 'K' ? 10 : *end == 'M' ? 20 : 0;

	n <<= shift;
	if ((shift ? end[1] : *end) || end == text || n < 65536 || n > 1U << 30 || n & (n - 1))
		argp_error(st, "--ring-size %s: give a power of two from 64K to 1024M", text);
	return n;
}

static long parse_count(struct argp_state *st, const char *name, const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*end || end == text || n < 0 || n > INT32_MAX)
		argp_error(st, "%s %s: give a number, 0 or more", name, text);
	return n;
}

static uint64_t parse_bytes(struct argp_state *st, const char *name, const char *text)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 10);
	unsigned int shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;

	if (end == text || *text == '-' || (shift ? end[1] : *end) || n > UINT64_MAX >> shift)
		argp_error(st, "%s %s: give a number of bytes, as 4096 or 64K", name, text);
	return n << shift;
}

static error_t parse_steps(int key, char *arg, struct argp_state *st, struct mp_options *o)
{
	switch (key) {
	case OPT_ONLY:
		if (mp_stages_parse(arg, &o->steps.stages))
			argp_error(st, "--only %s: some of %s, with commas between them", arg,
				   mp_stages_words());
		return 0;
	case OPT_MIN_SIZE:
		o->steps.min_bytes = parse_bytes(st, "--min-size", arg);
		return 0;
	case OPT_FUNCTION:
		o->steps.function = arg;
		return 0;
	case OPT_INTERVAL:
		o->interval = parse_seconds(st, "--interval", arg);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static void parse_choice(struct argp_state *st, struct mp_options *o, int key, const char *arg)
{
	if (key == OPT_ALLOC) {
		if (!strcmp(arg, "none"))
			o->no_alloc_probes = true;
		else if (strcmp(arg, "all") && strcmp(arg, "auto"))
			argp_error(st, "--alloc %s: one of auto, all, none", arg);
		return;
	}
	for (o->row = 0; o->row <= MP_ROW_TRACEPOINT; o->row++)
		if (!strcmp(arg, mp_row_name(o->row)))
			return;
	argp_error(st, "--fault-source %s: one of auto, fentry, kprobe, tracepoint", arg);
}

/* "table, tree, ..." */
static const char *view_names(void)
{
	static char names[200];
	size_t used = 0;

	for (const struct mp_view *v = mp_views; v->name && used < sizeof(names); v++)
		used += snprintf(names + used, sizeof(names) - used, "%s%s",
				 v == mp_views ? "" : ", ", v->name);
	if (used < sizeof(names))
		snprintf(names + used, sizeof(names) - used, ", perfetto");
	return names;
}

static void parse_metric(struct argp_state *st, struct mp_options *o, int key, const char *arg)
{
	enum mp_sort *sort = &o->view_opts.sort;

	if (!mp_sort_parse(arg, sort) && (key == OPT_SORT || *sort != MP_SORT_PINNED))
		return;
	argp_error(st,
		   "--%s %s: one of resident, charged, live, untouched, %sfaults, fault-ns, calls",
		   key == OPT_SORT ? "sort" : "metric", arg, key == OPT_SORT ? "pinned, " : "");
}

static void parse_fail_over(struct argp_state *st, struct mp_options *o, const char *text)
{
	static const char units[] = "KMG";
	const char *unit;
	char *end;
	double n = strtod(text, &end);

	o->fail_over.set = true;
	o->fail_over.text = text;
	o->fail_over.percent = *end == '%';
	unit = *end ? strchr(units, *end) : NULL;
	o->fail_over.n = unit ? n * (double)(1024UL << 10 * (unit - units)) : n;
	if (end == text || !(n >= 0) || n > 1e18 || (*end && end[1]) ||
	    (*end && !unit && !o->fail_over.percent))
		argp_error(st, "--fail-over %s: give a number, or one with K, M, G or %%", text);
}

static int parse_at(struct argp_state *st, const char *text)
{
	static const int ats[] = { MP_AT_NOW, MP_AT_EXIT, MP_AT_PEAK };

	for (size_t i = 0; i < sizeof(ats) / sizeof(ats[0]); i++)
		if (!strcmp(text, mp_at_name(ats[i])))
			return ats[i];
	argp_error(st, "--at %s: one of now, exit, peak", text);
	return 0;
}

static error_t parse_view(int key, char *arg, struct argp_state *st, struct mp_options *o)
{
	switch (key) {
	case OPT_VIEW:
		o->perfetto = !strcmp(arg, "perfetto");
		if (!o->perfetto)
			o->view = mp_view_find(arg);
		if (!o->view)
			argp_error(st, "--view %s: one of %s", arg, view_names());
		return 0;
	case OPT_SORT:
	case OPT_METRIC:
		parse_metric(st, o, key, arg);
		return 0;
	case OPT_FAIL_IF:
		if (o->nr_fail_if == sizeof(o->fail_if) / sizeof(o->fail_if[0]))
			argp_error(st, "at most 8 conditions can be given to --fail-if");
		if (mp_failif_parse(arg, &o->fail_if[o->nr_fail_if++]))
			argp_error(st, "--fail-if %s: METRIC<NUMBER or METRIC>NUMBER; metrics: %s",
				   arg, mp_failif_metrics());
		return 0;
	case OPT_FAIL_OVER:
		parse_fail_over(st, o, arg);
		return 0;
	case OPT_DEBUG_DIR:
		if (o->nr_debug_dirs == sizeof(o->debug_dirs) / sizeof(o->debug_dirs[0]))
			argp_error(st, "--debug-dir can be given at most 16 times");
		o->debug_dirs[o->nr_debug_dirs++] = arg;
		return 0;
	case OPT_SKIP:
		if (o->view_opts.nr_skip == sizeof(o->skip) / sizeof(o->skip[0]))
			argp_error(st, "--skip can be given at most 64 times");
		o->skip[o->view_opts.nr_skip++] = arg;
		return 0;
	case OPT_AT:
		o->at = parse_at(st, arg);
		return 0;
	case OPT_STACKS:
		o->view_opts.stacks = true;
		return 0;
	case OPT_SITE:
		o->view_opts.site = parse_count(st, "--site", arg);
		return 0;
	case 'n':
		o->view_opts.top = parse_count(st, "-n", arg);
		return 0;
	case OPT_BYTES:
		o->view_opts.bytes = true;
		return 0;
	case OPT_PAGES:
		o->view_opts.pages = true;
		return 0;
	case OPT_HISTORY:
		o->history = true;
		return 0;
	case OPT_BLOCKS:
		o->view_opts.blocks = true;
		return 0;
	}
	return parse_steps(key, arg, st, o);
}

static void check_diff(struct argp_state *st, const struct mp_options *o)
{
	if (!o->file)
		argp_error(st, "give two trace files (made by mallocpath record -o FILE)");
	if (strcmp(o->view->name, "table") && strcmp(o->view->name, "json"))
		argp_error(st, "diff --view %s: one of table, json", o->view->name);
	if (o->view_opts.sort >= MP_SORT_PINNED)
		argp_error(st, "diff has no --sort pinned: it does not add up over sites");
}

static void check_target(struct argp_state *st, const struct parsing *p)
{
	const struct mp_options *o = p->o;

	if (o->at == MP_AT_PEAK && (!p->cmd->takes_file || p->cmd->takes_target))
		argp_error(st, "--at peak is found in a recording: mallocpath record -o FILE, then "
			       "mallocpath report FILE --at peak");
	if (o->perfetto && p->cmd->run != mp_cmd_report)
		argp_error(st,
			   "--view perfetto follows a recording: mallocpath record -o FILE, then "
			   "mallocpath report FILE --view perfetto");
	if (p->cmd->needs_target && !o->nr_pids && !o->argv && !o->file && !o->cgroup)
		argp_error(st, "what is to be traced? give -p PID%s or -- CMD ARG...",
			   takes(p->cmd, OPT_CGROUP) ? ", --cgroup PATH" : "");
	if (o->nr_pids && o->argv)
		argp_error(st, "give -p PID or -- CMD, not both");
	if (o->cgroup && (o->nr_pids || o->argv))
		argp_error(st, "give --cgroup PATH or %s, not both", o->argv ? "-- CMD" : "-p PID");
}

static void check_whole(struct argp_state *st, const struct parsing *p)
{
	const struct mp_options *o = p->o;

	if (p->cmd->run == mp_cmd_diff)
		check_diff(st, o);
	check_target(st, p);
	if (!strcmp(o->view->name, "pprof") && !o->out && isatty(STDOUT_FILENO))
		argp_error(st, "--view pprof is not for a terminal: give -o FILE");
	if (o->file && (o->nr_pids || o->argv || o->cgroup))
		argp_error(st, "give a process or a trace FILE, not both");
	if (p->cmd->takes_file && !p->cmd->takes_target && !o->file)
		argp_error(st, "give the trace FILE (made by mallocpath record -o FILE)");
}

static error_t parse(int key, char *arg, struct argp_state *st)
{
	struct parsing *p = st->input;
	struct mp_options *o = p->o;

	switch (key) {
	case 'p':
		parse_pids(st, o, arg);
		return 0;
	case 'd':
		o->seconds = parse_seconds(st, "-d", arg);
		return 0;
	case 'f':
		o->follow = true;
		return 0;
	case 'o':
		o->out = arg;
		return 0;
	case 'q':
		o->quiet++;
		return 0;
	case 'v':
		o->verbose++;
		o->view_opts.verbose++;
		return 0;
	case OPT_CGROUP:
		if (!*arg)
			argp_error(st,
				   "--cgroup: give the path of a cgroup (see /proc/PID/cgroup)");
		o->cgroup = arg;
		return 0;
	case OPT_STRICT:
		o->strict = true;
		return 0;
	case OPT_FREEZE:
		o->freeze = true;
		return 0;
	case OPT_NO_XRAY:
		o->no_xray = true;
		return 0;
	case OPT_COMPRESS:
		o->level = parse_count(st, "--compress", arg);
		if (o->level > 12)
			argp_error(st, "--compress %s: give a level from 0 to 12", arg);
		return 0;
	case OPT_RING:
		o->ring_bytes = parse_ring(st, arg);
		return 0;
	case OPT_ALLOC:
	case OPT_SOURCE:
		parse_choice(st, o, key, arg);
		return 0;
	case ARGP_KEY_ARG:
		if (p->cmd->takes_subject && !o->subject) {
			o->subject = arg;
			return 0;
		}
		if (!p->cmd->takes_file || o->file)
			argp_error(st, "\"%s\" is not understood: a command to trace goes after --",
				   arg);
		o->file = arg;
		return 0;
	case ARGP_KEY_END:
		check_whole(st, p);
		return 0;
	}
	return parse_view(key, arg, st, o);
}

static void view_defaults(struct mp_options *o)
{
	struct winsize w;

	o->view = mp_view_find("table");
	o->view_opts.top = 20;
	o->view_opts.width = 100;
	o->view_opts.skip = o->skip;
	o->steps.stages = MP_STEP_ALL;
	o->interval = 1;
	setlocale(LC_CTYPE, "");
	o->view_opts.utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	if (!isatty(STDOUT_FILENO))
		return;
	o->view_opts.color = !getenv("NO_COLOR");
	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) && w.ws_col)
		o->view_opts.width = w.ws_col;
}

void mp_options_parse(const struct mp_command *cmd, int argc, char **argv, struct mp_options *o)
{
	struct argp argp = { .parser = parse, .args_doc = cmd->args, .doc = cmd->help };
	struct argp_option all[sizeof(target_options) / sizeof(*target_options) +
			       sizeof(view_options) / sizeof(*view_options)];
	struct parsing p = { cmd, o };
	size_t n = 0;

	memset(o, 0, sizeof(*o));
	view_defaults(o);
	o->level = MP_LEVEL_DEFAULT;
	for (int i = 0; cmd->takes_target && target_options[i].name; i++)
		if (takes(cmd, target_options[i].key))
			all[n++] = target_options[i];
	for (int i = 0; view_options[i].name; i++) {
		if (!takes(cmd, view_options[i].key))
			continue;
		all[n++] = view_options[i];
		if (view_options[i].key == OPT_VIEW)
			all[n - 1].doc = view_names();
	}
	all[n] = (struct argp_option){};
	argp.options = all;
	for (int i = 1; cmd->takes_target && i < argc; i++)
		if (!strcmp(argv[i], "--") && argv[i + 1]) {
			o->argv = argv + i + 1;
			argc = i;
		}
	argp_err_exit_status = MP_EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &p);
}
