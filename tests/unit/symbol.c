// SPDX-License-Identifier: GPL-2.0-or-later
/* Names and lines, held against nm and addr2line on objects built here. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "fixture.h"
#include "symbol/demangle.h"
#include "symbol/symbol.h"

/* Functions of several kinds, and one whose symbol is shorter than its code. */
static const char fixture_c[] =
	"#include <stdlib.h>\n"
	"static __attribute__((noinline)) int inner(int n)\n"
	"{\n"
	"	int *p = malloc(n);\n"
	"	if (!p) return 1;\n"
	"	p[0] = n; n = p[0] * 3;\n"
	"	free(p);\n"
	"	return n;\n"
	"}\n"
	"__attribute__((noinline)) int outer(int n)\n"
	"{\n"
	"	return inner(n) +\n"
	"		inner(n + 1);\n"
	"}\n"
	"asm(\".text\\n.globl cut\\n.type cut,@function\\ncut: nop\\nnop\\n.size cut,.-cut\\n\"\n"
	"    \"nop\\nnop\\nnop\\nret\\n.globl unsized\\n.type unsized,@function\\nunsized: nop\\nret\\n\"\n"
	"    \".skip 64, 0x90\\n\");\n"
	"int main(int argc, char **argv) { (void)argv; return outer(argc); }\n";
static const char fixture_cc[] =
	"#include <cstddef>\n"
	"namespace shop {\n"
	"template <typename T> struct Cart {\n"
	"	__attribute__((noinline)) T *fill(std::size_t n) { return new T[n]; }\n"
	"};\n"
	"}\n"
	"int main(int argc, char **)\n"
	"{\n"
	"	shop::Cart<long> c;\n"
	"	return c.fill(argc) == nullptr;\n"
	"}\n";

static struct mp_symbols *symbols;
static struct mp_symbol got;

/* @offset in the file at @path, which is the one that is there now. */
static struct mp_code code_at(const char *path, uint64_t offset)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (struct mp_code){ .path = path,
				 .ino = st.st_ino,
				 .dev_major = major(st.st_dev),
				 .dev_minor = minor(st.st_dev),
				 .offset = offset };
}

/* The innermost frame into got; 0 or -ENOENT. */
static int innermost(const struct mp_code *code)
{
	memset(&got, 0, sizeof(got));
	return mp_symbols__frames(symbols, code, &got, 1) ? 0 : -ENOENT;
}

static int look_up(const char *name, uint64_t offset, bool is_return)
{
	struct mp_code code = code_at(fixture_path(name), offset);

	code.is_return = is_return;
	return innermost(&code);
}

/* ELF address minus file offset of the code, as readelf has it. */
static uint64_t text_bias(const char *name)
{
	unsigned long offset, vaddr;
	char said[128];

	fixture_output(said, sizeof(said),
		       "readelf -lW %s | awk '$1 == \"LOAD\" && / R E / { print $2, $3 }'", name);
	assert_int_equal(sscanf(said, "%lx %lx", &offset, &vaddr), 2);
	return vaddr - offset;
}

/* addr2line's word on one address: a file, a line. Counts what it knows. */
static unsigned int check_line(const char *debug, uint64_t addr)
{
	static char said[1024];
	unsigned int line = 0;
	char *colon;

	fixture_output(said, sizeof(said), "addr2line -e %s 0x%lx", debug, addr);
	colon = strrchr(said, ':');
	assert_non_null(colon);
	*colon = '\0';
	if (colon[1] != '?')
		line = (unsigned int)atoi(colon + 1);
	if (!line) /* addr2line knows nothing, or code of no line */
		return 0;
	if (!got.file || strcmp(got.file, said) || got.line != (int)line)
		fail_msg("0x%lx: %s:%d, addr2line: %s:%u", addr, got.file ? got.file : "-",
			 got.line, said, line);
	return 1;
}

/* Every third byte of each sized function: its name by nm, its line by addr2line (counted). */
static unsigned int check_functions(const char *name, const char *debug, const char *demangled)
{
	static char said[65536];
	uint64_t bias = text_bias(name);
	unsigned int checked = 0;
	char *rest = said, *row;

	fixture_output(said, sizeof(said), "nm -S %s %s | grep -E ' [tT] (%s)'", demangled, debug,
		       "inner|outer|main|cut|shop");
	while ((row = strsep(&rest, "\n")) && *row) {
		unsigned long start, size;
		char plain[256];

		assert_int_equal(sscanf(row, "%lx %lx %*c %255[^\n]", &start, &size, plain), 3);
		/* a copy the compiler made is named as in the source, as addr2line does */
		if (strstr(plain, " [clone"))
			*strstr(plain, " [clone") = '\0';
		for (unsigned long into = 0; into < size; into += 3) {
			assert_int_equal(look_up(name, start - bias + into, 0), 0);
			assert_non_null(got.function);
			assert_string_equal(got.function, plain);
			assert_int_equal(got.into, into);
			checked += check_line(debug, start + into);
		}
	}
	return checked;
}

