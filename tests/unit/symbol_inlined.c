// SPDX-License-Identifier: GPL-2.0-or-later
/* Inlined calls: every address of optimized programs, held against eu-addr2line and addr2line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"
#include "frames.h"

static const char fixture_h[] =
	"static inline __attribute__((always_inline)) char *fill(char *p, unsigned long n)\n"
	"{\n"
	"	for (unsigned long i = 0; i < n; i++)\n"
	"		p[i] = (char)(i * n);\n"
	"	return p;\n"
	"}\n";
/* The second call on a line, a call in a block of its own, one through four functions. */
static const char fixture_c[] =
	"#include <stdlib.h>\n"
	"#include \"fill.h\"\n"
	"#define INLINE static inline __attribute__((always_inline))\n"
	"INLINE char *leaf(unsigned long n)\n"
	"{\n"
	"	char *p = malloc(n);\n"
	"	return p ? fill(p, n) : NULL;\n"
	"}\n"
	"INLINE char *middle(unsigned long n)\n"
	"{\n"
	"	if (n > 3) {\n"
	"		unsigned long twice = n * 2;\n"
	"		return leaf(twice);\n"
	"	}\n"
	"	return leaf(n);\n"
	"}\n"
	"INLINE char *upper(unsigned long n) { char *p = middle(n); free(middle(n)); return p; }\n"
	"__attribute__((noinline)) char *outer(unsigned long n)\n"
	"{\n"
	"	char *p = upper(n);\n"
	"	char *q = leaf(n + 1);\n"
	"	if (!q) abort();\n"
	"	q[0] = p[0];\n"
	"	return q;\n"
	"}\n"
	"__attribute__((noinline)) static long with_cold(long n)\n"
	"{\n"
	"	if (__builtin_expect(n == 77, 0)) { free(upper(5)); abort(); }\n"
	"	return n * 3;\n"
	"}\n"
	"int main(int argc, char **argv)\n"
	"{\n"
	"	(void)argv;\n"
	"	free(outer((unsigned long)argc));\n"
	"	return (int)with_cold(argc);\n"
	"}\n";
static const char fixture_cc[] =
	"#include <map>\n"
	"#include <memory>\n"
	"#include <string>\n"
	"#include <vector>\n"
	"namespace shop {\n"
	"struct Item { std::string name; int price; };\n"
	"template <typename T> class Cart {\n"
	"	std::vector<T> items;\n"
	"	std::map<std::string, std::unique_ptr<T>> by_name;\n"
	"public:\n"
	"	__attribute__((noinline)) void add(const std::string &name, int price)\n"
	"	{\n"
	"		items.push_back(T{name, price});\n"
	"		by_name[name] = std::make_unique<T>(T{name + \"!\", price});\n"
	"	}\n"
	"	__attribute__((noinline)) int sum() const\n"
	"	{\n"
	"		int n = 0;\n"
	"		auto each = [&](const T &i) { n += i.price; };\n"
	"		for (const auto &i : items) each(i);\n"
	"		return n;\n"
	"	}\n"
	"};\n"
	"}\n"
	"int main(int argc, char **argv)\n"
	"{\n"
	"	shop::Cart<shop::Item> c;\n"
	"	for (int i = 0; i < argc; i++) c.add(argv[i], i);\n"
	"	return c.sum();\n"
	"}\n";

static struct mp_symbols *symbols;
/* Each compiler's own is the oracle where one of the three merges what others keep apart. */
static const char eu[] = "eu-addr2line -C", binutils[] = "addr2line -C", llvm[] = "llvm-addr2line";

static void compare_c(const char *name, const char *debug, const char *tool)
{
	struct frames_count n =
		frames_compare(symbols, name, debug, tool, "outer|main|with_cold", 1);

	assert_true(n.addresses > 100);
	assert_true(n.inlined > 100);
	assert_true(n.deepest >= 5); /* fill, leaf, middle, upper, outer */
}

static void c_by_gcc(void **state)
{
	(void)state;
	compare_c("gcc", "gcc", eu);
	compare_c("gcc", "gcc", binutils);
	compare_c("gcc-4", "gcc-4", eu);
	compare_c("gcc-z", "gcc-z", eu);
}

static void c_by_clang(void **state)
{
	(void)state;
	compare_c("clang", "clang", llvm); /* it has no .debug_aranges */
	compare_c("clang-a", "clang-a", eu);
}

static void c_stripped(void **state)
{
	(void)state;
	compare_c("split", "gcc", eu);
}

static void c_after_dwz(void **state)
{
	(void)state;
	compare_c("dwz", "dwz", eu);
}

static void cpp(void **state)
{
	struct frames_count n;

	(void)state;
	n = frames_compare(symbols, "g++", "g++", eu, "main|shop|std", 1);
	assert_true(n.addresses > 500);
	assert_true(n.deepest > 6);
	n = frames_compare(symbols, "clang++", "clang++", llvm, "main|shop|std", 1);
	assert_true(n.addresses > 500);
}

static void fewer_than_there_are(void **state)
{
	struct mp_symbol all[FRAMES_MAX];

	(void)state;
	/* the chain's form: names and lines of one known address, told by hand from the source */
	fixture_shell("objdump -d --no-show-raw-insn --disassemble=outer gcc | "
		      "sed -n 's/^ *\\([0-9a-f]*\\):.*call.*malloc.*/\\1/p' | head -n 1 >call");
	{
		char said[64];
		uint64_t addr;
		size_t nr;

		fixture_output(said, sizeof(said), "cat call");
		addr = strtoull(said, NULL, 16);
		nr = frames_at(symbols, "gcc", addr - frames_bias("gcc"), all);
		assert_true(nr >= 2);
		assert_string_equal(all[0].function, "leaf");
		assert_int_equal(all[0].line, 6);
		assert_true(all[0].inlined);
		assert_int_equal(all[0].into, 0);
		assert_string_equal(all[nr - 1].function, "outer");
		assert_false(all[nr - 1].inlined);
		assert_true(all[nr - 1].into > 0);
	}
}

static int setup(void **state)
{
	(void)state;
	fixture_begin();
	fixture_write("fill.h", fixture_h);
	fixture_write("fixture.c", fixture_c);
	fixture_write("fixture.cc", fixture_cc);
	fixture_shell("gcc -O2 -g -o gcc fixture.c && gcc -O2 -gdwarf-4 -o gcc-4 fixture.c && "
		      "gcc -O2 -g -gz -o gcc-z fixture.c && clang -O2 -g -o clang fixture.c && "
		      "g++ -O2 -g -o g++ fixture.cc && clang++ -O2 -g -o clang++ fixture.cc && "
		      "clang -O2 -g -gdwarf-aranges -o clang-a fixture.c");
	fixture_shell("cp gcc split && objcopy --only-keep-debug split split.debug && "
		      "strip split && objcopy --add-gnu-debuglink=split.debug split && "
		      "cp gcc-4 dwz && dwz dwz");
	symbols = mp_symbols__new();
	return !symbols;
}

static int teardown(void **state)
{
	(void)state;
	mp_symbols__free(symbols);
	fixture_end();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(c_by_gcc),   cmocka_unit_test(c_by_clang),
		cmocka_unit_test(c_stripped), cmocka_unit_test(c_after_dwz),
		cmocka_unit_test(cpp),        cmocka_unit_test(fewer_than_there_are),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
