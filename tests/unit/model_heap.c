// SPDX-License-Identifier: GPL-2.0-or-later
/* Blocks by hand-made events: what begins, ends, moves, and who is counted for it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "model_feed.h"

#define A 0x401000 /* callers */
#define B 0x402000

static void begins_and_ends(void **state)
{
	(void)state;
	feed_begin();
	feed_alloc(1, 0x10000, 100, A);
	feed_alloc(1, 0x10080, 50, A);
	feed_alloc(1, 0x20000, 7, B);
	assert_int_equal(mp_model__live_blocks(feed_model), 3);
	feed_free(1, 0x10000);
	feed_report();
	assert_null(report_block(1, 0x10000));
	assert_int_equal(report_block(1, 0x10080)->requested, 50);
	assert_int_equal(report_site(A)->calls, 2);
	assert_int_equal(report_site(A)->frees, 1);
	assert_int_equal(report_site(A)->live_blocks, 1);
	assert_int_equal(report_site(A)->live_bytes, 50);
	assert_int_equal(report_site(A)->requested_bytes, 150);
	assert_int_equal(report_site(A)->fn, MP_FN_MALLOC);
	assert_int_equal(report_site(B)->live_bytes, 7);
	assert_int_equal(report_site(A)->untouched_bytes, 50);
	feed_end();
}

static void zero_bytes_live(void **state)
{
	(void)state;
	feed_begin();
	feed_alloc(1, 0x10000, 0, A);
	feed_alloc(1, 0x10010, 0, A);
	assert_int_equal(mp_model__live_blocks(feed_model), 2);
	feed_alloc(1, 0x10000, 0, A); /* same start: the first one's free was lost */
	assert_int_equal(mp_model__live_blocks(feed_model), 2);
	assert_int_equal(feed_report()->loss.frees_lost, 1);
	assert_int_equal(report_block(1, 0x10010)->requested, 0);
	feed_free(1, 0x10010);
	assert_int_equal(mp_model__live_blocks(feed_model), 1);
	feed_end();
}

static void failure_is_no_call(void **state)
{
	(void)state;
	feed_begin();
	feed_alloc(1, 0, 1ULL << 60, A);
	feed_report();
	assert_int_equal(report_site(A)->failed, 1);
	assert_int_equal(report_site(A)->calls, 0);
	assert_int_equal(report_site(A)->requested_bytes, 0);
	feed_alloc(1, 1ULL << 63, 8, A); /* no such address */
	feed_alloc(1, 0x10000, UINT64_MAX, A);
	assert_int_equal(mp_model__live_blocks(feed_model), 0);
	feed_end();
}

/* A start over a live block ends it, whichever way they overlap. */
static void overlap_ends(void **state)
{
	static const struct {
		uint64_t addr, size;
		int ends;
	} news[] = {
		{ 0x10ff0, 0x10, 0 },      /* touches from below */
		{ 0x10ff0, 0x11, 1 },      /* reaches in from below */
		{ 0x11000, 0x100, 1 },     /* same */
		{ 0x110ff, 1, 1 },         /* last byte */
		{ 0x11100, 0x10, 0 },      /* touches from above */
		{ 0x10000, 0x10000, 1 },   /* covers */
		{ 0x10000, 0x4000000, 1 }, /* a large one covers */
		{ 0x110f0, 0x20000, 1 },   /* a large one starts inside */
		{ 0x11080, 0, 1 },         /* an empty one inside */
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(news) / sizeof(*news); i++) {
		feed_begin();
		feed_alloc(1, 0x11000, 0x100, A);
		feed_alloc(1, news[i].addr, news[i].size, B);
		assert_int_equal(feed_report()->loss.frees_lost, news[i].ends);
		assert_int_equal(report_site(A)->live_blocks, !news[i].ends);
		assert_int_equal(report_site(A)->frees, news[i].ends);
		assert_int_equal(report_site(B)->live_blocks, 1);
		feed_end();
	}
}

static void large_blocks(void **state)
{
	uint64_t i;

	(void)state;
	feed_begin();
	for (i = 0; i < 300; i++) /* more than one chunk of the ordered map */
		feed_alloc(1, 0x100000000 + i * 0x200000, 0x100000 + i, A);
	feed_alloc(1, 0x200000000000, 5ULL << 32, B); /* more than 32 bits of size */
	feed_report();
	assert_int_equal(report_block(1, 0x200000000000)->requested, 5ULL << 32);
	for (i = 0; i < 300; i += 2)
		feed_free(1, 0x100000000 + i * 0x200000);
	feed_check();
	assert_int_equal(mp_model__live_blocks(feed_model), 151);
	/* small, on the last page of a large one, behind it */
	feed_alloc(1, 0x100300010, 0x10, A);
	assert_int_equal(feed_report()->loss.frees_lost, 0);
	feed_alloc(1, 0x1002ffff0, 0x10, A); /* inside the large one at 0x100200000 */
	assert_int_equal(feed_report()->loss.frees_lost, 1);
	assert_null(report_block(1, 0x100200000));
	feed_end();
}

