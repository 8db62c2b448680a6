// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/object.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../bpf/event.h"

/* No real allocator comes near; a hostile symbol table must not make us probe without end. */
#define MAX_FUNCTIONS 1024
#define MAX_SLOTS     65536
/* As much of a function as the prologue search looks at. */
#define MAX_CODE 65536
/* Code assumed behind a symbol that has no size (hand-written assembler). */
#define UNSIZED_CODE 64

/* Symbols that tell what an object is. */
enum mark {
	MARK_GLIBC = 1 << 0,
	MARK_START = 1 << 1,
	MARK_PRINTF = 1 << 2,
	MARK_JEMALLOC = 1 << 3,
	MARK_TCMALLOC = 1 << 4,
	MARK_MIMALLOC = 1 << 5,
	MARK_MUSL = 1 << 6,
};

struct reading {
	struct mp_object *o;
	unsigned int marks;
};

static const struct {
	const char *name;
	unsigned int mark;
} marks[] = {
	{ "gnu_get_libc_version", MARK_GLIBC },
	{ "_int_malloc", MARK_GLIBC }, /* static programs */
	{ "__libc_malloc_impl", MARK_MUSL },
	{ "__libc_start_main", MARK_START },
	{ "printf", MARK_PRINTF },
	{ "mallctl", MARK_JEMALLOC },
	{ "je_mallctl", MARK_JEMALLOC },
	{ "_rjem_mallctl", MARK_JEMALLOC },
	{ "_rjem_malloc", MARK_JEMALLOC },
	{ "tc_malloc", MARK_TCMALLOC },
	{ "TCMallocInternalMalloc", MARK_TCMALLOC },
	{ "mi_malloc", MARK_MIMALLOC },
	{ "mi_version", MARK_MIMALLOC },
};

static unsigned int find_mark(const char *name)
{
	if (!strchr("_gpjmtT", name[0]))
		return 0;
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		if (!strcmp(name, marks[i].name))
			return marks[i].mark;
	return 0;
}

/* One more element in @list of @nr, which grows by doubling. NULL if there is no memory. */
static void *grow(void *list, size_t nr, size_t size)
{
	if (nr & (nr - 1))
		return list;
	return reallocarray(list, nr ? nr * 2 : 1, size);
}

static int add_function(struct mp_object *o, const struct mp_elf_symbol *sym,
			const struct mp_family *family)
{
	struct mp_function *list, *f;

	if (o->nr_functions >= MAX_FUNCTIONS)
		return 0;
	list = grow(o->functions, o->nr_functions, sizeof(*list));
	if (!list)
		return -ENOMEM;
	o->functions = list;
	f = &list[o->nr_functions++];
	memset(f, 0, sizeof(*f));
	snprintf(f->name, sizeof(f->name), "%s", sym->name);
	f->family = *family;
	f->value = sym->value;
	f->size = sym->size;
	f->exported = sym->exported && sym->bind != STB_LOCAL;
	return 0;
}

/* The dynamic table is walked first: what it names is not hidden, though .symtab names it again. */
static void note_malloc(struct mp_object *o, const struct mp_elf_symbol *sym,
			const struct mp_family *family)
{
	if (family->flags & MP_FAMILY_MALLOC) {
		o->exports_malloc |= sym->exported;
		o->hides_malloc |= !o->exports_malloc;
	} else if (family->flags & MP_FAMILY_PRIVATE) {
		o->exports_private |= sym->exported;
		o->hides_malloc |= !o->exports_private;
	}
}

static int take_symbol(void *ctx, const struct mp_elf_symbol *sym)
{
	struct reading *r = ctx;
	struct mp_object *o = r->o;
	struct mp_family family;

	if (sym->exported && sym->type == STT_OBJECT && !strcmp(sym->name, "_r_debug"))
		o->r_debug = sym->value;
	if (sym->type != STT_FUNC && sym->type != STT_GNU_IFUNC)
		return 0;
	r->marks |= find_mark(sym->name);
	if (!mp_family_find(sym->name, &family))
		return 0;
	if (sym->type == STT_GNU_IFUNC) {
		/* its address is that of the resolver; what it resolves to has another name */
		if (family.flags & MP_FAMILY_MALLOC)
			o->malloc_is_ifunc = true;
		return 0;
	}
	note_malloc(o, sym, &family);
	return add_function(o, sym, &family);
}

