/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names for places in objects, on demand, by libdw. A name is given only within the symbol's size;
 * else the caller shows object+offset.
 */
#ifndef MP_SYMBOL_H
#define MP_SYMBOL_H

#include <stdint.h>

struct mp_symbols;

struct mp_symbol {
	const char *function; /* demangled; NULL: not known. Owned by mp_symbols */
	const char *file;     /* source file; NULL: not known */
	int line;             /* 0: not known */
	uint64_t into;        /* bytes from the start of the function */
};

struct mp_symbols *mp_symbols__new(void);
void mp_symbols__free(struct mp_symbols *s);

/*
 * Looks up file offset @offset of the object @path as process @tgid sees it (tried through
 * /proc/TGID/root and then plainly; (@dev_major, @dev_minor, @ino) must match, else no name). A
 * return address is looked up one byte before, so that it names the call: set @is_return. Fills
 * *@out, always valid; returns 0 or -ENOENT when nothing is known. Results are cached.
 */
int mp_symbols__lookup(struct mp_symbols *s, uint32_t tgid, const char *path, uint64_t ino,
		       uint32_t dev_major, uint32_t dev_minor, uint64_t offset, int is_return,
		       struct mp_symbol *out);

#endif
