// SPDX-License-Identifier: GPL-2.0-or-later
#include "symbol/unit.h"

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

/* Bounds for hostile files; an unstripped browser has 50000 units and some million functions. */
#define MAX_RANGES (4U << 20)
#define MAX_DEPTH  64
/* Entries read to index one unit, or in one look-up; a sibling chain may lead back to itself. */
#define MAX_STEPS (8U << 20)

struct span {
	uint64_t start, end;
	uint32_t which; /* of units, or of a unit's functions */
};

struct spans {
	struct span *list; /* by start, disjoint in sane files */
	size_t nr;
};

struct unit {
	Dwarf_Die die;
	Dwarf_Addr bias;
	bool indexed;
	Dwarf_Die *functions;
	size_t nr_functions;
	struct spans spans;
};

struct mp_units {
	struct unit *units;
	size_t nr_units;
	struct spans spans;
	size_t functions; /* of all units together */
};

/* Makes room for one more in a list that doubles; NULL: no memory. */
static void *grow(void *list, size_t nr, size_t size)
{
	if (nr & (nr - 1))
		return list;
	return reallocarray(list, nr ? nr * 2 : 1, size);
}

static bool add_span(struct spans *s, uint64_t start, uint64_t end, size_t which)
{
	struct span *list;

	if (start >= end)
		return true;
	if (s->nr >= MAX_RANGES)
		return false;
	list = grow(s->list, s->nr, sizeof(*list));
	if (!list)
		return false;
	s->list = list;
	list[s->nr++] = (struct span){ start, end, (uint32_t)which };
	return true;
}

static bool add_ranges(struct spans *s, Dwarf_Die *die, Dwarf_Addr bias, size_t which)
{
	Dwarf_Addr base, start, end;
	ptrdiff_t at = 0;

	while ((at = dwarf_ranges(die, at, &base, &start, &end)) > 0)
		if (!add_span(s, start + bias, end + bias, which))
			return false;
	return true;
}

static int by_start(const void *p, const void *q)
{
	const struct span *a = p, *b = q;

	if (a->start != b->start)
		return a->start > b->start ? 1 : -1;
	return (a->which > b->which) - (a->which < b->which);
}

static void sort(struct spans *s)
{
	if (s->nr)
		qsort(s->list, s->nr, sizeof(*s->list), by_start);
}

static const struct span *find(const struct spans *s, uint64_t addr)
{
	size_t lo = 0, hi = s->nr;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->list[mid].start <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo && addr < s->list[lo - 1].end ? &s->list[lo - 1] : NULL;
}

/* clang writes no .debug_aranges, which is what libdw finds units by: ask each unit instead. */
struct mp_units *mp_units__new(Dwfl_Module *mod)
{
	struct mp_units *u = calloc(1, sizeof(*u));
	Dwarf_Die *die = NULL;
	Dwarf_Addr bias;

	while (u && u->nr_units < MAX_RANGES && (die = dwfl_module_nextcu(mod, die, &bias))) {
		struct unit *units = grow(u->units, u->nr_units, sizeof(*units));

		if (!units)
			break;
		u->units = units;
		units[u->nr_units] = (struct unit){ .die = *die, .bias = bias };
		if (!add_ranges(&u->spans, die, bias, u->nr_units++))
			break;
	}
	if (u)
		sort(&u->spans);
	return u;
}

void mp_units__free(struct mp_units *u)
{
	if (!u)
		return;
	for (size_t i = 0; i < u->nr_units; i++) {
		free(u->units[i].functions);
		free(u->units[i].spans.list);
	}
	free(u->units);
	free(u->spans.list);
	free(u);
}

/* ---- functions of a unit ------------------------------------------------------------------- */

struct walk {
	struct mp_units *u;
	struct unit *unit;
	unsigned int steps;
};

static bool add_function(struct walk *w, Dwarf_Die *die)
{
	struct unit *unit = w->unit;
	size_t before = unit->spans.nr;
	Dwarf_Die *list;

	if (!add_ranges(&unit->spans, die, unit->bias, unit->nr_functions))
		return false;
	if (unit->spans.nr == before) /* a declaration, or the pattern of inlined ones */
		return true;
	if (w->u->functions++ >= MAX_RANGES)
		return false;
	list = grow(unit->functions, unit->nr_functions, sizeof(*list));
	if (!list) {
		unit->spans.nr = before;
		return false;
	}
	unit->functions = list;
	list[unit->nr_functions++] = *die;
	return true;
}

