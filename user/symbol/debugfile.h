/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where separate debug files lie. Only opened here, never parsed: whether one belongs to its object
 * is for the reader to say, which has its build id or checksum.
 */
#ifndef MP_SYMBOL_DEBUGFILE_H
#define MP_SYMBOL_DEBUGFILE_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

enum mp_need_kind {
	MP_NEED_DEBUG, /* the object's own: @name is its .gnu_debuglink */
	MP_NEED_ALT,   /* what dwz took out of several: @name is the .gnu_debugaltlink */
};

#define MP_BUILD_ID_MAX 64

struct mp_need {
	enum mp_need_kind kind;
	uint32_t tgid;      /* its root comes first; 0: none */
	const char *path;   /* of the object, in that root */
	const char *name;   /* "" if the object names none */
	const char *beside; /* the debug file found before, "" if none: @name may be relative to it */
	uint8_t id[MP_BUILD_ID_MAX];
	size_t id_len; /* 0: no build id */
};

/*
 * The @index-th existing ELF file that may be the one needed, with its path in @found; -ENOENT if
 * there are no more. Looked through are, for each of @dirs (NULL at the end), /usr/lib/debug below
 * the process's root and /usr/lib/debug: .build-id/xx/yyy.debug; then by the name beside the object,
 * in .debug there, and below each of the directories.
 */
int mp_debugfile_open(const struct mp_need *need, const char *const *dirs, unsigned int index,
		      char found[PATH_MAX]);

#endif
