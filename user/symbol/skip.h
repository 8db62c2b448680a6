/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which functions are allocators, operator new or thin wrappers of them: not where a program decided
 * to allocate, so the frame that a site is shown by lies further out. Pure.
 */
#ifndef MP_SYMBOL_SKIP_H
#define MP_SYMBOL_SKIP_H

#include <stdbool.h>
#include <stddef.h>

/* Whether @function (demangled; may be NULL) is one of the names known from the field, below. */
bool mp_skip_known(const char *function);

/* The known patterns (fnmatch(3)) one by one, for help and tests; NULL: @i is past the last. */
const char *mp_skip_pattern(size_t i);

/* Known ones, and those that match one of @patterns (fnmatch(3), @nr of them). */
bool mp_skip_matches(const char *const *patterns, size_t nr, const char *function);

#endif
