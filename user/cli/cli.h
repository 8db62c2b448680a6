/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands: options and wiring, no logic. */
#ifndef MP_CLI_H
#define MP_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "cli/failif.h"
#include "view/steps.h"
#include "view/view.h"

#define MP_VERSION "0.1.0"

#define MP_PIDS_MAX 64

struct mp_options {
	pid_t pids[MP_PIDS_MAX];
	size_t nr_pids;
	char **argv; /* the command to launch, NULL: none */
	const char *cgroup;
	const char *file;    /* positional trace file */
	const char *out;     /* -o */
	const char *subject; /* explain: what; diff: the first trace file */
	double seconds;      /* -d; 0: no limit */
	double interval;     /* top: seconds between two screens */
	int at;              /* enum mp_at: NOW, EXIT, PEAK; 0: not said */
	bool follow, strict, no_alloc_probes;
	bool freeze; /* xray */
	bool no_xray;
	bool history;
	int quiet, verbose;
	uint32_t ring_bytes;
	int level;                  /* record, symbolize: of compression */
	struct mp_symbols *symbols; /* mp_open_symbols() */
	uint32_t row;               /* enum mp_row, 0: auto */
	const struct mp_view *view;
	bool perfetto; /* report: the view that follows events, and is none of a report */
	struct mp_view_opts view_opts;
	struct mp_failif fail_if[8];
	size_t nr_fail_if;
	bool failed; /* one of them held */
	const char *debug_dirs[16];
	size_t nr_debug_dirs;
	const char *skip[64];
	struct mp_steps_opts steps; /* trace */
	struct {
		bool set, percent;
		double n; /* of the metric; or percent */
		const char *text;
	} fail_over; /* diff */
};

struct mp_command {
	const char *name;
	const char *args; /* for the usage line */
	const char *help;
	bool takes_target, needs_target,
		takes_file; /* needs_target: or the file, if it takes one */
	bool takes_subject; /* a word before the file */
	int (*run)(struct mp_options *o);
};

/* The table of commands, ended by name NULL; the first is the default one ("trace, then report"). */
extern const struct mp_command mp_commands[];

int mp_cmd_default(struct mp_options *o);
int mp_cmd_trace(struct mp_options *o);
int mp_cmd_record(struct mp_options *o);
int mp_cmd_report(struct mp_options *o);
int mp_report_timeline(struct mp_options *o); /* as a command */
int mp_cmd_symbolize(struct mp_options *o);
int mp_cmd_top(struct mp_options *o);
int mp_cmd_explain(struct mp_options *o);
int mp_cmd_diff(struct mp_options *o);
int mp_cmd_doctor(struct mp_options *o);
int mp_cmd_vmas(struct mp_options *o);
int mp_cmd_xray(struct mp_options *o);

/* Parses @argv for @cmd (argp; exits 2 on a mistake, 0 after --help). */
void mp_options_parse(const struct mp_command *cmd, int argc, char **argv, struct mp_options *o);

/* Prints "mallocpath: TEXT" on stderr and returns err->exit (FAILED if it is 0). */
int mp_complain(const struct mp_err *err);

#endif