static void small_block_crosses_regions(void **state)
{
	(void)state;
	feed_begin();
	feed_alloc(1, 0x3fff0, 0x10000, A); /* from the last page of a region into the next */
	feed_alloc(1, 0x4ff00, 0x10, B);
	assert_int_equal(feed_report()->loss.frees_lost, 1);
	assert_null(report_block(1, 0x3fff0));
	feed_end();
}

static void free_of_unknown(void **state)
{
	(void)state;
	feed_begin();
	feed_free(1, 0x10000); /* attached: it may be older than the tracing */
	assert_int_equal(feed_report()->loss.frees_unmatched, 0);
	feed_proc(2, "launched", 1);
	feed_free(2, 0x10000);
	feed_alloc(2, 0x20000, 64, A);
	feed_free(2, 0x20008); /* inside, not at the start */
	assert_int_equal(feed_report()->loss.frees_unmatched, 2);
	assert_int_equal(mp_model__live_blocks(feed_model), 1);
	feed_end();
}

static void realloc_moves(void **state)
{
	(void)state;
	feed_begin();
	feed_alloc(1, 0x10000, 100, A);
	feed_realloc(1, 1, 0x10000);
	feed_report();
	assert_non_null(report_block(1, 0x10000)); /* it stands until realloc returns */
	feed_realloc_done(1, 1, 0x10000, 0x30000, 300, B);
	feed_report();
	assert_null(report_block(1, 0x10000));
	assert_int_equal(report_block(1, 0x30000)->requested, 300);
	assert_int_equal(report_site(A)->frees, 1);
	assert_int_equal(report_site(A)->live_bytes, 0);
	assert_int_equal(report_site(B)->calls, 1);
	assert_int_equal(report_site(B)->fn, MP_FN_REALLOC);
	assert_int_equal(report_site(B)->live_bytes, 300);
	feed_end();
}

static void realloc_stays(void **state)
{
	(void)state;
	feed_begin();
	feed_allocator(1, 0, MP_ALLOC_GLIBC);
	feed_alloc(1, 0x10000, 100, A);
	feed_realloc(1, 1, 0x10000);
	feed_realloc_done(1, 1, 0x10000, 0x10000, 200, B);
	assert_int_equal(feed_report()->loss.frees_lost, 0);
	assert_int_equal(report_block(1, 0x10000)->requested, 200);
	assert_int_equal(report_block(1, 0x10000)->tier, MP_TIER_INPLACE);
	assert_int_equal(report_block(1, 0x10000)->site, report_site(B)->id);
	assert_int_equal(report_site(A)->live_blocks, 0);
	feed_end();
}

static void realloc_fails(void **state)
{
	(void)state;
	feed_begin();
	feed_alloc(1, 0x10000, 100, A);
	feed_realloc(1, 1, 0x10000);
	feed_realloc_done(1, 1, 0x10000, 0, 1ULL << 50, B);
	feed_report();
	assert_int_equal(report_block(1, 0x10000)->requested, 100);
	assert_int_equal(report_site(A)->live_blocks, 1);
	assert_int_equal(report_site(A)->frees, 0);
	assert_int_equal(report_site(B)->failed, 1);
	feed_alloc(1, 0x10000, 8, B); /* no transit is left: this is a lost free */
	assert_int_equal(feed_report()->loss.frees_lost, 1);
	feed_end();
}

static void realloc_frees(void **state)
{
	(void)state;
	feed_begin();
	feed_alloc(1, 0x10000, 100, A);
	feed_realloc(1, 1, 0x10000);
	feed_realloc_done(1, 1, 0x10000, 0, 0, B);
	assert_int_equal(mp_model__live_blocks(feed_model), 0);
	feed_report();
	assert_int_equal(report_site(A)->frees, 1);
	assert_int_equal(report_site(B)->failed, 0);
	feed_end();
}

/* While one thread is inside realloc, others may be given what it gave back. */
static void start_over_transit(void **state)
{
	(void)state;
	feed_begin();
	feed_alloc(1, 0x10000, 100, A);
	feed_realloc(1, 7, 0x10000);
	feed_alloc(1, 0x10000, 60, B);
	feed_realloc(1, 8, 0x10000); /* and that block goes through realloc too */
	feed_realloc_done(1, 7, 0x10000, 0x20000, 500, A);
	assert_int_equal(feed_report()->loss.frees_lost, 0);
	assert_int_equal(report_block(1, 0x10000)->requested, 60);
	assert_int_equal(report_site(A)->calls, 2);
	assert_int_equal(report_site(A)->frees, 1);
	feed_realloc_done(1, 8, 0x10000, 0x30000, 70, B);
	feed_report();
	assert_null(report_block(1, 0x10000));
	assert_int_equal(mp_model__live_blocks(feed_model), 2);
	feed_end();
}

static void realloc_of_older_block(void **state)
{
	(void)state;
	feed_begin();
	feed_realloc(1, 1, 0x10000);
	feed_realloc_done(1, 1, 0x10000, 0x20000, 10, A);
	assert_int_equal(mp_model__live_blocks(feed_model), 1);
	assert_int_equal(feed_report()->loss.frees_unmatched, 0);
	feed_end();
}

