// SPDX-License-Identifier: GPL-2.0-or-later
/* System calls on memory: which pages go or move, and who made the mapping. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "model_feed.h"

#define A   0x401000 /* callers */
#define B   0x402000
#define MEM 0x7f0000000000ULL
#define BRK 0x555500000000ULL

static void touch(uint64_t addr, uint64_t pfn, int nr)
{
	for (; nr--; addr += PAGE, pfn++)
		feed_fault(1, addr, pfn, TOUCH);
}

static size_t pages(void)
{
	feed_report();
	return report_proc(1) ? report_proc(1)->nr_pages : 0;
}

static void munmap_drops(void **state)
{
	(void)state;
	feed_begin();
	feed_mmap(1, MEM, 8 * PAGE, A, 0);
	touch(MEM, 10, 8);
	feed_fault(1, MEM + 9 * PAGE, 3, WALKED | MP_FAULT_ZERO);
	feed_munmap(1, MEM + 2 * PAGE, 3 * PAGE - 100); /* a last page in part is a page */
	assert_int_equal(pages(), 6);
	assert_null(report_page(1, MEM + 4 * PAGE));
	assert_non_null(report_page(1, MEM + 5 * PAGE));
	assert_null(report_vma(1, MEM + 3 * PAGE));
	assert_int_equal(report_vma(1, MEM)->end, MEM + 2 * PAGE);
	assert_int_equal(report_vma(1, MEM + 5 * PAGE)->start, MEM + 5 * PAGE);
	feed_munmap(1, MEM + 9 * PAGE, PAGE);
	assert_int_equal(pages(), 5);
	feed_end();
}

/* Between the unmapping and the call's return another thread may be given the address again. */
static void newer_pages_stay(void **state)
{
	(void)state;
	feed_begin();
	touch(MEM, 10, 1);
	touch(MEM + PAGE, 11, 1);
	feed_range(1, (struct mp_ev_range){ .op = MP_OP_MUNMAP, .addr = MEM, .len = 2 * PAGE },
		   1500);
	assert_int_equal(pages(), 1);
	assert_non_null(report_page(1, MEM + PAGE));
	feed_end();
}

static void failed_calls_change_nothing(void **state)
{
	static const int ops[] = { MP_OP_MUNMAP, MP_OP_MMAP, MP_OP_MREMAP, MP_OP_MADVISE,
				   MP_OP_MPROTECT };
	size_t i;

	(void)state;
	feed_begin();
	feed_mmap(1, MEM, 2 * PAGE, A, 0);
	touch(MEM, 10, 2);
	for (i = 0; i < sizeof(ops) / sizeof(*ops); i++)
		feed_range(1,
			   (struct mp_ev_range){ .op = ops[i],
						 .addr = MEM,
						 .old = MEM,
						 .old_len = 2 * PAGE,
						 .len = 2 * PAGE,
						 .prot = MADV_DONTNEED,
						 .flags = MAP_FIXED,
						 .ret = -22 },
			   500);
	assert_int_equal(pages(), 2);
	assert_int_equal(report_vma(1, MEM)->perms, 3);
	feed_end();
}

static void advise(int advice, int64_t ret)
{
	feed_range(
		1,
		(struct mp_ev_range){
			.op = MP_OP_MADVISE, .addr = MEM, .len = PAGE, .prot = advice, .ret = ret },
		500);
}

static void madvise_drops(void **state)
{
	(void)state;
	feed_begin();
	feed_mmap(1, MEM, 2 * PAGE, A, 0);
	touch(MEM, 10, 2);
	advise(8 /* MADV_FREE: pages stay until the kernel wants them */, 0);
	advise(3 /* MADV_WILLNEED */, 0);
	assert_int_equal(pages(), 2);
	advise(4 /* MADV_DONTNEED */, 0);
	assert_int_equal(pages(), 1);
	assert_int_equal(report_vma(1, MEM)->end, MEM + 2 * PAGE);
	touch(MEM, 20, 1);
	advise(4, -12 /* ENOMEM: a hole in the range */);
	assert_int_equal(pages(), 1);
	touch(MEM, 30, 1);
	advise(9 /* MADV_REMOVE */, 0);
	assert_int_equal(pages(), 1);
	feed_end();
}

