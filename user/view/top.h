/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A report that is shown again and again: what a screen of some size says, and what keys do. */
#ifndef MP_VIEW_TOP_H
#define MP_VIEW_TOP_H

#include <stdbool.h>

#include "view/view.h"

enum mp_look { MP_LOOK_PLAIN, MP_LOOK_BOLD, MP_LOOK_TITLE, MP_LOOK_CHOSEN };

#define MP_TOP_COLUMNS 512 /* bytes of a line; a screen that is wider has its right side empty */
struct mp_top_line {
	char text[MP_TOP_COLUMNS];
	enum mp_look look;
};

/* Keys that are no character. */
enum mp_top_key {
	MP_KEY_UP = 256,
	MP_KEY_DOWN,
	MP_KEY_PAGE_UP,
	MP_KEY_PAGE_DOWN,
	MP_KEY_HOME,
	MP_KEY_END,
	MP_KEY_ENTER,
	MP_KEY_BACK, /* escape, left */
	MP_KEY_ERASE,
};

struct mp_top;
/* @opts and @sym (may be NULL) outlive it. NULL and errno. */
struct mp_top *mp_top__new(const struct mp_view_opts *opts, struct mp_symbols *sym);
void mp_top__free(struct mp_top *t);

/* Nothing new is wanted: the screen is frozen. */
bool mp_top__frozen(const struct mp_top *t);
/* Takes @r over. Rates are against what was shown last. @now_ns: CLOCK_MONOTONIC. 0 or -ENOMEM. */
int mp_top__update(struct mp_top *t, struct mp_report *r, uint64_t now_ns);
/* A character, or enum mp_top_key. False: leave. */
bool mp_top__key(struct mp_top *t, int key);
/*
 * What a screen of @rows by @columns shows, into @out[rows]; how many of them are used. @rows 0: no
 * screen, all of it that opts->top asks for, at most @room lines.
 */
size_t mp_top__draw(struct mp_top *t, size_t columns, size_t rows, struct mp_top_line *out,
		    size_t room);

#endif
