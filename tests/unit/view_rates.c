// SPDX-License-Identifier: GPL-2.0-or-later
/* What became of sites from one report to the next, a second. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "view/top_rates.h"

#define SECOND 1000000000ULL

static void take(struct mp_rates *rates, const struct mp_sample *samples, size_t nr, uint64_t ns)
{
	struct mp_sample *copy = malloc(nr * sizeof(*copy));

	assert_non_null(copy);
	memcpy(copy, samples, nr * sizeof(*copy));
	mp_rates__update(rates, copy, nr, ns);
}

static void assert_rate(struct mp_rate rate, double calls, double faults, int64_t resident)
{
	assert_float_equal(rate.calls, calls, 1e-9);
	assert_float_equal(rate.faults, faults, 1e-9);
	assert_int_equal(rate.resident, resident);
}

static void a_second_is_what_is_told(void **state)
{
	static const struct mp_sample first[] = { { 7, 100, 10, 4096 }, { 3, 5, 5, 8192 } };
	static const struct mp_sample second[] = { { 9, 8, 2, 4096 },
						   { 3, 5, 5, 0 },
						   { 7, 300, 14, 12288 } };
	struct mp_rates rates = { 0 };

	(void)state;
	take(&rates, first, 2, 5 * SECOND);
	assert_rate(mp_rates__of(&rates, 7), 0, 0, 0); /* there is nothing to compare with */
	assert_rate(rates.all, 0, 0, 0);
	take(&rates, second, 3, 9 * SECOND);
	assert_rate(mp_rates__of(&rates, 7), 50, 1, 2048);
	assert_rate(mp_rates__of(&rates, 3), 0, 0, -2048);
	assert_rate(mp_rates__of(&rates, 9), 2, 0.5, 1024); /* new */
	assert_rate(mp_rates__of(&rates, 8), 0, 0, 0);
	assert_rate(rates.all, 52, 1.5, 1024);
	mp_rates__fini(&rates);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_second_is_what_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
