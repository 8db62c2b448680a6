// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where glibc keeps its heap: against the symbols and the types in the debug files of four releases
 * (scripts/glibcs), in programs that run on each; and in processes where it cannot be right.
 */
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "collect/glibc.h"
#include "collect/relative.h"
#include "fixture.h"

/*
 * Says ready, then which glibc it is and where errno is, counted from the thread pointer. With an
 * argument it has a second arena and a block mapped for itself.
 */
static const char program_c[] =
	"#include <errno.h>\n#include <gnu/libc-version.h>\n#include <pthread.h>\n"
	"#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n"
	"static void *other(void *arg) { void *volatile p = malloc(100); for (;;) pause(); return p; }\n"
	"int main(int argc, char **argv)\n"
	"{\n"
	"	pthread_t t;\n"
	"	void *volatile kept[] = { malloc(100), malloc(1 << 20), calloc(3, 3) };\n"
	"	(void)kept; (void)argv;\n"
	"	for (int i = 1; i < argc; i++) pthread_create(&t, 0, other, 0);\n"
	"	usleep(argc > 1 ? 100000 : 0);\n"
	"	dprintf(1, \"ready\\n%ld %s\\n\",\n"
	"		(long)((char *)&errno - (char *)__builtin_thread_pointer()),\n"
	"		gnu_get_libc_version());\n"
	"	for (;;) pause();\n"
	"}\n";
/* Its malloc is its own. */
static const char own_c[] =
	"#include <stddef.h>\n#include <unistd.h>\n"
	"static char heap[1 << 20]; static size_t used;\n"
	"void *malloc(size_t n) { used = (used + n + 31) & ~15ul; return heap + used - n; }\n"
	"void free(void *p) { (void)p; }\n"
	"void *calloc(size_t n, size_t m) { return malloc(n * m); }\n"
	"void *realloc(void *p, size_t n) { (void)p; return malloc(n); }\n"
	"int main(void) { if (write(1, \"ready\\n\", 6) != 6) return 1; for (;;) pause(); }\n";

static struct mp_err err;

/* ---- the other witness: the debug file ------------------------------------------------------- */

struct witness {
	int fd;
	Dwarf *dw;
	Elf *elf;
};

static struct witness witness_open(const char *dir)
{
	char path[512];
	struct witness w;

	fixture_output(path, sizeof(path),
		       "readelf -n %s/lib/libc.so.6 | sed -n 's,.*Build ID: \\(..\\)\\(.*\\),"
		       "%s/debug/.build-id/\\1/\\2.debug,p' | tr -d '\\n'",
		       dir, dir);
	w.fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(w.fd >= 0);
	w.dw = dwarf_begin(w.fd, DWARF_C_READ);
	assert_non_null(w.dw);
	w.elf = dwarf_getelf(w.dw);
	return w;
}

static void witness_close(struct witness *w)
{
	dwarf_end(w->dw);
	close(w->fd);
}

/* ELF address (of a thread-local: offset in its segment) of @name in malloc.c. */
static uint64_t symbol_at(const struct witness *w, Elf *elf, int section, const char *name)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;
	GElf_Sym sym;

	(void)w;
	while ((scn = elf_nextscn(elf, scn))) {
		Elf_Data *data;

		if (!gelf_getshdr(scn, &sh) || (int)sh.sh_type != section)
			continue;
		data = elf_getdata(scn, NULL);
		for (int i = 0; gelf_getsym(data, i, &sym); i++)
			if (sym.st_shndx != SHN_UNDEF &&
			    !strcmp(elf_strptr(elf, sh.sh_link, sym.st_name), name))
				return sym.st_value;
	}
	fail_msg("no symbol %s", name);
	return 0;
}

static uint64_t debug_symbol(const struct witness *w, const char *name)
{
	return symbol_at(w, w->elf, SHT_SYMTAB, name);
}

/* The unit of malloc.c. */
static Dwarf_Die unit_of_malloc(const struct witness *w)
{
	Dwarf_Off off = 0, next;
	size_t head;
	Dwarf_Die cu;

	while (!dwarf_nextcu(w->dw, off, &next, &head, NULL, NULL, NULL)) {
		const char *name;

		if (dwarf_offdie(w->dw, off + head, &cu)) {
			name = dwarf_diename(&cu);
			if (name && (!strcmp(name, "malloc.c") || strstr(name, "/malloc.c")))
				return cu;
		}
		off = next;
	}
	fail_msg("no unit of malloc.c");
	return cu;
}

