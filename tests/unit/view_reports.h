/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reports made by hand, whose every number is written out: what views are tested with. */
#ifndef MP_TEST_VIEW_REPORTS_H
#define MP_TEST_VIEW_REPORTS_H

#include "view/view.h"

struct test_report {
	const char *name;
	const struct mp_report *report;
};

/* Ended by name NULL. */
extern const struct test_report test_reports[];
const struct mp_report *test_report(const char *name);
/* The view of the report as a string; the caller frees it. *@err: what print() gave. */
char *test_view(const struct mp_report *r, const char *view, const struct mp_view_opts *opts,
		int *err);

#endif
