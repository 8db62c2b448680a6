/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a kernel calls the things a page passes, for who wants to read on in its source. */
#ifndef MP_VIEW_KERNEL_WORDS_H
#define MP_VIEW_KERNEL_WORDS_H

struct mp_kernel_words {
	const char *tree;        /* that keeps the VMAs of an address space */
	const char *unit;        /* what the page cache and reclaim deal in: "page", "folio" */
	const char *alloc_pages; /* the page allocator's door for a user's page */
};

/* @release: as of uname -r. Of one that is not understood the newest words are given. */
struct mp_kernel_words mp_kernel_words(const char *release);

#endif