static void mmap_over(void **state)
{
	(void)state;
	feed_begin();
	feed_mmap(1, MEM, 4 * PAGE, A, 0);
	touch(MEM, 10, 4);
	feed_range(1,
		   (struct mp_ev_range){ .op = MP_OP_MMAP,
					 .addr = MEM + PAGE,
					 .ret = MEM + PAGE,
					 .len = PAGE,
					 .caller = B,
					 .prot = PROT_READ,
					 .flags = MAP_PRIVATE | MAP_FIXED,
					 .old = 3 },
		   500);
	assert_int_equal(pages(), 3);
	assert_int_equal(report_vma(1, MEM + PAGE)->kind, MP_VMA_FILE);
	assert_int_equal(report_vma(1, MEM + PAGE)->perms, 1);
	assert_int_equal(report_vma(1, MEM + PAGE)->site, report_site(B)->id);
	assert_int_equal(report_vma(1, MEM)->end, MEM + PAGE);
	assert_int_equal(report_site(A)->live_bytes, 3 * PAGE);
	feed_end();
}

static int kind_of(uint32_t flags)
{
	int kind;

	feed_begin();
	feed_range(1,
		   (struct mp_ev_range){
			   .op = MP_OP_MMAP, .ret = MEM, .len = PAGE, .prot = 3, .flags = flags },
		   500);
	feed_report();
	kind = report_vma(1, MEM)->kind;
	assert_int_equal(report_vma(1, MEM)->perms & 8, (flags & 15) == MAP_PRIVATE ? 0 : 8);
	feed_end();
	return kind;
}

static void mmap_kinds(void **state)
{
	(void)state;
	assert_int_equal(kind_of(MAP_PRIVATE | MAP_ANONYMOUS), MP_VMA_ANON);
	assert_int_equal(kind_of(MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK), MP_VMA_STACK);
	assert_int_equal(kind_of(MAP_SHARED | MAP_ANONYMOUS), MP_VMA_SHMEM);
	assert_int_equal(kind_of(MAP_PRIVATE), MP_VMA_FILE);
	assert_int_equal(kind_of(MAP_SHARED), MP_VMA_FILE);
	assert_int_equal(kind_of(MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB), MP_VMA_HUGETLB);
}

static void neighbours_join(void **state)
{
	(void)state;
	feed_begin();
	feed_mmap(1, MEM, PAGE, A, 0);
	feed_mmap(1, MEM + 2 * PAGE, PAGE, A, 0);
	feed_mmap(1, MEM + PAGE, PAGE, B, 0);
	feed_report();
	assert_int_equal(report_proc(1)->nr_vmas, 1);
	assert_int_equal(report_vma(1, MEM)->end, MEM + 3 * PAGE);
	assert_int_equal(report_vma(1, MEM)->site, report_site(B)->id); /* the newest */
	feed_end();
}

static void brk_moves(void **state)
{
	(void)state;
	feed_begin();
	feed_brk(1, BRK, BRK, A, 0); /* only asked */
	assert_int_equal(pages(), 0);
	assert_int_equal(report_proc(1)->nr_vmas, 0);
	feed_brk(1, BRK, BRK + 0x21000, A, MP_FN_MALLOC);
	feed_brk(1, BRK + 0x21000, BRK + 0x41800, B, MP_FN_MALLOC);
	touch(BRK + 0x20000, 10, 2);
	touch(BRK + 0x41000, 20, 1);
	feed_report();
	assert_int_equal(report_proc(1)->nr_vmas, 1);
	assert_int_equal(report_vma(1, BRK)->kind, MP_VMA_HEAP);
	assert_string_equal(report_vma(1, BRK)->name, "[heap]");
	assert_int_equal(report_vma(1, BRK)->end, BRK + 0x42000);
	assert_int_equal(report_vma(1, BRK)->growth, MP_FN_MALLOC);
	assert_int_equal(report_vma(1, BRK)->op, MP_OP_BRK);
	assert_int_equal(report_proc(1)->books.retained, 3 * PAGE);
	feed_brk(1, BRK + 0x41800, BRK + 0x21000, B, MP_FN_FREE);
	assert_int_equal(pages(), 1);
	assert_int_equal(report_vma(1, BRK)->end, BRK + 0x21000);
	feed_end();
}