static void names_and_lines_of_c(void **state)
{
	(void)state;
	assert_true(check_functions("c-gcc", "c-gcc", "") > 10);
	/* clang writes no .debug_aranges */
	assert_true(check_functions("c-clang", "c-clang", "") > 5);
	/* linked to a fixed address */
	assert_true(check_functions("c-fixed", "c-fixed", "") > 10);
}

static void names_and_lines_of_cpp(void **state)
{
	(void)state;
	assert_true(check_functions("cc-gcc", "cc-gcc", "-C") > 5);
}

static void separate_debug_file_is_used(void **state)
{
	(void)state;
	assert_true(check_functions("c-split", "c-split.debug", "") > 10);
}

static uint64_t offset_of(const char *name, const char *symbol)
{
	char said[64];

	fixture_output(said, sizeof(said), "nm %s | sed -n 's/ [tT] %s$//p'", name, symbol);
	return strtoull(said, NULL, 16) - text_bias(name);
}

static void no_name_past_a_symbols_end(void **state)
{
	uint64_t cut = offset_of("c-gcc", "cut"), unsized = offset_of("c-gcc", "unsized");

	(void)state;
	assert_int_equal(look_up("c-gcc", cut + 1, 0), 0);
	assert_string_equal(got.function, "cut");
	look_up("c-gcc", cut + 2, 0);
	assert_null(got.function);
	look_up("c-gcc", unsized, 0);
	assert_null(got.function);
	look_up("c-gcc", unsized + 40, 0);
	assert_null(got.function);
}

static void return_address_names_the_call(void **state)
{
	uint64_t cut = offset_of("c-gcc", "cut");

	(void)state;
	/* right behind the function's last byte: a call that does not return */
	assert_int_equal(look_up("c-gcc", cut + 2, 1), 0);
	assert_string_equal(got.function, "cut");
	assert_int_equal(got.into, 2);
	look_up("c-gcc", cut, 1);
	assert_true(!got.function || strcmp(got.function, "cut"));
	assert_int_equal(look_up("c-gcc", 0, 1), -ENOENT);
}

static void another_file_gives_no_name(void **state)
{
	const struct mp_code right = code_at(fixture_path("c-gcc"), offset_of("c-gcc", "outer"));
	struct mp_code code = right;

	(void)state;
	/* not the next number: that may be another fixture, which is known by now */
	code.ino ^= 1ULL << 40;
	assert_int_equal(innermost(&code), -ENOENT);
	code = right;
	code.dev_major++;
	assert_int_equal(innermost(&code), -ENOENT);
	assert_null(got.function);
	assert_null(got.file);
	code = right;
	code.path = fixture_path("gone");
	code.dev_minor++;
	assert_int_equal(innermost(&code), -ENOENT);
	assert_int_equal(innermost(&(struct mp_code){ .path = "[vdso]" }), -ENOENT);
	/* through a process's root, as for a container */
	code = right;
	code.tgid = getpid();
	assert_int_equal(innermost(&code), 0);
	assert_string_equal(got.function, "outer");
}

static void what_is_no_elf_gives_no_name(void **state)
{
	(void)state;
	assert_int_equal(look_up("fixture.c", 100, 0), -ENOENT);
	fixture_shell("head -c 5000 c-gcc >cut-short && head -c 64 c-gcc >header && : >empty");
	look_up("cut-short", 4000, 0);
	assert_int_equal(look_up("header", 10, 0), -ENOENT);
	assert_int_equal(look_up("empty", 10, 0), -ENOENT);
	assert_int_equal(look_up("c-gcc", UINT64_MAX, 0), -ENOENT);
	assert_int_equal(look_up("c-gcc", UINT64_MAX, 1), -ENOENT);
}

/* An upgrade while it runs: the path leads to another file, the mapping to the old one. */
static void replaced_program_keeps_its_names(void **state)
{
	struct fixture_program p;
	struct mp_code code;

	(void)state;
	fixture_write("waiter.c",
		      "#include <unistd.h>\nint main(void) { return write(1, \"ready\\n\", 6)"
		      " != 6 || pause(); }\n");
	fixture_shell("gcc -O2 -g -o waiter waiter.c && cp waiter twin");
	code = code_at(fixture_path("waiter"), offset_of("twin", "main"));
	p = fixture_start("A=b", "./waiter");
	code.tgid = p.pid;
	fixture_shell("rm waiter && cp c-gcc waiter");
	assert_int_equal(innermost(&code), 0);
	assert_string_equal(got.function, "main");
	assert_non_null(strstr(got.file, "waiter.c"));
	fixture_stop(&p);
}

static void answers_are_kept(void **state)
{
	uint64_t offset = offset_of("cc-gcc", "main");
	const char *first;

	(void)state;
	assert_int_equal(look_up("cc-gcc", offset, 0), 0);
	first = got.function;
	assert_int_equal(look_up("cc-gcc", offset + 1, 0), 0);
	assert_ptr_equal(got.function, first);
}

