/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel module's rows as a table, or as JSON: schema mallocpath.vmas/1 (docs/MODULE.md). */
#ifndef MP_VIEW_VMAS_H
#define MP_VIEW_VMAS_H

#include "collect/module.h"
#include "view/view.h"

struct mp_vmas_of {
	pid_t pid;
	struct mp_module_vmas vmas;
};

struct mp_vmas_report {
	struct mp_module_status module;
	struct mp_vmas_of *procs;
	size_t nr;
	uint64_t now_ns;
};

/* 0 or -errno (writing failed, no memory) */
int mp_view_vmas_table(const struct mp_vmas_report *r, const struct mp_view_opts *opts, FILE *out);
int mp_view_vmas_json(const struct mp_vmas_report *r, FILE *out);

#endif
