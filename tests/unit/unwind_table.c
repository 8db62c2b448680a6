// SPDX-License-Identifier: GPL-2.0-or-later
/* Unwind tables, held against what libdw says of the same addresses. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "collect/unwind_table.h"
#include "fixture.h"
#include "unwind_asm.h"
#include "unwind_libdw.h"

#ifdef __SANITIZE_ADDRESS__
#define THINNER 8 /* ten times slower: fewer addresses of the large objects */
#else
#define THINNER 1
#endif

struct object {
	const char *path;
	int optional;              /* may be missing */
	uint64_t stride;           /* compare every such address, 0: only around rows */
	unsigned int most_millths; /* of the functions' bytes may be UNSUPPORTED, in 1/1000 % */
};

/* What remains is assembly that counts from rbx or r11 (ld.so's lazy binding, libcrypto). */
static struct object objects[] = {
	{ "/lib/x86_64-linux-gnu/libc.so.6", 0, 1, 50 },
	{ "/lib64/ld-linux-x86-64.so.2", 0, 1, 3000 },
	{ "/usr/lib/x86_64-linux-gnu/libstdc++.so.6", 0, 1, 10 },
	{ "/proc/self/exe", 0, 1, 100 },
	{ "/usr/lib/x86_64-linux-gnu/libsqlite3.so.0", 1, 1, 10 },
	{ "/usr/bin/redis-server", 1, 1, 10 },
	{ "/usr/lib/x86_64-linux-gnu/libcrypto.so.3", 1, 1, 3000 },
	{ "/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0", 1, 0, 10 },
	{ "/usr/bin/python3.11", 1, 0, 10 },
	{ "/usr/bin/git", 1, 0, 10 },
	{ "/usr/bin/node", 1, 0, 300 },
	{ "/usr/lib/gcc/x86_64-linux-gnu/12/cc1plus", 1, 0, 10 },
	{ "/usr/lib/x86_64-linux-gnu/libz3.so.4", 1, 0, 10 },
	{ "/usr/lib/x86_64-linux-gnu/libLLVM-14.so.1", 1, 0, 10 },
};

static struct mp_unwind_table table;
static Dwarf_CFI *cfi;
static Elf *elf;
static int fd = -1;
static uint64_t compared[MP_UNWIND_KINDS];

/* --- the comparison */

static const char *const kind_names[MP_UNWIND_KINDS] = { "none",  "rsp",         "rbp",
							 "deref", "plt",         "signal",
							 "end",   "unsupported", "saved" };

static bool same(const struct unwind_step *ours, const struct unwind_step *theirs,
		 const uint64_t *regs)
{
	if (ours->answer == UNWIND_BROKEN)
		return theirs->answer != UNWIND_NO_FUNCTION && !unwind_has_rule(theirs, regs);
	if (ours->answer != theirs->answer)
		return false;
	return ours->answer != UNWIND_CALLER ||
	       (ours->cfa == theirs->cfa && ours->rip == theirs->rip && theirs->rbp_known &&
		ours->rbp == theirs->rbp && ours->rsp == theirs->rsp &&
		ours->signal == theirs->signal);
}

static void compare(uint64_t pc)
{
	uint32_t rule = mp_unwind_table__find(&table, pc);
	struct unwind_step ours, theirs;
	uint64_t regs[UNWIND_REGS];

	unwind_registers(pc & 7, pc, regs);
	ours = unwind_by_rule(rule, regs);
	theirs = unwind_by_libdw(cfi, regs);
	if (!same(&ours, &theirs, regs))
		fail_msg("0x%lx: %s %ld rbp %u, libdw: %d%s cfa %lx = rsp + %ld = rbp + %ld, "
			 "rip %lx (%lx), rbp %lx (%lx)",
			 pc, kind_names[mp_unwind_kind(rule)], (long)mp_unwind_offset(rule),
			 mp_unwind_rbp(rule), theirs.answer, theirs.signal ? " signal" : "",
			 theirs.cfa, (long)(theirs.cfa - regs[UNWIND_RSP]),
			 (long)(theirs.cfa - regs[UNWIND_RBP]), theirs.rip, ours.rip, theirs.rbp,
			 ours.rbp);
	compared[mp_unwind_kind(rule)]++;
}