/* Examples of RFC 2603, and what its grammar gives for others. */
static void demangles_rust(void **state)
{
	static const char *const names[][2] = {
		{ "_RNvC7mycrate3foo", "mycrate::foo" },
		{ "_RNvNtC7mycrate3foo3bar", "mycrate::foo::bar" },
		{ "_RNvMC7mycrateNtB2_3Foo3bar", "<mycrate::Foo>::bar" },
		{ "_RNvXC7mycrateNtB2_3FooNtB2_5Trait3bar",
		  "<mycrate::Foo as mycrate::Trait>::bar" },
		{ "_RINvC7mycrate3fooNtB2_3BarE", "mycrate::foo::<mycrate::Bar>" },
		{ "_RINvC7mycrate3fooTlhEE", "mycrate::foo::<(i32, u8)>" },
		{ "_RINvC7mycrate3fooKj1f_E", "mycrate::foo::<31>" },
		{ "_RNCNvC7mycrate3foo0", "mycrate::foo::{closure#0}" },
		{ "_RNCNvC7mycrate3foos_0", "mycrate::foo::{closure#1}" },
		{ "_RINvC7mycrate3fooFUKCmEuE", "mycrate::foo::<unsafe extern \"C\" fn(u32)>" },
		{ "_RINvC7mycrate3fooDNtB2_5TraitEL_E", "mycrate::foo::<dyn mycrate::Trait>" },
		{ "_RNvC7mycrateu8gdel_5qa", "mycrate::g\u00f6del" },
		{ "_ZN4core3ptr4drop17h0123456789abcdefE", "core::ptr::drop" },
		{ "_ZN71_$LT$Test$u20$$u2b$$u20$$u27$static$u20$as$u20$foo..Bar$LT$Test$GT$$GT$3bar"
		  "17h930b740aa94f1d3aE",
		  "<Test + 'static as foo::Bar<Test>>::bar" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char *plain = mp_demangle(names[i][0]);

		if (!plain || strcmp(plain, names[i][1]))
			fail_msg("%s: %s, not %s", names[i][0], plain ? plain : "(none)",
				 names[i][1]);
		free(plain);
	}
	assert_null(mp_demangle("_RNvC7mycr"));
	assert_null(mp_demangle("_RNvB_3foo")); /* refers back to itself */
}

static void demangles_within_reason(void **state)
{
	char bomb[512], *plain;

	(void)state;
	plain = mp_demangle("_ZNSt6vectorIiSaIiEE9push_backERKi");
	assert_string_equal(plain, "std::vector<int, std::allocator<int> >::push_back(int const&)");
	free(plain);
	plain = mp_demangle("_ZN5alloc7raw_vec11finish_grow17h0123456789abcdefE");
	assert_string_equal(plain, "alloc::raw_vec::finish_grow");
	free(plain);
	assert_null(mp_demangle("malloc"));
	assert_null(mp_demangle("_Z"));
	assert_null(mp_demangle(""));
	/* each argument is a pair of the one before: thirty of them are 2^30 letters */
	strcpy(bomb, "_Z1f1AIiES_IS0_S0_E");
	for (int i = 1; i < 30; i++) {
		char last = (char)(i < 10 ? '0' + i : 'A' + i - 10);

		sprintf(bomb + strlen(bomb), "S_IS%c_S%c_E", last, last);
		plain = mp_demangle(bomb);
		assert_true(i > 7 || plain);
		assert_true(i < 12 || !plain);
		free(plain);
	}
}

static int setup(void **state)
{
	(void)state;
	fixture_begin();
	fixture_write("fixture.c", fixture_c);
	fixture_write("fixture.cc", fixture_cc);
	fixture_shell("gcc -O2 -g -o c-gcc fixture.c");
	fixture_shell("clang -O2 -g -o c-clang fixture.c");
	fixture_shell("gcc -O2 -g -no-pie -o c-fixed fixture.c");
	fixture_shell("g++ -O2 -g -o cc-gcc fixture.cc");
	fixture_shell("cp c-gcc c-split && objcopy --only-keep-debug c-split c-split.debug && "
		      "strip c-split && objcopy --add-gnu-debuglink=c-split.debug c-split");
	symbols = mp_symbols__new();
	return !symbols;
}

static int teardown(void **state)
{
	(void)state;
	mp_symbols__free(symbols);
	mp_symbols__free(NULL);
	fixture_end();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_lines_of_c),
		cmocka_unit_test(names_and_lines_of_cpp),
		cmocka_unit_test(separate_debug_file_is_used),
		cmocka_unit_test(no_name_past_a_symbols_end),
		cmocka_unit_test(return_address_names_the_call),
		cmocka_unit_test(another_file_gives_no_name),
		cmocka_unit_test(what_is_no_elf_gives_no_name),
		cmocka_unit_test(replaced_program_keeps_its_names),
		cmocka_unit_test(answers_are_kept),
		cmocka_unit_test(demangles_rust),
		cmocka_unit_test(demangles_within_reason),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
