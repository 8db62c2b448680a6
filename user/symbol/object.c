// SPDX-License-Identifier: GPL-2.0-or-later
#include "symbol/object.h"

#include <dwarf.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <gelf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbol/demangle.h"

/* Bounds for hostile files; an unstripped browser has a million functions and 50000 units. */
#define MAX_FUNCTIONS (4U << 20)
#define MAX_RANGES    (4U << 20)
/* Steps back from the nearest symbol to one that spans the address; more only in made-up files. */
#define MAX_BACK 64

struct function {
	uint64_t start, end; /* as libdwfl counts addresses, [start, end) */
	const char *name;    /* in the symbol table */
	char *plain;         /* demangled, made when asked for; NULL: not yet or no other form */
	uint8_t bind;
};

struct range { /* of a compilation unit */
	uint64_t start, end;
	Dwarf_Die cu;
};

struct mp_names {
	Dwfl_Callbacks callbacks;
	Dwfl *dwfl;
	Dwfl_Module *mod;
	char *debug_path;
	struct function *functions; /* by start; of equal ones the best name only */
	size_t nr_functions;
	struct range *ranges; /* by start, disjoint in sane files */
	size_t nr_ranges;
	bool indexed, ranged;
};

/*
 * The standard search asks debuginfod servers last, if the environment names any. A tracer must not
 * go to the network on its own, so they are hidden from it; the environment itself is kept, for the
 * command we may start inherits it.
 */
static int find_debuginfo(Dwfl_Module *mod, void **userdata, const char *modname, Dwarf_Addr base,
			  const char *file_name, const char *debuglink_file,
			  GElf_Word debuglink_crc, char **debuginfo_file_name)
{
	static const char servers[] = "DEBUGINFOD_URLS";
	const char *value = getenv(servers);
	char *keep = value ? strdup(value) : NULL;
	int fd;

	if (value && !keep)
		return -1;
	unsetenv(servers);
	fd = dwfl_standard_find_debuginfo(mod, userdata, modname, base, file_name, debuglink_file,
					  debuglink_crc, debuginfo_file_name);
	if (keep)
		setenv(servers, keep, 1);
	free(keep);
	return fd;
}

struct mp_names *mp_names__open(int fd, const char *path, const char *debug_path)
{
	struct mp_names *n = calloc(1, sizeof(*n));

	if (!n)
		goto fail;
	n->debug_path = strdup(debug_path);
	n->callbacks.find_debuginfo = find_debuginfo;
	n->callbacks.section_address = dwfl_offline_section_address;
	n->callbacks.debuginfo_path = &n->debug_path;
	n->dwfl = n->debug_path ? dwfl_begin(&n->callbacks) : NULL;
	if (!n->dwfl)
		goto fail;
	dwfl_report_begin(n->dwfl);
	n->mod = dwfl_report_offline(n->dwfl, path, path, fd);
	if (!n->mod)
		goto fail;
	dwfl_report_end(n->dwfl, NULL, NULL);
	return n;
fail:
	close(fd);
	mp_names__close(n);
	return NULL;
}

void mp_names__close(struct mp_names *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < n->nr_functions; i++)
		free(n->functions[i].plain);
	free(n->functions);
	free(n->ranges);
	if (n->dwfl)
		dwfl_end(n->dwfl);
	free(n->debug_path);
	free(n);
}

/* ---- functions ----------------------------------------------------------------------------- */

/* Lower is better: the public name, with the fewest leading underscores, the shortest. */
static int compare_names(const struct function *a, const struct function *b)
{
	size_t x = strspn(a->name, "_"), y = strspn(b->name, "_");

	if ((a->bind == STB_LOCAL) != (b->bind == STB_LOCAL))
		return a->bind == STB_LOCAL ? 1 : -1;
	if (x != y)
		return x > y ? 1 : -1;
	x = strlen(a->name);
	y = strlen(b->name);
	if (x != y)
		return x > y ? 1 : -1;
	return strcmp(a->name, b->name);
}

static int by_start(const void *p, const void *q)
{
	const struct function *a = p, *b = q;

	if (a->start != b->start)
		return a->start > b->start ? 1 : -1;
	if (a->end != b->end)
		return a->end < b->end ? 1 : -1;
	return compare_names(a, b);
}

/* Symbol @i if it is a function with a size. */
static bool get_function(Dwfl_Module *mod, int i, struct function *f)
{
	GElf_Word shndx;
	GElf_Addr addr;
	GElf_Sym sym;
	const char *name = dwfl_module_getsym_info(mod, i, &sym, &addr, &shndx, NULL, NULL);

	if (!name || !*name || shndx == SHN_UNDEF || !sym.st_size || addr + sym.st_size < addr)
		return false;
	if (GELF_ST_TYPE(sym.st_info) != STT_FUNC && GELF_ST_TYPE(sym.st_info) != STT_GNU_IFUNC)
		return false;
	*f = (struct function){
		.start = addr,
		.end = addr + sym.st_size,
		.name = name,
		.bind = GELF_ST_BIND(sym.st_info),
	};
	return true;
}

