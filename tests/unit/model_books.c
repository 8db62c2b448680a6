// SPDX-License-Identifier: GPL-2.0-or-later
/* Books and sites, by hand-made events and sums done by hand. */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "model_feed.h"

#define A   0x401000 /* callers, in the file of @program */
#define B   0x402000
#define MEM 0x7f0000000000ULL

static const struct feed_vma program = { .start = 0x400000,
					 .end = 0x500000,
					 .offset = 0x1000,
					 .ino = 42,
					 .rss = 0x20000,
					 .anon = 0x1000,
					 .kind = MP_VMA_FILE,
					 .perms = 5,
					 .name = "/usr/bin/prog" };

static void resident_to_the_byte(void **state)
{
	(void)state;
	feed_begin();
	feed_mmap(1, MEM, 16 * PAGE, A, MP_FN_MALLOC);
	feed_alloc(1, MEM + 100, 2 * PAGE, A);           /* pages 0, 1, 2 */
	feed_alloc(1, MEM + 2 * PAGE + 200, 50, B);      /* page 2 */
	feed_alloc(1, MEM + 2 * PAGE + 300, 1000, B);    /* page 2 */
	feed_alloc(1, MEM + 8 * PAGE, 64 * PAGE * 4, A); /* a large one */
	feed_fault(1, MEM, 10, TOUCH);
	feed_fault(1, MEM + 2 * PAGE, 12, TOUCH);
	feed_fault(1, MEM + PAGE, 3, WALKED | MP_FAULT_ZERO); /* in no Rss */
	feed_fault(1, MEM + 9 * PAGE, 13, TOUCH);
	feed_report();
	assert_int_equal(report_block(1, MEM + 100)->resident_bytes, (PAGE - 100) + 100);
	assert_int_equal(report_block(1, MEM + 2 * PAGE + 200)->resident_bytes, 50);
	assert_int_equal(report_block(1, MEM + 2 * PAGE + 300)->resident_bytes, 1000);
	assert_int_equal(report_block(1, MEM + 8 * PAGE)->resident_bytes, PAGE);
	assert_int_equal(report_site(A)->resident_bytes, 2 * PAGE);
	assert_int_equal(report_site(B)->resident_bytes, 1050);
	assert_int_equal(report_site(A)->untouched_bytes, (2 + 256 - 2) * PAGE);
	assert_int_equal(report_proc(1)->books.block, 2 * PAGE + 1050);
	assert_int_equal(report_proc(1)->books.retained, 3 * PAGE - 2 * PAGE - 1050);
	assert_int_equal(report_proc(1)->books.zero, PAGE);
	assert_int_equal(report_page(1, MEM + 2 * PAGE)->blocks, 3);
	assert_true(report_page(1, MEM + 2 * PAGE)->block == MEM + 100);
	assert_int_equal(report_page(1, MEM + 2 * PAGE)->site, report_site(B)->id);
	assert_int_equal(report_page(1, MEM + PAGE)->blocks, 1);
	/* page 0 and 9 in whole; page 2: 4096 * 100/1150, * 50/1150, * 1000/1150 */
	assert_int_equal(report_site(B)->charged_bytes, 178 + 3561);
	assert_int_equal(report_site(A)->charged_bytes, 2 * 4096 + (4096 - 178 - 3561));
	feed_end();
}

static void tie_goes_to_the_lowest_site(void **state)
{
	(void)state;
	feed_begin();
	feed_alloc(1, 0x900000, 8, A); /* A is site 1 */
	feed_alloc(1, MEM, 100, B);
	feed_alloc(1, MEM + 200, 100, A);
	feed_fault(1, MEM, 10, TOUCH);
	feed_report();
	assert_int_equal(report_site(A)->id, 1);
	assert_int_equal(report_page(1, MEM)->site, 1);
	feed_alloc(1, MEM + 400, 1, B); /* now B has more, in two blocks */
	feed_report();
	assert_int_equal(report_page(1, MEM)->site, report_site(B)->id);
	feed_end();
}

