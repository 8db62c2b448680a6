// SPDX-License-Identifier: GPL-2.0-or-later
/* Processes fork, take a new image, end, and are reported at an instant. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "model_feed.h"

#define A   0x401000 /* callers */
#define B   0x402000
#define MEM 0x7f0000000000ULL

static void fork_shares(void **state)
{
	(void)state;
	feed_begin();
	feed_mmap(1, MEM, 16 * PAGE, A, 0);
	feed_alloc(1, MEM, 100, A);
	feed_fault(1, MEM, 10, TOUCH);
	feed_fault(1, MEM + PAGE, 11, TOUCH);
	feed_fork(1, 2, 1);
	feed_report();
	assert_int_equal(report_page(1, MEM)->state, MP_STATE_SHARED_COW);
	assert_int_equal(report_page(2, MEM)->state, MP_STATE_SHARED_COW);
	assert_int_equal(report_page(2, MEM)->pfn, 10);
	assert_int_equal(report_block(2, MEM)->resident_bytes, 100);
	assert_int_equal(report_site(A)->live_blocks, 2);
	assert_int_equal(report_site(A)->calls, 1 + 1); /* the mapping and the block */
	assert_int_equal(report_proc(2)->books.block, 100);
	assert_non_null(report_vma(2, MEM));

	feed_fault(2, MEM, 20, TOUCH | MP_FAULT_PROT); /* the child writes */
	feed_report();
	assert_int_equal(report_page(2, MEM)->state, MP_STATE_PRESENT);
	assert_int_equal(report_page(1, MEM)->state, MP_STATE_PRESENT); /* alone with it again */
	assert_int_equal(report_page(1, MEM + PAGE)->state, MP_STATE_SHARED_COW);
	feed_free(2, MEM);
	feed_report();
	assert_non_null(report_block(1, MEM));

	feed_exit(2, 0, 2, 0);
	feed_report();
	assert_int_equal(report_page(1, MEM + PAGE)->state, MP_STATE_PRESENT);
	feed_page_free(11, 0); /* as exit gives back, or the parent: only the living are told */
	feed_report();
	assert_null(report_page(1, MEM + PAGE));
	assert_non_null(report_page(2, MEM + PAGE));
	feed_end();
}

static void freed_for_all_who_share(void **state)
{
	(void)state;
	feed_begin();
	feed_fault(1, MEM, 10, TOUCH);
	feed_fork(1, 2, 1);
	feed_fork(2, 3, 1);
	feed_report();
	assert_int_equal(report_page(3, MEM)->state, MP_STATE_SHARED_COW);
	feed_page_free(10, 0);
	feed_report();
	assert_int_equal(
		report_proc(1)->nr_pages + report_proc(2)->nr_pages + report_proc(3)->nr_pages, 0);
	feed_end();
}

static void fork_not_followed(void **state)
{
	(void)state;
	feed_begin();
	feed_fault(1, MEM, 10, TOUCH);
	feed_fork(1, 2, 0);
	feed_fault(1, MEM + PAGE, 11, TOUCH);
	feed_report();
	assert_null(report_proc(2));
	assert_int_equal(report_page(1, MEM)->state, MP_STATE_SHARED_COW);
	assert_int_equal(report_page(1, MEM + PAGE)->state, MP_STATE_PRESENT);
	feed_fork(1, 3, 0);
	feed_exec(2, "child");
	feed_report();
	assert_int_equal(report_page(1, MEM + PAGE)->state, MP_STATE_SHARED_COW); /* 3 is there */
	feed_exit(3, 0, 0, 0);
	feed_report();
	assert_int_equal(report_page(1, MEM)->state, MP_STATE_PRESENT);
	assert_int_equal(report_page(1, MEM + PAGE)->state, MP_STATE_PRESENT);
	/* reuse in place: the same PFN is no arrival, but nobody's share any more */
	feed_fork(1, 4, 0);
	feed_fault(1, MEM, 10, TOUCH | MP_FAULT_PROT);
	feed_report();
	assert_int_equal(report_page(1, MEM)->state, MP_STATE_PRESENT);
	feed_end();
}

