// SPDX-License-Identifier: GPL-2.0-or-later
/* Faults, and pages that go. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "model_feed.h"

#define A   0x401000 /* callers */
#define B   0x402000
#define IP  0x777000 /* the toucher of feed_fault() */
#define MEM 0x7f0000000000ULL

static void reading(const struct feed_vma *vma)
{
	feed_maps(1, UINT64_MAX, 0, vma, 1);
}

static int kind_in(int vma_kind, int perms, uint32_t flags, int order)
{
	const struct feed_vma vma = {
		.start = MEM, .end = MEM + 0x400000, .kind = vma_kind, .perms = perms
	};
	uint64_t addr = MEM + 0x200000;
	int kind;

	feed_begin();
	reading(&vma);
	feed_fault_like(1, addr, 512, flags, (struct mp_ev_fault){ .order = order });
	feed_report();
	for (kind = 0; kind < MP_KIND_NR; kind++)
		if (report_vma(1, addr)->faults[kind])
			break;
	/* only what anonymous memory holds gets a page */
	assert_int_equal(report_page(1, addr) != NULL,
			 kind != MP_KIND_FILE && kind != MP_KIND_SHMEM);
	if (report_page(1, addr))
		assert_int_equal(report_page(1, addr)->kind, kind);
	feed_end();
	return kind;
}

static void kinds(void **state)
{
	enum { W = MP_FAULT_WRITE, P = MP_FAULT_PROT, M = MP_FAULT_MAJOR, AN = MP_FAULT_ANON };

	(void)state;
	assert_int_equal(kind_in(MP_VMA_ANON, 3, TOUCH, 0), MP_KIND_ANON);
	assert_int_equal(kind_in(MP_VMA_HEAP, 3, TOUCH, 0), MP_KIND_ANON);
	assert_int_equal(kind_in(MP_VMA_ANON, 3, TOUCH, 4), MP_KIND_MTHP);
	assert_int_equal(kind_in(MP_VMA_ANON, 3, TOUCH | MP_FAULT_PMD, 9), MP_KIND_THP);
	assert_int_equal(kind_in(MP_VMA_ANON, 3, WALKED | MP_FAULT_ZERO, 0), MP_KIND_ZERO);
	assert_int_equal(kind_in(MP_VMA_ANON, 3, TOUCH | P, 0), MP_KIND_COW);
	assert_int_equal(kind_in(MP_VMA_ANON, 3, WALKED | AN | M, 0), MP_KIND_SWAPIN);
	/* out of the swap cache: no I/O, and told by the entry that was there */
	assert_int_equal(kind_in(MP_VMA_ANON, 3, TOUCH | MP_FAULT_SWAPIN, 0), MP_KIND_SWAPIN);
	assert_int_equal(kind_in(MP_VMA_FILE, 3, TOUCH | MP_FAULT_SWAPIN, 0), MP_KIND_SWAPIN);
	assert_int_equal(kind_in(MP_VMA_FILE, 3, WALKED | AN | W, 0), MP_KIND_COW);
	assert_int_equal(kind_in(MP_VMA_FILE, 3, WALKED | AN | W | M, 0), MP_KIND_COW);
	assert_int_equal(kind_in(MP_VMA_FILE, 1, WALKED, 0), MP_KIND_FILE);
	assert_int_equal(kind_in(MP_VMA_SHMEM, 11, WALKED | W, 0), MP_KIND_SHMEM);
	assert_int_equal(kind_in(MP_VMA_HUGETLB, 3, TOUCH, 0), MP_KIND_FILE);
	/* nothing but the VMA to go by */
	assert_int_equal(kind_in(MP_VMA_FILE, 3, W, 0), MP_KIND_COW);
	assert_int_equal(kind_in(MP_VMA_FILE, 11, W, 0), MP_KIND_FILE);
	assert_int_equal(kind_in(MP_VMA_FILE, 3, 0, 0), MP_KIND_FILE);
	assert_int_equal(kind_in(MP_VMA_SHMEM, 11, W, 0), MP_KIND_SHMEM);
	assert_int_equal(kind_in(MP_VMA_ANON, 3, W, 0), MP_KIND_ANON);
	assert_int_equal(kind_in(MP_VMA_ANON, 3, 0, 0), MP_KIND_ZERO);
	assert_int_equal(kind_in(MP_VMA_SPECIAL, 5, 0, 0), MP_KIND_FILE);
}