/* What the search relies on, whatever the file. */
static void check_table(void)
{
	const uint64_t *rows = table.entries + table.n_index;
	uint64_t span = table.end - table.base, bytes = 0;

	assert_true(table.n_rows);
	assert_int_equal(table.base % 4096, 0);
	assert_int_equal(table.n_index, (span + MP_UNWIND_BUCKET - 1) / MP_UNWIND_BUCKET);
	assert_int_equal(mp_unwind_at(rows[0]), 0);
	for (uint32_t i = 1; i < table.n_rows; i++) {
		assert_true(mp_unwind_at(rows[i - 1]) < mp_unwind_at(rows[i]));
		assert_true(mp_unwind_rule(rows[i - 1]) != mp_unwind_rule(rows[i]));
	}
	assert_true(mp_unwind_at(rows[table.n_rows - 1]) < span);
	for (int k = 0; k < MP_UNWIND_KINDS; k++)
		bytes += table.bytes[k];
	assert_int_equal(bytes, span);
}

static void compare_all(uint64_t stride)
{
	const uint64_t *rows = table.entries + table.n_index;

	memset(compared, 0, sizeof(compared));
	check_table();
	for (uint64_t pc = table.base; stride && pc < table.end + 64; pc += stride)
		compare(pc);
	for (uint32_t i = 0; !stride && i < table.n_rows; i += THINNER) {
		uint64_t at = table.base + mp_unwind_at(rows[i]);
		uint64_t next = i + 1 < table.n_rows ? table.base + mp_unwind_at(rows[i + 1])
						     : table.end;

		compare(at);
		compare(at + (next - at) / 2);
		compare(next - 1);
	}
}

static void tell(const char *name)
{
	uint64_t nr = 0;

	for (int k = 0; k < MP_UNWIND_KINDS; k++)
		nr += compared[k];
	print_message("# %s: %u functions, %u rows, %lu addresses equal to libdw's:", name,
		      table.n_functions, table.n_rows, (unsigned long)nr);
	for (int k = 0; k < MP_UNWIND_KINDS; k++)
		print_message(" %s %lu", kind_names[k], (unsigned long)compared[k]);
	print_message("\n");
}

/* --- objects */

static void build(Elf *e)
{
	struct mp_err err = { 0 };

	elf = e;
	assert_non_null(elf);
	if (mp_unwind_table__build(elf, &table, &err))
		fail_msg("%s", err.text);
	cfi = dwarf_getcfi_elf(elf);
	assert_non_null(cfi);
}

static int open_path(const char *path)
{
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	build(elf_begin(fd, ELF_C_READ, NULL));
	return 0;
}

static int let_go(void **state)
{
	(void)state;
	mp_unwind_table__clear(&table);
	if (cfi)
		dwarf_cfi_end(cfi);
	elf_end(elf);
	if (fd >= 0)
		close(fd);
	cfi = NULL;
	elf = NULL;
	fd = -1;
	return 0;
}

static void installed(void **state)
{
	const struct object *o = *state;
	uint64_t functions = 0;

	if (open_path(o->path)) {
		assert_true(o->optional);
		print_message("# not on this machine: %s\n", o->path);
		skip();
	}
	compare_all(o->stride * THINNER);
	tell(o->path);
	assert_int_equal(table.n_unreadable, 0);
	for (int k = MP_UNWIND_RSP; k < MP_UNWIND_KINDS; k++)
		functions += table.bytes[k];
	assert_true(table.bytes[MP_UNWIND_UNSUPPORTED] * 100000 <= functions * o->most_millths);
}

/* Every entry of the index leads where a search without it does. */
static void index_agrees(void **state)
{
	const uint64_t *rows;
	uint32_t row = 0;

	(void)state;
	assert_int_equal(open_path("/lib/x86_64-linux-gnu/libc.so.6"), 0);
	rows = table.entries + table.n_index;
	for (uint64_t pc = table.base; pc < table.end; pc++) {
		if (row + 1 < table.n_rows && mp_unwind_at(rows[row + 1]) == pc - table.base)
			row++;
		assert_int_equal(mp_unwind_table__find(&table, pc), mp_unwind_rule(rows[row]));
	}
	assert_int_equal(row, table.n_rows - 1);
	assert_int_equal(mp_unwind_table__find(&table, table.base - 1), 0);
	assert_int_equal(mp_unwind_table__find(&table, table.end), 0);
	assert_int_equal(mp_unwind_table__find(&table, 0), 0);
	assert_int_equal(mp_unwind_table__find(&table, UINT64_MAX), 0);
}

/* Kinds that must occur where it is known that they do. */
static void libc_has(void **state)
{
	(void)state;
	assert_int_equal(open_path("/lib/x86_64-linux-gnu/libc.so.6"), 0);
	assert_true(table.bytes[MP_UNWIND_RSP] > 1 << 20);
	assert_true(table.bytes[MP_UNWIND_RBP] > 1 << 16);
	assert_true(table.bytes[MP_UNWIND_PLT]);
	assert_int_equal(table.bytes[MP_UNWIND_SIGNAL], 10); /* __restore_rt and the byte before */
	assert_true(table.bytes[MP_UNWIND_END]);             /* clone, clone3 */
}

