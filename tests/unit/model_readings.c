// SPDX-License-Identifier: GPL-2.0-or-later
/* Readings of page tables: what was there before, what a system call filled, what moved unseen. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "model_feed.h"

#define A   0x401000 /* callers */
#define MEM 0x7f0000000000ULL

static void seeds_do_not_outdo_events(void **state)
{
	uint64_t begin;

	(void)state;
	feed_begin();
	begin = feed_ns;
	feed_fault(1, MEM, 10, TOUCH);
	feed_fault(1, MEM + PAGE, 11, TOUCH);
	feed_page_free(11, 0);
	feed_page_free(12, 0); /* of a page that nobody knew yet */
	feed_munmap(1, MEM + 8 * PAGE, PAGE);
	feed_pages(1, MP_SRC_SEEDED, MEM, begin, ANON(40), 1);
	feed_pages(1, MP_SRC_SEEDED, MEM + PAGE, begin, ANON(11), 1);
	feed_pages(1, MP_SRC_SEEDED, MEM + 2 * PAGE, begin, ANON(12), 1);
	feed_pages(1, MP_SRC_SEEDED, MEM + 7 * PAGE, begin, ANON(17), 3);
	feed_report();
	assert_int_equal(report_page(1, MEM)->pfn, 10);
	assert_null(report_page(1, MEM + PAGE));
	assert_null(report_page(1, MEM + 2 * PAGE));
	assert_int_equal(report_page(1, MEM + 7 * PAGE)->pfn, 17);
	assert_null(report_page(1, MEM + 8 * PAGE));
	assert_int_equal(report_page(1, MEM + 9 * PAGE)->pfn, 19);
	assert_int_equal(report_page(1, MEM + 9 * PAGE)->source, MP_SRC_SEEDED);
	assert_int_equal(report_page(1, MEM + 9 * PAGE)->kind, MP_KIND_NONE);
	/* a reading made after all that counts */
	feed_pages(1, MP_SRC_SEEDED, MEM, 0, ANON(41), 1);
	feed_report();
	assert_int_equal(report_page(1, MEM)->pfn, 41);
	feed_end();
}

static void populated(void **state)
{
	(void)state;
	feed_begin();
	feed_fault(1, MEM, 10, TOUCH);
	feed_pages(1, MP_SRC_POPULATE, MEM, 0, ANON(10), 3);
	feed_pages(1, MP_SRC_POPULATE, MEM, 0, 0, 3); /* absent entries change nothing */
	feed_report();
	assert_int_equal(report_page(1, MEM)->source, MP_SRC_FAULT);
	assert_int_equal(report_page(1, MEM)->kind, MP_KIND_ANON);
	assert_int_equal(report_page(1, MEM + PAGE)->source, MP_SRC_POPULATE);
	assert_int_equal(report_page(1, MEM + PAGE)->by, MP_BY_GUP);
	assert_int_equal(report_page(1, MEM + 2 * PAGE)->pfn, 12);
	feed_pages(1, MP_SRC_POPULATE, MEM + 4 * PAGE, 0, ZERO(3), 2);
	feed_report();
	assert_int_equal(report_page(1, MEM + 5 * PAGE)->pfn, 3);
	assert_int_equal(report_page(1, MEM + 5 * PAGE)->state, MP_STATE_ZERO);
	feed_end();
}

