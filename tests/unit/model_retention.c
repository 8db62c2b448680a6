// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory that runs out, and memory that is given back and wanted again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "model_feed.h"

#define A             0x401000
#define B             0x402000
#define HEAP          0x1000000ULL
#define MADV_DONTNEED 4

static void feed_oom(uint32_t pid, int64_t file, int64_t anon)
{
	struct mp_ev_exit ev = { .file_pages = file, .anon_pages = anon, .valid = 1 };

	feed(&ev, MP_EV_OOM, sizeof(ev), pid, 99);
}

static void feed_cgroup(uint32_t pid, uint64_t limit, uint64_t kills)
{
	struct {
		struct mp_ev_cgroup ev;
		char path[8];
	} e = { .ev = { .limit_bytes = limit,
			.usage_bytes = 4096,
			.peak_bytes = ~0ULL,
			.limit_hits = 7,
			.ooms = ~0ULL,
			.oom_kills = kills,
			.version = 1 },
		.path = "/box" };

	feed(&e, MP_EV_CGROUP, sizeof(e), pid, 0);
}

/* Two pages of the heap, one of them under a block. */
static void live(uint32_t pid)
{
	feed_proc(pid, "grows", 1);
	feed_brk(pid, HEAP, HEAP + 8 * PAGE, A, MP_FN_MALLOC);
	feed_alloc(pid, HEAP, PAGE, A);
	feed_fault(pid, HEAP, 0x100, TOUCH);
	feed_fault(pid, HEAP + PAGE, 0x101, TOUCH);
}

/* The reaper takes the pages, other threads may still free, and the process ends. */
static void dies(uint32_t pid)
{
	feed_page_free(0x100, 1);
	feed_free(pid, HEAP);
	feed_munmap(pid, HEAP, 8 * PAGE);
	feed_exit(pid, 1, 0, 0);
}

static void the_victim_stays_as_it_was(void **state)
{
	const struct mp_proc *p;

	(void)state;
	feed_begin();
	live(1);
	feed_oom(1, 3, 2);
	dies(1);
	feed_oom(1, 50, 50); /* told once more */
	feed_report();
	p = report_proc(1);
	assert_int_equal(p->at, MP_AT_OOM);
	assert_true(p->exited);
	assert_int_equal(p->books.rss, 5 * PAGE);
	assert_int_equal(p->books.file, 3 * PAGE);
	assert_int_equal(p->books.block, PAGE);
	assert_int_equal(p->books.retained, PAGE);
	assert_int_equal(p->books.unexplained, 0);
	assert_int_equal(report_site(A)->resident_bytes, PAGE);
	assert_string_equal(mp_at_name(p->at), "oom");
	feed_end();
}

/* The killer tells a moment after its signal: then what the end told stands. */
static void a_victim_can_be_gone_before(void **state)
{
	(void)state;
	feed_begin();
	live(1);
	feed_exit(1, 1, 2, 0);
	feed_oom(1, 50, 50);
	feed_report();
	assert_int_equal(report_proc(1)->at, MP_AT_OOM);
	assert_int_equal(report_proc(1)->books.rss, 3 * PAGE);
	assert_int_equal(report_proc(1)->books.unexplained, 0);
	feed_end();
}

static void the_number_is_used_again(void **state)
{
	const struct mp_report *r;

	(void)state;
	feed_begin();
	live(1);
	feed_oom(1, 3, 2);
	feed_proc(1, "next", 1);
	feed_fault(1, HEAP, 0x200, TOUCH);
	r = feed_report();
	assert_int_equal(r->nr_procs, 2);
	assert_int_equal(r->procs[0].at, MP_AT_OOM);
	assert_int_equal(r->procs[0].present_pages, 2);
	assert_int_equal(r->procs[1].at, MP_AT_NOW);
	assert_int_equal(r->procs[1].present_pages, 1);
	feed_end();
}

static void limits_are_those_last_told(void **state)
{
	const struct mp_limit *l;

	(void)state;
	feed_begin();
	live(1);
	feed_report();
	assert_int_equal(report_proc(1)->limit.version, 0);
	feed_cgroup(1, 1 << 20, 0);
	feed_oom(1, 3, 2);
	feed_cgroup(1, 1 << 20, 1);
	live(2);
	feed_exit(2, 0, 2, 0);
	feed_cgroup(2, 1 << 20, 2); /* what it had come to by then */
	feed_report();
	l = &report_proc(1)->limit;
	assert_string_equal(l->path, "/box");
	assert_int_equal(l->version, 1);
	assert_int_equal(l->limit_bytes, 1 << 20);
	assert_int_equal(l->usage_bytes, 4096);
	assert_true(l->peak_bytes == MP_UNKNOWN);
	assert_int_equal(l->limit_hits, 7);
	assert_true(l->ooms == MP_UNKNOWN);
	assert_int_equal(l->oom_kills, 1);
	assert_int_equal(report_proc(2)->at, MP_AT_EXIT);
	assert_int_equal(report_proc(2)->limit.oom_kills, 2);
	feed_end();
}