static Dwarf_Die type_of(const struct witness *w, const char *type)
{
	Dwarf_Die cu = unit_of_malloc(w), die;
	int more = dwarf_child(&cu, &die);

	for (; !more; more = dwarf_siblingof(&die, &die))
		if (dwarf_tag(&die) == DW_TAG_structure_type && dwarf_diename(&die) &&
		    !strcmp(dwarf_diename(&die), type) && !dwarf_hasattr(&die, DW_AT_declaration))
			return die;
	fail_msg("no struct %s", type);
	return die;
}

/* Offset of a member; MP_GLIBC_NONE: there is none of that name. */
static int member_at(const struct witness *w, const char *type, const char *member)
{
	Dwarf_Die die = type_of(w, type), child;
	int more = dwarf_child(&die, &child);
	Dwarf_Attribute attr;
	Dwarf_Word at;

	for (; !more; more = dwarf_siblingof(&child, &child))
		if (dwarf_diename(&child) && !strcmp(dwarf_diename(&child), member)) {
			assert_int_equal(
				dwarf_formudata(
					dwarf_attr(&child, DW_AT_data_member_location, &attr), &at),
				0);
			return (int)at;
		}
	return MP_GLIBC_NONE;
}

static int either_at(const struct witness *w, const char *type, const char *a, const char *b)
{
	int at = member_at(w, type, a);

	return at == MP_GLIBC_NONE ? member_at(w, type, b) : at;
}

static void check_layout(const struct witness *w, const struct mp_glibc_layout *at)
{
	const char *arena = "malloc_state", *mp = "malloc_par", *cache = "tcache_perthread_struct";
	int entries = member_at(w, cache, "entries");

	assert_int_equal(at->next, member_at(w, arena, "next"));
	assert_int_equal(at->top, member_at(w, arena, "top"));
	assert_int_equal(at->last_remainder, member_at(w, arena, "last_remainder"));
	assert_int_equal(at->bins, member_at(w, arena, "bins"));
	assert_int_equal(at->fastbins, member_at(w, arena, "fastbinsY"));
	assert_int_equal(at->system_mem, member_at(w, arena, "system_mem"));
	assert_int_equal(at->tcache_counts, either_at(w, cache, "counts", "num_slots"));
	assert_int_equal(at->tcache_entries, entries);
	assert_int_equal(at->tcache_bins, entries / 2);
	assert_int_equal(at->counts_down, member_at(w, cache, "num_slots") != MP_GLIBC_NONE);
	assert_int_equal(at->mp_trim_threshold, member_at(w, mp, "trim_threshold"));
	assert_int_equal(at->mp_top_pad, member_at(w, mp, "top_pad"));
	assert_int_equal(at->mp_mmap_threshold, member_at(w, mp, "mmap_threshold"));
	assert_int_equal(at->mp_hp_pagesize, member_at(w, mp, "hp_pagesize"));
	assert_int_equal(at->mp_n_mmaps, member_at(w, mp, "n_mmaps"));
	assert_int_equal(at->mp_n_mmaps_max, member_at(w, mp, "n_mmaps_max"));
	assert_int_equal(at->mp_no_dyn_threshold, member_at(w, mp, "no_dyn_threshold"));
	assert_int_equal(at->mp_mmapped_mem, member_at(w, mp, "mmapped_mem"));
	assert_int_equal(at->mp_sbrk_base, member_at(w, mp, "sbrk_base"));
	assert_int_equal(at->mp_tcache_bins, either_at(w, mp, "tcache_bins", "tcache_small_bins"));
}

/* ---- programs on a glibc --------------------------------------------------------------------- */

static char dir[512];

static void use_glibc(const char *version)
{
	char cwd[256];

	assert_non_null(getcwd(cwd, sizeof(cwd)));
	fixture_output(dir, sizeof(dir), "%s/scripts/glibcs dir %s | tr -d '\\n'", cwd, version);
	/* linked with that glibc, so that it asks for no newer symbols than it has */
	fixture_shell("gcc -O1 -w -o program-%s program.c -nodefaultlibs %s/lib/libc.so.6 "
		      "%s/lib/libpthread.so.0 %s/lib/ld.so -lgcc",
		      version, dir, dir, dir);
}