static void check_finds_what_moved(void **state)
{
	uint64_t begin;

	(void)state;
	feed_begin();
	feed_fault(1, MEM, 10, TOUCH);
	feed_fault(1, MEM + PAGE, 11, TOUCH);
	feed_fault(1, MEM + 2 * PAGE, 3, WALKED | MP_FAULT_ZERO);
	feed_fault(1, MEM + 3 * PAGE, 13, TOUCH);
	feed_fault(1, MEM + 4 * PAGE, 14, TOUCH);
	feed_pages(1, MP_SRC_CHECK, MEM, 0, ANON(10), 2);
	assert_int_equal(feed_report()->loss.moved_unseen_pages, 0);
	feed_pages(1, MP_SRC_CHECK, MEM, 0, ANON(20), 1);            /* migrated */
	feed_pages(1, MP_SRC_CHECK, MEM + PAGE, 0, 0, 1);            /* gone */
	feed_pages(1, MP_SRC_CHECK, MEM + 2 * PAGE, 0, ANON(22), 1); /* zero page no more */
	feed_pages(1, MP_SRC_CHECK, MEM + 3 * PAGE, 0, SWAP(5), 1);
	feed_pages(1, MP_SRC_CHECK, MEM + 9 * PAGE, 0, ANON(29), 2); /* came */
	assert_int_equal(feed_report()->loss.moved_unseen_pages, 6);
	assert_int_equal(report_page(1, MEM)->pfn, 20);
	assert_int_equal(report_page(1, MEM)->source, MP_SRC_RECONCILED);
	assert_null(report_page(1, MEM + PAGE));
	assert_int_equal(report_page(1, MEM + 2 * PAGE)->state, MP_STATE_PRESENT);
	assert_int_equal(report_page(1, MEM + 3 * PAGE)->state, MP_STATE_SWAPPED);
	assert_int_equal(report_page(1, MEM + 3 * PAGE)->pfn, 0);
	assert_int_equal(report_page(1, MEM + 4 * PAGE)->source, MP_SRC_FAULT);
	assert_int_equal(report_page(1, MEM + 10 * PAGE)->pfn, 30);

	begin = feed_ns;
	feed_fault(1, MEM, 70, TOUCH | MP_FAULT_PROT); /* after the reading, told before it */
	feed_page_free(14, 0);
	feed_pages(1, MP_SRC_CHECK, MEM, begin, ANON(20), 1);
	feed_pages(1, MP_SRC_CHECK, MEM + 4 * PAGE, begin, ANON(14), 1);
	assert_int_equal(feed_report()->loss.moved_unseen_pages, 6);
	assert_int_equal(report_page(1, MEM)->pfn, 70);
	assert_null(report_page(1, MEM + 4 * PAGE));
	/* a long run of absent entries */
	feed_pages(1, MP_SRC_CHECK, 0x10000, 0, 0, 1U << 27);
	assert_int_equal(feed_report()->loss.moved_unseen_pages, 6);
	feed_pages(1, MP_SRC_CHECK, MEM & ~((1ULL << 39) - 1), 0, 0, 1U << 27);
	assert_int_equal(feed_report()->loss.moved_unseen_pages, 11);
	assert_int_equal(report_proc(1)->nr_pages, 0);
	feed_end();
}

/* A folio that was split in view is no loss, one found split is; who tells no order changes none. */
/* What the kernel moves, swaps and joins keeps how it came; what it frees meanwhile is not the page. */
static void moved_pages_keep_their_past(void **state)
{
	const struct mp_page *page;
	uint64_t begin;

	(void)state;
	feed_begin();
	feed_fault(1, MEM, 10, TOUCH);
	feed_fault(1, MEM + PAGE, 11, TOUCH);
	begin = feed_ns;
	feed_pages(1, MP_SRC_MOVED, MEM, 0, ANON(20), 1);
	feed_page_free(10, 0);
	feed_pages(1, MP_SRC_MOVED, MEM + PAGE, 0, SWAP(5), 1);
	feed_page_free(11, 0);
	feed_pages(1, MP_SRC_MOVED, MEM + 3 * PAGE, 0, 0, 1);
	feed_pages(1, MP_SRC_CHECK, MEM, begin, ANON(10), 2); /* read before */
	assert_int_equal(feed_report()->loss.moved_unseen_pages, 0);
	page = report_page(1, MEM);
	assert_int_equal(page->pfn, 20);
	assert_int_equal(page->source, MP_SRC_FAULT);
	assert_int_equal(page->kind, MP_KIND_ANON);
	assert_int_equal(report_page(1, MEM + PAGE)->state, MP_STATE_SWAPPED);
	assert_null(report_page(1, MEM + 3 * PAGE));
	feed_pages(1, MP_SRC_MOVED, MEM, 0, ZERO(3), 1); /* of a folio that was taken apart */
	feed_report();
	assert_int_equal(report_page(1, MEM)->state, MP_STATE_ZERO);
	assert_int_equal(report_page(1, MEM)->source, MP_SRC_MOVED);
	assert_int_equal(report_page(1, MEM)->by, MP_BY_NONE);
	feed_pages(1, MP_SRC_MOVED, MEM, 0, ANON(20), 1);
	feed_page_free(20, 0);
	feed_report();
	assert_null(report_page(1, MEM));
	feed_end();
}

static void collapsed_pages(void **state)
{
	(void)state;
	feed_begin();
	feed_fault(1, MEM, 10, TOUCH);
	feed_fault(1, MEM + PAGE, 11, TOUCH);
	feed_pages(1, MP_SRC_MOVED, MEM, 0, MP_PAGE_MOVING, 512);
	feed_page_free(10, 0);
	feed_page_free(11, 0);
	feed_pages(1, MP_SRC_MOVED, MEM, 0, ANON(512) | MP_PAGE_HUGE, 512);
	feed_report();
	assert_int_equal(report_page(1, MEM)->pfn, 512);
	assert_int_equal(report_page(1, MEM)->order, 9);
	assert_int_equal(report_page(1, MEM + PAGE)->source, MP_SRC_FAULT);
	assert_int_equal(report_page(1, MEM + PAGE)->kind, MP_KIND_ANON);
	assert_int_equal(report_page(1, MEM + 2 * PAGE)->pfn, 514);
	assert_int_equal(report_page(1, MEM + 2 * PAGE)->source, MP_SRC_MOVED);
	assert_int_equal(report_page(1, MEM + 2 * PAGE)->kind, MP_KIND_NONE);
	feed_page_free(512, 9);
	feed_report();
	assert_null(report_page(1, MEM));
	assert_null(report_page(1, MEM + 511 * PAGE));
	feed_end();
}

