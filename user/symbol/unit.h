/* SPDX-License-Identifier: GPL-2.0-or-later */
/* DWARF of one module: which unit, function and inlined calls an address lies in. */
#ifndef MP_SYMBOL_UNIT_H
#define MP_SYMBOL_UNIT_H

#include <elfutils/libdwfl.h>
#include <stdbool.h>
#include <stdint.h>

/* Inlined calls one in another; more of them only in made-up files. */
#define MP_INLINED_MAX 62

struct mp_units;

struct mp_scope {
	Dwarf_Die unit;
	Dwarf_Addr bias;    /* libdwfl's address minus the unit's */
	bool has_function;  /* else there is nothing below */
	Dwarf_Die function; /* the one that was not inlined */
	uint64_t start;     /* of the function's part the address is in, as libdwfl counts */
	size_t nr_inlined;
	Dwarf_Die inlined[MP_INLINED_MAX]; /* outermost first */
};

/* NULL: no memory. @mod must stay. */
struct mp_units *mp_units__new(Dwfl_Module *mod);
void mp_units__free(struct mp_units *u);

/* False if no unit spans @addr (as libdwfl counts); then @scope is not filled. */
bool mp_units__find(struct mp_units *u, uint64_t addr, struct mp_scope *scope);

/* The name as the linker has it if @die tells, else that of the source; NULL: it has none. */
const char *mp_die_name(Dwarf_Die *die);

/* Where the inlined call @die was made, in unit @unit. */
void mp_die_call(Dwarf_Die *die, Dwarf_Die *unit, const char **file, int *line);

#endif
