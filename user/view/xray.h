/* SPDX-License-Identifier: GPL-2.0-or-later */
/* X-rays of heaps as a table (with --pages a map below), or as JSON: schema mallocpath.xray/1. */
#ifndef MP_VIEW_XRAY_H
#define MP_VIEW_XRAY_H

#include "model/xray.h"
#include "view/view.h"

/* 0 or -errno (writing failed, no memory) */
int mp_view_xray_table(const struct mp_xray_report *const *reports, size_t nr,
		       const struct mp_view_opts *opts, FILE *out);
int mp_view_xray_json(const struct mp_xray_report *const *reports, size_t nr,
		      const struct mp_view_opts *opts, FILE *out);

/* The pages of one heap as characters, and what they mean. */
void mp_view_xray_map(const struct mp_xray_report *r, FILE *out);

/* "live", "tcache", ...; of enum mp_chunk_state */
const char *mp_chunk_state_name(int state);
/* Why a part of a heap could not be read on; of enum mp_heap_end */
const char *mp_heap_end_name(int how);

/* What may be wrong with an X-ray: a flag of enum mp_xray_flag, a word for it, a sentence. */
struct mp_xray_problem {
	uint32_t flag;
	const char *word, *text;
};
/* Ended by flag 0. */
extern const struct mp_xray_problem mp_xray_problems[];

#endif
