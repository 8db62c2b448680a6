/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What tracing commands share: signals, the loop, the report at its end. */
#ifndef MP_CLI_RUN_H
#define MP_CLI_RUN_H

#include "cli/cli.h"
#include "collect/session.h"
#include "model/model.h"
#include "trace/trace.h"

struct mp_unwinder_memory;

struct mp_run_ops {
	mp_emit_fn sink; /* every event */
	/* Asked for by SIGUSR1: a report of this instant, tracing goes on. May be NULL. */
	int (*snapshot)(void *ctx, struct mp_session *s, struct mp_err *err);
	/* Called about a hundred times a second: 0 to go on, 1 to stop, -errno with @err. May be NULL. */
	int (*tick)(void *ctx, struct mp_session *s, struct mp_err *err);
	bool brief; /* what is shown needs no last instant */
	/* Tracing is over and its last instant is in the sink; probes go meanwhile. May be NULL. */
	int (*finish)(void *ctx, struct mp_err *err);
	/* What call stacks took up; NULL: told by -v. */
	void (*stacks)(void *ctx, const struct mp_unwinder_memory *m);
};

/* One line, after @before. */
void mp_print_stacks(FILE *f, const char *before, const struct mp_unwinder_memory *m);

/*
 * Traces as @o says until the target ends, time is up or the user stops it; then reads the last
 * instant, detaches and finishes. 0 or -errno with @err. *@status: the command's status as of
 * waitpid, -1 if none.
 */
int mp_run(struct mp_options *o, const struct mp_run_ops *ops, void *ctx, int *status,
	   struct mp_err *err);

/*
 * The events of o->file to @fn; says so if the file was not written to its end.
 * What the file tells of names goes to the symbols of @o. 0, @fn's value, or
 * -errno with @err.
 */
int mp_read_trace(struct mp_options *o, mp_event_fn fn, void *ctx, struct mp_err *err);

/* Whether -o can be written at all: told before tracing begins and not after. */
int mp_check_out(const struct mp_options *o, struct mp_err *err);

/* Opens @path, NULL: standard output. NULL with @err. Closed with the result @rc of printing. */
FILE *mp_open_out(const char *path, struct mp_err *err);
int mp_close_out(FILE *f, const char *path, int rc, struct mp_err *err);

/* With what --debug-dir adds. NULL, with no names: there is no memory. */
struct mp_symbols *mp_open_symbols(struct mp_options *o); /* the same until they are closed */
void mp_close_symbols(struct mp_options *o);

/* A model for what @o asks. NULL with @err. */
struct mp_model *mp_new_model(const struct mp_options *o, struct mp_err *err);

/* Prints @m as @o->view to -o or standard output. */
int mp_print_report(struct mp_options *o, struct mp_model *m, struct mp_loss *loss,
		    struct mp_err *err);

/* The exit status of a tracing command: CMD's own, or LOST under --strict. */
int mp_exit_status(const struct mp_options *o, int status, const struct mp_loss *loss);

#endif
