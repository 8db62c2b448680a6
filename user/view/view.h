/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pictures of a report: each a pure function of the report (and of names, asked for on demand). */
#ifndef MP_VIEW_H
#define MP_VIEW_H

#include <stdbool.h>
#include <stdio.h>

#include "model/model.h"
#include "symbol/symbol.h"

enum mp_sort {
	MP_SORT_RESIDENT,
	MP_SORT_CHARGED,
	MP_SORT_LIVE,
	MP_SORT_UNTOUCHED,
	MP_SORT_FAULTS,
	MP_SORT_FAULT_NS,
	MP_SORT_CALLS,
	MP_SORT_PINNED, /* what is not known counts as none */
	MP_SORT_NR
};
#define MP_METRICS MP_SORT_PINNED /* those before it add up over sites */

struct mp_view_opts {
	int top;           /* sites shown; 0: all */
	enum mp_sort sort; /* the metric: what is measured (fold), orders sites (table, csv), or
			      chooses one (tree) */
	bool bytes;        /* plain numbers, no units */
	bool color;
	int width;          /* columns of the terminal, 0: none there, 100 are used */
	int verbose;        /* 0..2; from 1 on no label is cut */
	uint32_t site;      /* tree: this site (-ENOENT if there is none); 0: the first by @sort */
	bool pages, blocks; /* json: the long arrays */
	bool stacks;        /* table: one row a stack, its frames below; else a row a shown frame */
	const char *const *skip; /* patterns (fnmatch) of functions no site is shown by, */
	size_t nr_skip;          /* besides those of symbol/skip.h */
	bool utf8;               /* tree: lines may be drawn with box characters, not ASCII */
};

struct mp_view {
	const char *name, *help;
	unsigned int report_flags; /* enum mp_report_flag it needs besides the user's wishes */
	/* 0 or -errno (writing failed, no memory) */
	int (*print)(const struct mp_report *r, struct mp_symbols *sym,
		     const struct mp_view_opts *opts, FILE *out);
};

/* The table of views, ended by name NULL. */
extern const struct mp_view mp_views[];
const struct mp_view *mp_view_find(const char *name);
/* "resident", "charged", ... into *@sort; -EINVAL if unknown. */
int mp_sort_parse(const char *word, enum mp_sort *sort);
const char *mp_sort_name(enum mp_sort sort);

#endif