static void direct_mapping_is_its_callers(void **state)
{
	const struct mp_site *s;

	(void)state;
	feed_begin();
	feed_mmap(1, MEM, 8 * PAGE, A, MP_FN_MMAP);
	feed_mmap(1, MEM + 8 * PAGE, 2 * PAGE, A, 0);
	touch(MEM, 10, 3);
	feed_report();
	s = report_site(A);
	assert_true(s->mapping);
	assert_int_equal(s->fn, MP_FN_MMAP);
	assert_int_equal(s->calls, 2);
	assert_int_equal(s->live_blocks, 0);
	assert_int_equal(s->requested_bytes, 10 * PAGE);
	assert_int_equal(s->live_bytes, 10 * PAGE);
	assert_int_equal(s->resident_bytes, 3 * PAGE);
	assert_int_equal(s->untouched_bytes, 7 * PAGE);
	assert_int_equal(s->charged_bytes, 0);
	assert_int_equal(report_proc(1)->books.other_anon, 3 * PAGE);
	assert_int_equal(report_page(1, MEM)->site, s->id);
	feed_munmap(1, MEM, 9 * PAGE);
	feed_report();
	assert_int_equal(report_site(A)->live_bytes, PAGE);
	assert_int_equal(report_site(A)->resident_bytes, 0);
	feed_end();
}

/* Memory mapped early by an allocator's set-up turns out to be a heap by the blocks in it. */
static void block_makes_a_heap(void **state)
{
	(void)state;
	feed_begin();
	feed_mmap(1, MEM, 4 * PAGE, A, 0);
	touch(MEM, 10, 2);
	feed_report();
	assert_int_equal(report_proc(1)->books.other_anon, 2 * PAGE);
	feed_alloc(1, MEM + 16, 100, B);
	feed_report();
	assert_int_equal(report_proc(1)->books.other_anon, 0);
	assert_int_equal(report_proc(1)->books.block, 100);
	assert_int_equal(report_proc(1)->books.retained, 2 * PAGE - 100);
	assert_int_equal(report_site(A)->live_bytes, 0);
	assert_int_equal(report_site(A)->resident_bytes, 0);
	feed_free(1, MEM + 16); /* it stays one */
	feed_report();
	assert_int_equal(report_proc(1)->books.retained, 2 * PAGE);
	feed_end();
}

static void vma_with_blocks_is_a_heap(void **state)
{
	const struct feed_vma vma = { MEM, MEM + 8 * PAGE, .kind = MP_VMA_ANON, .perms = 3 };

	(void)state;
	feed_begin();
	feed_maps(1, UINT64_MAX, 0, &vma, 1);
	feed_pages(1, MP_SRC_SEEDED, MEM, 0, ANON(10), 2);
	touch(MEM + 2 * PAGE, 20, 2);
	feed_report();
	assert_int_equal(report_proc(1)->books.other_anon, 4 * PAGE);
	feed_alloc(1, MEM + PAGE, 2 * PAGE, A);
	feed_report();
	assert_int_equal(report_proc(1)->books.other_anon, 0);
	assert_int_equal(report_proc(1)->books.block, 2 * PAGE);
	assert_int_equal(report_proc(1)->books.before_attach, PAGE);
	assert_int_equal(report_proc(1)->books.retained, PAGE);
	feed_maps(1, UINT64_MAX, 0, &vma, 1); /* a new reading does not forget it */
	feed_free(1, MEM + PAGE);
	feed_report();
	assert_int_equal(report_proc(1)->books.before_attach, 2 * PAGE);
	feed_end();
}

