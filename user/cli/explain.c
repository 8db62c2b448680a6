// SPDX-License-Identifier: GPL-2.0-or-later
/* mallocpath explain ADDR|pfn:N: the life of one block or page, in words. */
#include <errno.h>
#include <stdio.h>

#include "cli/run.h"
#include "collect/still.h"
#include "trace/trace.h"
#include "view/explain.h"

static int apply(void *ctx, const struct mp_ev *ev)
{
	return mp_decode(ev, ev->size) == ev->size ? mp_model__apply(ctx, ev) : -EBADMSG;
}

static int check(const struct mp_options *o, struct mp_subject *subject, struct mp_err *err)
{
	if (o->argv)
		return mp_fail(
			err, MP_EXIT_USAGE, EINVAL,
			"explain looks at a process or a trace: give -p PID or FILE, not -- CMD");
	if (!o->subject || mp_subject_parse(o->subject, subject))
		return mp_fail(err, MP_EXIT_USAGE, EINVAL,
			       "explain %s: give an address (0x...) or a page frame (pfn:N) first",
			       o->subject ? o->subject : "what?");
	return mp_check_out(o, err);
}

static int look(struct mp_options *o, struct mp_model *m, struct mp_err *err)
{
	struct mp_err no_heap = { .exit = 0 };
	int rc = 0;

	if (o->file)
		rc = mp_read_trace(o, apply, m, err);
	for (size_t i = 0; !rc && i < o->nr_pids; i++) {
		rc = mp_still_read(o->pids[i], apply, m, &no_heap, err);
		if (!rc && no_heap.exit && !o->quiet)
			fprintf(stderr, "mallocpath: blocks are not known: %s\n", no_heap.text);
	}
	return rc == -ENOMEM && !err->exit ? mp_fail(err, MP_EXIT_FAILED, ENOMEM, "no memory") : rc;
}

static int show(struct mp_options *o, struct mp_model *m, const struct mp_subject *subject,
		struct mp_err *err)
{
	struct mp_report *r = mp_model__report(m, MP_REPORT_PAGES | MP_REPORT_BLOCKS);
	struct mp_symbols *sym;
	FILE *f = r ? mp_open_out(o->out, err) : NULL;
	int rc;

	if (!f) {
		mp_report__free(r);
		return r ? -EIO : mp_fail(err, MP_EXIT_FAILED, ENOMEM, "no memory for the report");
	}
	sym = mp_open_symbols(o);
	rc = mp_view_explain(r, sym, &o->view_opts, subject, !o->file, f);
	if (rc == -ENOENT) {
		mp_close_out(f, o->out, 0, err);
		mp_fail(err, MP_EXIT_FAILED, ENOENT, "%s: %s has this %s", o->subject,
			o->file ? "no process of the trace" : "no process given",
			subject->is_pfn ? "page frame" : "address");
	} else {
		rc = mp_close_out(f, o->out, rc, err);
	}
	mp_close_symbols(o);
	mp_report__free(r);
	return rc;
}

int mp_cmd_explain(struct mp_options *o)
{
	struct mp_err err = { .exit = 0 };
	struct mp_subject subject;
	struct mp_model *m = NULL;
	int rc = check(o, &subject, &err);

	if (!rc) {
		o->history = o->file; /* a file tells what became of the page */
		m = mp_new_model(o, &err);
		rc = m ? look(o, m, &err) : -ENOMEM;
	}
	if (!rc)
		rc = show(o, m, &subject, &err);
	mp_close_symbols(o);
	mp_model__free(m);
	return rc ? mp_complain(&err) : MP_EXIT_OK;
}
