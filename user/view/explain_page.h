/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's half of view/explain.c: the mapping, the page, and who else is on it. */
#ifndef MP_VIEW_EXPLAIN_PAGE_H
#define MP_VIEW_EXPLAIN_PAGE_H

#include "view/kernel_words.h"
#include "view/label.h"
#include "view/prose.h"
#include "view/units.h"
#include "view/view.h"

struct mp_explain {
	const struct mp_report *r;
	const struct mp_proc *p;
	struct mp_symbols *sym;
	const struct mp_view_opts *opts;
	bool still; /* nothing was traced */
	struct mp_kernel_words words;
	struct mp_prose prose;
};

/* The shown frame of a site. */
struct mp_label mp_explain_label(const struct mp_explain *e, uint32_t id);
/* Time since the first event. */
struct mp_text mp_explain_since(const struct mp_explain *e, uint64_t t_ns);

/* @vma may be NULL: none has the address. */
void mp_explain_vma(struct mp_explain *e, const struct mp_vma *vma);
void mp_explain_page(struct mp_explain *e, uint64_t addr);
/* Was there a page at @addr, or is there? */
bool mp_explain_knows(const struct mp_explain *e, uint64_t addr);
/* What happened to a page, if more is known than how it came. */
void mp_explain_past(struct mp_explain *e, const struct mp_page *pg);
/* What cannot be said without a trace. */
void mp_explain_missing(struct mp_explain *e);

#endif