static void arena_grows_by_mprotect(void **state)
{
	(void)state;
	feed_begin();
	feed_range(1,
		   (struct mp_ev_range){ .op = MP_OP_MMAP,
					 .ret = MEM,
					 .len = 16 * PAGE,
					 .caller = A,
					 .in_fn = MP_FN_MALLOC,
					 .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE },
		   500);
	feed_range(1,
		   (struct mp_ev_range){ .op = MP_OP_MPROTECT,
					 .addr = MEM,
					 .len = 4 * PAGE,
					 .prot = 3,
					 .caller = B,
					 .in_fn = MP_FN_MALLOC },
		   500);
	touch(MEM, 10, 2);
	feed_report();
	assert_int_equal(report_vma(1, MEM)->perms, 3);
	assert_int_equal(report_vma(1, MEM)->end, MEM + 4 * PAGE);
	assert_int_equal(report_vma(1, MEM)->site, report_site(B)->id);
	assert_int_equal(report_vma(1, MEM + 4 * PAGE)->perms, 0);
	assert_int_equal(report_proc(1)->books.retained, 2 * PAGE);
	assert_int_equal(report_page(1, MEM)->site, report_site(B)->id);
	assert_false(report_site(B)->mapping);
	feed_end();
}

static void remap(uint64_t old, uint64_t old_len, uint64_t new, uint64_t len, uint32_t flags)
{
	feed_range(1,
		   (struct mp_ev_range){ .op = MP_OP_MREMAP,
					 .old = old,
					 .old_len = old_len,
					 .ret = new,
					 .len = len,
					 .flags = flags,
					 .caller = B },
		   500);
}

static void mremap_moves(void **state)
{
	uint64_t came;

	(void)state;
	feed_begin();
	feed_mmap(1, MEM, 4 * PAGE, A, 0);
	touch(MEM, 10, 4);
	came = feed_ns;
	remap(MEM, 4 * PAGE, MEM + (1 << 30), 8 * PAGE, MREMAP_MAYMOVE);
	assert_int_equal(pages(), 4);
	assert_int_equal(report_page(1, MEM + (1 << 30) + 3 * PAGE)->pfn, 13);
	assert_int_equal(report_page(1, MEM + (1 << 30) + 3 * PAGE)->t_ns, came);
	assert_int_equal(report_page(1, MEM + (1 << 30) + 3 * PAGE)->source, MP_SRC_FAULT);
	assert_null(report_vma(1, MEM));
	assert_int_equal(report_vma(1, MEM + (1 << 30))->end, MEM + (1 << 30) + 8 * PAGE);
	assert_int_equal(report_site(A)->live_bytes, 0);
	assert_int_equal(report_site(B)->live_bytes, 8 * PAGE);
	feed_page_free(12, 0); /* its PFN moved along */
	assert_int_equal(pages(), 3);
	feed_end();
}

static void mremap_in_place(void **state)
{
	(void)state;
	feed_begin();
	feed_mmap(1, MEM, 4 * PAGE, A, 0);
	touch(MEM, 10, 4);
	remap(MEM, 4 * PAGE, MEM, 6 * PAGE, 0);
	assert_int_equal(pages(), 4);
	assert_int_equal(report_vma(1, MEM)->end, MEM + 6 * PAGE);
	assert_int_equal(report_site(A)->live_bytes, 4 * PAGE);
	assert_int_equal(report_site(B)->live_bytes, 2 * PAGE);
	remap(MEM, 6 * PAGE, MEM, 3 * PAGE, 0);
	assert_int_equal(pages(), 3);
	assert_int_equal(report_vma(1, MEM)->end, MEM + 3 * PAGE);
	assert_int_equal(report_site(A)->live_bytes, 3 * PAGE);
	assert_int_equal(report_site(B)->live_bytes, 0);
	feed_end();
}

