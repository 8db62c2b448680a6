/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Frames of objects in the fixture's directory, held against what an addr2line says. */
#ifndef FRAMES_H
#define FRAMES_H

#include <stddef.h>
#include <stdint.h>

#include "symbol/symbol.h"

#define FRAMES_MAX 64

/* Frames at file offset @offset of fixture @name. */
size_t frames_at(struct mp_symbols *s, const char *name, uint64_t offset, struct mp_symbol *out);
/* The same, of function @function's first byte, whose address is looked up in fixture @debug. */
size_t frames_of(struct mp_symbols *s, const char *name, const char *debug, const char *function,
		 struct mp_symbol *out);
/* ELF address minus file offset of the code, as readelf has it. */
uint64_t frames_bias(const char *name);
/* Address of @function as nm has it; the test fails if there is none. */
uint64_t frames_address(const char *name, const char *function);

struct frames_count {
	size_t addresses, inlined; /* frames that are inlined in another */
	size_t deepest;
};

/*
 * Compares every @step-th address of each function of fixture @debug with names (nm, pattern
 * @functions) to what "@tool -a -i -f -e @debug" and c++filt say, with names looked up in @name. Only lines
 * the tool knows are compared. The test fails at the first difference.
 */
struct frames_count frames_compare(struct mp_symbols *s, const char *name, const char *debug,
				   const char *tool, const char *functions, unsigned int step);

#endif