static void feed_dontneed(uint32_t pid, uint64_t addr, uint64_t len, uint64_t took)
{
	struct mp_ev_range ev = {
		.op = MP_OP_MADVISE, .addr = addr, .len = len, .prot = MADV_DONTNEED, .caller = B
	};

	feed_range(pid, ev, took);
}

static const struct mp_give_back *given_back(uint32_t pid)
{
	feed_report();
	return &report_proc(pid)->given_back;
}

/* The pages of a call are freed one by one while it runs, before it is told. */
static void what_was_given_back_comes_again(void **state)
{
	const struct mp_give_back *g;
	struct mp_ev_fault timed = { .fault_ns = 700 };

	(void)state;
	feed_begin();
	live(1);
	feed_page_free(0x100, 0);
	feed_dontneed(1, HEAP, 8 * PAGE, 1500);
	g = given_back(1);
	assert_int_equal(g->calls, 1);
	assert_int_equal(g->bytes, 2 * PAGE);
	assert_int_equal(g->refaults, 0);
	assert_int_equal(report_site(B)->given_back.bytes, 2 * PAGE);
	feed_fault_like(1, HEAP + 8, 0x200, TOUCH | MP_FAULT_TIMED, timed);
	feed_fault_like(1, HEAP + 5 * PAGE, 0x201, TOUCH | MP_FAULT_TIMED, timed);
	g = given_back(1);
	assert_int_equal(g->refaults, 1); /* the other had never been there */
	assert_int_equal(g->refault_bytes, PAGE);
	assert_int_equal(g->refault_ns, 700);
	assert_int_equal(report_site(A)->given_back.refaults, 1);
	assert_int_equal(report_site(A)->given_back.calls, 0);
	feed_fault(1, HEAP + 8, 0x200, TOUCH | MP_FAULT_PROT); /* once and not again */
	assert_int_equal(given_back(1)->refaults, 1);
	feed_end();
}

static void zero_pages_cost_nothing_to_keep(void **state)
{
	(void)state;
	feed_begin();
	live(1);
	feed_fault(1, HEAP + 3 * PAGE, 1, WALKED | MP_FAULT_ZERO);
	feed_dontneed(1, HEAP, 8 * PAGE, 10);
	assert_int_equal(given_back(1)->bytes, 2 * PAGE);
	feed_fault(1, HEAP, 1, WALKED | MP_FAULT_ZERO);
	assert_int_equal(given_back(1)->refaults, 0);
	feed_fault(1, HEAP, 0x300, TOUCH | MP_FAULT_PROT);
	assert_int_equal(given_back(1)->refaults, 1);
	feed_end();
}

static void a_lowered_break_gives_back(void **state)
{
	(void)state;
	feed_begin();
	live(1);
	feed_brk(1, HEAP + 8 * PAGE, HEAP + PAGE, B, 0);
	assert_int_equal(given_back(1)->bytes, PAGE);
	feed_brk(1, HEAP + PAGE, HEAP + 8 * PAGE, A, MP_FN_MALLOC);
	feed_fault(1, HEAP + PAGE, 0x300, TOUCH);
	assert_int_equal(given_back(1)->refaults, 1);
	feed_end();
}

/* A huge page brings all of its pages at once. */
static void one_fault_can_bring_many(void **state)
{
	uint64_t at = 0x40000000;

	(void)state;
	feed_begin();
	feed_mmap(1, at, 1024 * PAGE, A, MP_FN_MALLOC);
	for (uint64_t i = 0; i < 100; i++)
		feed_fault(1, at + 7 * i * PAGE, 0x1000 + i, TOUCH);
	feed_dontneed(1, at, 1024 * PAGE, 10);
	assert_int_equal(given_back(1)->bytes, 100 * PAGE);
	feed_fault(1, at + 511 * PAGE, 0x4000 + 511, TOUCH | MP_FAULT_PMD);
	assert_int_equal(given_back(1)->refaults, 1);
	assert_int_equal(given_back(1)->refault_bytes, 74 * PAGE); /* 0, 7, ... 511 */
	feed_end();
}