static int take_slot(void *ctx, const char *name, uint64_t slot)
{
	struct reading *r = ctx;
	struct mp_object *o = r->o;
	struct mp_family family;
	uint64_t *list;

	if (!mp_family_find(name, &family) || (family.flags & MP_FAMILY_WRAPPER) ||
	    o->nr_slots >= MAX_SLOTS)
		return 0;
	list = grow(o->slots, o->nr_slots, sizeof(*list));
	if (!list)
		return -ENOMEM;
	o->slots = list;
	list[o->nr_slots++] = slot;
	return 0;
}

static void find_spot(struct mp_function *f, const struct mp_elf *e, uint8_t *code)
{
	uint64_t avail, len = f->size ? f->size : UNSIZED_CODE;

	if (mp_elf__offset(e, f->value, PF_X, &f->offset, &avail))
		return;
	if (len > avail)
		len = avail;
	if (len > MAX_CODE)
		len = MAX_CODE;
	len = mp_elf__read(e, f->offset, code, len);
	f->usable = !mp_prologue_find(code, len, f->family.nr_args, &f->spot);
}

static size_t skip_endbr64(const uint8_t *code, size_t len)
{
	static const uint8_t endbr64[] = { 0xf3, 0x0f, 0x1e, 0xfa };

	return len >= sizeof(endbr64) && !memcmp(code, endbr64, sizeof(endbr64)) ? sizeof(endbr64)
										 : 0;
}

static uint64_t rel32(const uint8_t *p)
{
	int32_t value;

	memcpy(&value, p, sizeof(value));
	return (uint64_t)(int64_t)value;
}

/* True if @value is an entry of the PLT whose slot leads to an allocation function. */
static bool is_family_plt(const struct mp_object *o, const struct mp_elf *e, uint64_t value)
{
	uint64_t offset, avail, slot;
	uint8_t code[16];
	size_t at, len;

	if (mp_elf__offset(e, value, PF_X, &offset, &avail))
		return false;
	len = mp_elf__read(e, offset, code, avail < sizeof(code) ? avail : sizeof(code));
	at = skip_endbr64(code, len);
	if (at < len && code[at] == 0xf2) /* bnd */
		at++;
	if (len < at + 6 || code[at] != 0xff || code[at + 1] != 0x25) /* jmp *slot(%rip) */
		return false;
	slot = value + at + 6 + rel32(code + at + 2);
	for (size_t i = 0; i < o->nr_slots; i++)
		if (o->slots[i] == slot)
			return true;
	return false;
}

/*
 * Is @f nothing but "jmp there"? Then its callers are seen there as they are here, and a probe in
 * both would tell every call twice.
 */
static bool forwards(const struct mp_object *o, const struct mp_elf *e, const struct mp_function *f)
{
	const struct mp_function *to;
	uint8_t code[16];
	uint64_t there;
	size_t at, len;

	if (!f->usable)
		return false;
	len = mp_elf__read(e, f->offset, code, sizeof(code));
	at = skip_endbr64(code, len);
	if (len < at + 5 || code[at] != 0xe9)
		return false;
	there = f->value + at + 5 + rel32(code + at + 1);
	to = mp_object__at(o, there);
	if (to)
		return to->value != f->value && to->usable && !(to->family.flags & MP_FAMILY_UNFIT);
	return is_family_plt(o, e, there);
}

static int find_spots(struct mp_object *o, const struct mp_elf *e)
{
	uint8_t *code = malloc(MAX_CODE);

	if (!code)
		return -ENOMEM;
	for (size_t i = 0; i < o->nr_functions; i++)
		find_spot(&o->functions[i], e, code);
	free(code);
	for (size_t i = 0; i < o->nr_functions; i++)
		o->functions[i].forwards = forwards(o, e, &o->functions[i]);
	return 0;
}