static void books_balance(void **state)
{
	const struct feed_vma vmas[] = {
		program,
		{ .start = 0x600000,
		  .end = 0x700000,
		  .rss = 0x3000,
		  .anon = 0x3000,
		  .kind = MP_VMA_HEAP,
		  .perms = 3,
		  .name = "[heap]" },
		{ MEM, MEM + 0x10000, .rss = 0x5000, .anon = 0x1000, .kind = MP_VMA_SHMEM },
		{ MEM + (1 << 20), MEM + (2 << 20), .rss = 0x2000, .anon = 0x2000,
		  .kind = MP_VMA_ANON },
		{ MEM + (3 << 20), MEM + (4 << 20), .rss = 0x1000, .anon = 0,
		  .kind = MP_VMA_SPECIAL },
		{ MEM + (5 << 20), MEM + (6 << 20), .rss = 0x3000, .anon = 0x3000,
		  .kind = MP_VMA_STACK },
	};
	const uint64_t rss = 0x20000 + 0x3000 + 0x5000 + 0x2000 + 0x1000 + 0x3000;
	const struct mp_books *b;

	(void)state;
	feed_begin();
	feed_maps(1, UINT64_MAX, 0, vmas, 6);
	feed_pages(1, MP_SRC_SEEDED, 0x600000, 0, ANON(10), 1);
	feed_pages(1, MP_SRC_TOOL, 0x410000, 0, ANON(11), 1);
	feed_alloc(1, 0x601000, 100, A);
	feed_fault(1, 0x601000, 12, TOUCH);
	feed_fault(1, 0x602000, 13, TOUCH);
	feed_fault(1, MEM, 14, TOUCH); /* a private copy of a shmem page */
	feed_fault(1, MEM + (1 << 20), 15, TOUCH);
	feed_fault(1, MEM + (5 << 20), 16, TOUCH);
	feed_fault(1, MEM + (5 << 20) + PAGE, 17, TOUCH);
	feed_maps(1, rss, 0, vmas, 6);
	feed_report();
	b = &report_proc(1)->books;
	assert_int_equal(b->rss, rss);
	assert_int_equal(b->block, 100);
	assert_int_equal(b->retained, 2 * PAGE - 100);
	assert_int_equal(b->before_attach, PAGE);
	assert_int_equal(b->other_anon, 2 * PAGE);
	assert_int_equal(b->stack, 2 * PAGE);
	assert_int_equal(b->file, 0x1f000 + 0x1000);
	assert_int_equal(b->shmem, 0x4000);
	assert_int_equal(b->tool, PAGE);
	assert_true(b->metadata == MP_UNKNOWN);
	/* one page of MEM + 1 MiB and one of the stack were never told */
	assert_int_equal(b->unexplained, 2 * PAGE);
	assert_true(fabs(b->coverage - (1 - 2.0 * PAGE / rss)) < 1e-12);
	/* arrived: 601 602 MEM, MEM+1M, 2 of the stack; sited: the block only, no growth was seen */
	assert_true(fabs(b->site_coverage - 100.0 / (6 * PAGE)) < 1e-12);
	feed_maps(1, UINT64_MAX, 0, vmas, 6);
	feed_report();
	b = &report_proc(1)->books;
	assert_true(b->rss == MP_UNKNOWN && b->unexplained == MP_UNKNOWN && b->file == MP_UNKNOWN);
	assert_true(isnan(b->coverage));
	feed_end();
}

static void site_coverage_counts_growth(void **state)
{
	(void)state;
	feed_begin();
	feed_mmap(1, MEM, PAGE, A, MP_FN_MALLOC);           /* growth, known caller */
	feed_mmap(1, MEM + PAGE, PAGE, 0, MP_FN_MALLOC);    /* growth, unknown caller */
	feed_mmap(1, MEM + (1 << 20), PAGE, B, MP_FN_MMAP); /* direct */
	feed_mmap(1, MEM + (2 << 20), PAGE, 0, MP_FN_NONE); /* direct, unknown */
	feed_alloc(1, MEM + PAGE + 96, 1000, A);
	feed_alloc(1, MEM + 2000, 500, 0); /* a block of unknown site on a known growth */
	feed_fault(1, MEM, 10, TOUCH);
	feed_fault(1, MEM + PAGE, 11, TOUCH);
	feed_fault(1, MEM + (1 << 20), 12, TOUCH);
	feed_fault(1, MEM + (2 << 20), 13, TOUCH);
	feed_pages(1, MP_SRC_SEEDED, MEM + (3 << 20), 0, ANON(14), 5); /* came before: no part */
	feed_report();
	assert_true(fabs(report_proc(1)->books.site_coverage -
			 ((4096 - 500) + 1000 + 4096 + 0) / (4 * 4096.0)) < 1e-12);
	feed_end();
}