static char *image;

static size_t load(const char *path)
{
	struct stat st;
	int file = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(file >= 0 && !fstat(file, &st));
	image = malloc(st.st_size);
	assert_non_null(image);
	assert_int_equal(read(file, image, st.st_size), st.st_size);
	close(file);
	return st.st_size;
}

static int unload(void **state)
{
	let_go(state);
	free(image);
	image = NULL;
	return 0;
}

static void vdso(void **state)
{
	const char *mapped = (const char *)getauxval(AT_SYSINFO_EHDR);
	unsigned long start, end;
	char line[256];
	FILE *maps = fopen("/proc/self/maps", "re");
	size_t size = 0;

	(void)state;
	assert_non_null(mapped);
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx", &start, &end) == 2 && start == (uintptr_t)mapped)
			size = end - start;
	fclose(maps);
	image = malloc(size);
	assert_true(size && image);
	memcpy(image, mapped, size);
	build(elf_memory(image, size));
	compare_all(1);
	tell("vdso");
	assert_true(table.n_functions > 3);
	assert_int_equal(table.bytes[MP_UNWIND_UNSUPPORTED], 0);
}

/* The same table by the section and, with no section headers, by PT_GNU_EH_FRAME. */
static void without_sections(void **state)
{
	const char *path = "/lib/x86_64-linux-gnu/libc.so.6";
	struct mp_unwind_table whole;
	Elf64_Ehdr eh;
	size_t size;

	assert_int_equal(open_path(path), 0);
	whole = table;
	memset(&table, 0, sizeof(table));
	let_go(state);
	size = load(path);
	memcpy(&eh, image, sizeof(eh));
	eh.e_shoff = eh.e_shnum = eh.e_shstrndx = 0;
	memcpy(image, &eh, sizeof(eh));
	build(elf_memory(image, size));
	assert_int_equal(table.n_unreadable, 0); /* nothing beyond the section was read */
	assert_int_equal(whole.base, table.base);
	assert_int_equal(whole.end, table.end);
	assert_int_equal(whole.n_index, table.n_index);
	assert_int_equal(whole.n_rows, table.n_rows);
	assert_memory_equal(whole.entries, table.entries,
			    sizeof(uint64_t) * (table.n_index + table.n_rows));
	mp_unwind_table__clear(&whole);
}

/* --- instructions no compiler here emits */

static void assemble(const char *name, const char *text, const char *how)
{
	fixture_begin();
	fixture_write("it.s", text);
	fixture_shell("as -o it.o it.s && ld -shared %s -o %s it.o 2>ld.txt", how, name);
	assert_int_equal(open_path(fixture_path(name)), 0);
}

static int unassemble(void **state)
{
	fixture_end();
	return let_go(state);
}

static void rules(void **state)
{
	(void)state;
	assemble("rules.so", unwind_rules_s, "");
	compare_all(1);
	tell("rules");
	for (int k = 0; k < MP_UNWIND_KINDS; k++)
		if (k != MP_UNWIND_NONE)
			assert_true(compared[k]);
}

static void expect(uint64_t pc, uint32_t rule)
{
	uint32_t got = mp_unwind_table__find(&table, table.base + pc);

	if (got != rule)
		fail_msg("text + %lu: rule %x, not %x", (unsigned long)pc, got, rule);
}

static void entries(void **state)
{
	uint32_t unsupported = MP_UNWIND_RULE(MP_UNWIND_UNSUPPORTED, 0, 0);

	(void)state;
	assemble("entries.so", unwind_entries_s, "--no-eh-frame-hdr");
	check_table();
	for (uint64_t pc = 0; pc < 256; pc++)
		if (pc < 70 || pc >= 96) /* libdw lets set_loc go back */
			compare(table.base + pc);
	expect(15, 0);
	expect(16, MP_UNWIND_RULE(MP_UNWIND_RSP, 1, 0));
	expect(24, MP_UNWIND_RULE(MP_UNWIND_RSP, 2, 2));
	expect(36, MP_UNWIND_RULE(MP_UNWIND_RSP, 3, 2));
	expect(48, 0);
	expect(69, MP_UNWIND_RULE(MP_UNWIND_RSP, 1, 0));
	expect(70, unsupported);
	expect(128, MP_UNWIND_RULE(MP_UNWIND_RSP, 1, 0));
	expect(130, MP_UNWIND_RULE(MP_UNWIND_RSP, 2, 0));
	expect(192, unsupported);
	expect(260, MP_UNWIND_RULE(MP_UNWIND_RSP, 2, 0));
	expect(287, MP_UNWIND_RULE(MP_UNWIND_RSP, 2, 0));
	expect(288, MP_UNWIND_RULE(MP_UNWIND_RSP, 1, 0));
	expect(292, MP_UNWIND_RULE(MP_UNWIND_RSP, 3, 0));
	expect(296, MP_UNWIND_RULE(MP_UNWIND_RSP, 3, 0));
	expect(304, 0);
	expect(384, 0);
	assert_int_equal(table.end - table.base, 304);
}

