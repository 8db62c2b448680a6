/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An object of which only path and build id are known: it is that of a process on another machine, or
 * has been replaced. Only opened here: that it has that build id is for the reader to say.
 */
#ifndef MP_SYMBOL_ELSEWHERE_H
#define MP_SYMBOL_ELSEWHERE_H

#include <stddef.h>
#include <stdint.h>

/*
 * The file number *@index or, where there is none, the next, which *@index then is; -ENOENT if there
 * are no more. Looked for are @path; below each of @dirs (NULL at the end) and in /usr/lib/debug
 * @path and .build-id/xx/yyy.
 */
int mp_elsewhere_open(const char *path, const uint8_t *id, size_t id_len, const char *const *dirs,
		      unsigned int *index);

#endif
