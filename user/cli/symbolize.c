// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * mallocpath symbolize FILE: the file anew, with the names that are known here of every place in it, so
 * that it can be looked at where the objects are not. The file is read twice: names are needed before
 * the events that lead to them.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/run.h"
#include "view/frames.h"

struct naming {
	struct mp_options *o;
	struct mp_writer *w;
	struct mp_model *m;
	uint64_t first_ns;
	bool begun;
	size_t places, named;
};

static int look(void *ctx, const struct mp_ev *ev)
{
	return mp_model__apply(ctx, ev);
}

static int put_names(struct naming *n)
{
	struct mp_ev_names *room = malloc(MP_NAMES_ROOM);
	const struct mp_place *place;
	int rc = room ? 0 : -ENOMEM;

	for (size_t i = 0; !rc && (place = mp_model__place(n->m, i)); i++) {
		struct mp_code code;

		if (place->what == MP_PLACE_SYSCALL || !place->ino)
			continue;
		n->places++;
		code = mp_place_code(place);
		if (!mp_symbols__tell(n->o->symbols, &code, room))
			continue;
		n->named++;
		room->h.ts_ns = n->first_ns;
		rc = mp_writer__put(n->w, &room->h);
	}
	free(room);
	return rc;
}

/* HOST is first in a file, and stays so. Names that were in it are among those that are known now. */
static int copy(void *ctx, const struct mp_ev *ev)
{
	struct naming *n = ctx;
	int rc = ev->type == MP_EV_NAMES ? 0 : mp_writer__put(n->w, ev);

	if (rc || n->begun)
		return rc;
	n->begun = true;
	n->first_ns = ev->ts_ns;
	return put_names(n);
}

static int write_all(struct naming *n, const char *out, struct mp_err *err)
{
	struct mp_options *o = n->o;
	struct mp_file_header h;
	struct mp_err closing;
	int rc = mp_file_header(o->file, &h, err), close_rc, quiet = o->quiet;

	if (!rc)
		rc = mp_read_trace(o, look, n->m, err);
	if (rc)
		return rc;
	n->w = mp_writer__open(out, o->level, h.wall_ns, h.mono_ns, err);
	if (!n->w)
		return -EIO;
	o->quiet = 1; /* what is to be said of the file has been said */
	rc = mp_read_trace(o, copy, n, err);
	o->quiet = quiet;
	close_rc = mp_writer__close(n->w, &closing);
	if (close_rc)
		*err = closing; /* the cause */
	else if (rc && !err->exit)
		mp_fail(err, MP_EXIT_FAILED, -rc, "%s cannot be named: %s", o->file, strerror(-rc));
	return close_rc ? close_rc : rc;
}

static int make(struct naming *n, const char *out, struct mp_err *err)
{
	struct stat st;

	if (!stat(n->o->file, &st) && !S_ISREG(st.st_mode))
		return mp_fail(err, MP_EXIT_USAGE, EINVAL,
			       "symbolize reads %s twice: it has to be a file", n->o->file);
	n->m = mp_model__new();
	return n->m && out ? write_all(n, out, err)
			   : mp_fail(err, MP_EXIT_FAILED, ENOMEM, "no memory");
}

/* Is @out the file that is read? */
static bool same(const char *file, const char *out)
{
	struct stat a, b;

	return !stat(file, &a) && !stat(out, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* Beside @file, so that it can take its place at once. NULL: no memory. */
static char *beside(const char *file)
{
	char *path = NULL;

	return asprintf(&path, "%s.%d.new", file, getpid()) < 0 ? NULL : path;
}

int mp_cmd_symbolize(struct mp_options *o)
{
	struct mp_err err = { .exit = 0 };
	struct naming n = { .o = o };
	bool replace = !o->out || same(o->file, o->out);
	char *file = replace ? realpath(o->file, NULL) : NULL;
	char *own = replace ? beside(file ? file : o->file) : NULL;
	const char *out = replace ? own : o->out;
	int rc;

	rc = make(&n, out, &err);
	if (!rc && own && rename(own, file ? file : o->file))
		rc = mp_fail(&err, MP_EXIT_FAILED, errno, "%s cannot be replaced: %s; use -o FILE",
			     o->file, strerror(errno));
	if (rc && own)
		unlink(own);
	if (!rc && !o->quiet)
		fprintf(stderr, "mallocpath: %zu of %zu places in objects have names in %s\n",
			n.named, n.places, replace ? o->file : o->out);
	mp_close_symbols(o);
	mp_model__free(n.m);
	free(own);
	free(file);
	return rc ? mp_complain(&err) : MP_EXIT_OK;
}
