// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/calltree.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "view/metric.h"
#include "view/order.h"

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int by_place(const void *a, const void *b)
{
	const struct mp_calltree_node *x = a, *y = b;

	if (x->parent != y->parent)
		return x->parent->index < y->parent->index ? -1 : 1;
	/* names are shared: where they lie tells them apart */
	return x->name < y->name ? -1 : x->name > y->name;
}

static struct mp_calltree_node *add_node(struct mp_calltree *t, const char *name,
					 struct mp_calltree_node *parent)
{
	struct mp_calltree_node *node, **nodes;
	size_t room = t->room ? 2 * t->room : 256;

	if (t->nr == t->room) {
		nodes = realloc(t->nodes, room * sizeof(*nodes));
		if (!nodes)
			return NULL;
		t->nodes = nodes;
		t->room = room;
	}
	node = calloc(1, sizeof(*node));
	if (!node)
		return NULL;
	node->name = name;
	node->parent = parent;
	node->index = (uint32_t)t->nr;
	node->depth = parent ? parent->depth + 1 : 0;
	t->nodes[t->nr++] = node;
	return node;
}

int mp_calltree__init(struct mp_calltree *t)
{
	memset(t, 0, sizeof(*t));
	t->stack = calloc(MP_CALLTREE_DEPTH, sizeof(*t->stack));
	return t->stack && add_node(t, "", NULL) ? 0 : -ENOMEM;
}

static void keep(void *node)
{
	(void)node;
}

void mp_calltree__fini(struct mp_calltree *t)
{
	size_t i;

	tdestroy(t->children, keep);
	tdestroy(t->names, free);
	for (i = 0; i < t->nr; i++)
		free(t->nodes[i]);
	free(t->nodes);
	free(t->stack);
}

void mp_calltree__begin(struct mp_calltree *t)
{
	t->nr_stack = 0;
}

int mp_calltree__push(struct mp_calltree *t, const char *name)
{
	char *copy, **found;

	if (t->nr_stack == MP_CALLTREE_DEPTH)
		return 0;
	found = tfind(name, &t->names, by_text);
	if (!found) {
		copy = strdup(name);
		found = copy ? tsearch(copy, &t->names, by_text) : NULL;
		if (!found) {
			free(copy);
			return -ENOMEM;
		}
	}
	t->stack[t->nr_stack++] = *found;
	return 0;
}

static struct mp_calltree_node *child_of(struct mp_calltree *t, struct mp_calltree_node *parent,
					 const char *name)
{
	const struct mp_calltree_node key = { .name = name, .parent = parent };
	struct mp_calltree_node **found = tfind(&key, &t->children, by_place), *node;

	if (found)
		return *found;
	node = add_node(t, name, parent);
	return node && tsearch(node, &t->children, by_place) ? node : NULL;
}

struct mp_calltree_node *mp_calltree__node(struct mp_calltree *t)
{
	struct mp_calltree_node *node = t->nodes[0];
	size_t i;

	for (i = t->nr_stack; node && i; i--)
		node = child_of(t, node, t->stack[i - 1]);
	return node;
}

/* Of one parent the largest last: they are linked from the end. */
static int to_link(const void *a, const void *b)
{
	const struct mp_calltree_node *x = *(struct mp_calltree_node *const *)a;
	const struct mp_calltree_node *y = *(struct mp_calltree_node *const *)b;

	if (x->parent != y->parent)
		return x->parent->index < y->parent->index ? -1 : 1;
	if (x->total != y->total)
		return x->total < y->total ? -1 : 1;
	return -strcmp(x->name, y->name);
}

int mp_calltree__link(struct mp_calltree *t)
{
	struct mp_calltree_node **order, *node;
	size_t i;

	order = calloc(t->nr, sizeof(*order));
	if (!order)
		return -ENOMEM;
	for (i = t->nr; i--;) {
		node = t->nodes[i];
		node->total = mp_metric_add(node->total, node->own);
		if (i)
			node->parent->total = mp_metric_add(node->parent->total, node->total);
		order[i] = node;
	}
	qsort(order + 1, t->nr - 1, sizeof(*order), to_link);
	for (i = 1; i < t->nr; i++) {
		order[i]->next = order[i]->parent->child;
		order[i]->parent->child = order[i];
	}
	free(order);
	return 0;
}

struct mp_calltree_node *mp_calltree_next(struct mp_calltree_node *node)
{
	if (node->child)
		return node->child;
	while (node && !node->next)
		node = node->parent;
	return node ? node->next : NULL;
}

/* ---- of a report --------------------------------------------------------------------------- */

struct mp_label mp_calltree_end(int end)
{
	struct mp_label label = { "" };

	if (end != MP_STACK_WHOLE)
		snprintf(label.s, sizeof(label.s), "(ends: %s)", mp_stack_end_name(end));
	return label;
}

struct mp_label mp_calltree_name(const struct mp_frames *f)
{
	const char *function = mp_frames_name(f)->function;
	struct mp_label label;

	if (f->frame->place->what == MP_PLACE_SYSCALL || !function || !*function)
		return mp_frames_label(f, 0);
	mp_label_safe(label.s, sizeof(label.s), function);
	return label;
}

static int push_frames(struct mp_calltree *t, const struct mp_site *site, struct mp_symbols *sym,
		       const struct mp_view_opts *opts)
{
	struct mp_label label;
	struct mp_frames f;
	int err = 0;

	mp_frames_begin(&f, site, sym);
	/* one less than there is room for: why it ends comes after them */
	while (!err && f.frame && t->nr_stack < MP_CALLTREE_DEPTH - 1) {
		label = opts->verbose ? mp_frames_label(&f, 0) : mp_calltree_name(&f);
		err = mp_calltree__push(t, label.s);
		mp_frames_next(&f, sym);
	}
	label = mp_calltree_end(f.frame ? MP_STACK_DEEP : site->end);
	return err || !*label.s ? err : mp_calltree__push(t, label.s);
}

static int add_own(struct mp_calltree *t, uint64_t n)
{
	struct mp_calltree_node *node = mp_calltree__node(t);

	if (!node)
		return -ENOMEM;
	node->own = mp_metric_add(node->own, n);
	return 0;
}

static int add_site(struct mp_calltree *t, const struct mp_site *site, struct mp_symbols *sym,
		    const struct mp_view_opts *opts)
{
	uint64_t n = mp_order_metric(site, opts->sort);
	int err = 0;

	if (!n)
		return 0;
	mp_calltree__begin(t);
	if (site->mapping)
		err = mp_calltree__push(t, MP_CALLTREE_MMAP);
	if (!err)
		err = push_frames(t, site, sym, opts);
	return err ? err : add_own(t, n);
}

int mp_calltree_fill(struct mp_calltree *t, const struct mp_report *r, struct mp_symbols *sym,
		     const struct mp_view_opts *opts)
{
	const struct mp_unknown unknown = mp_unknown_find(r);
	uint64_t n = mp_unknown_metric(&unknown, opts->sort);
	int err = 0;
	size_t i;

	for (i = 0; !err && i < r->nr_sites; i++)
		err = add_site(t, &r->sites[i], sym, opts);
	if (!err && n) {
		mp_calltree__begin(t);
		err = mp_calltree__push(t, MP_CALLTREE_UNKNOWN);
		if (!err)
			err = add_own(t, n);
	}
	return err ? err : mp_calltree__link(t);
}
