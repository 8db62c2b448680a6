// SPDX-License-Identifier: GPL-2.0-or-later
/* The kernel module's walk against a ledger that is right, wrong, or only older. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "model_feed.h"

#define MEM  0x7f0000000000ULL
#define P(i) (MEM + (i)*PAGE)

static uint64_t begin_ns;

static void phase(uint32_t pid, uint32_t which)
{
	struct mp_ev_witness ev = { .begin_ns = begin_ns, .phase = which };

	feed(&ev, MP_EV_WITNESS, sizeof(ev), pid, 0);
}

static void begin(uint32_t pid)
{
	begin_ns = feed_ns + 500;
	phase(pid, MP_WITNESS_BEGINS);
}

static void found(uint32_t pid, uint64_t addr, uint64_t entry, uint32_t nr)
{
	struct {
		struct mp_ev_pages ev;
		uint64_t entry;
	} e = { .ev = { .addr = addr,
			.nr = nr,
			.source = MP_SRC_WITNESS,
			.contig = 1,
			.begin_ns = begin_ns },
		.entry = entry };

	feed(&e, MP_EV_WITNESS_PAGES, sizeof(e), pid, 0);
}

static const struct mp_report *end(uint32_t pid)
{
	struct mp_ev_instant now = { .at = MP_AT_NOW };

	phase(pid, MP_WITNESS_DONE);
	feed(&now, MP_EV_INSTANT, sizeof(now), 0, 0);
	return feed_report();
}

/* Three anonymous pages and a zero page */
static void setup(void)
{
	feed_begin();
	feed_proc(1, "prog", 0);
	for (int i = 0; i < 3; i++)
		feed_fault(1, P(i), 100 + i, TOUCH);
	feed_fault(1, P(3), 7, WALKED | MP_FAULT_ZERO);
}

static void counts(const struct mp_report *r, int64_t pages, int64_t mismatches)
{
	assert_int_equal(r->module_pages, pages);
	assert_int_equal(r->loss.module_mismatch_pages, mismatches);
	assert_int_equal(r->nr_mismatches, mismatches > 0 ? mismatches : 0);
}

static void differs(const struct mp_mismatch *m, uint64_t addr, uint64_t ledger, uint64_t module)
{
	assert_int_equal(m->pid, 1);
	assert_int_equal(m->addr, addr);
	assert_int_equal(m->ledger_pfn, ledger);
	assert_int_equal(m->module_pfn, module);
}

static void agreement(void **state)
{
	(void)state;
	setup();
	begin(1);
	found(1, P(0), ANON(100), 3);
	found(1, P(3), ZERO(7), 1);
	counts(end(1), 4, 0);
	feed_end();
}

static void wrong_ledgers(void **state)
{
	const struct mp_report *r;

	(void)state;
	setup();
	begin(1);
	found(1, P(0), ANON(100), 1);
	found(1, P(1), ANON(555), 1); /* another frame */
	found(1, P(3), ANON(7), 1);   /* the zero page was none; P(2) is not there */
	found(1, P(9), ANON(109), 1); /* never heard of */
	r = end(1);
	counts(r, 5, 4);
	differs(&r->mismatches[0], P(1), 101, 555);
	differs(&r->mismatches[1], P(3), 7, 7);
	differs(&r->mismatches[2], P(9), 0, 109);
	differs(&r->mismatches[3], P(2), 102, 0);
	/* the ledger stays as it was: pagemap puts it right, and nothing is brought by a witness */
	assert_int_equal(report_page(1, P(1))->pfn, 101);
	assert_non_null(report_page(1, P(2)));
	assert_null(report_page(1, P(9)));
	feed_end();
}

static void what_is_younger(void **state)
{
	(void)state;
	setup();
	begin(1);
	feed_fault(1, P(1), 201, TOUCH | MP_FAULT_PROT); /* copied after the walk had begun */
	feed_fault(1, P(5), 205, TOUCH);                 /* came behind its back */
	feed_munmap(1, P(2), PAGE);
	feed_fault(1, P(6), 206, TOUCH);
	feed_page_free(300, 0);
	found(1, P(0), ANON(100), 3);
	found(1, P(3), ZERO(7), 1);
	found(1, P(8), ANON(300), 1); /* was there, and is free by now */
	counts(end(1), 2, 0);
	feed_end();
}

static void pages_in_motion_and_in_swap(void **state)
{
	(void)state;
	setup();
	feed_pages(1, MP_SRC_CHECK, P(2), 0, SWAP(77), 1);
	begin(1);
	found(1, P(0), ANON(100), 1);
	found(1, P(1), 0, 1); /* in motion: seen, not compared */
	found(1, P(3), ZERO(7), 1);
	counts(end(1), 2, 0); /* P(2) is swapped, so there is nothing to be found */
	begin(1);
	found(1, P(0), ANON(100), 3);
	found(1, P(3), ZERO(7), 1);
	assert_int_equal(end(1)->loss.module_mismatch_pages, 1); /* swapped, and yet present */
	feed_end();
}