static struct fixture_program start_on(const char *version, const char *args)
{
	char command[1200];

	snprintf(command, sizeof(command), "%s/lib/ld.so --library-path %s/lib ./program-%s %s",
		 dir, dir, version, args);
	return fixture_start("A=b", command);
}

static void check_glibc(const char *version, const char *args, bool mangled, bool calloc_tcache)
{
	struct fixture_program p = start_on(version, args);
	struct witness w = witness_open(dir);
	struct mp_glibc g;
	long errno_tp;
	char said[32];
	int64_t block; /* of libc's thread-local variables, from the thread pointer */

	assert_int_equal(fscanf(p.out, "%ld %31s", &errno_tp, said), 2);
	assert_string_equal(said, version);
	if (mp_glibc_find(p.pid, &g, &err))
		fail_msg("%s", err.text);
	assert_int_equal(g.main_arena - g.base, debug_symbol(&w, "main_arena"));
	assert_int_equal(g.mp - g.base, debug_symbol(&w, "mp_"));
	block = errno_tp - (int64_t)debug_symbol(&w, "errno");
	assert_int_equal(g.tcache_tp, block + (int64_t)debug_symbol(&w, "tcache"));
	assert_int_equal(g.thread_arena_tp, block + (int64_t)debug_symbol(&w, "thread_arena"));
	assert_true(g.started);
	assert_int_equal(g.heap_max_bytes, 64 << 20);
	check_layout(&w, &g.at);
	/* the changes of 2.32, of 2.34, of 2.41 and of 2.43, as its release notes and sources tell */
	assert_int_equal(g.at.fd_mangled, mangled);
	assert_int_equal(g.at.hooked, !strcmp(version, "2.31"));
	assert_int_equal(g.at.calloc_tcache, calloc_tcache);
	assert_int_equal(g.at.mmapped_size_less_16, !strcmp(version, "2.43"));
	witness_close(&w);
	fixture_stop(&p);
}

static void check_version(const char *version, bool mangled, bool calloc_tcache)
{
	use_glibc(version);
	check_glibc(version, "", mangled, calloc_tcache);
	check_glibc(version, "a second arena", mangled, calloc_tcache);
}

static void glibc_2_31(void **state)
{
	(void)state;
	check_version("2.31", false, false);
}

static void glibc_2_36(void **state)
{
	(void)state;
	check_version("2.36", true, false);
}

static void glibc_2_41(void **state)
{
	(void)state;
	check_version("2.41", true, true);
}

static void glibc_2_43(void **state)
{
	(void)state;
	check_version("2.43", true, true);
}

/* Linked into the program, its thread-local variables at places the linker knew. */
static void static_program(void **state)
{
	struct fixture_program p;
	struct mp_glibc g;
	char said[64];

	(void)state;
	fixture_shell("gcc -O1 -w -static -o static program.c -pthread");
	p = fixture_start("A=b", "./static");
	if (mp_glibc_find(p.pid, &g, &err))
		fail_msg("%s", err.text);
	fixture_output(said, sizeof(said), "nm static | sed -n 's/ [dDbB] main_arena$//p'");
	assert_int_equal(g.main_arena - g.base, strtoul(said, NULL, 16));
	fixture_output(said, sizeof(said), "nm static | sed -n 's/ [dDbB] mp_$//p'");
	assert_int_equal(g.mp - g.base, strtoul(said, NULL, 16));
	fixture_stop(&p);
}

/* Every word that is relocated, by address; readelf(1) has listed them in "slots". */
static int check_slot(void *ctx, uint64_t slot, uint64_t value)
{
	char line[256];

	(void)value;
	assert_non_null(fgets(line, sizeof(line), ctx));
	assert_int_equal(slot, strtoull(line, NULL, 16));
	return 0;
}