static void mremap_dontunmap(void **state)
{
	(void)state;
	feed_begin();
	feed_mmap(1, MEM, 2 * PAGE, A, 0);
	touch(MEM, 10, 2);
	remap(MEM, 2 * PAGE, MEM + (1 << 30), 2 * PAGE, MREMAP_MAYMOVE | 4);
	assert_int_equal(pages(), 2);
	assert_null(report_page(1, MEM));
	assert_int_equal(report_page(1, MEM + (1 << 30))->pfn, 10);
	assert_non_null(report_vma(1, MEM));
	assert_int_equal(report_site(A)->live_bytes, 2 * PAGE);
	feed_end();
}

static void pthread_stack(void **state)
{
	(void)state;
	feed_begin();
	feed_range(1,
		   (struct mp_ev_range){ .op = MP_OP_MMAP,
					 .ret = MEM,
					 .len = 4 * PAGE,
					 .caller = A,
					 .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK },
		   500);
	touch(MEM, 10, 1);
	feed_report();
	assert_int_equal(report_proc(1)->books.stack, PAGE);
	assert_int_equal(report_site(A)->resident_bytes, PAGE);
	feed_end();
}

/* A reading of /proc may have begun before a system call that was told earlier. */
static void readings_may_be_old(void **state)
{
	const struct feed_vma old[] = {
		{ MEM, MEM + 4 * PAGE, .kind = MP_VMA_ANON, .perms = 3 },
		{ MEM + (1 << 30), MEM + (1 << 30) + PAGE, .kind = MP_VMA_ANON, .perms = 3 },
	};
	uint64_t begin;

	(void)state;
	feed_begin();
	begin = feed_ns;
	feed_munmap(1, MEM + (1 << 30), PAGE);
	feed_mmap(1, MEM + (2ULL << 30), PAGE, A, 0);
	feed_maps(1, UINT64_MAX, begin, old, 2);
	feed_report();
	assert_non_null(report_vma(1, MEM));
	assert_null(report_vma(1, MEM + (1 << 30)));
	assert_non_null(report_vma(1, MEM + (2ULL << 30)));
	feed_maps(1, UINT64_MAX, 0, old, 2); /* a reading from now counts */
	feed_report();
	assert_non_null(report_vma(1, MEM + (1 << 30)));
	assert_null(report_vma(1, MEM + (2ULL << 30)));
	feed_end();
}

static void hostile_ranges(void **state)
{
	static const uint64_t odd[] = { 0,
					1,
					PAGE - 1,
					1ULL << 57,
					(1ULL << 57) - PAGE,
					1ULL << 63,
					UINT64_MAX - 4096,
					UINT64_MAX };
	struct mp_ev_range ev = { 0 };
	size_t i, j, k;

	(void)state;
	feed_begin();
	feed_mmap(1, MEM, 4 * PAGE, A, 0);
	touch(MEM, 10, 4);
	for (ev.op = 0; ev.op < 14; ev.op++)
		for (i = 0; i < 8; i++)
			for (j = 0; j < 8; j++)
				for (k = 0; k < 8; k++) {
					ev.addr = odd[i];
					ev.len = odd[j];
					ev.ret = odd[k];
					ev.old = odd[j] ^ odd[k];
					ev.old_len = odd[i];
					ev.flags = i ^ j;
					feed_range(1, ev, 10);
				}
	feed_report();
	feed_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(munmap_drops),
		cmocka_unit_test(newer_pages_stay),
		cmocka_unit_test(failed_calls_change_nothing),
		cmocka_unit_test(madvise_drops),
		cmocka_unit_test(mmap_over),
		cmocka_unit_test(mmap_kinds),
		cmocka_unit_test(neighbours_join),
		cmocka_unit_test(brk_moves),
		cmocka_unit_test(direct_mapping_is_its_callers),
		cmocka_unit_test(block_makes_a_heap),
		cmocka_unit_test(vma_with_blocks_is_a_heap),
		cmocka_unit_test(arena_grows_by_mprotect),
		cmocka_unit_test(mremap_moves),
		cmocka_unit_test(mremap_in_place),
		cmocka_unit_test(mremap_dontunmap),
		cmocka_unit_test(pthread_stack),
		cmocka_unit_test(readings_may_be_old),
		cmocka_unit_test(hostile_ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