static void a_fork_shares(void **state)
{
	(void)state;
	setup();
	feed_fork(1, 2, 1);
	for (uint32_t pid = 1; pid <= 2; pid++) {
		begin(pid);
		found(pid, P(0), ANON(100), 3);
		found(pid, P(3), ZERO(7), 1);
		phase(pid, MP_WITNESS_DONE);
	}
	counts(end(1), 8, 0);
	feed_end();
}

/* What one walk has found must not be taken for found by the next. */
static void each_walk_counts(void **state)
{
	const struct mp_report *r;

	(void)state;
	setup();
	begin(1);
	found(1, P(0), ANON(100), 3);
	found(1, P(3), ZERO(7), 1); /* no DONE: cut short */
	begin(1);
	r = end(1);
	counts(r, 8, 4);
	differs(&r->mismatches[0], P(0), 100, 0);
	feed_end();
}

static void no_walk_no_number(void **state)
{
	struct mp_ev_instant now = { .at = MP_AT_NOW };

	(void)state;
	setup();
	begin(1);
	found(1, P(0), ANON(100), 3);
	found(1, P(3), ZERO(7), 1);
	counts(feed_report(), MP_UNKNOWN, MP_UNKNOWN); /* not done yet */
	counts(end(1), 4, 0);
	feed(&now, MP_EV_INSTANT, sizeof(now), 0, 0);
	counts(feed_report(), MP_UNKNOWN, MP_UNKNOWN); /* not of this instant */
	begin(1);
	found(1, P(0), ANON(100), 3);
	found(1, P(3), ZERO(7), 1);
	counts(end(1), 8, 0);
	feed_proc(2, "other", 0);
	counts(feed_report(), MP_UNKNOWN, MP_UNKNOWN); /* nor of every process */
	feed_exit(2, 0, 0, 0);
	counts(feed_report(), 8, 0);
	feed_exit(1, 0, 3, 0);
	counts(feed_report(), MP_UNKNOWN, MP_UNKNOWN); /* at its exit nobody walked */
	feed_end();
}

static void a_mismatch_outlives_its_process(void **state)
{
	(void)state;
	setup();
	begin(1);
	counts(end(1), 4, 4);
	feed_exit(1, 0, 3, 0);
	counts(feed_report(), 4, 4);
	feed_end();
}

static void another_image(void **state)
{
	(void)state;
	setup();
	begin_ns = feed_ns;
	feed_exec(1, "new");
	phase(1, MP_WITNESS_BEGINS); /* begun before, told after */
	found(1, P(0), ANON(100), 3);
	counts(end(1), MP_UNKNOWN, MP_UNKNOWN);
	feed_end();
	setup();
	begin(1);
	feed_exec(1, "new");
	found(1, P(0), ANON(100), 3);
	counts(end(1), MP_UNKNOWN, MP_UNKNOWN);
	feed_end();
}

/* A ring of system calls is remembered; before that nobody knows what they changed. */
static void too_much_happened(void **state)
{
	(void)state;
	setup();
	begin(1);
	for (int i = 0; i < 65; i++)
		feed_munmap(1, P(1000 + i), PAGE);
	found(1, P(0), ANON(555), 1);
	counts(end(1), 0, 0);
	feed_end();
}

static void many_are_counted(void **state)
{
	const struct mp_report *r;

	(void)state;
	setup();
	begin(1);
	found(1, P(100), ANON(1000), 500);
	r = end(1);
	assert_int_equal(r->loss.module_mismatch_pages, 504);
	assert_int_equal(r->nr_mismatches, MP_MISMATCHES);
	differs(&r->mismatches[63], P(163), 0, 1063);
	feed_end();
}

static void nonsense(void **state)
{
	(void)state;
	setup();
	begin_ns = feed_ns;
	found(1, P(0), ANON(555), 1); /* no walk has begun */
	phase(1, MP_WITNESS_DONE);
	phase(1, 99);
	begin(1);
	found(1, MP_PAGE_MASK & ((1ULL << 57) - 1), ANON(~0ULL & MP_PAGE_PFN), 1);
	found(1, P(2000), 0, 1U << 27);
	found(1, P(0), SWAP(5), 4);
	found(2, P(0), ANON(5), 4);
	begin_ns -= 100000;
	found(1, P(9), ANON(5), 4); /* older than its walk */
	begin_ns += 100000;
	assert_int_equal(end(1)->loss.module_mismatch_pages, 1);
	feed_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agreement),
		cmocka_unit_test(wrong_ledgers),
		cmocka_unit_test(what_is_younger),
		cmocka_unit_test(pages_in_motion_and_in_swap),
		cmocka_unit_test(a_fork_shares),
		cmocka_unit_test(each_walk_counts),
		cmocka_unit_test(no_walk_no_number),
		cmocka_unit_test(a_mismatch_outlives_its_process),
		cmocka_unit_test(another_image),
		cmocka_unit_test(too_much_happened),
		cmocka_unit_test(many_are_counted),
		cmocka_unit_test(nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