static void fault_is_recorded(void **state)
{
	const struct mp_page *p;

	(void)state;
	feed_begin();
	feed_fault_like(1, MEM + 0x123, 77,
			TOUCH | MP_FAULT_TIMED | MP_FAULT_ALLOC | MP_FAULT_KERNEL,
			(struct mp_ev_fault){ .ip = IP,
					      .syscall = -1,
					      .fault_ns = 900,
					      .alloc_ns = 300,
					      .gfp = 0xcc,
					      .node = 1,
					      .zone = 2 });
	feed_report();
	p = report_page(1, MEM);
	assert_int_equal(p->pfn, 77);
	assert_int_equal(p->state, MP_STATE_PRESENT);
	assert_int_equal(p->source, MP_SRC_FAULT);
	assert_int_equal(p->by, MP_BY_KERNEL);
	assert_int_equal(p->fault_ns, 900);
	assert_int_equal(p->alloc_ns, 300);
	assert_int_equal(p->gfp, 0xcc);
	assert_true(p->node_known);
	assert_int_equal(p->node, 1);
	assert_int_equal(p->zone, 2);
	assert_int_equal(p->t_ns, feed_ns);
	assert_int_equal(p->toucher, report_site(IP)->id);
	feed_fault(1, MEM + PAGE, 78, TOUCH | MP_FAULT_GUP);
	feed_report();
	assert_int_equal(report_page(1, MEM + PAGE)->by, MP_BY_GUP);
	assert_true(report_page(1, MEM + PAGE)->fault_ns == MP_UNKNOWN);
	assert_true(report_page(1, MEM + PAGE)->alloc_ns == MP_UNKNOWN);
	feed_end();
}

static void fault_without_walk(void **state)
{
	(void)state;
	feed_begin();
	feed_fault(1, MEM, 0, MP_FAULT_WRITE);
	feed_fault(1, MEM + PAGE, 55, MP_FAULT_WRITE | MP_FAULT_ALLOC);
	feed_fault(1, MEM + 2 * PAGE, 0, MP_FAULT_WALKED | MP_FAULT_WRITE); /* gone at once */
	feed_report();
	assert_int_equal(report_page(1, MEM)->pfn, 0);
	assert_int_equal(report_page(1, MEM)->state, MP_STATE_PRESENT);
	assert_int_equal(report_page(1, MEM + PAGE)->pfn, 55);
	assert_null(report_page(1, MEM + 2 * PAGE));
	feed_end();
}

static void write_after_zero_page(void **state)
{
	(void)state;
	feed_begin();
	feed_fault(1, MEM, 9, WALKED | MP_FAULT_ZERO);
	feed_report();
	assert_int_equal(report_page(1, MEM)->state, MP_STATE_ZERO);
	assert_int_equal(report_proc(1)->books.zero, PAGE);
	assert_int_equal(report_proc(1)->present_pages, 0);
	feed_page_free(9, 0); /* the zero page is nobody's to lose */
	feed_report();
	assert_non_null(report_page(1, MEM));
	feed_fault(1, MEM, 500, TOUCH | MP_FAULT_PROT);
	feed_report();
	assert_int_equal(report_page(1, MEM)->state, MP_STATE_PRESENT);
	assert_int_equal(report_page(1, MEM)->pfn, 500);
	assert_int_equal(report_page(1, MEM)->kind, MP_KIND_COW);
	assert_int_equal(report_proc(1)->books.zero, 0);
	feed_end();
}

static void huge_page(void **state)
{
	const struct mp_page *p;

	(void)state;
	feed_begin();
	feed_fault(1, MEM + 5 * PAGE, 1024 + 5, TOUCH | MP_FAULT_PMD);
	feed_report();
	assert_int_equal(report_proc(1)->present_pages, 512);
	p = report_page(1, MEM + 511 * PAGE);
	assert_int_equal(p->pfn, 1024 + 511);
	assert_int_equal(p->order, 9);
	assert_int_equal(p->kind, MP_KIND_THP);
	assert_null(report_page(1, MEM + 512 * PAGE));
	feed_page_free(1024, 9);
	feed_report();
	assert_int_equal(report_proc(1)->nr_pages, 0);
	/* huge zero page: its PFNs count up as well */
	feed_fault(1, MEM + 7 * PAGE, 2048 + 7, WALKED | MP_FAULT_ZERO | MP_FAULT_PMD);
	feed_report();
	assert_int_equal(report_proc(1)->books.zero, 512 * PAGE);
	assert_int_equal(report_page(1, MEM + 3 * PAGE)->pfn, 2048 + 3);
	assert_int_equal(report_page(1, MEM + 3 * PAGE)->kind, MP_KIND_ZERO);
	feed_end();
}

