/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One ELF object of a process, as far as finding its allocator needs it. */
#ifndef MP_COLLECT_OBJECT_H
#define MP_COLLECT_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/file.h"
#include "collect/elf.h"
#include "collect/family.h"
#include "collect/prologue.h"

struct mp_function { /* an allocation function that the object defines */
	char name[64];
	struct mp_family family;
	uint64_t value, size; /* ELF address, bytes */
	uint64_t offset;      /* of its first byte in the file */
	struct mp_spot spot;
	bool exported;
	bool usable;   /* @offset and @spot hold: it is code and could be decoded */
	bool forwards; /* nothing but a jump to another allocation function, which is probed */
};

struct mp_object {
	struct mp_file_id id;
	char *path;      /* as /proc/PID/maps has it */
	char *open_path; /* by which we open it; NULL: could not be opened or is no x86-64 ELF */
	struct mp_function *functions;
	size_t nr_functions;
	uint64_t *slots; /* ELF addresses of words that lead to an allocation function */
	size_t nr_slots;
	uint64_t dynamic;  /* ELF address of the dynamic segment, 0: static */
	uint64_t r_debug;  /* ELF address of _r_debug, 0: not defined here */
	uint64_t dt_debug; /* ELF address of the DT_DEBUG value, 0: none */
	bool exports_malloc;
	bool exports_private; /* the prefixed malloc of an allocator (mi_malloc, je_malloc) */
	bool hides_malloc;    /* has one that no other object can refer to */
	bool is_libc;
	bool is_loader;       /* ld.so: its own malloc only serves start-up */
	bool malloc_is_ifunc; /* cannot be probed by its symbol */
	int kind;             /* enum mp_allocator_kind */
	char version[32];
	uint8_t build_id[32];
	uint32_t build_id_len;
};

/*
 * Reads @e into @o, whose @id and paths are set. 0 or -ENOMEM; whatever else is wrong with the file
 * leaves @o with less in it.
 */
int mp_object__read(struct mp_object *o, struct mp_elf *e);
/* Frees what @o owns, not @o itself. */
void mp_object__clear(struct mp_object *o);
/* The function that begins at ELF address @value, the best name of it; NULL: none. */
const struct mp_function *mp_object__at(const struct mp_object *o, uint64_t value);

#endif
