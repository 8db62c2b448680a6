/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The names of allocation functions, and the shape of their arguments. */
#ifndef MP_COLLECT_FAMILY_H
#define MP_COLLECT_FAMILY_H

#include <stdbool.h>
#include <stdint.h>

enum mp_family_flag {
	MP_FAMILY_MALLOC = 1,  /* an object that defines it is an allocator */
	MP_FAMILY_PRIVATE = 2, /* the prefixed name of a malloc that is linked into the program */
	MP_FAMILY_WRAPPER = 4, /* maps memory directly (mmap, sbrk, ...) */
	MP_FAMILY_UNFIT = 8,   /* allocates, but with arguments that no shape fits: not probed */
	MP_FAMILY_CALLER = 16, /* gets its memory by a call to realloc, whoever provides that */
};

struct mp_family {
	uint8_t fn;      /* enum mp_fn */
	uint8_t flags;   /* enum mp_family_flag */
	uint16_t rank;   /* of several names at one address the lowest is the one to show */
	uint8_t nr_args; /* integer arguments that must be intact when the probe hits */
};

/* True and *@out filled if @name is an allocation function. */
bool mp_family_find(const char *name, struct mp_family *out);

#endif