static void fork_inside_realloc(void **state)
{
	(void)state;
	feed_begin();
	feed_alloc(1, MEM, 100, A);
	feed_realloc(1, 7, MEM);
	feed_fork(1, 2, 1);
	feed_alloc(2, MEM, 10, A); /* no realloc is under way in the child */
	assert_int_equal(feed_report()->loss.frees_lost, 1);
	feed_end();
}

static void exec_ends_all(void **state)
{
	(void)state;
	feed_begin();
	feed_proc(1, "sh", 1);
	feed_allocator(1, 0, MP_ALLOC_GLIBC);
	feed_mmap(1, MEM, 16 * PAGE, A, 0);
	feed_alloc(1, MEM, 100, A);
	feed_fault(1, MEM, 10, TOUCH);
	feed_exec(1, "cc1");
	feed_report();
	assert_string_equal(report_proc(1)->comm, "cc1");
	assert_int_equal(report_proc(1)->nr_pages, 0);
	assert_int_equal(report_proc(1)->nr_blocks, 0);
	assert_int_equal(report_proc(1)->nr_vmas, 0);
	assert_int_equal(report_proc(1)->nr_allocators, 0);
	assert_int_equal(report_site(A)->calls, 2);
	assert_int_equal(report_site(A)->frees, 0);
	assert_int_equal(report_site(A)->live_bytes, 0);
	feed_page_free(10, 0);
	feed_alloc(1, MEM, 100, A); /* another image: an address means nothing any more */
	assert_int_equal(feed_report()->nr_sites, 2 + 1);
	feed_free(1, 0x1234); /* not known to be traced from its start, until told so */
	assert_int_equal(feed_report()->loss.frees_unmatched, 0);
	feed_proc(1, "cc1", 1);
	feed_free(1, 0x1234);
	assert_int_equal(feed_report()->loss.frees_unmatched, 1);
	feed_end();
}

static void image_is_kept(void **state)
{
	struct mp_ev_exit end = { .anon_pages = 1, .file_pages = 2, .valid = 1 };
	const struct mp_report *r;

	(void)state;
	feed_begin();
	feed_proc(1, "sh", 1);
	feed_mmap(1, MEM, 16 * PAGE, A, 0);
	feed_alloc(1, MEM, 100, A);
	feed_fault(1, MEM, 10, TOUCH);
	feed(&end, MP_EV_IMAGE_END, sizeof(end), 1, 1);
	feed_page_free(10, 0);
	feed_fault(1, MEM, 11, TOUCH); /* of the stack that exec makes: read when it is known */
	feed_exec(1, "cc1");
	feed_alloc(1, MEM, 7, A);
	r = feed_report();
	assert_int_equal(r->nr_procs, 2);
	assert_int_equal(r->procs[0].at, MP_AT_EXEC);
	assert_string_equal(r->procs[0].comm, "sh");
	assert_int_equal(r->procs[0].books.rss, 3 * PAGE);
	assert_int_equal(r->procs[0].books.block, 100);
	assert_int_equal(r->procs[0].pages[0].pfn, 10);
	assert_int_equal(r->procs[1].at, MP_AT_NOW);
	assert_string_equal(r->procs[1].comm, "cc1");
	assert_int_equal(r->procs[1].nr_pages, 0);
	assert_int_equal(r->procs[1].blocks[0].requested, 7);
	feed(&end, MP_EV_IMAGE_END, sizeof(end), 1, 1);
	feed_exit(1, 0, 0, 0); /* the exec has failed beyond return */
	assert_int_equal(feed_report()->procs[1].at, MP_AT_EXEC);
	feed_end();
}

static uint64_t anon_pss(uint32_t pid)
{
	feed_report();
	return report_proc(pid)->books.pss_anon;
}

