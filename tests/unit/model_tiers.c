// SPDX-License-Identifier: GPL-2.0-or-later
/* Tiers as the kernel side tells them, and the history of glibc's thresholds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "model_feed.h"

#define A 0x401000
#define B 0x402000

static void tiered(uint32_t pid, uint64_t addr, uint64_t size, uint64_t chunk, uint8_t tier)
{
	struct mp_ev_alloc ev = {
		.addr = addr, .requested = size, .chunk = chunk, .caller = A, .tiered = tier
	};

	ev.fn = MP_FN_MALLOC;
	feed(&ev, MP_EV_ALLOC, sizeof(ev), pid, 1);
}

static void tiers_are_counted(void **state)
{
	const struct mp_report *r;

	(void)state;
	feed_begin();
	feed_allocator(1, 0, MP_ALLOC_GLIBC);
	tiered(1, 0x10010, 100, 0x71, MP_TIERED(MP_TIER_TCACHE, MP_SURE_CERTAIN));
	tiered(1, 0x20010, 200, 0xd1, MP_TIERED(MP_TIER_TCACHE, MP_SURE_CERTAIN));
	tiered(1, 0x30010, 300, 0x141, MP_TIERED(MP_TIER_TOP, MP_SURE_SNAPSHOT));
	tiered(1, 0x40010, 400, 0x1a1, MP_TIERED(MP_TIER_BINS, MP_SURE_SNAPSHOT));
	tiered(1, 0x50010, 500, 0x201, 0);
	r = feed_report();
	assert_int_equal(report_block(1, 0x10010)->tier, MP_TIER_TCACHE);
	assert_int_equal(report_block(1, 0x10010)->sure, MP_SURE_CERTAIN);
	assert_int_equal(report_block(1, 0x40010)->tier, MP_TIER_BINS);
	assert_int_equal(report_block(1, 0x40010)->sure, MP_SURE_SNAPSHOT);
	assert_int_equal(report_block(1, 0x50010)->sure, MP_SURE_NOT);
	assert_string_equal(mp_tier_name(MP_TIER_BINS), "bins");
	assert_int_equal(r->tiers[MP_TIER_TCACHE].calls, 2);
	assert_int_equal(r->tiers[MP_TIER_TCACHE].bytes, 300);
	assert_int_equal(r->tiers[MP_TIER_TCACHE].sure[MP_SURE_CERTAIN], 2);
	assert_int_equal(r->tiers[MP_TIER_TOP].sure[MP_SURE_SNAPSHOT], 1);
	assert_int_equal(r->tiers[MP_TIER_TOP].sure[MP_SURE_CERTAIN], 0);
	assert_int_equal(r->tiers[MP_TIER_UNKNOWN].calls, 1);
	assert_int_equal(report_site(A)->tiers[MP_TIER_TCACHE], 2);
	feed_end();
}

/* What no kernel side would tell, and what of other allocators. */
static void odd_tiers_are_none(void **state)
{
	(void)state;
	feed_begin();
	feed_allocator(1, 0, MP_ALLOC_GLIBC);
	tiered(1, 0x10010, 100, 0x71, MP_TIERED(MP_TIER_NR, MP_SURE_CERTAIN));
	tiered(1, 0x20010, 100, 0x71, MP_TIERED(15, 0));
	tiered(1, 0x30010, 100, 0x71, MP_TIERED(MP_TIER_TOP, MP_SURE_NR));
	tiered(1, 0x7f0000000010, 200000, 0x31002, 0xff);
	feed_report();
	assert_int_equal(report_block(1, 0x10010)->tier, MP_TIER_UNKNOWN);
	assert_int_equal(report_block(1, 0x20010)->tier, MP_TIER_UNKNOWN);
	assert_int_equal(report_block(1, 0x30010)->tier, MP_TIER_UNKNOWN);
	assert_int_equal(report_block(1, 0x7f0000000010)->tier, MP_TIER_MMAP);
	feed_end();
	feed_begin();
	feed_allocator(1, 0, MP_ALLOC_JEMALLOC);
	tiered(1, 0x10010, 100, 0x71, MP_TIERED(MP_TIER_TOP, MP_SURE_CERTAIN));
	feed_report();
	assert_int_equal(report_block(1, 0x10010)->tier, MP_TIER_OTHER);
	feed_end();
}

static void heap(uint32_t pid, uint64_t arena, uint64_t threshold, const char *why)
{
	struct {
		struct mp_ev_heap ev;
		char why[64];
	} e = { .ev = { .main_arena = arena,
			.arenas = !!arena && *why != '*',
			.mmap_threshold = threshold,
			.trim_threshold = threshold } };

	strcpy(e.why, why);
	feed(&e, MP_EV_HEAP, sizeof(e), pid, 0);
}

static void raised(uint32_t pid, uint64_t caller, uint64_t from, uint64_t to)
{
	struct mp_ev_threshold ev = {
		.addr = 0x7f0000000010,
		.caller = caller,
		.mmap_before = from,
		.mmap_after = to,
		.trim_before = 2 * from,
		.trim_after = 2 * to,
	};

	feed(&ev, MP_EV_THRESHOLD, sizeof(ev), pid, 7);
}