static void index_functions(struct mp_names *n)
{
	int nr = dwfl_module_getsymtab(n->mod);
	size_t used = 0, keep = 0;

	n->indexed = true;
	if (nr <= 0 || (unsigned int)nr > MAX_FUNCTIONS)
		return;
	n->functions = calloc((size_t)nr, sizeof(*n->functions));
	if (!n->functions)
		return;
	for (int i = 0; i < nr; i++)
		used += get_function(n->mod, i, &n->functions[used]);
	qsort(n->functions, used, sizeof(*n->functions), by_start);
	for (size_t i = 0; i < used; i++)
		if (!keep || n->functions[keep - 1].start != n->functions[i].start ||
		    n->functions[keep - 1].end != n->functions[i].end)
			n->functions[keep++] = n->functions[i];
	n->nr_functions = keep;
}

static struct function *find_function(struct mp_names *n, uint64_t addr)
{
	size_t lo = 0, hi;

	if (!n->indexed)
		index_functions(n);
	hi = n->nr_functions;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (n->functions[mid].start <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	/* the innermost that spans it: functions may contain others (assembler, cold parts) */
	for (int back = 0; lo > 0 && back < MAX_BACK; back++)
		if (addr < n->functions[--lo].end)
			return &n->functions[lo];
	return NULL;
}

/* Linkers write the default version behind a name in .symtab: realpath@@GLIBC_2.3. */
static char *without_version(const char *name)
{
	const char *at = strchr(name, '@');

	return at && at != name ? strndup(name, (size_t)(at - name)) : NULL;
}

static const char *plain_name(struct function *f)
{
	if (!f->plain)
		f->plain = mp_demangle(f->name);
	if (!f->plain)
		f->plain = without_version(f->name);
	return f->plain ? f->plain : f->name;
}

/* ---- lines --------------------------------------------------------------------------------- */

static int by_range(const void *p, const void *q)
{
	const struct range *a = p, *b = q;

	return (a->start > b->start) - (a->start < b->start);
}

static bool add_range(struct mp_names *n, uint64_t start, uint64_t end, const Dwarf_Die *cu)
{
	if (start >= end)
		return true;
	if (n->nr_ranges >= MAX_RANGES)
		return false;
	if (!(n->nr_ranges & (n->nr_ranges - 1))) {
		size_t room = n->nr_ranges ? n->nr_ranges * 2 : 1;
		struct range *list = reallocarray(n->ranges, room, sizeof(*list));

		if (!list)
			return false;
		n->ranges = list;
	}
	n->ranges[n->nr_ranges++] = (struct range){ start, end, *cu };
	return true;
}

/* clang writes no .debug_aranges, which is what libdw finds units by: ask each unit instead. */
static void index_ranges(struct mp_names *n)
{
	Dwarf_Die *cu = NULL;
	Dwarf_Addr bias;

	n->ranged = true;
	while ((cu = dwfl_module_nextcu(n->mod, cu, &bias))) {
		Dwarf_Addr base, start, end;
		ptrdiff_t at = 0;

		while ((at = dwarf_ranges(cu, at, &base, &start, &end)) > 0)
			if (!add_range(n, start + bias, end + bias, cu))
				return;
	}
	if (n->nr_ranges)
		qsort(n->ranges, n->nr_ranges, sizeof(*n->ranges), by_range);
}

static struct range *find_range(struct mp_names *n, uint64_t addr)
{
	size_t lo = 0, hi;

	if (!n->ranged)
		index_ranges(n);
	hi = n->nr_ranges;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (n->ranges[mid].start <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo && addr < n->ranges[lo - 1].end ? &n->ranges[lo - 1] : NULL;
}

static void find_line(struct mp_names *n, uint64_t addr, struct mp_symbol *out)
{
	Dwfl_Line *line;
	struct range *r;
	Dwarf_Addr bias;
	Dwarf_Line *dl;

	if (!dwfl_module_getdwarf(n->mod, &bias))
		return;
	line = dwfl_module_getsrc(n->mod, addr);
	if (line) {
		out->file = dwfl_lineinfo(line, NULL, &out->line, NULL, NULL, NULL);
		return;
	}
	r = find_range(n, addr);
	dl = r ? dwarf_getsrc_die(&r->cu, addr - bias) : NULL;
	if (!dl)
		return;
	out->file = dwarf_linesrc(dl, NULL, NULL);
	if (dwarf_lineno(dl, &out->line))
		out->line = 0;
}

/* ---- both ---------------------------------------------------------------------------------- */

/* libdwfl's address of file offset @offset: that of a code segment if it lies in several. */
static bool to_addr(const struct mp_names *n, uint64_t offset, uint64_t *addr)
{
	bool found = false;
	GElf_Addr bias;
	size_t nr;
	Elf *elf = dwfl_module_getelf(n->mod, &bias);

	if (!elf || elf_getphdrnum(elf, &nr))
		return false;
	for (size_t i = 0; i < nr && i < INT32_MAX; i++) {
		GElf_Phdr p;

		if (!gelf_getphdr(elf, (int)i, &p))
			return found;
		if (p.p_type != PT_LOAD || offset < p.p_offset ||
		    offset - p.p_offset >= p.p_filesz || (found && !(p.p_flags & PF_X)))
			continue;
		*addr = offset - p.p_offset + p.p_vaddr + bias;
		found = true;
	}
	return found;
}

int mp_names__find(struct mp_names *n, uint64_t offset, struct mp_symbol *out)
{
	struct function *f;
	uint64_t addr;

	memset(out, 0, sizeof(*out));
	if (!to_addr(n, offset, &addr))
		return -ENOENT;
	f = find_function(n, addr);
	if (f) {
		out->function = plain_name(f);
		out->into = addr - f->start;
	}
	find_line(n, addr, out);
	return out->function || out->file ? 0 : -ENOENT;
}
