/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The sites of layout.c and moves.c: each the direct caller of one allocation function. */
#ifndef MP_TESTS_SITES_H
#define MP_TESTS_SITES_H

#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "truth.h"

#define SITE static __attribute__((noipa, unused)) int
#define HUGE (2UL << 20)
#define KIB  1024UL
#define MIB  (1024UL * 1024)

#define MALLOC_SITE(name)                                    \
	SITE name(size_t n)                                  \
	{                                                    \
		return truth_new(__func__, 0, malloc(n), n); \
	}

MALLOC_SITE(site_before)
MALLOC_SITE(site_all)
MALLOC_SITE(site_tenth)
MALLOC_SITE(site_none)
MALLOC_SITE(site_below)
MALLOC_SITE(site_above)
MALLOC_SITE(site_zero)
MALLOC_SITE(site_readsys)
MALLOC_SITE(site_locked)
MALLOC_SITE(site_dontneed)
MALLOC_SITE(site_returned)
MALLOC_SITE(site_thread)
MALLOC_SITE(site_churn)
MALLOC_SITE(site_cow)
MALLOC_SITE(site_swap)
MALLOC_SITE(site_shifted)
MALLOC_SITE(site_collapse)

SITE site_calloc(size_t n)
{
	return truth_new(__func__, 0, calloc(n / 8, 8), n);
}

SITE site_realloc(int old, size_t n)
{
	void *p = old < 0 ? NULL : truth_end(old);

	return truth_new(__func__, 0, realloc(p, n), n);
}

SITE site_reallocarray(int old, size_t n)
{
	void *p = truth_end(old);

	return truth_new(__func__, 0, reallocarray(p, n / 4, 4), n);
}

SITE site_memalign(size_t align, size_t n)
{
	return truth_new(__func__, 0, memalign(align, n), n);
}

SITE site_posix_memalign(size_t align, size_t n)
{
	void *p = NULL;

	if (posix_memalign(&p, align, n))
		p = NULL;
	return truth_new(__func__, 0, p, n);
}

SITE site_aligned_alloc(size_t align, size_t n)
{
	return truth_new(__func__, 0, aligned_alloc(align, n), n);
}

SITE site_valloc(size_t n)
{
	return truth_new(__func__, 0, valloc(n), n);
}

SITE site_huge(size_t n)
{
	return truth_new(__func__, 0, aligned_alloc(HUGE, n), n);
}

SITE site_no_huge(size_t n)
{
	return truth_new(__func__, 0, aligned_alloc(HUGE, n), n);
}

SITE site_mthp(size_t n)
{
	return truth_new(__func__, 0, aligned_alloc(HUGE, n), n);
}

SITE site_mmap(size_t n, int flags)
{
	return truth_new(__func__, 1,
			 mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags,
			      -1, 0),
			 n);
}

SITE site_mremap(int old, size_t from, size_t n)
{
	void *p = truth_end(old);

	return truth_new(__func__, 1, mremap(p, from, n, MREMAP_MAYMOVE), n);
}

#endif