static void check_relative(const char *version)
{
	char path[600], line[256];
	struct mp_elf *e;
	FILE *slots;
	int fd;

	use_glibc(version);
	fixture_shell("readelf -rW %s/lib/libc.so.6 | sed -n '/R_X86_64_RELATIVE/p; "
		      "/^[0-9a-f]\\{16\\}$/p' >slots",
		      dir);
	snprintf(path, sizeof(path), "%s/lib/libc.so.6", dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(mp_elf__open(fd, &e), 0);
	slots = fopen(fixture_path("slots"), "re");
	assert_int_equal(mp_relative_walk(e, check_slot, slots), 0);
	assert_null(fgets(line, sizeof(line), slots));
	fclose(slots);
	mp_elf__close(e);
	close(fd);
}

static void relative_relocations(void **state)
{
	(void)state;
	check_relative("2.31"); /* DT_RELA */
	check_relative("2.43"); /* DT_RELR */
}

/* ---- processes that are not what they seem ---------------------------------------------------- */

static void poke(pid_t pid, uint64_t addr, uint64_t value)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, &value, 8, (off_t)addr), 8);
	close(fd);
}

static uint64_t peek(pid_t pid, uint64_t addr)
{
	uint64_t value;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &value, 8, (off_t)addr), 8);
	close(fd);
	return value;
}

/* With @value at @addr the check fails that says @why, and is passed again afterwards. */
static void check_poked(pid_t pid, uint64_t addr, uint64_t value, const char *why)
{
	uint64_t was = peek(pid, addr);
	struct mp_glibc g;

	poke(pid, addr, value);
	assert_int_equal(mp_glibc_find(pid, &g, &err), -EBADMSG);
	if (!strstr(err.text, why))
		fail_msg("\"%s\" does not say \"%s\"", err.text, why);
	poke(pid, addr, was);
	assert_int_equal(mp_glibc_find(pid, &g, &err), 0);
}

static void what_is_broken_is_said(void **state)
{
	struct fixture_program p;
	struct mp_glibc g;
	uint64_t arena;

	(void)state;
	use_glibc("2.36");
	p = start_on("2.36", "a second arena");
	assert_int_equal(mp_glibc_find(p.pid, &g, &err), 0);
	arena = peek(p.pid, g.main_arena + g.at.next);
	assert_true(arena != g.main_arena);
	check_poked(p.pid, g.main_arena + g.at.next, ~0ULL, "does not begin a heap");
	check_poked(p.pid, g.main_arena + g.at.next, arena + 16, "is not of its arena");
	check_poked(p.pid, arena + g.at.next, arena, "does not end");
	check_poked(p.pid, g.main_arena + g.at.top, 0, "no top chunk");
	check_poked(p.pid, g.main_arena + g.at.top, g.main_arena - 16, "that cannot be");
	check_poked(p.pid, g.main_arena + g.at.top, 4096, "is in no heap");
	check_poked(p.pid, g.main_arena + g.at.bins, g.main_arena, "is no ring");
	check_poked(p.pid, g.mp + g.at.mp_sbrk_base, 16, "sbrk_base");
	check_poked(p.pid, g.mp + g.at.mp_sbrk_base, 0, "has memory");
	check_poked(p.pid, g.mp + g.at.mp_hp_pagesize, 3, "hp_pagesize");
	fixture_stop(&p);
}

static void not_glibc(void **state)
{
	struct fixture_program p;
	struct mp_glibc g;

	(void)state;
	p = fixture_start("A=b", "./own");
	assert_int_equal(mp_glibc_find(p.pid, &g, &err), -ENOENT);
	fixture_stop(&p);
	assert_int_equal(mp_glibc_find(p.pid, &g, &err), -ESRCH);
}

static int setup(void **state)
{
	(void)state;
	fixture_begin();
	fixture_write("program.c", program_c);
	fixture_write("own.c", own_c);
	fixture_shell("gcc -O1 -w -o own own.c");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fixture_end();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(glibc_2_31),     cmocka_unit_test(glibc_2_36),
		cmocka_unit_test(glibc_2_41),     cmocka_unit_test(glibc_2_43),
		cmocka_unit_test(static_program), cmocka_unit_test(what_is_broken_is_said),
		cmocka_unit_test(not_glibc),      cmocka_unit_test(relative_relocations),
	};

	return cmocka_run_group_tests_name("glibc", tests, setup, teardown);
}