static void shares(void **state)
{
	(void)state;
	feed_begin();
	for (int i = 0; i < 3; i++)
		feed_fault(1, MEM + i * PAGE, 10 + i, TOUCH);
	assert_int_equal(anon_pss(1), 3 * PAGE);
	assert_int_equal(report_proc(1)->books.pss, MP_UNKNOWN); /* no reading has told it */
	feed_fork(1, 2, 1);
	assert_int_equal(anon_pss(1), 3 * PAGE / 2);
	feed_fork(2, 3, 1);
	feed_fault(3, MEM, 20, TOUCH | MP_FAULT_PROT);
	assert_int_equal(anon_pss(1), PAGE / 2 + 2 * PAGE / 3); /* 1365.33 twice is 2730.67 */
	assert_int_equal(anon_pss(3), PAGE + 2 * PAGE / 3);
	feed_exit(1, 0, 3, 0);
	assert_int_equal(anon_pss(1), PAGE / 2 + 2 * PAGE / 3); /* of that instant */
	assert_int_equal(anon_pss(2), PAGE + PAGE);
	feed_fork(2, 4, 0); /* shares all of it, and nobody knows with whom then */
	assert_int_equal(anon_pss(2), MP_UNKNOWN);
	feed_end();
}

static void learn_at(uint64_t addr, int source, uint64_t pfn, bool shared, uint64_t begin)
{
	struct {
		struct mp_ev_pages ev;
		uint64_t entry;
	} e = { .ev = { .addr = addr, .nr = 1, .source = source, .shares = 1, .begin_ns = begin } };

	e.entry = pfn | MP_PAGE_PRESENT | MP_PAGE_ANON | (shared ? MP_PAGE_SHARED : 0);
	feed(&e, MP_EV_PAGES, sizeof(e), 1, 1);
}

static void learn(int source, uint64_t pfn, bool shared, uint64_t begin)
{
	learn_at(MEM, source, pfn, shared, begin);
}

static int state_of(uint64_t addr)
{
	feed_report();
	return report_page(1, addr)->state;
}

/* The first one stands: a late one, or a hostile file, tells of a process that is not there. */
static void ends_twice(void **state)
{
	(void)state;
	feed_begin();
	feed_proc(1, "one", 0);
	feed_fault(1, MEM, 10, TOUCH);
	feed_exit(1, 3, 1, 0);
	feed_exit(1, 5, 1, 0);
	assert_int_equal(feed_report()->nr_procs, 1);
	assert_int_equal(report_proc(1)->books.rss, 4 * PAGE);
	feed_check();
	feed_end();
}

static void pagemap_tells_sharing(void **state)
{
	uint64_t before;

	(void)state;
	feed_begin();
	feed_proc(1, "one", 0);
	learn(MP_SRC_SEEDED, 10, true, feed_ns);
	assert_int_equal(state_of(MEM), MP_STATE_SHARED_COW);
	assert_int_equal(anon_pss(1), MP_UNKNOWN);
	learn(MP_SRC_CHECK, 10, false, feed_ns);
	assert_int_equal(state_of(MEM), MP_STATE_PRESENT);
	before = feed_ns;
	feed_fork(1, 2, 0);
	learn(MP_SRC_CHECK, 10, false, before); /* begun before the fork: it knows nothing of it */
	assert_int_equal(state_of(MEM), MP_STATE_SHARED_COW);
	learn(MP_SRC_CHECK, 10, false, feed_ns);
	assert_int_equal(state_of(MEM), MP_STATE_PRESENT);
	assert_int_equal(feed_report()->loss.moved_unseen_pages, 0);
	feed_end();
}

