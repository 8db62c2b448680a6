/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The reader's side: names for those who ask over a socket. */
#ifndef MP_SYMBOL_SERVE_H
#define MP_SYMBOL_SERVE_H

/* Objects that can be open at once. */
#define MP_OBJECTS_MAX 512

/* Gives up all rights, answers until the other side is gone, and ends the process. */
void mp_serve(int sock) __attribute__((noreturn));

#endif
