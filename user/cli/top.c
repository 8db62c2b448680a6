// SPDX-License-Identifier: GPL-2.0-or-later
/* mallocpath top -p PID: a live screen; where there is no terminal, plain text from time to time. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/run.h"
#include "trace/trace.h"
#include "view/terminal.h"

#define ROWS 400 /* of a screen or a page of text, at most */
/* A reading of Rss may take this share of the time: the process's memory is locked meanwhile. */
#define SHARE 20

struct live {
	struct mp_options *o;
	struct mp_model *m;
	struct mp_top *top;
	struct mp_symbols *sym;
	struct mp_loss loss;
	struct mp_top_line lines[ROWS];
	bool screen;
	uint64_t next_ns;
};

static int apply(void *ctx, const struct mp_ev *ev)
{
	struct live *l = ctx;

	if (mp_decode(ev, ev->size) != ev->size)
		return -EBADMSG;
	if (ev->type == MP_EV_GAP)
		l->loss.events_dropped += ((const struct mp_ev_gap *)ev)->count;
	return mp_model__apply(l->m, ev);
}

static void draw_screen(struct live *l)
{
	size_t columns, rows;

	mp_terminal_size(&columns, &rows);
	mp_terminal_show(l->lines, mp_top__draw(l->top, columns, rows, l->lines, ROWS));
}

static int draw_text(struct live *l)
{
	size_t nr = mp_top__draw(l->top, l->o->view_opts.width, 0, l->lines, ROWS);

	for (size_t i = 0; i < nr; i++)
		printf("%s\n", l->lines[i].text);
	putchar('\n');
	return fflush(stdout) ? -errno : 0;
}

static int look_again(struct live *l, struct mp_session *s, struct mp_err *err)
{
	uint64_t begin = mp_mono_ns(), took, every = l->o->interval * 1e9;
	struct mp_report *r;
	int rc = mp_session__instant(s, true, err);

	took = mp_mono_ns() - begin;
	l->next_ns = begin + (took * SHARE > every ? took * SHARE : every);
	if (rc)
		return rc;
	r = mp_model__report(l->m, MP_REPORT_PAGES | MP_REPORT_BLOCKS);
	if (!r || mp_top__update(l->top, r, begin))
		return mp_fail(err, MP_EXIT_FAILED, ENOMEM, "no memory for the report");
	if (!l->screen)
		return draw_text(l);
	draw_screen(l);
	return 0;
}

/* 0: go on, 1: the user wants to leave. */
static int take_keys(struct live *l)
{
	bool any = false;
	int key;

	while ((key = mp_terminal_key())) {
		any = true;
		if (key > 0 && !mp_top__key(l->top, key))
			return 1;
	}
	if (any)
		draw_screen(l);
	return 0;
}

static int tick(void *ctx, struct mp_session *s, struct mp_err *err)
{
	struct live *l = ctx;

	if (l->screen && take_keys(l))
		return 1;
	if (mp_mono_ns() < l->next_ns || (l->screen && mp_top__frozen(l->top)))
		return 0;
	return look_again(l, s, err);
}

static int check(const struct mp_options *o, struct mp_err *err)
{
	if (o->argv)
		return mp_fail(
			err, MP_EXIT_USAGE, EINVAL,
			"top and a command would share the terminal: start the command elsewhere "
			"and give -p PID");
	if (o->out)
		return mp_fail(err, MP_EXIT_USAGE, EINVAL,
			       "top shows a screen: for a file send its output through a pipe");
	return 0;
}

static int run(struct live *l, int *status, struct mp_err *err)
{
	static const struct mp_run_ops ops = { .sink = apply, .tick = tick, .brief = true };
	int rc;

	l->screen = isatty(STDOUT_FILENO) && isatty(STDIN_FILENO);
	if (l->screen) {
		rc = mp_terminal_open(l->o->view_opts.color, err);
		if (rc)
			return rc;
		l->o->quiet++; /* nothing may be written across the screen */
		draw_screen(l);
	}
	rc = mp_run(l->o, &ops, l, status, err);
	mp_terminal_close();
	return rc == -EPIPE ? 0 : rc; /* the reader has had enough */
}

int mp_cmd_top(struct mp_options *o)
{
	struct live *l = calloc(1, sizeof(*l));
	struct mp_err err = { .exit = 0 };
	int status = -1, rc = check(o, &err);

	if (!rc && l) {
		l->o = o;
		l->m = mp_model__new();
		l->sym = mp_open_symbols(o);
		l->top = mp_top__new(&o->view_opts, l->sym);
	}
	if (!rc)
		rc = l && l->m && l->top ? run(l, &status, &err)
					 : mp_fail(&err, MP_EXIT_FAILED, ENOMEM, "no memory");
	if (l) {
		mp_top__free(l->top);
		mp_close_symbols(o);
		mp_model__free(l->m);
	}
	rc = rc ? mp_complain(&err) : mp_exit_status(o, status, &l->loss);
	free(l);
	return rc;
}