/* Copies what looks like a version number at @p (digits and dots) into @out. */
static bool copy_version(const char *p, const char *end, char *out, size_t size)
{
	size_t n = 0;

	while (p + n < end && n + 1 < size && (isdigit((unsigned char)p[n]) || p[n] == '.'))
		n++;
	while (n && p[n - 1] == '.')
		n--;
	if (!n)
		return false;
	memcpy(out, p, n);
	out[n] = '\0';
	return true;
}

/* "stable release version 2.36." in the banner that glibc carries, "gperftools 2.10". */
static bool version_after(const char *data, size_t len, const char *banner, const char *word,
			  struct mp_object *o)
{
	const char *end = data + len;
	const char *p = memmem(data, len, banner, strlen(banner));

	if (p && word) {
		size_t left = (size_t)(end - p) < 200 ? (size_t)(end - p) : 200;

		p = memmem(p, left, word, strlen(word));
		banner = word;
	}
	return p && copy_version(p + strlen(banner), end, o->version, sizeof(o->version));
}

/* jemalloc's is "5.3.0-0-g" and the 40 hex digits of a commit. */
static bool jemalloc_version(const char *data, size_t len, struct mp_object *o)
{
	const char *end = data + len, *p = data;

	while ((p = memmem(p, (size_t)(end - p), "-0-g", 4))) {
		const char *first = p;
		size_t n = 0;

		while (p + 4 + n < end && isxdigit((unsigned char)p[4 + n]))
			n++;
		while (first > data && (isdigit((unsigned char)first[-1]) || first[-1] == '.'))
			first--;
		if (n == 40 && first < p)
			return copy_version(first, p, o->version, sizeof(o->version));
		p += 4;
	}
	return false;
}

static int take_rodata(void *ctx, const char *data, size_t len)
{
	struct mp_object *o = ctx;

	switch (o->kind) {
	case MP_ALLOC_GLIBC:
		return version_after(data, len, "GNU C Library", "release version ", o);
	case MP_ALLOC_TCMALLOC:
		return version_after(data, len, "gperftools ", NULL, o);
	case MP_ALLOC_JEMALLOC:
		return jemalloc_version(data, len, o);
	default:
		return 1;
	}
}

static int kind_of(unsigned int m)
{
	if (m & MARK_JEMALLOC)
		return MP_ALLOC_JEMALLOC;
	if (m & MARK_TCMALLOC)
		return MP_ALLOC_TCMALLOC;
	if (m & MARK_MIMALLOC)
		return MP_ALLOC_MIMALLOC;
	if (m & MARK_GLIBC)
		return MP_ALLOC_GLIBC;
	if ((m & MARK_MUSL) || ((m & MARK_START) && (m & MARK_PRINTF)))
		return MP_ALLOC_MUSL;
	return MP_ALLOC_OTHER;
}

int mp_object__read(struct mp_object *o, struct mp_elf *e)
{
	struct reading r = { .o = o };
	int err;

	o->dynamic = mp_elf__dynamic(e);
	mp_elf__tag_slot(e, DT_DEBUG, &o->dt_debug);
	err = mp_elf__symbols(e, take_symbol, &r);
	if (!err)
		err = mp_elf__relocs(e, take_slot, &r);
	if (err)
		return err;
	o->is_libc = r.marks & MARK_START;
	o->is_loader = o->r_debug && !(r.marks & MARK_PRINTF);
	if (!o->exports_malloc && !o->exports_private && !o->hides_malloc && !o->is_libc)
		return 0;
	o->kind = kind_of(r.marks);
	o->build_id_len = mp_elf__build_id(e, o->build_id, sizeof(o->build_id));
	mp_elf__rodata(e, take_rodata, o);
	return find_spots(o, e);
}

void mp_object__clear(struct mp_object *o)
{
	free(o->path);
	free(o->open_path);
	free(o->functions);
	free(o->slots);
	memset(o, 0, sizeof(*o));
}

const struct mp_function *mp_object__at(const struct mp_object *o, uint64_t value)
{
	const struct mp_function *best = NULL;

	for (size_t i = 0; i < o->nr_functions; i++) {
		const struct mp_function *f = &o->functions[i];

		if (f->value == value && (!best || f->family.rank < best->family.rank))
			best = f;
	}
	return best;
}
