/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names for places in objects, on demand: libdw reads them in a process without rights (reader.h),
 * and what it answered is kept. A function is named only within its symbol's size: one without a
 * size (hand-written assembly) names nothing, for where it ends is not known. Then the caller shows
 * object+offset.
 */
#ifndef MP_SYMBOL_H
#define MP_SYMBOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../bpf/event.h"
#include "base/err.h"

struct mp_symbols;

struct mp_symbol {
	const char *function; /* demangled; NULL: not known. Owned by mp_symbols */
	const char *file;     /* source file; NULL: not known */
	int line;             /* 0: not known */
	uint64_t into;        /* bytes from the start of the function, or of its split-off part */
	bool inlined;         /* into the next one; @into is 0 */
};

struct mp_code { /* a place in a process */
	uint32_t tgid;
	const char *path; /* of the object, as the process sees it */
	uint64_t ino;     /* it must be this file, or there is no name */
	uint32_t dev_major, dev_minor;
	uint64_t offset; /* in the file */
	uint64_t addr;   /* in the process */
	bool is_return; /* a return address: looked up one byte before, so that it names the call */
};

struct mp_symbols *mp_symbols__new(void);
void mp_symbols__free(struct mp_symbols *s);

/*
 * More directories with separate debug files, by build id or by name, searched before the system's;
 * a colon between two. 0 or -ENOMEM.
 */
int mp_symbols__debug_dir(struct mp_symbols *s, const char *dirs);
/*
 * Also reads the map files of just-in-time compilers (perfmap.h), for code in no object. Only for
 * processes that were seen just now: later their numbers belong to others.
 */
void mp_symbols__use_jit_maps(struct mp_symbols *s);
/* CPU time one request may take until its object is given up; 30 s if not set. */
void mp_symbols__limit(struct mp_symbols *s, unsigned int cpu_ms);

/*
 * What a trace file says itself: the build of a file, which then is looked for by build id too
 * (elsewhere.h), and must have it; names, which are believed before any file is. Other events are not
 * looked at. @ev was checked by the decoder. 0 or -ENOMEM.
 */
int mp_symbols__hear(struct mp_symbols *s, const struct mp_ev *ev);
/* What is known at @code as an event for a file, in @room; false: nothing. */
#define MP_NAMES_ROOM 65528
bool mp_symbols__tell(struct mp_symbols *s, const struct mp_code *code, struct mp_ev_names *room);

/*
 * The frames at @code, innermost first: inlined functions, then the one they are in. Fills at most
 * @max of @out and returns how many; 0: nothing is known. The strings live as long as @s, which may
 * be NULL. The object is tried through the process's root, then by its mapping, then plainly.
 */
size_t mp_symbols__frames(struct mp_symbols *s, const struct mp_code *code, struct mp_symbol *out,
			  size_t max);

/*
 * The build id of the object that @code lies in, at most @max bytes; the length, 0: not known. Found as
 * for names.
 */
size_t mp_symbols__build_id(struct mp_symbols *s, const struct mp_code *code, uint8_t *id,
			    size_t max);

/* Whether some objects had to be given up; then @err says how many, which and why. */
bool mp_symbols__trouble(const struct mp_symbols *s, struct mp_err *err);
/* The process that reads, 0: none. For tests. */
int mp_symbols__reader(const struct mp_symbols *s);

#endif