static void thresholds_have_a_history(void **state)
{
	const struct mp_heap_facts *g;

	(void)state;
	feed_begin();
	heap(1, 0x7f0000001000, 131072, "");
	raised(1, A, 131072, 200704);
	raised(1, B, 200704, 11 << 20);
	raised(2, B, 131072, 262144);
	feed_report();
	g = &report_proc(1)->glibc;
	assert_true(g->told);
	assert_int_equal(g->main_arena, 0x7f0000001000);
	assert_int_equal(g->mmap_threshold, 11 << 20);
	assert_int_equal(g->trim_threshold, 22 << 20);
	assert_int_equal(g->raised, 2);
	assert_int_equal(g->nr_raises, 2);
	assert_int_equal(g->raises[0].site, report_site(A)->id);
	assert_int_equal(g->raises[1].site, report_site(B)->id);
	assert_int_equal(g->raises[1].mmap_before, 200704);
	assert_int_equal(g->raises[1].tid, 7);
	assert_int_equal(report_proc(2)->glibc.raised, 1);
	assert_false(report_proc(2)->glibc.told);
	feed_end();
}

static void history_ends_with_the_image(void **state)
{
	(void)state;
	feed_begin();
	heap(1, 0x7f0000001000, 131072, "");
	raised(1, A, 131072, 200704);
	feed_fork(1, 2, 1);
	raised(2, A, 200704, 300 << 10);
	feed_report();
	assert_int_equal(report_proc(1)->glibc.mmap_threshold, 200704);
	assert_int_equal(report_proc(2)->glibc.mmap_threshold, 300 << 10);
	assert_int_equal(report_proc(2)->glibc.raised, 1);
	assert_int_equal(report_proc(2)->glibc.main_arena, 0x7f0000001000);
	feed_exec(1, "new");
	feed_report();
	assert_false(report_proc(1)->glibc.told);
	assert_int_equal(report_proc(1)->glibc.nr_raises, 0);
	assert_true(report_proc(1)->glibc.mmap_threshold == MP_UNKNOWN);
	feed_end();
}

static void failed_check_is_kept(void **state)
{
	(void)state;
	feed_begin();
	heap(1, 0, 0, "main_arena's unsorted list is no ring");
	feed_report();
	assert_true(report_proc(1)->glibc.told);
	assert_int_equal(report_proc(1)->glibc.main_arena, 0);
	assert_string_equal(report_proc(1)->glibc.why, "main_arena's unsorted list is no ring");
	feed_end();
}

static void new_heap(uint32_t pid, uint32_t tid, uint64_t caller, uint64_t at, bool first)
{
	struct mp_ev_new_heap ev = {
		.heap = at, .arena = at & ~0xfffffffULL, .caller = caller, .first = first
	};

	feed(&ev, MP_EV_NEW_HEAP, sizeof(ev), pid, tid);
}

static void arenas_have_makers(void **state)
{
	const struct mp_heap_facts *g;

	(void)state;
	feed_begin();
	new_heap(1, 6, A, 0x7e0040000000,
		 true); /* before the heap was looked at: it is among them */
	heap(1, 0x7f0000001000, 131072, "");
	new_heap(1, 7, B, 0x7e0080000000, true);
	new_heap(1, 7, A, 0x7e0084000000, false);
	feed_report();
	g = &report_proc(1)->glibc;
	assert_int_equal(g->arenas, 2);
	assert_int_equal(g->arenas_made, 2);
	assert_int_equal(g->heaps_made, 3);
	assert_int_equal(g->nr_heaps, 3);
	assert_int_equal(g->heaps[1].site, report_site(B)->id);
	assert_int_equal(g->heaps[1].tid, 7);
	assert_int_equal(g->heaps[2].arena, 0x7e0080000000);
	assert_false(g->heaps[2].first);
	heap(1, 0x7f0000001000, 1 << 20, "*"); /* looked at again, and not counted */
	feed_report();
	assert_int_equal(report_proc(1)->glibc.arenas, 2);
	assert_int_equal(report_proc(1)->glibc.mmap_threshold, 1 << 20);
	feed_fork(1, 2, 1);
	new_heap(2, 2, A, 0x7e00c0000000, true);
	feed_report();
	assert_int_equal(report_proc(2)->glibc.arenas, 3);
	assert_int_equal(report_proc(2)->glibc.arenas_made, 1);
	assert_int_equal(report_proc(1)->glibc.arenas, 2);
	feed_exec(1, "new");
	feed_report();
	assert_true(report_proc(1)->glibc.arenas == MP_UNKNOWN);
	assert_int_equal(report_proc(1)->glibc.nr_heaps, 0);
	feed_end();
}

/* A program that raises them without end does not fill our memory. */
static void history_is_bounded(void **state)
{
	(void)state;
	feed_begin();
	for (uint64_t i = 0; i < 20000; i++) {
		raised(1, A, i << 12, (i + 1) << 12);
		new_heap(1, 1, A, i << 26, true);
	}
	feed_report();
	assert_int_equal(report_proc(1)->glibc.raised, 20000);
	assert_int_equal(report_proc(1)->glibc.nr_raises, 8192);
	assert_int_equal(report_proc(1)->glibc.mmap_threshold, 20000 << 12);
	assert_int_equal(report_proc(1)->glibc.arenas_made, 20000);
	assert_int_equal(report_proc(1)->glibc.nr_heaps, 8192);
	feed_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tiers_are_counted),
		cmocka_unit_test(odd_tiers_are_none),
		cmocka_unit_test(thresholds_have_a_history),
		cmocka_unit_test(history_ends_with_the_image),
		cmocka_unit_test(failed_check_is_kept),
		cmocka_unit_test(arenas_have_makers),
		cmocka_unit_test(history_is_bounded),
	};

	return cmocka_run_group_tests_name("model_tiers", tests, NULL, NULL);
}
