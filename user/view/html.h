/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parts of the HTML page's data; html/unpack.js reads them. */
#ifndef MP_VIEW_HTML_H
#define MP_VIEW_HTML_H

#include "view/json.h"
#include "view/view.h"

/* html.c: text of others as mp_label_safe() shows it: it is also copied from the page into terminals. */
void mp_html_label(struct mp_json *j, const char *name, const char *text);
/* html_names.c: members "places", "stacks" and "sites". 0 or -ENOMEM. */
int mp_html_sites(struct mp_json *j, const struct mp_report *r, struct mp_symbols *sym,
		  const struct mp_view_opts *opts);
/* html_columns.c: members "pages" and "blocks" of a process. @most: blocks that are named. */
void mp_html_pages(struct mp_json *j, const struct mp_proc *p, uint64_t origin_ns);
void mp_html_blocks(struct mp_json *j, const struct mp_proc *p, uint64_t origin_ns, size_t most);
/* Member "vmas", and "moments": memory over time. */
void mp_html_vmas(struct mp_json *j, const struct mp_proc *p, uint64_t origin_ns);
void mp_html_moments(struct mp_json *j, const struct mp_proc *p, uint64_t origin_ns);

/* A time since @origin_ns; 0 for what is not known or was before. */
static inline uint64_t mp_html_since(uint64_t t_ns, uint64_t origin_ns)
{
	return t_ns > origin_ns ? t_ns - origin_ns : 0;
}

/* html_assets.c: user/view/html/, put in by the assembler. */
extern const char mp_html_style[], mp_html_style_end[];
extern const char mp_html_body[], mp_html_body_end[];
extern const char mp_html_script[], mp_html_script_end[];

#endif
