// SPDX-License-Identifier: GPL-2.0-or-later
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "view/label.h"
#include "view/units.h"

#define KIB 1024LL
#define MIB (1024 * KIB)

static void bytes(void **state)
{
	static const struct {
		int64_t n;
		const char *text;
	} rows[] = {
		{ 0, "0 B" },
		{ 1023, "1023 B" },
		{ 1024, "1.0 KiB" },
		{ 1536, "1.5 KiB" },
		{ MIB - 1, "1.0 MiB" }, /* not 1024.0 KiB */
		{ 84 * MIB + 205 * KIB, "84.2 MiB" },
		{ 1024 * MIB, "1.0 GiB" },
		{ 5 * MIB * MIB, "5.0 TiB" },
		{ -4096, "-4.0 KiB" },
		{ MP_UNKNOWN, "-" },
		{ INT64_MAX, "8388608.0 TiB" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(mp_units_bytes(rows[i].n, false).s, rows[i].text);
	assert_string_equal(mp_units_bytes(MIB, true).s, "1048576");
	assert_string_equal(mp_units_bytes(MP_UNKNOWN, true).s, "-");
}

static void times_and_counts(void **state)
{
	(void)state;
	assert_string_equal(mp_units_ns(999, false).s, "999 ns");
	assert_string_equal(mp_units_ns(1234, false).s, "1.2 us");
	assert_string_equal(mp_units_ns(999960, false).s, "1.0 ms");
	assert_string_equal(mp_units_ns(3600 * 1000000000LL, false).s, "3600.0 s");
	assert_string_equal(mp_units_ns(1234, true).s, "1234");
	assert_string_equal(mp_units_count(-1).s, "-1");
	assert_int_equal(mp_units_signed(UINT64_MAX), INT64_MAX);
}

static void percent(void **state)
{
	(void)state;
	assert_string_equal(mp_units_percent(NAN).s, "-");
	assert_string_equal(mp_units_percent(1).s, "100.0 %");
	assert_string_equal(mp_units_percent(0.99999).s, "99.9 %");
	assert_string_equal(mp_units_percent(0.982).s, "98.2 %");
	assert_string_equal(mp_units_percent(0).s, "0.0 %");
}

static void utf8(void **state)
{
	(void)state;
	assert_int_equal(mp_utf8_len(""), 0);
	assert_int_equal(mp_utf8_len("a"), 1);
	assert_int_equal(mp_utf8_len("\xc3\xa9"), 2);
	assert_int_equal(mp_utf8_len("\xe2\x82\xac"), 3);
	assert_int_equal(mp_utf8_len("\xf0\x9f\x98\x80"), 4);
	assert_int_equal(mp_utf8_len("\xc0\xaf"), 0);         /* overlong */
	assert_int_equal(mp_utf8_len("\xe0\x80\xaf"), 0);     /* overlong */
	assert_int_equal(mp_utf8_len("\xed\xa0\x80"), 0);     /* surrogate */
	assert_int_equal(mp_utf8_len("\xf4\x90\x80\x80"), 0); /* above U+10FFFF */
	assert_int_equal(mp_utf8_len("\xe2\x82"), 0);         /* cut short */
	assert_int_equal(mp_utf8_len("\x80"), 0);
}

static void names_are_neutralised(void **state)
{
	char to[64];

	(void)state;
	assert_string_equal(mp_label_safe(to, sizeof(to), "caf\xc3\xa9 ok"), "caf\xc3\xa9 ok");
	assert_string_equal(mp_label_safe(to, sizeof(to), "a\033[2Jb\n"), "a\\x1b[2Jb\\x0a");
	/* C1 control sequence introducer, right-to-left override, isolate */
	assert_string_equal(mp_label_safe(to, sizeof(to), "\xc2\x9b"), "\\xc2\\x9b");
	assert_string_equal(mp_label_safe(to, sizeof(to), "\xe2\x80\xae"), "\\xe2\\x80\\xae");
	assert_string_equal(mp_label_safe(to, sizeof(to), "\xe2\x81\xa6"), "\\xe2\\x81\\xa6");
	assert_string_equal(mp_label_safe(to, sizeof(to), "\xe2\x80\x9c"), "\xe2\x80\x9c");
	assert_string_equal(mp_label_safe(to, sizeof(to), "\xff\xfe"), "\\xff\\xfe");
	/* never half a character or half an escape */
	assert_string_equal(mp_label_safe(to, 4, "ab\xc3\xa9"), "ab");
	assert_string_equal(mp_label_safe(to, 6, "ab\x01"), "ab");
	assert_string_equal(mp_label_safe(to, 1, "ab"), "");
}

static void names_are_cut(void **state)
{
	char s[32];

	(void)state;
	mp_label_clip(strcpy(s, "abcdef"), 6);
	assert_string_equal(s, "abcdef");
	mp_label_clip(strcpy(s, "abcdefg"), 6);
	assert_string_equal(s, "abcd..");
	mp_label_clip(strcpy(s, "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"), 3);
	assert_string_equal(s, "\xc3\xa9..");
	assert_int_equal(mp_label_columns("\xc3\xa9t\xc3\xa9"), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes),
		cmocka_unit_test(times_and_counts),
		cmocka_unit_test(percent),
		cmocka_unit_test(utf8),
		cmocka_unit_test(names_are_neutralised),
		cmocka_unit_test(names_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