/* KSM: the one page that keeps its frame keeps all that is known of it. */
static void what_is_made_one_is_shared(void **state)
{
	(void)state;
	feed_begin();
	feed_fault(1, MEM, 10, TOUCH);
	feed_fault(1, MEM + PAGE, 11, TOUCH);
	feed_page_free(11, 0);
	learn(MP_SRC_CHECK, 10, true, feed_ns);
	learn_at(MEM + PAGE, MP_SRC_CHECK, 10, true, feed_ns);
	assert_int_equal(state_of(MEM), MP_STATE_SHARED_COW);
	assert_int_equal(state_of(MEM + PAGE), MP_STATE_SHARED_COW);
	assert_int_equal(report_page(1, MEM)->source, MP_SRC_FAULT);
	assert_int_equal(report_page(1, MEM + PAGE)->source, MP_SRC_RECONCILED);
	assert_int_equal(feed_report()->loss.moved_unseen_pages, 1);
	feed_fault(1, MEM + PAGE, 12, TOUCH | MP_FAULT_PROT);
	assert_int_equal(state_of(MEM + PAGE), MP_STATE_PRESENT);
	assert_int_equal(report_page(1, MEM + PAGE)->kind, MP_KIND_COW);
	learn(MP_SRC_CHECK, 10, false, feed_ns);
	assert_int_equal(state_of(MEM), MP_STATE_PRESENT);
	feed_end();
}

static void exit_freezes(void **state)
{
	const struct mp_books *b;

	(void)state;
	feed_begin();
	feed_proc(1, "prog", 1);
	feed_mmap(1, MEM, 16 * PAGE, A, MP_FN_MALLOC);
	feed_alloc(1, MEM, 100, A);
	feed_fault(1, MEM, 10, TOUCH);
	feed_exit(1, 30, 2, 4);
	feed_page_free(10, 0);
	feed_free(1, MEM);
	feed_report();
	b = &report_proc(1)->books;
	assert_int_equal(report_proc(1)->at, MP_AT_EXIT);
	assert_true(report_proc(1)->exited);
	assert_int_equal(report_proc(1)->t_ns, feed_ns - 2000);
	assert_int_equal(b->rss, 36 * PAGE);
	assert_int_equal(b->file, 30 * PAGE);
	assert_int_equal(b->shmem, 4 * PAGE);
	assert_int_equal(b->block, 100);
	assert_int_equal(b->retained, PAGE - 100);
	assert_int_equal(b->unexplained, PAGE);
	assert_non_null(report_page(1, MEM));
	feed_proc(1, "next", 0); /* the number is used again */
	feed_alloc(1, MEM, 7, B);
	assert_int_equal(feed_report()->nr_procs, 2);
	assert_int_equal(report_proc(1)->live_blocks, 1);
	assert_string_equal(report_proc(1)->comm, "next");
	feed_end();
}

static void instants(void **state)
{
	struct mp_ev_instant ev = { .at = MP_AT_PEAK };

	(void)state;
	feed_begin();
	feed_proc(1, "one", 0);
	feed_proc(2, "two", 0);
	feed_report();
	assert_int_equal(report_proc(1)->at, MP_AT_NOW);
	assert_int_equal(report_proc(1)->t_ns, feed_ns);
	feed(&ev, MP_EV_INSTANT, sizeof(ev), 2, 0);
	feed_alloc(1, MEM, 8, A);
	feed_report();
	assert_int_equal(report_proc(1)->at, MP_AT_NOW);
	assert_int_equal(report_proc(2)->at, MP_AT_PEAK);
	assert_int_equal(report_proc(2)->t_ns, feed_ns - 1000);
	feed_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fork_shares),
		cmocka_unit_test(freed_for_all_who_share),
		cmocka_unit_test(fork_not_followed),
		cmocka_unit_test(fork_inside_realloc),
		cmocka_unit_test(exec_ends_all),
		cmocka_unit_test(exit_freezes),
		cmocka_unit_test(instants),
		cmocka_unit_test(image_is_kept),
		cmocka_unit_test(shares),
		cmocka_unit_test(ends_twice),
		cmocka_unit_test(pagemap_tells_sharing),
		cmocka_unit_test(what_is_made_one_is_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