static void folio_follows_its_fault(void **state)
{
	const struct mp_page *p;

	(void)state;
	feed_begin();
	feed_fault_like(1, MEM + 2 * PAGE, 802, TOUCH | MP_FAULT_TIMED,
			(struct mp_ev_fault){ .ip = IP, .order = 2, .fault_ns = 1234 });
	feed_pages(1, MP_SRC_FAULT, MEM, 0, ANON(800), 4);
	feed_report();
	assert_int_equal(report_proc(1)->nr_pages, 4);
	p = report_page(1, MEM + 3 * PAGE);
	assert_int_equal(p->pfn, 803);
	assert_int_equal(p->kind, MP_KIND_MTHP);
	assert_int_equal(p->order, 2);
	assert_int_equal(p->source, MP_SRC_FAULT);
	assert_int_equal(p->fault_ns, 1234);
	assert_int_equal(p->toucher, report_site(IP)->id);
	/* another thread's folio has no part in it */
	feed_fault_like(1, MEM + 8 * PAGE, 900, TOUCH, (struct mp_ev_fault){ .ip = B });
	feed_pages(1, MP_SRC_FAULT, MEM + 16 * PAGE, 0, ANON(950), 1);
	feed_report();
	assert_int_equal(report_page(1, MEM + 16 * PAGE)->toucher, 0);
	feed_end();
}

static void lifted_protection_brings_nothing(void **state)
{
	uint64_t came;

	(void)state;
	feed_begin();
	feed_pages(1, MP_SRC_SEEDED, MEM, 0, ANON(60), 1);
	came = feed_ns;
	feed_fault(1, MEM, 60, TOUCH | MP_FAULT_PROT);
	feed_report();
	assert_int_equal(report_page(1, MEM)->source, MP_SRC_SEEDED);
	assert_int_equal(report_page(1, MEM)->t_ns, came);
	feed_end();
}

static void freed_by_pfn(void **state)
{
	(void)state;
	feed_begin();
	feed_fault(1, MEM, 100, TOUCH);
	feed_fault(1, MEM + PAGE, 101, TOUCH);
	feed_fault(1, MEM + 2 * PAGE, 200, TOUCH);
	feed_fault(1, MEM, 300, TOUCH | MP_FAULT_PROT); /* copied: 100 is not there any more */
	feed_page_free(100, 0);
	feed_report();
	assert_int_equal(report_page(1, MEM)->pfn, 300);
	feed_page_free(100, 3);
	feed_report();
	assert_null(report_page(1, MEM + PAGE));
	assert_int_equal(report_proc(1)->nr_pages, 2);
	feed_end();
}

static void some_are_read_from_a_device(void **state)
{
	(void)state;
	feed_begin();
	feed_proc(1, "one", 0);
	feed_mmap(1, 0x7f0000000000, 4 * PAGE, A, MP_FN_MALLOC);
	feed_alloc(1, 0x7f0000000000, 3 * PAGE, A);
	feed_fault(1, 0x7f0000000000, 10, TOUCH | MP_FAULT_SWAPIN | MP_FAULT_MAJOR);
	feed_fault(1, 0x7f0000001000, 11, TOUCH | MP_FAULT_SWAPIN);
	feed_report();
	assert_true(report_page(1, 0x7f0000000000)->major);
	assert_false(report_page(1, 0x7f0000001000)->major);
	assert_int_equal(report_site(A)->majors, 1);
	assert_int_equal(report_page(1, 0x7f0000000000)->kind, MP_KIND_SWAPIN);
	assert_int_equal(report_page(1, 0x7f0000001000)->kind, MP_KIND_SWAPIN);
	feed_end();
}

static void faults_have_owners(void **state)
{
	const struct mp_ev_fault in_alloc = { .caller = B, .in_fn = MP_FN_CALLOC, .fault_ns = 5 };

	(void)state;
	feed_begin();
	feed_alloc(1, MEM, 3 * PAGE + 100, A);
	feed_fault_like(1, MEM + 3 * PAGE + 99, 10, TOUCH | MP_FAULT_TIMED | MP_FAULT_ALLOC,
			(struct mp_ev_fault){ .fault_ns = 70, .alloc_ns = 30 });
	feed_fault(1, MEM + 3 * PAGE + 100, 11, TOUCH); /* one byte behind it */
	feed_fault_like(1, MEM, 12, TOUCH | MP_FAULT_IN_ALLOC | MP_FAULT_TIMED, in_alloc);
	feed_mmap(1, MEM + (1 << 30), PAGE, B, MP_FN_MMAP);
	feed_fault(1, MEM + (1 << 30), 13, WALKED | MP_FAULT_ZERO | MP_FAULT_KERNEL);
	feed_mmap(1, MEM + (2 << 20), PAGE, B, MP_FN_MALLOC); /* a growth: nobody's yet */
	feed_fault(1, MEM + (2 << 20), 14, TOUCH);
	feed_report();
	assert_int_equal(report_site(A)->faults[MP_KIND_ANON], 1);
	assert_int_equal(report_site(A)->fault_ns, 70);
	assert_int_equal(report_site(A)->alloc_ns, 30);
	assert_int_equal(report_site(A)->timed_faults, 1);
	assert_int_equal(report_site(B)->faults[MP_KIND_ANON], 1);
	assert_int_equal(report_site(B)->faults[MP_KIND_ZERO], 1);
	assert_int_equal(report_site(B)->faults_by[MP_BY_KERNEL], 1);
	assert_int_equal(report_site(B)->faults_by[MP_BY_USER], 1);
	assert_int_equal(report_site(B)->fault_ns, 5);
	feed_end();
}

