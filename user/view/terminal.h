/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A terminal as a screen of lines, and its keys. */
#ifndef MP_VIEW_TERMINAL_H
#define MP_VIEW_TERMINAL_H

#include <stddef.h>

#include "base/err.h"
#include "view/top.h"

/* Takes the terminal on standard output. 0, or -errno with @err: it is of no known kind. */
int mp_terminal_open(bool color, struct mp_err *err);
/* Gives it back as it was; may be called without open. */
void mp_terminal_close(void);
void mp_terminal_size(size_t *columns, size_t *rows);
void mp_terminal_show(const struct mp_top_line *lines, size_t nr);
/* A key for mp_top__key(), 0: none is there, -1: the size has changed. */
int mp_terminal_key(void);

#endif
