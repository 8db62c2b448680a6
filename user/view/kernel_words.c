// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/kernel_words.h"

#include <stdio.h>

#define VERSION(major, minor) ((major)*1000U + (minor))

/*
 * Words only: what is hooked goes by what the kernel has, never by its number (collect/rows.c).
 * mm: the maple tree came with d4af56c5c7c6 (6.1), the folio with 7b230db3b8d3 (5.16);
 * __alloc_pages_nodemask became __alloc_pages with 84172f4bb752 (5.13), __alloc_pages_noprof with
 * b951aaff5035 (6.10); since 6.14 users' pages come through __alloc_frozen_pages_noprof.
 */
struct mp_kernel_words mp_kernel_words(const char *release)
{
	unsigned int major, minor, v;

	v = sscanf(release, "%3u.%3u", &major, &minor) == 2 ? VERSION(major, minor) : -1U;
	return (struct mp_kernel_words){
		.tree = v < VERSION(6, 1) ? "a red-black tree and a list (mm_struct.mm_rb)"
					  : "a maple tree (mm_struct.mm_mt)",
		.unit = v < VERSION(5, 16) ? "page" : "folio",
		.alloc_pages = v < VERSION(5, 13)   ? "__alloc_pages_nodemask"
			       : v < VERSION(6, 10) ? "__alloc_pages"
			       : v < VERSION(6, 14) ? "__alloc_pages_noprof"
						    : "__alloc_frozen_pages_noprof",
	};
}
