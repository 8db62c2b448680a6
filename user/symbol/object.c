// SPDX-License-Identifier: GPL-2.0-or-later
#include "symbol/object.h"

#include <dwarf.h>
#include <elfutils/libdwelf.h>
#include <elfutils/libdwfl.h>
#include <gelf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "symbol/demangle.h"
#include "symbol/unit.h"

/* Bounds for hostile files; an unstripped browser has a million functions. */
#define MAX_FUNCTIONS (4U << 20)
/* Steps back from the nearest symbol to one that spans the address; more only in made-up files. */
#define MAX_BACK 64
/* Debug files looked at for one object */
#define MAX_CANDIDATES 32

struct function {
	uint64_t start, end; /* as libdwfl counts addresses, [start, end) */
	const char *name;    /* in the symbol table */
	char *plain;         /* demangled, made when asked for; NULL: not yet or no other form */
	uint8_t bind;
};

struct mp_names {
	Dwfl_Callbacks callbacks;
	Dwfl *dwfl;
	Dwfl_Module *mod;
	mp_debug_fn *find;
	void *find_ctx;
	int debug_fd; /* of @debug, the separate debug file; -1 and NULL: none */
	Elf *debug;
	struct function *functions; /* by start; of equal ones the best name only */
	size_t nr_functions;
	bool indexed, united;
	struct mp_units *units;
	char *made[2 * MP_FRAMES_MAX]; /* names and paths of the last answer */
	size_t nr_made;
};

/* ---- separate debug files ------------------------------------------------------------------ */

static bool same_id(const struct mp_debug_need *need, int fd, bool *differs)
{
	Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
	const void *id;
	ssize_t len = elf ? dwelf_elf_gnu_build_id(elf, &id) : -1;
	bool same = false;

	*differs = false;
	if (len > 0 && need->id_len) {
		same = (size_t)len == need->id_len && !memcmp(id, need->id, need->id_len);
		*differs = !same;
	}
	elf_end(elf);
	return same;
}

static bool same_crc(const struct mp_debug_need *need, int fd)
{
	static uint8_t buf[65536];
	uLong crc = crc32(0, NULL, 0);
	off_t at = 0;
	ssize_t n;

	while ((n = pread(fd, buf, sizeof(buf), at)) > 0) {
		crc = crc32(crc, buf, (uInt)n);
		at += n;
	}
	return !n && crc == need->crc;
}

/*
 * The build id says that both are of one build, also where a tool changed the debug file after its
 * checksum was taken; the checksum counts where one of them has no build id.
 */
static bool belongs(const struct mp_debug_need *need, int fd)
{
	bool differs;

	if (same_id(need, fd, &differs))
		return true;
	return !differs && need->has_crc && same_crc(need, fd);
}

static int find_file(struct mp_names *n, struct mp_debug_need *need)
{
	int fd = -1;

	for (need->index = 0; n->find && need->index < MAX_CANDIDATES; need->index++) {
		fd = n->find(n->find_ctx, need);
		if (fd < 0 || belongs(need, fd))
			return fd;
		close(fd);
	}
	return -1;
}

/* What dwz left to a common file: its name and build id, from the object's or the debug file's. */
static bool get_alt(Elf *elf, const char *name, struct mp_debug_need *need)
{
	Elf_Scn *scn = NULL;
	size_t strings, len;
	GElf_Shdr sh;
	const char *title;
	Elf_Data *d;

	if (!elf || elf_getshdrstrndx(elf, &strings))
		return false;
	while ((scn = elf_nextscn(elf, scn))) {
		if (!gelf_getshdr(scn, &sh) || !(title = elf_strptr(elf, strings, sh.sh_name)) ||
		    strcmp(title, ".gnu_debugaltlink"))
			continue;
		d = elf_rawdata(scn, NULL);
		len = d && d->d_buf ? strnlen(d->d_buf, d->d_size) : 0;
		if (!d || len == d->d_size || strcmp(d->d_buf, name))
			return false;
		need->kind = MP_NEED_ALT;
		need->id_len = d->d_size - len - 1;
		need->id = (const uint8_t *)d->d_buf + len + 1;
		return need->id_len && need->id_len <= MP_BUILD_ID_MAX;
	}
	return false;
}

