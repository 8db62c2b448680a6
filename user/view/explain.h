/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The life of one address or page frame, in sentences. */
#ifndef MP_VIEW_EXPLAIN_H
#define MP_VIEW_EXPLAIN_H

#include <stdbool.h>

#include "view/view.h"

struct mp_subject {
	bool is_pfn;
	uint64_t number; /* address, or page frame number */
};

/* "0x7f...", "pfn:0x1234", "pfn:4660"; -EINVAL. */
int mp_subject_parse(const char *text, struct mp_subject *subject);

/*
 * @r has pages and blocks. @still: it is of what can be read without tracing, and what only a trace would
 * tell is said. 0, -ENOENT (no process of @r has it; nothing is written) or -errno.
 */
int mp_view_explain(const struct mp_report *r, struct mp_symbols *sym,
		    const struct mp_view_opts *opts, const struct mp_subject *subject, bool still,
		    FILE *out);

#endif