static void order_of_a_folio(void **state)
{
	const uint64_t order0 = MP_PAGE_ORDERED, order4 = order0 | 4ULL << MP_PAGE_ORDER_SHIFT;

	(void)state;
	feed_begin();
	feed_pages(1, MP_SRC_SEEDED, MEM, 0, ANON(16) | order4, 16);
	feed_pages(1, MP_SRC_CHECK, MEM, 0, ANON(16), 16);
	feed_report();
	assert_int_equal(report_page(1, MEM + 15 * PAGE)->order, 4);
	assert_int_equal(report_page(1, MEM + 15 * PAGE)->pfn, 31);
	feed_pages(1, MP_SRC_POPULATE, MEM, 0, ANON(16) | order0, 8);
	assert_int_equal(feed_report()->loss.moved_unseen_pages, 0);
	assert_int_equal(report_page(1, MEM)->order, 0);
	assert_int_equal(report_page(1, MEM)->source, MP_SRC_SEEDED);
	assert_int_equal(report_page(1, MEM + 8 * PAGE)->order, 4);
	feed_pages(1, MP_SRC_CHECK, MEM, 0, ANON(16) | order0, 16);
	assert_int_equal(feed_report()->loss.moved_unseen_pages, 8);
	assert_int_equal(report_page(1, MEM + 8 * PAGE)->order, 0);
	feed_end();
}

/* A page that came at the very time the reading began is in it. */
static void check_at_the_same_time(void **state)
{
	(void)state;
	feed_begin();
	feed_fault(1, MEM, 10, TOUCH);
	feed_pages(1, MP_SRC_CHECK, MEM, feed_ns, 0, 4);
	assert_int_equal(feed_report()->loss.moved_unseen_pages, 1);
	feed_fault(1, MEM, 10, TOUCH);
	feed_pages(1, MP_SRC_CHECK, MEM, feed_ns - 1, 0, 4);
	assert_int_equal(feed_report()->loss.moved_unseen_pages, 1);
	feed_end();
}

static void pfn_filled_in_is_no_move(void **state)
{
	(void)state;
	feed_begin();
	feed_fault(1, MEM, 0, MP_FAULT_WRITE);
	feed_pages(1, MP_SRC_CHECK, MEM, 0, ANON(10), 1);
	assert_int_equal(feed_report()->loss.moved_unseen_pages, 0);
	assert_int_equal(report_page(1, MEM)->pfn, 10);
	assert_int_equal(report_page(1, MEM)->source, MP_SRC_RECONCILED);
	assert_int_equal(report_page(1, MEM)->kind, MP_KIND_ANON);
	feed_page_free(10, 0);
	feed_report();
	assert_null(report_page(1, MEM));
	feed_end();
}

static void tool_pages(void **state)
{
	(void)state;
	feed_begin();
	feed_fault(1, MEM, 10, TOUCH);
	feed_pages(1, MP_SRC_TOOL, MEM, 0, ANON(10), 2);
	feed_report();
	assert_int_equal(report_page(1, MEM)->source, MP_SRC_TOOL);
	assert_int_equal(report_proc(1)->books.tool, 2 * PAGE);
	assert_int_equal(report_proc(1)->books.other_anon, 0);
	feed_end();
}

static int state_of(uint64_t addr)
{
	feed_report();
	return report_page(1, addr)->state;
}

/* Where nobody tells of sharing, what is shared with a child stays so, in another frame too. */
static void a_move_leaves_it_shared(void **state)
{
	(void)state;
	feed_begin();
	feed_fault(1, MEM, 10, TOUCH);
	feed_fork(1, 2, 0);
	feed_pages(1, MP_SRC_CHECK, MEM, 0, ANON(10), 1);
	assert_int_equal(state_of(MEM), MP_STATE_SHARED_COW);
	feed_pages(1, MP_SRC_CHECK, MEM, 0, ANON(11), 1);
	assert_int_equal(state_of(MEM), MP_STATE_SHARED_COW);
	feed_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(seeds_do_not_outdo_events),
		cmocka_unit_test(populated),
		cmocka_unit_test(check_finds_what_moved),
		cmocka_unit_test(moved_pages_keep_their_past),
		cmocka_unit_test(collapsed_pages),
		cmocka_unit_test(order_of_a_folio),
		cmocka_unit_test(check_at_the_same_time),
		cmocka_unit_test(pfn_filled_in_is_no_move),
		cmocka_unit_test(tool_pages),
		cmocka_unit_test(a_move_leaves_it_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