/*
 * libdwfl asks for the object's debug file, and then for the alternate one of what has the DWARF,
 * with nothing but a name. Files are the tool's to open: nothing is looked for from here.
 */
static int find_debuginfo(Dwfl_Module *mod, void **userdata, const char *modname, Dwarf_Addr base,
			  const char *file_name, const char *debuglink_file,
			  GElf_Word debuglink_crc, char **debuginfo_file_name)
{
	struct mp_names *n = *userdata;
	struct mp_debug_need need = {
		.name = debuglink_file ? debuglink_file : "",
		.crc = debuglink_crc,
		.has_crc = debuglink_file != NULL,
	};
	GElf_Addr bias, vaddr;
	const uint8_t *id;
	int len, fd;

	(void)modname, (void)base, (void)file_name;
	*debuginfo_file_name = NULL;
	if (!n)
		return -1;
	if (!debuglink_crc && (get_alt(n->debug, need.name, &need) ||
			       get_alt(dwfl_module_getelf(mod, &bias), need.name, &need))) {
		need.has_crc = false;
		return find_file(n, &need);
	}
	len = dwfl_module_build_id(mod, &id, &vaddr);
	if (len > 0 && len <= MP_BUILD_ID_MAX) {
		need.id = id;
		need.id_len = (size_t)len;
	}
	fd = need.id_len || need.has_crc ? find_file(n, &need) : -1;
	if (fd >= 0 && !n->debug && (n->debug_fd = dup(fd)) >= 0)
		n->debug = elf_begin(n->debug_fd, ELF_C_READ, NULL);
	return fd;
}

struct mp_names *mp_names__open(int fd, const char *path, mp_debug_fn *find, void *ctx)
{
	struct mp_names *n = calloc(1, sizeof(*n));
	void **userdata;

	if (!n)
		goto fail;
	n->find = find;
	n->find_ctx = ctx;
	n->debug_fd = -1;
	n->callbacks.find_debuginfo = find_debuginfo;
	n->callbacks.section_address = dwfl_offline_section_address;
	n->dwfl = dwfl_begin(&n->callbacks);
	if (!n->dwfl)
		goto fail;
	dwfl_report_begin(n->dwfl);
	n->mod = dwfl_report_offline(n->dwfl, path, path, fd);
	if (!n->mod)
		goto fail;
	dwfl_report_end(n->dwfl, NULL, NULL);
	dwfl_module_info(n->mod, &userdata, NULL, NULL, NULL, NULL, NULL, NULL);
	*userdata = n;
	return n;
fail:
	close(fd);
	mp_names__close(n);
	return NULL;
}

static void forget_made(struct mp_names *n)
{
	while (n->nr_made)
		free(n->made[--n->nr_made]);
}