/* What may hold functions: Rust has them within types and name spaces. */
static bool holds_functions(int tag)
{
	return tag == DW_TAG_namespace || tag == DW_TAG_structure_type ||
	       tag == DW_TAG_class_type || tag == DW_TAG_union_type ||
	       tag == DW_TAG_enumeration_type || tag == DW_TAG_module;
}

static bool index_children(struct walk *w, Dwarf_Die *parent, int depth)
{
	Dwarf_Die die;
	int more = dwarf_child(parent, &die);

	while (!more) {
		int tag = dwarf_tag(&die);

		if (w->steps++ >= MAX_STEPS)
			return false;
		if (tag == DW_TAG_subprogram && !add_function(w, &die))
			return false;
		if (depth < MAX_DEPTH && holds_functions(tag) &&
		    !index_children(w, &die, depth + 1))
			return false;
		more = dwarf_siblingof(&die, &die);
	}
	return true;
}

/* ---- one address --------------------------------------------------------------------------- */

/* The child of @parent that spans @pc and may have inlined calls in it. */
static bool step_into(Dwarf_Die *parent, Dwarf_Addr pc, unsigned int *steps, Dwarf_Die *child)
{
	int more = dwarf_child(parent, child);

	while (!more && ++*steps < MAX_STEPS) {
		int tag = dwarf_tag(child);

		if ((tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block ||
		     tag == DW_TAG_try_block || tag == DW_TAG_catch_block ||
		     tag == DW_TAG_with_stmt) &&
		    dwarf_haspc(child, pc) > 0)
			return true;
		more = dwarf_siblingof(child, child);
	}
	return false;
}

static void find_inlined(struct mp_scope *s, Dwarf_Addr pc)
{
	Dwarf_Die at = s->function, child;
	unsigned int steps = 0;

	for (int depth = 0; depth < 4 * MAX_DEPTH && step_into(&at, pc, &steps, &child); depth++) {
		if (dwarf_tag(&child) == DW_TAG_inlined_subroutine) {
			if (s->nr_inlined == MP_INLINED_MAX)
				return;
			s->inlined[s->nr_inlined++] = child;
		}
		at = child;
	}
}

bool mp_units__find(struct mp_units *u, uint64_t addr, struct mp_scope *scope)
{
	const struct span *span = find(&u->spans, addr);
	struct unit *unit;

	if (!span)
		return false;
	unit = &u->units[span->which];
	if (!unit->indexed) {
		struct walk w = { .u = u, .unit = unit };

		unit->indexed = true;
		index_children(&w, &unit->die, 0);
		sort(&unit->spans);
	}
	scope->unit = unit->die;
	scope->bias = unit->bias;
	scope->nr_inlined = 0;
	span = find(&unit->spans, addr);
	scope->has_function = span && span->which < unit->nr_functions;
	if (!scope->has_function)
		return true;
	scope->start = span->start;
	scope->function = unit->functions[span->which];
	find_inlined(scope, addr - unit->bias);
	return true;
}

/* ---- what an entry tells ------------------------------------------------------------------- */

const char *mp_die_name(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	const char *name = NULL;

	if (dwarf_attr_integrate(die, DW_AT_linkage_name, &attr) ||
	    dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attr))
		name = dwarf_formstring(&attr);
	if (!name || !*name)
		name = dwarf_diename(die);
	return name && *name ? name : NULL;
}

void mp_die_call(Dwarf_Die *die, Dwarf_Die *unit, const char **file, int *line)
{
	Dwarf_Attribute attr;
	Dwarf_Files *files;
	Dwarf_Word n;
	size_t nr;

	*file = NULL;
	*line = 0;
	if (!dwarf_formudata(dwarf_attr(die, DW_AT_call_file, &attr), &n) &&
	    !dwarf_getsrcfiles(unit, &files, &nr) && n < nr)
		*file = dwarf_filesrc(files, n, NULL, NULL);
	if (!dwarf_formudata(dwarf_attr(die, DW_AT_call_line, &attr), &n) && n <= INT32_MAX)
		*line = (int)n;
}
