/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The names in one ELF object and its separate debug file. This parses what may be hostile: it runs
 * in the reader, a process without rights, and in the fuzzers.
 */
#ifndef MP_SYMBOL_OBJECT_H
#define MP_SYMBOL_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

#include "symbol/debugfile.h"
#include "symbol/symbol.h"

/* Inlined calls and the function they are in. */
#define MP_FRAMES_MAX 63

struct mp_names;

struct mp_debug_need {
	enum mp_need_kind kind;
	const char *name; /* "": none */
	const uint8_t *id;
	size_t id_len;
	uint32_t crc;
	bool has_crc;
	unsigned int index; /* how many were given before and did not belong */
};

/* A descriptor of a file that may be it, or negative: there are no more. */
typedef int mp_debug_fn(void *ctx, const struct mp_debug_need *need);

/*
 * Takes the object file @fd, which it owns from now on also if it fails; @path names it. @find is
 * asked for separate debug files; NULL: there are none. NULL if it is no ELF file or memory is
 * short.
 */
struct mp_names *mp_names__open(int fd, const char *path, mp_debug_fn *find, void *ctx);
void mp_names__close(struct mp_names *n);

/* Its build id into @id; the length, 0: it has none or a longer one. */
size_t mp_names__build_id(struct mp_names *n, uint8_t *id, size_t max);

/*
 * Fills up to @max frames for file offset @offset, innermost first, and returns how many; 0: neither
 * a function nor a line is known. The strings live until the next call.
 */
size_t mp_names__find(struct mp_names *n, uint64_t offset, struct mp_symbol *out, size_t max);

#endif