void mp_names__close(struct mp_names *n)
{
	if (!n)
		return;
	forget_made(n);
	for (size_t i = 0; i < n->nr_functions; i++)
		free(n->functions[i].plain);
	free(n->functions);
	mp_units__free(n->units);
	if (n->dwfl)
		dwfl_end(n->dwfl);
	elf_end(n->debug);
	if (n->debug_fd >= 0)
		close(n->debug_fd);
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

/* ---- lines and inlined calls ---------------------------------------------------------------- */

static bool find_scope(struct mp_names *n, uint64_t addr, struct mp_scope *scope)
{
	Dwarf_Addr bias;

	if (!dwfl_module_getdwarf(n->mod, &bias))
		return false;
	if (!n->united)
		n->units = mp_units__new(n->mod);
	n->united = true;
	return n->units && mp_units__find(n->units, addr, scope);
}

/* @scope: NULL if no unit spans it */
static void find_line(struct mp_names *n, uint64_t addr, struct mp_scope *scope,
		      struct mp_symbol *out)
{
	Dwfl_Line *line = dwfl_module_getsrc(n->mod, addr);
	Dwarf_Line *dl;

	if (line) {
		out->file = dwfl_lineinfo(line, NULL, &out->line, NULL, NULL, NULL);
		return;
	}
	dl = scope ? dwarf_getsrc_die(&scope->unit, addr - scope->bias) : NULL;
	if (!dl)
		return;
	out->file = dwarf_linesrc(dl, NULL, NULL);
	if (dwarf_lineno(dl, &out->line))
		out->line = 0;
}

/* Keeps @made (NULL: there is none) until the next answer; else what it was made of will do. */
static const char *keep(struct mp_names *n, char *made, const char *of)
{
	if (!made || n->nr_made == sizeof(n->made) / sizeof(n->made[0])) {
		free(made);
		return of;
	}
	n->made[n->nr_made++] = made;
	return made;
}

static const char *plain(struct mp_names *n, const char *name)
{
	return name ? keep(n, mp_demangle(name), name) : NULL;
}

/* Compilers tell a file relative to where they ran. */
static const char *whole_path(struct mp_names *n, const char *file, Dwarf_Die *unit)
{
	Dwarf_Attribute attr;
	const char *dir;
	char *path;

	if (!file || file[0] == '/' || !unit)
		return file;
	dir = dwarf_formstring(dwarf_attr(unit, DW_AT_comp_dir, &attr));
	if (!dir || asprintf(&path, "%s/%s", dir, file) < 0)
		return file;
	return keep(n, path, file);
}

/* A part the compiler split off or copied: the linker's name is the source's and a suffix. */
static bool part_of(const char *symbol, const char *name)
{
	size_t len = strlen(name);

	return !strncmp(symbol, name, len) && symbol[len] == '.';
}

/*
 * The function that is there: as the symbol table has it, for that has the public one of several
 * names, unless this is a part of what DWARF names.
 */
static void name_function(struct mp_names *n, uint64_t addr, struct mp_scope *scope,
			  struct mp_symbol *out)
{
	struct function *f = find_function(n, addr);
	const char *die = scope && scope->has_function ? mp_die_name(&scope->function) : NULL;

	if (f) {
		out->function = die && part_of(f->name, die) ? plain(n, die) : plain_name(f);
		out->into = addr - f->start;
	} else if (die) {
		out->function = plain(n, die);
		out->into = addr - scope->start;
	}
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

size_t mp_names__build_id(struct mp_names *n, uint8_t *id, size_t max)
{
	const unsigned char *found;
	GElf_Addr vaddr, bias;
	int len;

	/* not known to the module before its file is */
	if (!dwfl_module_getelf(n->mod, &bias))
		return 0;
	len = dwfl_module_build_id(n->mod, &found, &vaddr);
	if (len <= 0 || (size_t)len > max)
		return 0;
	memcpy(id, found, (size_t)len);
	return (size_t)len;
}

size_t mp_names__find(struct mp_names *n, uint64_t offset, struct mp_symbol *out, size_t max)
{
	struct mp_scope scope, *s;
	size_t nr = 0;
	uint64_t addr;

	forget_made(n);
	if (!max || !to_addr(n, offset, &addr))
		return 0;
	s = find_scope(n, addr, &scope) ? &scope : NULL;
	memset(out, 0, max * sizeof(*out));
	find_line(n, addr, s, &out[0]);
	out[0].file = whole_path(n, out[0].file, s ? &s->unit : NULL);
	/* each frame's line is where the one inside it was called */
	for (size_t i = s ? s->nr_inlined : 0; i-- > 0 && nr + 1 < max; nr++) {
		out[nr].inlined = true;
		out[nr].function = plain(n, mp_die_name(&s->inlined[i]));
		mp_die_call(&s->inlined[i], &s->unit, &out[nr + 1].file, &out[nr + 1].line);
		out[nr + 1].file = whole_path(n, out[nr + 1].file, &s->unit);
	}
	name_function(n, addr, s, &out[nr]);
	return nr || out[0].function || out[0].file ? nr + 1 : 0;
}
