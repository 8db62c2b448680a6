/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sentences, broken into lines between words. */
#ifndef MP_VIEW_PROSE_H
#define MP_VIEW_PROSE_H

#include <stddef.h>
#include <stdio.h>

struct mp_prose {
	FILE *out;
	size_t width, column; /* column 0: nothing of this paragraph is written */
};

/* More of the paragraph; a blank goes before it if there is something already. */
void mp_prose_say(struct mp_prose *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Ends the paragraph. */
void mp_prose_end(struct mp_prose *p);
/* A line of its own below the paragraph, which it ends; not broken. */
void mp_prose_line(struct mp_prose *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
