// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/units.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "model/model.h"

static const struct mp_text unknown = { "-" };

int64_t mp_units_signed(uint64_t n)
{
	return n > INT64_MAX ? INT64_MAX : (int64_t)n;
}

struct mp_text mp_units_count(int64_t n)
{
	struct mp_text t;

	if (n == MP_UNKNOWN)
		return unknown;
	snprintf(t.s, sizeof(t.s), "%" PRId64, n);
	return t;
}

/* One decimal, in the largest unit that shows at least 1.0 of it after rounding. */
static struct mp_text scaled(int64_t n, double step, const char *const *units)
{
	double value = n;
	struct mp_text t;
	int unit = 0;

	while (fabs(value) >= step - (unit ? 0.05 : 0) && units[unit + 1]) {
		value /= step;
		unit++;
	}
	snprintf(t.s, sizeof(t.s), unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return t;
}

struct mp_text mp_units_bytes(int64_t n, bool plain)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", NULL };

	if (plain || n == MP_UNKNOWN)
		return mp_units_count(n);
	return scaled(n, 1024, units);
}

struct mp_text mp_units_ns(int64_t n, bool plain)
{
	static const char *const units[] = { "ns", "us", "ms", "s", NULL };

	if (plain || n == MP_UNKNOWN)
		return mp_units_count(n);
	return scaled(n, 1000, units);
}

struct mp_text mp_units_percent(double fraction)
{
	struct mp_text t;

	if (isnan(fraction))
		return unknown;
	if (fraction > 1e6)
		fraction = 1e6;
	/* 1e-9: a fraction that is exactly 0.982 must not become 98.1 by its binary shadow */
	snprintf(t.s, sizeof(t.s), "%.1f %%", (int64_t)(fraction * 1000 + 1e-9) / 10.0);
	return t;
}