static void sites_by_object(void **state)
{
	struct feed_vma elsewhere = program;

	(void)state;
	feed_begin();
	elsewhere.start += 0x10000000;
	elsewhere.end += 0x10000000;
	feed_maps(1, UINT64_MAX, 0, &program, 1);
	feed_maps(2, UINT64_MAX, 0, &elsewhere, 1);
	feed_alloc(1, 0x10000, 10, A);
	feed_alloc(2, 0x10000, 20, A + 0x10000000); /* the same line of the same program */
	feed_alloc(2, 0x20000, 30, 0x999);          /* no file: its own in each process */
	feed_alloc(1, 0x20000, 40, 0x999);
	assert_int_equal(feed_report()->nr_sites, 3);
	assert_int_equal(report_site(A)->calls, 2);
	assert_string_equal(report_site(A)->frame->place->object, "/usr/bin/prog");
	assert_int_equal(report_site(A)->frame->place->offset, A - 0x400000 + 0x1000);
	assert_int_equal(report_site(A)->frame->place->ino, 42);
	assert_int_equal(report_site(A)->frame->place->dev_major, 8);
	assert_int_equal(report_site(A)->frame->place->tgid, 1);
	assert_string_equal(report_site(0x999)->frame->place->object, "");
	assert_int_equal(report_site(0x999)->frame->place->offset, 0x999);
	feed_end();
}

/* A library is mapped and called before /proc was read again. */
static void sites_settle(void **state)
{
	struct feed_vma other = program;

	(void)state;
	feed_begin();
	feed_alloc(1, 0x10000, 10, A);
	feed_alloc(1, 0x20000, 10, B);
	feed_maps(1, UINT64_MAX, 0, &program, 1);
	feed_alloc(1, 0x30000, 10, A);
	assert_int_equal(feed_report()->nr_sites, 2);
	assert_string_equal(report_site(A)->frame->place->object, "/usr/bin/prog");
	assert_int_equal(report_site(A)->calls, 2);
	/* another process knows the place already when it settles: two ids become one */
	feed_alloc(2, 0x10000, 7, A);
	assert_int_equal(feed_report()->nr_sites, 3);
	feed_maps(2, UINT64_MAX, 0, &other, 1);
	feed_alloc(2, 0x20000, 7, A);
	assert_int_equal(feed_report()->nr_sites, 2);
	assert_int_equal(report_site(A)->calls, 4);
	assert_int_equal(report_site(A)->live_bytes, 34);
	assert_int_equal(report_block(2, 0x10000)->site, report_site(A)->id);
	feed_end();
}

static void code_may_be_replaced(void **state)
{
	struct feed_vma other = program;

	(void)state;
	feed_begin();
	other.ino = 43;
	other.name = "/usr/lib/other.so";
	feed_maps(1, UINT64_MAX, 0, &program, 1);
	feed_alloc(1, 0x10000, 10, A);
	feed_maps(1, UINT64_MAX, 0, &other, 1);
	feed_alloc(1, 0x20000, 10, A);
	assert_int_equal(feed_report()->nr_sites, 2);
	feed_munmap(1, 0x400000, 0x100000);
	feed_alloc(1, 0x30000, 10, A);
	assert_int_equal(feed_report()->nr_sites, 3);
	feed_end();
}

/* What a caller's address meant before must not be remembered, however often it changes. */
static void code_changes_often(void **state)
{
	struct feed_vma other = program;
	int i;

	(void)state;
	feed_begin();
	other.ino = 43;
	for (i = 0; i < 21000; i++) {
		feed_maps(1, UINT64_MAX, 0, i % 3 ? &program : &other, 1);
		feed_alloc(1, 0x10000, i % 3 ? 1 : 2, A);
	}
	assert_int_equal(feed_report()->nr_sites, 2);
	assert_int_equal(feed_report()->sites[0].requested_bytes, 7000 * 2); /* @other is first */
	assert_int_equal(feed_report()->sites[1].requested_bytes, 14000);
	feed_end();
}

