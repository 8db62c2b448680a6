/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Call stacks put together from their outermost frames on: a tree of names, with a number a node. */
#ifndef MP_VIEW_CALLTREE_H
#define MP_VIEW_CALLTREE_H

#include "view/frames.h"

/* Frames of one stack that are kept, the innermost; no traced stack has so many. */
#define MP_CALLTREE_DEPTH 1024

struct mp_calltree_node {
	const char *name; /* "" at the root; nodes with the same name share it */
	struct mp_calltree_node *parent, *child, *next; /* linked by mp_calltree__link() */
	uint64_t own, total;   /* saturate; @total is known after mp_calltree__link() */
	uint32_t index, depth; /* 0 at the root */
};

struct mp_calltree {
	struct mp_calltree_node **nodes; /* by index: a parent is before its children */
	size_t nr, room;
	void *names, *children; /* see search(3) */
	const char **stack;     /* names of the stack under way, innermost first */
	size_t nr_stack;
};

/* 0 or -ENOMEM; then it is to be freed all the same. */
int mp_calltree__init(struct mp_calltree *t);
void mp_calltree__fini(struct mp_calltree *t);

/* Begins a stack; frames are then pushed, innermost first. */
void mp_calltree__begin(struct mp_calltree *t);
/* 0 or -ENOMEM. What is pushed beyond the depth that is kept is left out. */
int mp_calltree__push(struct mp_calltree *t, const char *name);
/* The node of the innermost frame that was pushed; the root if none was. NULL: no memory. */
struct mp_calltree_node *mp_calltree__node(struct mp_calltree *t);

/* Sums up, and links children: largest first, then by name. 0 or -ENOMEM. */
int mp_calltree__link(struct mp_calltree *t);
/* The next one when walking from the root, parents first; NULL: that was the last. */
struct mp_calltree_node *mp_calltree_next(struct mp_calltree_node *node);

/*
 * The sites of a report by what they have of opts->sort, as people read frames: functions, with
 * opts->verbose their lines. Inside the innermost frame of a mapping is "(mmap)"; outside of a stack
 * that is not whole is why; "(unknown)" has what no site has. Linked. 0 or -ENOMEM.
 */
int mp_calltree_fill(struct mp_calltree *t, const struct mp_report *r, struct mp_symbols *sym,
		     const struct mp_view_opts *opts);

#define MP_CALLTREE_MMAP    "(mmap)"
#define MP_CALLTREE_UNKNOWN "(unknown)"
/* "(ends: no_rule)", or "" for a stack that is whole. */
struct mp_label mp_calltree_end(int end);
/* The name of the frame: "function", "read(2)", "object+0x1234" or "0x7f12..." */
struct mp_label mp_calltree_name(const struct mp_frames *f);

#endif
