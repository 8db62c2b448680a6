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

/*
 * books.c: walks the pages of @p with its blocks, VMAs and mappings, in address order, and fills in
 * the books, rows and counts of @out and the sites' numbers of this instant. 0 or -ENOMEM.
 */
int mp_books_sweep(struct mp_draft *d, struct mp_process *p, struct mp_proc *out);

#endif