/* One fault of A's block on its page @i, by the page allocator's stages. */
static void staged(int i, unsigned int stage, uint32_t page_ns, uint32_t fault_ns)
{
	feed_fault_like(
		1, MEM + i * PAGE, 20 + i,
		TOUCH | MP_FAULT_ALLOC | MP_FAULT_CHAIN | (fault_ns ? MP_FAULT_TIMED : 0),
		(struct mp_ev_fault){ .fault_ns = fault_ns, .page_ns = page_ns, .stage = stage });
}

static void page_allocator_stages(void **state)
{
	const struct mp_stages *n;

	(void)state;
	feed_begin();
	feed_alloc(1, MEM, 16 * PAGE, A);
	staged(0, MP_STAGE_PCP, 0, 0); /* a row without hooks */
	staged(1, MP_STAGE_PCP | MP_STAGE_FAST, 100, 900);
	staged(2, MP_STAGE_REFILL | MP_STAGE_SLOW, 200, 1000);
	staged(3, MP_STAGE_BUDDY | MP_STAGE_FAST, 0, 5000); /* the exit was not seen */
	staged(4, MP_STAGE_SLOW, 400, 0);                   /* 5.10; the start was not seen */
	staged(5, 0, 0, 0);
	/* not this fault's allocation: nothing of it counts */
	feed_fault_like(
		1, MEM + 6 * PAGE, 40, TOUCH | MP_FAULT_TIMED,
		(struct mp_ev_fault){ .fault_ns = 7, .page_ns = 3, .stage = MP_STAGE_SLOW });
	feed_report();
	n = &report_site(A)->stages;
	assert_int_equal(n->staged, 4);
	assert_int_equal(n->pcp, 2);
	assert_int_equal(n->refill, 1);
	assert_int_equal(n->buddy, 1);
	assert_int_equal(n->pathed, 4);
	assert_int_equal(n->slow, 2);
	assert_int_equal(n->page_timed, 2);
	assert_int_equal(n->page_ns, 300);
	assert_int_equal(n->whole_ns, 1900);
	assert_int_equal(report_page(1, MEM + 2 * PAGE)->page_ns, 200);
	assert_true(report_page(1, MEM + 3 * PAGE)->page_ns == MP_UNKNOWN);
	assert_true(report_page(1, MEM + 6 * PAGE)->page_ns == MP_UNKNOWN);
	feed_end();
}

static void chain_from_allocator_to_entry(void **state)
{
	const struct mp_report *r;

	(void)state;
	feed_begin();
	feed_fault(1, MEM, 10, TOUCH | MP_FAULT_ALLOC);
	feed_fault(1, MEM + PAGE, 11, TOUCH);
	r = feed_report();
	assert_int_equal(r->chain_checked, 0);
	assert_true(r->loss.chain_mismatches == MP_UNKNOWN);
	feed_fault(1, MEM + 2 * PAGE, 12, TOUCH | MP_FAULT_ALLOC | MP_FAULT_CHAIN);
	r = feed_report();
	assert_int_equal(r->chain_checked, 1);
	assert_int_equal(r->loss.chain_mismatches, 0);
	/* it was given another page than 13, has that still, and it is anonymous memory */
	feed_fault(1, MEM + 3 * PAGE, 13, TOUCH | MP_FAULT_CHAIN);
	r = feed_report();
	assert_int_equal(r->chain_checked, 2);
	assert_int_equal(r->loss.chain_mismatches, 1);
	feed_end();
}