/* What is left of a file's mapping keeps its place in the file. */
static void rest_of_a_mapping(void **state)
{
	(void)state;
	feed_begin();
	feed_maps(1, UINT64_MAX, 0, &program, 1);
	feed_alloc(1, 0x10000, 10, 0x4f0000);
	feed_alloc(1, 0x20000, 10, 0x410010);
	feed_munmap(1, 0x450000, 0x1000); /* in the middle: a new piece begins behind */
	feed_alloc(1, 0x30000, 10, 0x4f0000);
	feed_munmap(1, 0x400000, 0x10000); /* at the front */
	feed_alloc(1, 0x40000, 10, 0x410010);
	assert_int_equal(feed_report()->nr_sites, 2);
	assert_int_equal(report_site(0x4f0000)->calls, 2);
	assert_int_equal(report_site(0x410010)->calls, 2);
	feed_end();
}

static void touchers_are_ranked(void **state)
{
	uint64_t i;

	(void)state;
	feed_begin();
	feed_alloc(1, MEM, 64 * PAGE, A);
	for (i = 0; i < 30; i++) /* ten touchers, three pages each, one more for some */
		feed_fault_like(1, MEM + i * PAGE, 10 + i, TOUCH,
				(struct mp_ev_fault){ .ip = 0x1000 + i % 10 });
	feed_fault_like(1, MEM + 40 * PAGE, 60, TOUCH, (struct mp_ev_fault){ .ip = 0x1007 });
	feed_fault_like(1, MEM + 41 * PAGE, 1024 + 41, TOUCH | MP_FAULT_PMD,
			(struct mp_ev_fault){ .ip = 0x1004 });
	feed_report();
	assert_int_equal(report_site(A)->touchers[0].site, report_site(0x1004)->id);
	/* the huge page covers everything there was: all 64 pages are 0x1004's now */
	assert_int_equal(report_site(A)->touchers[0].pages, 64);
	assert_int_equal(report_site(A)->touchers[1].site, 0);
	assert_int_equal(report_site(A)->orders[9], 64);
	assert_int_equal(report_site(A)->nodes[0], 64);
	feed_end();

	feed_begin();
	feed_alloc(1, MEM, 64 * PAGE, A);
	for (i = 0; i < 30; i++)
		feed_fault_like(1, MEM + i * PAGE, 10 + i, TOUCH,
				(struct mp_ev_fault){ .ip = 0x1000 + i % 10 });
	feed_fault_like(1, MEM + 40 * PAGE, 60, TOUCH, (struct mp_ev_fault){ .ip = 0x1007 });
	feed_report();
	assert_int_equal(report_site(A)->touchers[0].site, report_site(0x1007)->id);
	assert_int_equal(report_site(A)->touchers[0].pages, 4);
	for (i = 1; i < MP_TOUCHERS; i++) { /* of equals, the lowest ids */
		assert_int_equal(report_site(A)->touchers[i].pages, 3);
		assert_int_equal(report_site(A)->touchers[i].site, report_site(0x1000 + i - 1)->id);
	}
	feed_end();
}