static void realloc_entry_lost(void **state)
{
	(void)state;
	feed_begin();
	feed_alloc(1, 0x10000, 100, A);
	feed_realloc_done(1, 1, 0x10000, 0x20000, 10, A);
	feed_report();
	assert_null(report_block(1, 0x10000));
	assert_int_equal(mp_model__live_blocks(feed_model), 1);
	feed_end();
}

static void many_threads_in_realloc(void **state)
{
	uint32_t i;

	(void)state;
	feed_begin();
	for (i = 0; i < 600; i++) { /* more than are remembered */
		feed_alloc(1, 0x100000 + i * 64, 32, A);
		feed_realloc(1, 1000 + i, 0x100000 + i * 64);
	}
	for (i = 0; i < 600; i++)
		feed_realloc_done(1, 1000 + i, 0x100000 + i * 64, 0x900000 + i * 64, 40, B);
	feed_check();
	feed_report();
	assert_int_equal(report_site(B)->live_blocks, 600);
	feed_end();
}

static void glibc_chunk(void **state)
{
	(void)state;
	feed_begin();
	feed_allocator(1, 0, MP_ALLOC_GLIBC);
	feed_allocator(1, 1, MP_ALLOC_JEMALLOC);
	feed_alloc_chunk(1, 0x10010, 100, 0x71, 0);
	feed_alloc_chunk(1, 0x7f0000000010, 200000, 0x31002, 0);
	feed_alloc_chunk(1, 0x7f0000100010, 200000, 0x30ff2, 0); /* of 2.43 */
	feed_alloc_chunk(1, 0x20010, 100, 0x21, 0); /* smaller than what was asked: no chunk */
	feed_alloc_chunk(1, 0x30010, 100, 0, 0);
	feed_alloc_chunk(1, 0x40010, 100, 0x71, 1);
	feed_alloc_chunk(1, 0x50010, 100, 0x71, 5); /* not known */
	feed_report();
	assert_int_equal(report_block(1, 0x10010)->usable, 0x70 - 8);
	assert_int_equal(report_block(1, 0x10010)->tier, MP_TIER_UNKNOWN);
	assert_int_equal(report_block(1, 0x7f0000000010)->usable, 0x31000 - 16);
	assert_int_equal(report_block(1, 0x7f0000000010)->tier, MP_TIER_MMAP);
	assert_int_equal(report_block(1, 0x7f0000100010)->usable, 0x30ff0 - 8);
	assert_true(report_block(1, 0x20010)->usable == MP_UNKNOWN);
	assert_true(report_block(1, 0x30010)->usable == MP_UNKNOWN);
	assert_true(report_block(1, 0x40010)->usable == MP_UNKNOWN);
	assert_int_equal(report_block(1, 0x40010)->tier, MP_TIER_OTHER);
	assert_int_equal(report_block(1, 0x50010)->tier, MP_TIER_UNKNOWN);
	assert_int_equal(feed_report()->tiers[MP_TIER_MMAP].calls, 2);
	assert_int_equal(feed_report()->tiers[MP_TIER_MMAP].bytes, 400000);
	feed_end();
}

static void own_address_spaces(void **state)
{
	(void)state;
	feed_begin();
	feed_alloc(1, 0x10000, 100, A);
	feed_alloc(2, 0x10000, 200, A);
	feed_free(1, 0x10000);
	feed_report();
	assert_null(report_block(1, 0x10000));
	assert_int_equal(report_block(2, 0x10000)->requested, 200);
	feed_end();
}

static void block_keeps_what_it_was_told(void **state)
{
	(void)state;
	feed_begin();
	feed_alloc(1, 0x10000, 100, A);
	feed_alloc(1, 0x10fff, 1, 0); /* no caller: site 0 */
	feed_report();
	assert_int_equal(report_block(1, 0x10000)->t_ns, feed_ns - 1000);
	assert_int_equal(report_block(1, 0x10000)->tid, 1);
	assert_int_equal(report_block(1, 0x10fff)->site, 0);
	assert_int_equal(report_block(1, 0x10fff)->t_ns, feed_ns);
	feed_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(begins_and_ends),
		cmocka_unit_test(zero_bytes_live),
		cmocka_unit_test(failure_is_no_call),
		cmocka_unit_test(overlap_ends),
		cmocka_unit_test(large_blocks),
		cmocka_unit_test(small_block_crosses_regions),
		cmocka_unit_test(free_of_unknown),
		cmocka_unit_test(realloc_moves),
		cmocka_unit_test(realloc_stays),
		cmocka_unit_test(realloc_fails),
		cmocka_unit_test(realloc_frees),
		cmocka_unit_test(start_over_transit),
		cmocka_unit_test(realloc_of_older_block),
		cmocka_unit_test(realloc_entry_lost),
		cmocka_unit_test(many_threads_in_realloc),
		cmocka_unit_test(glibc_chunk),
		cmocka_unit_test(own_address_spaces),
		cmocka_unit_test(block_keeps_what_it_was_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
