/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers as people read them. */
#ifndef MP_VIEW_UNITS_H
#define MP_VIEW_UNITS_H

#include <stdbool.h>
#include <stdint.h>

struct mp_text {
	char s[32];
};

/* A counter for the formatters below, which keep INT64_MIN for "not known": saturates. */
int64_t mp_units_signed(uint64_t n);

/* All: MP_UNKNOWN gives "-". */
struct mp_text mp_units_count(int64_t n);
/* "512 B", "84.2 MiB"; @plain: the number alone. */
struct mp_text mp_units_bytes(int64_t n, bool plain);
/* "812 ns", "1.2 us", "3.4 ms", "5.6 s"; @plain: the nanoseconds alone. */
struct mp_text mp_units_ns(int64_t n, bool plain);
/* 0.9312 gives "93.1 %"; rounded down so that 100.0 % means all. NaN: "-". */
struct mp_text mp_units_percent(double fraction);

#endif