/* Addresses that another mapping has had, and memory that is no allocator's. */
static void other_memory_does_not_come_again(void **state)
{
	uint64_t at = 0x40000000;

	(void)state;
	feed_begin();
	live(1);
	feed_dontneed(1, HEAP, PAGE, 10);
	feed_munmap(1, HEAP, 8 * PAGE);
	feed_mmap(1, HEAP, 8 * PAGE, A, 0);
	feed_fault(1, HEAP, 0x300, TOUCH);
	feed_mmap(1, at, 8 * PAGE, A, 0);
	feed_fault(1, at, 0x301, TOUCH);
	feed_dontneed(1, at, PAGE, 10);
	feed_fault(1, at, 0x302, TOUCH);
	assert_int_equal(given_back(1)->calls, 1);
	assert_int_equal(given_back(1)->refaults, 0);
	feed_exec(1, "new");
	assert_int_equal(given_back(1)->calls, 0);
	feed_end();
}

/* Lengths that no kernel would have taken. */
static void odd_ranges_do_no_harm(void **state)
{
	(void)state;
	feed_begin();
	live(1);
	feed_dontneed(1, HEAP, ~0ULL, 10);
	feed_dontneed(1, HEAP, 1ULL << 46, 10);
	assert_int_equal(given_back(1)->bytes, 2 * PAGE);
	feed_munmap(1, 0, 1ULL << 46);
	feed_brk(1, HEAP + 8 * PAGE, HEAP, A, MP_FN_MALLOC);
	feed_fault(1, HEAP, 0x300, TOUCH);
	assert_int_equal(given_back(1)->refaults, 0);
	feed_end();
}

static void feed_stall(uint64_t addr, uint64_t caller, uint32_t reclaims, uint32_t wakes,
		       uint8_t unmet)
{
	struct mp_ev_stall ev = { .addr = addr,
				  .caller = caller,
				  .flags = caller ? MP_FAULT_IN_ALLOC : 0,
				  .in_fn = MP_FN_MALLOC,
				  .reclaims = reclaims,
				  .reclaim_ns = reclaims * 10,
				  .memcg_reclaims = 1,
				  .compactions = 2,
				  .compact_ns = 3,
				  .wakes = wakes,
				  .unmet = unmet };

	feed(&ev, MP_EV_STALL, sizeof(ev), 1, 1);
}

/* By whose memory it was, as of a fault; of the process also what was nobody's. */
static void those_who_want_wait(void **state)
{
	const struct mp_waits *w;

	(void)state;
	feed_begin();
	feed_alloc(1, HEAP, 2 * PAGE, A);
	feed_stall(HEAP + PAGE, 0, 3, 1, 0);
	feed_stall(HEAP, B, 5, 0, MP_UNMET_CGROUP); /* inside of malloc, for another block */
	feed_stall(HEAP + 9 * PAGE, 0, 7, 0, MP_UNMET_MACHINE);
	feed_stall(~0ULL, 0, 1, 0, 99); /* as no kernel tells */
	feed_report();
	w = &report_site(A)->waits;
	assert_int_equal(w->reclaims, 3);
	assert_int_equal(w->reclaim_ns, 30);
	assert_int_equal(w->memcg_reclaims, 1);
	assert_int_equal(w->compactions, 2);
	assert_int_equal(w->wakes, 1);
	assert_int_equal(w->unmet, 0);
	w = &report_site(B)->waits;
	assert_int_equal(w->reclaims, 5);
	assert_int_equal(w->unmet, 1);
	assert_int_equal(w->unmet_memcg, 1);
	w = &report_proc(1)->waits;
	assert_int_equal(w->reclaims, 16);
	assert_int_equal(w->compact_ns, 12);
	assert_int_equal(w->unmet, 3);
	assert_int_equal(w->unmet_memcg, 1);
	feed_exec(1, "new");
	feed_report();
	assert_int_equal(report_proc(1)->waits.reclaims, 0);
	feed_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_victim_stays_as_it_was),
		cmocka_unit_test(a_victim_can_be_gone_before),
		cmocka_unit_test(the_number_is_used_again),
		cmocka_unit_test(limits_are_those_last_told),
		cmocka_unit_test(what_was_given_back_comes_again),
		cmocka_unit_test(zero_pages_cost_nothing_to_keep),
		cmocka_unit_test(a_lowered_break_gives_back),
		cmocka_unit_test(one_fault_can_bring_many),
		cmocka_unit_test(other_memory_does_not_come_again),
		cmocka_unit_test(odd_ranges_do_no_harm),
		cmocka_unit_test(those_who_want_wait),
	};

	return cmocka_run_group_tests_name("model_retention", tests, NULL, NULL);
}
