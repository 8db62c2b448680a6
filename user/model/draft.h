/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A report while it is being made. */
#ifndef MP_MODEL_DRAFT_H
#define MP_MODEL_DRAFT_H

#include "model/inside.h"

struct mp_draft {
	struct mp_model *m;
	struct mp_report *report;
	unsigned int flags;    /* enum mp_report_flag */
	uint32_t *ids;         /* id in the report of each site of the model */
	struct mp_map touches; /* pages by site << 32 | toucher; the value is the count */
	uint64_t *direct;      /* by id: resident bytes in mappings that count in mapped_bytes */
	uint64_t *weight;      /* by id: scratch, all 0 between pages */
};

/* report.c: zeroed memory that goes with the report, or a copy of @text in it. NULL without memory. */
void *mp_draft_take(struct mp_draft *d, size_t size);
const char *mp_draft_string(struct mp_draft *d, const char *text);

/* seed.c: what X-rays told of it, and of the sites. */
void mp_seed_fill(struct mp_draft *d, struct mp_proc *out, const struct mp_process *p);
/* thresholds.c: what is known of its glibc's heap. 0 or -ENOMEM. */
int mp_glibc_fill(struct mp_draft *d, struct mp_proc *out, const struct mp_process *p);

/* limits.c: the limit of its memory. 0 or -ENOMEM. */
int mp_limit_fill(struct mp_draft *d, struct mp_proc *out, const struct mp_process *p);

/* refusals.c: what it was refused. 0 or -ENOMEM. */
int mp_refusals_fill(struct mp_draft *d, struct mp_proc *out, const struct mp_process *p);
/* timeline.c: its memory over time. 0 or -ENOMEM. */
int mp_timeline_fill(struct mp_draft *d, struct mp_proc *out, const struct mp_process *p);

/* report_sites.c: gives the sites their ids, frames and counts. 0 or -ENOMEM. */
int mp_sites_fill(struct mp_draft *d);
/* What is known of them once all pages were seen. */
void mp_sites_finish(struct mp_draft *d);

/* report_history.c: the past of the pages of @p, and whose pages went how. 0 or -ENOMEM. */
int mp_history_fill(struct mp_draft *d, const struct mp_process *p, struct mp_proc *out);
int mp_history_sites(struct mp_draft *d);

/*
 * books.c: walks the pages of @p with its blocks, VMAs and mappings, in address order, and fills in
 * the books, rows and counts of @out and the sites' numbers of this instant. 0 or -ENOMEM.
 */
int mp_books_sweep(struct mp_draft *d, struct mp_process *p, struct mp_proc *out);

#endif
