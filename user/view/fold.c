// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Folded stacks: "outermost;...;innermost NUMBER" a line, which programs that draw flame graphs read.
 * A semicolon divides frames and the last space ends the stack, so names have neither.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "view/calltree.h"
#include "view/views.h"

/* Names hold no control characters by now. */
static void put_name(const char *name, FILE *out)
{
	for (; *name; name++)
		fputc(*name == ';' ? ':' : *name == ' ' ? '_' : *name, out);
}

static void put_line(const struct mp_calltree_node *node, FILE *out)
{
	const struct mp_calltree_node *path[MP_CALLTREE_DEPTH + 1];
	size_t n = 0;

	for (; node->parent; node = node->parent)
		path[n++] = node;
	while (n--) {
		put_name(path[n]->name, out);
		fputc(n ? ';' : ' ', out);
	}
	fprintf(out, "%" PRIu64 "\n", path[0]->own);
}

int mp_view_fold(const struct mp_report *r, struct mp_symbols *sym, const struct mp_view_opts *opts,
		 FILE *out)
{
	struct mp_calltree_node *node;
	struct mp_calltree t;
	int err;

	err = mp_calltree__init(&t);
	if (!err)
		err = mp_calltree_fill(&t, r, sym, opts);
	for (node = err ? NULL : t.nodes[0]; node; node = mp_calltree_next(node))
		if (node->own)
			put_line(node, out);
	mp_calltree__fini(&t);
	return err ? err : mp_view_finish(out);
}
