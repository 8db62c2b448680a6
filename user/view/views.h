/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The views one by one, and what several of them need; see view.h for what they promise. */
#ifndef MP_VIEW_VIEWS_H
#define MP_VIEW_VIEWS_H

#include "view/rows.h"
#include "view/view.h"

int mp_view_table(const struct mp_report *r, struct mp_symbols *sym,
		  const struct mp_view_opts *opts, FILE *out);
int mp_view_tree(const struct mp_report *r, struct mp_symbols *sym, const struct mp_view_opts *opts,
		 FILE *out);
int mp_view_json(const struct mp_report *r, struct mp_symbols *sym, const struct mp_view_opts *opts,
		 FILE *out);
int mp_view_fold(const struct mp_report *r, struct mp_symbols *sym, const struct mp_view_opts *opts,
		 FILE *out);
int mp_view_flame(const struct mp_report *r, struct mp_symbols *sym,
		  const struct mp_view_opts *opts, FILE *out);
int mp_view_pprof(const struct mp_report *r, struct mp_symbols *sym,
		  const struct mp_view_opts *opts, FILE *out);
int mp_view_csv(const struct mp_report *r, struct mp_symbols *sym, const struct mp_view_opts *opts,
		FILE *out);
int mp_view_html(const struct mp_report *r, struct mp_symbols *sym, const struct mp_view_opts *opts,
		 FILE *out);

/* The first lines and the last ones of every text view. */
void mp_text_books(const struct mp_proc *proc, const struct mp_view_opts *opts, FILE *out);
/*
 * Prints "@sep@text" on the line that is @column wide, or on a new one, indented, if it would not fit in
 * @width. Returns the column after it.
 */
size_t mp_text_flow(FILE *out, size_t column, size_t indent, size_t width, const char *sep,
		    const char *text);
/* heap_facts.c: why tiers are unknown, how thresholds moved; nothing if there is nothing to say. */
void mp_text_heap(const struct mp_report *r, const struct mp_proc *p, struct mp_symbols *sym,
		  const struct mp_view_opts *opts, FILE *out);
/* Who made arenas; nothing if nobody did. */
void mp_text_arenas(const struct mp_report *r, const struct mp_proc *p, struct mp_symbols *sym,
		    const struct mp_view_opts *opts, FILE *out);
/* retention.c: that memory ran out, and the limit on it; nothing if there is none. */
void mp_text_limit(const struct mp_proc *p, const struct mp_view_opts *opts, FILE *out);
/* refusals.c: memory that was asked for and refused; nothing if none was. */
void mp_text_refusals(const struct mp_report *rep, const struct mp_proc *p, struct mp_symbols *sym,
		      const struct mp_view_opts *opts, FILE *out);
/* What went back to the kernel and was wanted again; nothing if nothing was. */
void mp_text_given_back(const struct mp_report *r, struct mp_symbols *sym,
			const struct mp_view_opts *opts, FILE *out);
/* waits.c: what faults waited for where memory was short; 0 and "" if for nothing. */
size_t mp_waits_say(char *buf, size_t room, const struct mp_waits *w, bool bytes);
/* The same of all processes, and whose faults those were; nothing if they waited for nothing. */
void mp_text_waits(const struct mp_report *r, struct mp_symbols *sym,
		   const struct mp_view_opts *opts, FILE *out);
/* past.c: whose pages went, how and by whom; nothing without history. */
void mp_text_past(const struct mp_report *r, struct mp_symbols *sym,
		  const struct mp_view_opts *opts, FILE *out);
/* pins.c: whose few blocks keep much memory; nothing if the heap was not walked, or none does. */
void mp_text_pins(const struct mp_table_row *rows, size_t nr, const struct mp_report *r,
		  struct mp_symbols *sym, const struct mp_view_opts *opts, FILE *out);
void mp_text_tiers(const struct mp_report *r, const struct mp_view_opts *opts, FILE *out);
void mp_text_loss(const struct mp_loss *loss, const struct mp_view_opts *opts, FILE *out);
/* What the kernel module said to the pages; nothing where it is not loaded. */
void mp_text_audit(const struct mp_report *r, const struct mp_view_opts *opts, FILE *out);
void mp_text_cost(const struct mp_cost *cost, const struct mp_view_opts *opts, FILE *out);

#define MP_WIDTH_DEFAULT 100 /* columns where there is no terminal */

/* Share of the target's CPU time that our probes took; NaN: not known. */
double mp_cost_fraction(const struct mp_cost *cost);
/* 0, or -errno if anything written to @out so far did not get through. */
int mp_view_finish(FILE *out);

#endif