/* --- refusals */

static int refused(const char *path)
{
	struct mp_err err = { 0 };
	int got;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	got = mp_unwind_table__build(elf, &table, &err);
	assert_true(got < 0);
	assert_true(err.text[0]);
	assert_null(table.entries);
	let_go(NULL);
	return got;
}

static void refusals(void **state)
{
	(void)state;
	fixture_begin();
	fixture_write("text", "not an object\n");
	assert_int_equal(refused(fixture_path("text")), -ENOEXEC);
	fixture_write("a.s", ".text\nf: nop\n ret\n");
	fixture_shell("as -o a.o a.s && as --32 -o b.o a.s && as --x32 -o c.o a.s && "
		      "ld -shared -o bare.so a.o && ld -m elf_i386 -shared -o b.so b.o && "
		      "ld -m elf32_x86_64 -shared -o c.so c.o && : >empty");
	assert_int_equal(refused(fixture_path("a.o")), -ENOEXEC);
	assert_int_equal(refused(fixture_path("b.so")), -ENOEXEC);
	assert_int_equal(refused(fixture_path("c.so")), -ENOEXEC);
	assert_int_equal(refused(fixture_path("empty")), -ENOEXEC);
	assert_int_equal(refused(fixture_path("bare.so")), -ENODATA);
	fixture_end();
}

/* Addresses spread over more than a table may span, and an executable segment beyond the file. */
static void spread(void **state)
{
	static const struct {
		uint64_t vaddr, filesz;
		int error;
	} cases[] = {
		{ 1ULL << 31, 0, -EFBIG },        { 1ULL << 40, 0, -EFBIG },
		{ -4096ULL, 0, -EFBIG },          { 0, 1ULL << 40, -ENOEXEC },
		{ 0, UINT64_MAX - 15, -ENOEXEC },
	};
	struct mp_err err;
	Elf64_Ehdr eh;
	Elf64_Phdr ph[2], *p;
	size_t size;

	size = load("/lib/x86_64-linux-gnu/libc.so.6");
	memcpy(&eh, image, sizeof(eh));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		/* two executable segments: the whole file, and a page elsewhere */
		memset(ph, 0, sizeof(ph));
		ph[0].p_type = ph[1].p_type = PT_LOAD;
		ph[0].p_flags = ph[1].p_flags = PF_R | PF_X;
		ph[0].p_filesz = cases[i].filesz ? cases[i].filesz : size;
		ph[1].p_vaddr = cases[i].vaddr;
		ph[1].p_filesz = cases[i].filesz ? 0 : 64;
		eh.e_phnum = 2;
		p = (Elf64_Phdr *)(image + eh.e_phoff);
		memcpy(p, ph, sizeof(ph));
		memcpy(image, &eh, sizeof(eh));
		elf = elf_memory(image, size);
		assert_int_equal(mp_unwind_table__build(elf, &table, &err), cases[i].error);
		let_go(state);
	}
}

#define INSTALLED 14
_Static_assert(sizeof(objects) / sizeof(objects[0]) == INSTALLED, "a test each");
#define OBJECT(i)                                                     \
	{                                                             \
		objects[i].path, installed, NULL, let_go, &objects[i] \
	}

int main(void)
{
	struct CMUnitTest tests[INSTALLED];
	const struct CMUnitTest others[] = {
		cmocka_unit_test_teardown(index_agrees, let_go),
		cmocka_unit_test_teardown(libc_has, let_go),
		cmocka_unit_test_teardown(vdso, unload),
		cmocka_unit_test_teardown(without_sections, unload),
		cmocka_unit_test_teardown(rules, unassemble),
		cmocka_unit_test_teardown(entries, unassemble),
		cmocka_unit_test(refusals),
		cmocka_unit_test_teardown(spread, unload),
	};
	int failed;

	elf_version(EV_CURRENT);
	for (int i = 0; i < INSTALLED; i++)
		tests[i] = (struct CMUnitTest)OBJECT(i);
	failed = cmocka_run_group_tests_name("unwind tables of installed objects", tests, NULL,
					     NULL);
	return failed + cmocka_run_group_tests_name("unwind tables", others, NULL, NULL);
}
