// SPDX-License-Identifier: GPL-2.0-or-later
/* Allocators and wrappers by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "symbol/skip.h"

static void allocators_are_skipped(void **state)
{
	static const char *const names[] = {
		"malloc",
		"calloc",
		"realloc",
		"posix_memalign",
		"_int_malloc",
		"strdup",
		"mmap",
		"operator new(unsigned long)",
		"operator new[](unsigned long, std::nothrow_t const&)",
		"std::allocator<char>::allocate(unsigned long)",
		"std::__new_allocator<int>::allocate(unsigned long, void const*)",
		"__gnu_cxx::new_allocator<shop::Item>::allocate(unsigned long, void const*)",
		"std::_Vector_base<int, std::allocator<int> >::_M_allocate(unsigned long)",
		"__rust_alloc",
		"alloc::alloc::exchange_malloc",
		"alloc::raw_vec::finish_grow",
		"<alloc::alloc::Global as core::alloc::Allocator>::allocate",
		"g_malloc0_n",
		"xmalloc",
		"zmalloc_usable",
		"ztrycalloc",
		"sqlite3Malloc",
		"sqlite3_malloc64",
		"sqlite3DbMallocRawNN",
		"PyMem_RawMalloc",
		"_PyObject_Malloc",
		"PyObject_Malloc",
		"Perl_safesysrealloc",
		"CRYPTO_zalloc",
		"mi_malloc_aligned",
		"je_mallocx",
		"tc_new",
		"__default_morecore",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!mp_skip_known(names[i]))
			fail_msg("%s", names[i]);
}

static void programs_are_not(void **state)
{
	static const char *const names[] = {
		"",
		"main",
		"alloc",
		"mallocate",
		"my_malloc",
		"xmalloc_stats",
		"operator",
		"new_block",
		"std::vector<int, std::allocator<int> >::push_back(int const&)",
		"std::_Vector_base<int, std::allocator<int> >::_Vector_base(unsigned long)",
		"operator==(std::allocator<int> const&)",
		"Malloc",
		"sqlite3_open",
		"zset",
		"PyMem_SetupAllocators",
		"PyObject_New",
		"Perl_safesysfree",
		"<mycrate::Foo as alloc::Bar>::baz",
		"g_main_loop_run",
		"strdupa",
		"mmap_region",
		"alloc::vec::Vec<T,A>::push",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (mp_skip_known(names[i]))
			fail_msg("%s", names[i]);
	assert_false(mp_skip_known(NULL));
}

static void patterns_are_added(void **state)
{
	static const char *const more[] = { "my_*", "shop::Pool<[ab]>::get(*" };

	(void)state;
	assert_true(mp_skip_matches(more, 2, "my_malloc"));
	assert_true(mp_skip_matches(more, 2, "shop::Pool<a>::get(int)"));
	assert_false(mp_skip_matches(more, 2, "shop::Pool<c>::get(int)"));
	assert_false(mp_skip_matches(more, 2, "not_my_malloc"));
	assert_true(mp_skip_matches(more, 2, "malloc"));
	assert_false(mp_skip_matches(more, 0, "my_malloc"));
	assert_false(mp_skip_matches(more, 2, NULL));
}

/* A pattern that another one covers, or that is written twice, says nothing. */
static void each_pattern_counts(void **state)
{
	const char *p;
	size_t n = 0;

	(void)state;
	for (; (p = mp_skip_pattern(n)); n++)
		for (size_t i = 0; i < n; i++)
			assert_string_not_equal(p, mp_skip_pattern(i));
	assert_true(n > 50);
	assert_null(mp_skip_pattern(SIZE_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allocators_are_skipped),
		cmocka_unit_test(programs_are_not),
		cmocka_unit_test(patterns_are_added),
		cmocka_unit_test(each_pattern_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
