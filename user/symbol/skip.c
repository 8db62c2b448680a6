// SPDX-License-Identifier: GPL-2.0-or-later
#include "symbol/skip.h"

#include <fnmatch.h>
#include <string.h>

/*
 * The allocators' own functions, the language's way to them, and wrappers that many programs have.
 * A container's growth (vector::push_back) is none: it is what the program asked for. Names that
 * others use for something else (alloc, new_block) are left to --skip.
 */
static const char *const known[] = {
	/* C and POSIX, as glibc names them inside too */
	"malloc",
	"calloc",
	"realloc",
	"reallocarray",
	"memalign",
	"aligned_alloc",
	"posix_memalign",
	"valloc",
	"pvalloc",
	"__libc_malloc",
	"__libc_calloc",
	"__libc_realloc",
	"__libc_memalign",
	"__libc_valloc",
	"__libc_pvalloc",
	"__GI___libc_malloc",
	"__malloc",
	"_int_malloc",
	"_int_realloc",
	"_int_memalign",
	"_mid_memalign",
	"sysmalloc",
	"sysmalloc_mmap*",
	"malloc_consolidate",
	"tcache_init*",
	"ptmalloc_init*",
	"arena_get*",
	"_int_new_arena*",
	"new_heap",
	"alloc_new_heap",
	"grow_heap",
	"sbrk",
	"__sbrk",
	"brk",
	"__brk",
	"mmap",
	"mmap64",
	"__mmap",
	"__mmap64",
	"__GI___mmap*",
	"mremap",
	"__mremap",
	"*morecore",
	/* what gives memory back */
	"free",
	"__libc_free",
	"__GI___libc_free",
	"_int_free*",
	"systrim*",
	"heap_trim*",
	"shrink_heap*",
	"mtrim*",
	"munmap_chunk*",
	"malloc_trim",
	"__malloc_trim",
	"madvise",
	"__madvise",
	"munmap",
	"__munmap",
	"__GI___munmap",
	/* and what changes it */
	"mprotect",
	"__mprotect",
	"mlock",
	"mlock2",
	"mlockall",
	"strdup",
	"__strdup",
	"strndup",
	"__strndup",
	/* C++ */
	"operator new*",
	"std::allocator<*",
	"std::__new_allocator<*",
	"std::allocator_traits<*",
	"__gnu_cxx::new_allocator<*",
	"std::_Vector_base<*::_M_allocate*",
	"void* std::__1::__libcpp_allocate*",
	"void* std::__1::__libcpp_operator_new<*",
	"std::__1::allocator<*",
	"std::__1::allocator_traits<*",
	/* Rust */
	"__rust_alloc*",
	"__rust_realloc",
	"__rdl_alloc*",
	"__rdl_realloc",
	"__rg_alloc*",
	"__rg_realloc",
	"__rustc::__rust_alloc*",
	"__rustc::__rust_realloc",
	"__rustc::__rdl_alloc*",
	"__rustc::__rdl_realloc",
	"alloc::alloc::*",
	"<alloc::alloc::Global as *",
	"alloc::raw_vec::*",
	/* other allocators */
	"je_*alloc*",
	"mi_malloc*",
	"mi_calloc*",
	"mi_zalloc*",
	"mi_realloc*",
	"mi_new*",
	"mi_heap_*alloc*",
	"_mi_malloc*",
	"_mi_heap_*alloc*",
	"tc_malloc*",
	"tc_calloc",
	"tc_realloc",
	"tc_new*",
	"tc_memalign",
	"tcmalloc::*",
	/* GLib */
	"g_malloc*",
	"g_try_malloc*",
	"g_realloc*",
	"g_try_realloc*",
	"g_slice_alloc*",
	"g_aligned_alloc*",
	"g_strdup",
	"g_strndup",
	"g_memdup*",
	/* "or die" wrappers, GNU and others */
	"xmalloc",
	"xcalloc",
	"xzalloc",
	"xrealloc",
	"xmallocz",
	"xnmalloc",
	"xnrealloc",
	"x2realloc",
	"x2nrealloc",
	"xreallocarray",
	"xstrdup",
	"xstrndup",
	"xmemdup",
	"do_xmalloc",
	"ximalloc",
	"xicalloc",
	"xirealloc",
	/* GCC */
	"ggc_internal_*alloc*",
	"ggc_realloc*",
	/* zmalloc of Redis and Valkey */
	"zmalloc*",
	"zcalloc*",
	"zrealloc*",
	"ztrymalloc*",
	"ztrycalloc*",
	"ztryrealloc*",
	/* SQLite */
	"sqlite3_malloc*",
	"sqlite3_realloc*",
	"sqlite3Malloc*",
	"sqlite3Realloc*",
	"sqlite3MemMalloc",
	"sqlite3MemRealloc",
	"sqlite3DbMalloc*",
	"sqlite3DbRealloc*",
	"sqlite3DbStr*Dup",
	"dbMallocRawFinish",
	"dbReallocFinish",
	"mallocWithAlarm",
	/* Python */
	"PyMem_*alloc",
	"_PyMem_*alloc",
	"PyObject_Malloc",
	"PyObject_Calloc",
	"PyObject_Realloc",
	"_PyObject_Malloc",
	"_PyObject_Calloc",
	"_PyObject_Realloc",
	"pymalloc_alloc",
	"new_arena",
	"allocate_from_new_pool",
	"_PyObject_Arena*",
	/* Perl */
	"Perl_safesys*alloc",
	/* OpenSSL */
	"CRYPTO_malloc",
	"CRYPTO_zalloc",
	"CRYPTO_realloc",
	"CRYPTO_strdup",
	"CRYPTO_memdup",
	"OPENSSL_malloc",
	"OPENSSL_zalloc",
	"OPENSSL_realloc",
};

const char *mp_skip_pattern(size_t i)
{
	return i < sizeof(known) / sizeof(known[0]) ? known[i] : NULL;
}

bool mp_skip_known(const char *function)
{
	if (!function)
		return false;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		/* most differ in the first byte: fnmatch is asked for few */
		if (known[i][0] != '*' && known[i][0] != function[0])
			continue;
		if (!fnmatch(known[i], function, 0))
			return true;
	}
	return false;
}

bool mp_skip_matches(const char *const *patterns, size_t nr, const char *function)
{
	if (!function)
		return false;
	for (size_t i = 0; i < nr; i++)
		if (!fnmatch(patterns[i], function, 0))
			return true;
	return mp_skip_known(function);
}