static void facts_are_passed_on(void **state)
{
	struct mp_ev_host host = { .page_size = 4096,
				   .fault_row = MP_ROW_TRACEPOINT,
				   .release = "6.18.0" };
	struct mp_ev_probe probe = { .symbol = "malloc", .offset = 0x9a0, .hits = 5, .into = 3 };
	struct mp_ev_cost cost = { .events = 17, .tool_cpu_ns = 99 };
	const struct mp_report *r;
	struct mp_report *kept;

	(void)state;
	feed_begin();
	r = feed_report();
	assert_true(r->cost.events == MP_UNKNOWN && r->cost.faults == MP_UNKNOWN);
	assert_true(r->loss.module_mismatch_pages == MP_UNKNOWN);
	feed(&host, MP_EV_HOST, sizeof(host), 0, 0);
	feed_proc(1, "prog", 1);
	feed_allocator(1, 0, MP_ALLOC_GLIBC);
	feed(&probe, MP_EV_PROBE, sizeof(probe), 1, 0);
	probe.hits = 9;
	feed(&probe, MP_EV_PROBE, sizeof(probe), 1, 0);
	feed(&cost, MP_EV_COST, sizeof(cost), 0, 0);
	kept = mp_model__report(feed_model, 0);
	feed_end();
	/* the report outlives its model */
	assert_string_equal(kept->host.release, "6.18.0");
	assert_int_equal(kept->host.fault_row, MP_ROW_TRACEPOINT);
	assert_int_equal(kept->cost.events, 17);
	assert_int_equal(kept->nr_procs, 1);
	assert_int_equal(kept->procs[0].nr_cmdline, 3);
	assert_string_equal(kept->procs[0].cmdline[1], "-x");
	assert_string_equal(kept->procs[0].cmdline[2], "y");
	assert_string_equal(kept->procs[0].allocators[0].object, "/lib/libc.so");
	assert_int_equal(kept->procs[0].allocators[0].nr_probes, 1);
	assert_int_equal(kept->procs[0].allocators[0].probes[0].hits, 9);
	assert_string_equal(kept->procs[0].allocators[0].probes[0].symbol, "malloc");
	assert_null(kept->procs[0].pages);
	assert_null(kept->procs[0].blocks);
	mp_report__free(kept);
}

static void losses_add_up(void **state)
{
	struct mp_ev_gap gap = { .count = 10, .reason = MP_DROP_RING };
	struct mp_ev_loss loss = { .programs_skipped = 2 };

	(void)state;
	feed_begin();
	feed(&gap, MP_EV_GAP, sizeof(gap), 1, 1);
	assert_int_equal(feed_report()->loss.events_dropped, 10);
	loss.dropped[MP_DROP_RING] = 12;
	loss.dropped[MP_DROP_RETURN] = 3;
	loss.dropped[MP_DROP_NESTED] = 4;
	loss.dropped[MP_DROP_STACK] = 5;
	feed(&loss, MP_EV_LOSS, sizeof(loss), 0, 0);
	assert_int_equal(feed_report()->loss.events_dropped, 12);
	assert_int_equal(feed_report()->loss.returns_missed, 7);
	assert_int_equal(feed_report()->loss.stacks_lost, 5);
	assert_int_equal(feed_report()->loss.programs_skipped, 2);
	assert_int_equal(feed_report()->loss.gaps, 1);
	feed_end();
}

/* Whatever an event needs beyond the ceiling is refused, and nothing breaks. */
static void memory_has_a_ceiling(void **state)
{
	struct mp_ev_alloc ev = { .h = { .type = MP_EV_ALLOC, .size = sizeof(ev), .tgid = 1 } };
	struct mp_report *r;
	size_t limit;
	int err;

	(void)state;
	for (limit = 100000; limit < 400000; limit += 7777) {
		struct mp_model *m = mp_model__new();
		uint64_t n = 0;

		mp_model__limit(m, limit);
		do {
			ev.addr += (n % 7) * 64 + 0x10000;
			ev.requested = n * 100;
			ev.caller = 0x1000 + n++;
			err = mp_model__apply(m, &ev.h);
		} while (!err && n < 100000);
		assert_int_equal(err, -12);
		assert_true(mp_model__block_bytes(m) <= limit);
		r = mp_model__report(m, MP_REPORT_BLOCKS);
		assert_non_null(r);
		assert_int_equal(r->procs[0].nr_blocks, mp_model__live_blocks(m));
		mp_report__free(r);
		mp_model__free(m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(resident_to_the_byte),
		cmocka_unit_test(tie_goes_to_the_lowest_site),
		cmocka_unit_test(books_balance),
		cmocka_unit_test(site_coverage_counts_growth),
		cmocka_unit_test(sites_by_object),
		cmocka_unit_test(sites_settle),
		cmocka_unit_test(code_may_be_replaced),
		cmocka_unit_test(code_changes_often),
		cmocka_unit_test(rest_of_a_mapping),
		cmocka_unit_test(touchers_are_ranked),
		cmocka_unit_test(facts_are_passed_on),
		cmocka_unit_test(losses_add_up),
		cmocka_unit_test(memory_has_a_ceiling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