static void vma_faults_outlive_readings(void **state)
{
	const struct feed_vma one = { MEM, MEM + 8 * PAGE, .kind = MP_VMA_ANON, .perms = 3 };
	const struct feed_vma two[] = {
		{ MEM, MEM + 4 * PAGE, .kind = MP_VMA_ANON, .perms = 3 },
		{ MEM + 4 * PAGE, MEM + 100 * PAGE, .kind = MP_VMA_ANON, .perms = 1 },
	};
	int i;

	(void)state;
	feed_begin();
	reading(&one);
	for (i = 0; i < 600; i++) /* more than a byte counts */
		feed_fault(1, MEM + PAGE, 10, TOUCH);
	feed_fault(1, MEM + 6 * PAGE, 11, TOUCH);
	feed_maps(1, UINT64_MAX, 0, two, 2);
	feed_report();
	assert_int_equal(report_vma(1, MEM)->faults[MP_KIND_ANON], 600);
	assert_int_equal(report_vma(1, MEM)->present_pages, 1);
	assert_int_equal(report_vma(1, MEM + 4 * PAGE)->faults[MP_KIND_ANON], 1);
	feed_munmap(1, MEM + PAGE, PAGE);
	feed_mmap(1, MEM + PAGE, PAGE, A, 0);
	feed_report();
	assert_int_equal(report_vma(1, MEM + PAGE)->faults[MP_KIND_ANON], 0);
	feed_end();
}

static void stack_grows_by_touch(void **state)
{
	const struct feed_vma vma = { .start = MEM,
				      .end = MEM + 4 * PAGE,
				      .kind = MP_VMA_STACK,
				      .perms = 3,
				      .name = "[stack]" };

	(void)state;
	feed_begin();
	reading(&vma);
	feed_fault(1, MEM - 3 * PAGE + 8, 10, TOUCH);
	feed_report();
	assert_int_equal(report_vma(1, MEM)->start, MEM - 3 * PAGE);
	assert_int_equal(report_proc(1)->books.stack, PAGE);
	feed_fault(1, MEM - (1ULL << 32), 11, TOUCH); /* too far to be a stack */
	feed_report();
	assert_int_equal(report_vma(1, MEM)->start, MEM - 3 * PAGE);
	feed_range(1,
		   (struct mp_ev_range){ .op = MP_OP_MMAP,
					 .ret = MEM + (1 << 30),
					 .len = PAGE,
					 .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK },
		   500);
	feed_fault(1, MEM + (1 << 30) - PAGE, 12, TOUCH); /* a thread's stack does not grow */
	feed_report();
	assert_int_equal(report_vma(1, MEM + (1 << 30))->start, MEM + (1 << 30));
	feed_end();
}

static void old_regions_are_tidied(void **state)
{
	uint64_t i;

	(void)state;
	feed_begin();
	for (i = 0; i < 4000; i++) {
		feed_fault(1, MEM + i * (1 << 20), 1000 + i, TOUCH);
		feed_page_free(1000 + i, 0);
		feed_ns += 100000000;
	}
	feed_check();
	feed_report();
	assert_int_equal(report_proc(1)->nr_pages, 0);
	feed_fault(1, MEM, 5, TOUCH);
	feed_report();
	assert_int_equal(report_page(1, MEM)->pfn, 5);
	feed_end();
}

/* Tidying forgets nothing that a reading under way could bring back. */
static void tidying_keeps_what_is_recent(void **state)
{
	uint64_t begin, i;

	(void)state;
	feed_begin();
	feed_ns += 60000000000;
	begin = feed_ns;
	for (i = 0; i < 500; i++) {
		feed_fault(1, MEM + i * (1 << 20), 1000 + i, TOUCH);
		feed_page_free(1000 + i, 0);
	}
	for (i = 0; i < 500; i++)
		feed_pages(1, MP_SRC_SEEDED, MEM + i * (1 << 20), begin, ANON(1000 + i), 1);
	feed_report();
	assert_int_equal(report_proc(1)->nr_pages, 0);
	feed_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds),
		cmocka_unit_test(fault_is_recorded),
		cmocka_unit_test(fault_without_walk),
		cmocka_unit_test(write_after_zero_page),
		cmocka_unit_test(huge_page),
		cmocka_unit_test(folio_follows_its_fault),
		cmocka_unit_test(lifted_protection_brings_nothing),
		cmocka_unit_test(freed_by_pfn),
		cmocka_unit_test(some_are_read_from_a_device),
		cmocka_unit_test(faults_have_owners),
		cmocka_unit_test(page_allocator_stages),
		cmocka_unit_test(chain_from_allocator_to_entry),
		cmocka_unit_test(vma_faults_outlive_readings),
		cmocka_unit_test(stack_grows_by_touch),
		cmocka_unit_test(old_regions_are_tidied),
		cmocka_unit_test(tidying_keeps_what_is_recent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
