// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory that was refused: what the kernel compares in which order, and what is not known stays so. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "model_feed.h"

#define A     0x401000
#define B     0x402000
#define NONE  (~0ULL)
#define MIB   (1ULL << 20)
#define GIB   (1ULL << 30)
#define TIB   (1ULL << 40)
#define LOW   0x10000000ULL /* three pages of data, a hole, one that can only be read */
#define RW    (PROT_READ | PROT_WRITE)
#define PAGES (MIB / PAGE)

/* An address space with 100 pages, 50 of them data, and nothing that holds it back. */
static struct mp_ev_refusal asks(int op, int error)
{
	return (struct mp_ev_refusal){
		.r = { .op = op, .ret = -error, .caller = A, .flags = MAP_PRIVATE | MAP_ANONYMOUS },
		.total_pages = 100,
		.data_pages = 50,
		.start_brk = GIB,
		.end_brk = GIB + MIB,
		.program_data_bytes = MIB,
		.limit_as = NONE,
		.limit_data = NONE,
		.limit_data_max = NONE,
		.limit_memlock = NONE,
		.committed_pages = NONE,
		.mappings = 10,
	};
}

static void feed_system(uint32_t overcommit, uint64_t commit_limit)
{
	struct mp_ev_system ev = {
		.commit_limit_bytes = commit_limit,
		.ram_bytes = 4 * GIB,
		.swap_bytes = GIB,
		.admin_reserve_bytes = 8 * MIB,
		.user_reserve_bytes = 128 * MIB,
		.overcommit = overcommit,
		.max_mappings = 1000,
	};

	feed(&ev, MP_EV_SYSTEM, sizeof(ev), 0, 0);
}

static void begin(uint32_t overcommit)
{
	const struct feed_vma vmas[] = {
		{ LOW, LOW + 3 * PAGE, .kind = MP_VMA_ANON, .perms = 3, .name = "" },
		{ LOW + 4 * PAGE, LOW + 5 * PAGE, .kind = MP_VMA_ANON, .perms = 1, .name = "" },
		{ 64 * TIB, 64 * TIB + PAGE, .kind = MP_VMA_ANON, .perms = 1, .name = "" },
	};

	feed_begin();
	feed_proc(1, "asks", 1);
	feed_maps(1, ~0ULL, 0, vmas, 3);
	feed_system(overcommit, GIB);
}

static const struct mp_refusal *refused(struct mp_ev_refusal ev)
{
	feed(&ev, MP_EV_REFUSAL, sizeof(ev), 1, 7);
	feed_report();
	assert_true(report_proc(1)->nr_refusals > 0);
	return &report_proc(1)->refusals[report_proc(1)->nr_refusals - 1];
}

/* What it is refused for in a process where nothing else ever was. */
static int why(uint32_t overcommit, struct mp_ev_refusal ev)
{
	int said;

	begin(overcommit);
	said = refused(ev)->why;
	feed_end();
	return said;
}

static struct mp_ev_refusal mmap_of(uint64_t len, int prot, int error)
{
	struct mp_ev_refusal ev = asks(MP_OP_MMAP, error);

	ev.r.len = len;
	ev.r.prot = prot;
	return ev;
}

static void mmap_is_compared_in_the_kernels_order(void **state)
{
	struct mp_ev_refusal ev = mmap_of(MIB, RW, ENOMEM);

	(void)state;
	assert_int_equal(why(0, ev), MP_WHY_UNKNOWN);
	ev.limit_data = 300 * PAGE;
	assert_int_equal(why(0, ev), MP_WHY_RLIMIT_DATA);
	ev.limit_as = 355 * PAGE;
	assert_int_equal(why(0, ev), MP_WHY_RLIMIT_AS);
	ev.mappings = 1000; /* as many as there may be: one more is refused by splits only */
	assert_int_equal(why(0, ev), MP_WHY_RLIMIT_AS);
	ev.mappings = 1001;
	assert_int_equal(why(0, ev), MP_WHY_MAX_MAP_COUNT);
	assert_int_equal(why(0, mmap_of(0, RW, EINVAL)), MP_WHY_CALL);
}

/* One page less is allowed, so it must have been something else. */
static void limits_are_to_the_page(void **state)
{
	struct mp_ev_refusal ev = mmap_of(MIB, RW, ENOMEM);

	(void)state;
	ev.limit_as = (100 + PAGES) * PAGE;
	assert_int_equal(why(0, ev), MP_WHY_UNKNOWN);
	ev.limit_as--;
	assert_int_equal(why(0, ev), MP_WHY_RLIMIT_AS);
	ev.limit_as = NONE;
	ev.limit_data = (50 + PAGES) * PAGE;
	assert_int_equal(why(0, ev), MP_WHY_UNKNOWN);
	ev.limit_data--;
	assert_int_equal(why(0, ev), MP_WHY_RLIMIT_DATA);
	ev.r.prot = PROT_READ; /* that is no data */
	assert_int_equal(why(0, ev), MP_WHY_UNKNOWN);
	ev.r.prot = RW;
	ev.r.flags = MAP_SHARED | MAP_ANONYMOUS;
	assert_int_equal(why(0, ev), MP_WHY_UNKNOWN);
	ev.r.flags = MAP_PRIVATE | MAP_ANONYMOUS;
	ev.limit_data = 0; /* a limit of 0 holds nobody back whose hard one does not */
	assert_int_equal(why(0, ev), MP_WHY_UNKNOWN);
	ev.limit_data_max = 60 * PAGE;
	assert_int_equal(why(0, ev), MP_WHY_RLIMIT_DATA);
}

static void a_fixed_mapping_takes_the_place_of_others(void **state)
{
	struct mp_ev_refusal ev = mmap_of(4 * PAGE, RW, ENOMEM);

	(void)state;
	ev.r.flags |= MAP_FIXED;
	ev.r.addr = LOW;
	ev.limit_as = 101 * PAGE;
	assert_int_equal(why(0, ev), MP_WHY_UNKNOWN);
	ev.limit_as = 100 * PAGE;
	assert_int_equal(why(0, ev), MP_WHY_RLIMIT_AS);
	ev.r.addr = 127 * TIB;
	ev.r.len = 2 * TIB;
	assert_int_equal(why(0, ev), MP_WHY_ADDRESS_SPACE);
}

static void addresses_run_out(void **state)
{
	(void)state;
	assert_int_equal(why(0, mmap_of(63 * TIB, PROT_NONE, ENOMEM)), MP_WHY_UNKNOWN);
	assert_int_equal(why(0, mmap_of(65 * TIB, PROT_NONE, ENOMEM)), MP_WHY_ADDRESS_SPACE);
	assert_int_equal(why(0, mmap_of(NONE, PROT_NONE, ENOMEM)), MP_WHY_ADDRESS_SPACE);
}

static void overcommit_is_obvious_or_counted(void **state)
{
	struct mp_ev_refusal ev = mmap_of(5 * GIB, RW, ENOMEM);

	(void)state;
	assert_int_equal(why(0, ev), MP_WHY_UNKNOWN);
	ev.r.len++;
	assert_int_equal(why(0, ev), MP_WHY_OVERCOMMIT);
	assert_int_equal(why(1, ev), MP_WHY_UNKNOWN);
	assert_int_equal(why(2, ev), MP_WHY_UNKNOWN); /* what is committed is not told */
	ev.r.flags |= MAP_NORESERVE;
	assert_int_equal(why(0, ev), MP_WHY_UNKNOWN);
	ev = mmap_of(5 * GIB + 1, PROT_READ, ENOMEM);
	assert_int_equal(why(0, ev), MP_WHY_UNKNOWN);
	ev.r.flags = MAP_SHARED | MAP_ANONYMOUS;
	assert_int_equal(why(0, ev), MP_WHY_OVERCOMMIT);
	/* 1 GiB at most, but 8 MiB for root and three pages; 1/256 of RAM is not counted at once */
	ev = mmap_of(MIB, RW, ENOMEM);
	ev.committed_pages = 1000 * PAGES;
	assert_int_equal(why(2, ev), MP_WHY_OVERCOMMIT);
	ev.committed_pages = 900 * PAGES;
	assert_int_equal(why(2, ev), MP_WHY_UNKNOWN);
	ev.r.len = 120 * MIB;
	assert_int_equal(why(2, ev), MP_WHY_OVERCOMMIT);
	ev.r.flags |= MAP_NORESERVE; /* does not count there */
	assert_int_equal(why(2, ev), MP_WHY_OVERCOMMIT);
}

static void memory_is_locked_up_to_a_limit(void **state)
{
	struct mp_ev_refusal ev = mmap_of(MIB, RW, EAGAIN);

	(void)state;
	ev.limit_memlock = MIB;
	ev.locked_pages = 1;
	assert_int_equal(why(0, ev), MP_WHY_UNKNOWN);
	ev.r.flags |= MAP_LOCKED;
	assert_int_equal(why(0, ev), MP_WHY_RLIMIT_MEMLOCK);
	ev.flags = MP_REFUSAL_IPC_LOCK;
	assert_int_equal(why(0, ev), MP_WHY_UNKNOWN);
	ev = asks(MP_OP_MLOCK, ENOMEM);
	ev.limit_memlock = 2 * PAGE;
	ev.r.addr = LOW;
	ev.r.len = 2 * PAGE + 1;
	assert_int_equal(why(0, ev), MP_WHY_RLIMIT_MEMLOCK);
	ev.r.len = 5 * PAGE;
	assert_int_equal(why(0, ev), MP_WHY_RLIMIT_MEMLOCK);
	ev.limit_memlock = NONE;
	assert_int_equal(why(0, ev), MP_WHY_NOT_MAPPED);
	ev.r.ret = -EPERM;
	ev.limit_memlock = 0;
	assert_int_equal(why(0, ev), MP_WHY_RLIMIT_MEMLOCK);
	ev = asks(MP_OP_MLOCKALL, ENOMEM);
	ev.limit_memlock = 99 * PAGE;
	assert_int_equal(why(0, ev), MP_WHY_RLIMIT_MEMLOCK);
}

static void the_break_has_rules_of_its_own(void **state)
{
	struct mp_ev_refusal ev = asks(MP_OP_BRK, 0);

	(void)state;
	ev.r.old = ev.r.ret = GIB + MIB;
	ev.r.addr = GIB + 2 * MIB;
	assert_int_equal(why(0, ev), MP_WHY_UNKNOWN);
	ev.limit_data = 3 * MIB - 1; /* with the program's own data */
	assert_int_equal(why(0, ev), MP_WHY_RLIMIT_DATA);
	ev.limit_data = NONE;
	ev.limit_as = 100 * PAGE;
	assert_int_equal(why(0, ev), MP_WHY_RLIMIT_AS);
	ev.start_brk = LOW - 2 * PAGE;
	ev.r.old = ev.r.ret = LOW - 2 * PAGE;
	ev.r.addr = LOW - PAGE;
	assert_int_equal(why(0, ev), MP_WHY_RLIMIT_AS);
	ev.r.addr++;
	assert_int_equal(why(0, ev), MP_WHY_ADDRESS_SPACE);
}

static void mremap_and_mprotect(void **state)
{
	struct mp_ev_refusal ev = asks(MP_OP_MREMAP, ENOMEM);

	(void)state;
	ev.r.flags = 0;
	ev.r.old = LOW;
	ev.r.old_len = 3 * PAGE;
	ev.r.len = 4 * PAGE;
	assert_int_equal(why(0, ev), MP_WHY_UNKNOWN);
	ev.r.len = 5 * PAGE;
	assert_int_equal(why(0, ev), MP_WHY_ADDRESS_SPACE);
	ev.limit_data = 51 * PAGE;
	assert_int_equal(why(0, ev), MP_WHY_RLIMIT_DATA);
	ev.limit_data = NONE;
	ev.r.flags = MREMAP_MAYMOVE;
	assert_int_equal(why(0, ev), MP_WHY_UNKNOWN);
	ev.mappings = 997;
	assert_int_equal(why(0, ev), MP_WHY_MAX_MAP_COUNT);
	ev = asks(MP_OP_MPROTECT, ENOMEM);
	ev.r.addr = LOW + 4 * PAGE;
	ev.r.len = PAGE;
	ev.r.prot = RW;
	ev.limit_data = 50 * PAGE;
	assert_int_equal(why(0, ev), MP_WHY_RLIMIT_DATA);
	ev.r.prot = PROT_NONE;
	assert_int_equal(why(0, ev), MP_WHY_UNKNOWN);
	ev.r.addr -= PAGE;
	assert_int_equal(why(0, ev), MP_WHY_NOT_MAPPED);
	ev = asks(MP_OP_MUNMAP, ENOMEM);
	assert_int_equal(why(0, ev), MP_WHY_UNKNOWN);
	ev.mappings = 1000;
	assert_int_equal(why(0, ev), MP_WHY_MAX_MAP_COUNT);
}

static void alike_are_one(void **state)
{
	struct mp_ev_refusal ev = mmap_of(MIB, RW, ENOMEM);
	const struct mp_refusal *r;

	(void)state;
	begin(0);
	ev.limit_as = MIB;
	refused(ev);
	r = refused(ev);
	assert_int_equal(report_proc(1)->nr_refusals, 1);
	assert_int_equal(r->count, 2);
	assert_int_equal(r->bytes, 2 * MIB);
	assert_int_equal(r->limit, MIB);
	assert_int_equal(r->error, ENOMEM);
	assert_int_equal(r->op, MP_OP_MMAP);
	assert_int_equal(report_site(A)->id, r->site);
	ev.r.caller = B;
	refused(ev);
	assert_int_equal(report_proc(1)->nr_refusals, 2);
	ev.r.caller = A;
	ev.r.in_fn = MP_FN_MALLOC;
	assert_int_equal(refused(ev)->fn, MP_FN_MALLOC);
	ev.r.in_fn = MP_FN_MMAP; /* libc's own mmap() */
	refused(ev);
	assert_int_equal(report_proc(1)->nr_refusals, 3);
	feed_end();
}

static void many_sites_share_a_row(void **state)
{
	struct mp_ev_refusal ev = mmap_of(MIB, RW, ENOMEM);
	uint64_t sum = 0;

	(void)state;
	begin(0);
	for (int i = 0; i < 3000; i++) {
		ev.r.caller = A + i;
		feed(&ev, MP_EV_REFUSAL, sizeof(ev), 1, 7);
	}
	feed_report();
	assert_int_equal(report_proc(1)->nr_refusals, 1025);
	for (size_t i = 0; i < 1025; i++)
		sum += report_proc(1)->refusals[i].count;
	assert_int_equal(sum, 3000);
	feed_end();
}

static void feed_failed(uint32_t tid, uint64_t size, uint64_t caller)
{
	struct mp_ev_alloc ev = { .requested = size, .caller = caller, .fn = MP_FN_CALLOC };

	feed(&ev, MP_EV_ALLOC, sizeof(ev), 1, tid);
}

static const struct mp_refusal *last(void)
{
	feed_report();
	return &report_proc(1)->refusals[report_proc(1)->nr_refusals - 1];
}

static void an_allocation_fails_for_what_it_was_refused(void **state)
{
	struct mp_ev_refusal ev = mmap_of(MIB, RW, ENOMEM);
	struct mp_ev_alloc good = { .addr = LOW, .requested = 8, .caller = A, .fn = MP_FN_CALLOC };

	(void)state;
	begin(0);
	ev.limit_as = MIB;
	ev.r.in_fn = MP_FN_CALLOC;
	refused(ev);
	feed_failed(8, MIB, A); /* another thread's */
	assert_int_equal(last()->why, MP_WHY_UNKNOWN);
	assert_int_equal(last()->error, 0);
	feed_failed(7, MIB, A);
	assert_int_equal(last()->why, MP_WHY_RLIMIT_AS);
	assert_int_equal(last()->op, 0);
	assert_int_equal(last()->fn, MP_FN_CALLOC);
	assert_int_equal(last()->error, ENOMEM);
	assert_int_equal(last()->bytes, MIB);
	assert_int_equal(last()->site, report_site(A)->id);
	feed_failed(7, MIB, A); /* not for that one again */
	assert_int_equal(last()->count, 1);
	refused(ev);
	feed(&good, MP_EV_ALLOC, sizeof(good), 1, 7); /* it found another way */
	feed_failed(7, PAGE, A);
	feed_report();
	assert_int_equal(report_proc(1)->refusals[1].count, 3);
	refused(ev);
	feed_failed(7, PAGE, B); /* a jump has left the first */
	assert_int_equal(last()->why, MP_WHY_UNKNOWN);
	feed_failed(7, (uint64_t)PTRDIFF_MAX + 1, B);
	assert_int_equal(last()->why, MP_WHY_SIZE);
	feed_end();
}

static void realloc_fails_too(void **state)
{
	struct mp_ev_refusal ev = asks(MP_OP_MREMAP, ENOMEM);

	(void)state;
	begin(0);
	feed_alloc(1, LOW, PAGE, A);
	ev.r.in_fn = MP_FN_REALLOC;
	ev.r.old = LOW;
	ev.r.old_len = PAGE;
	ev.r.len = GIB;
	ev.limit_as = MIB;
	feed_realloc(1, 7, LOW);
	refused(ev);
	feed_realloc_done(1, 7, LOW, 0, GIB, A);
	assert_int_equal(last()->why, MP_WHY_RLIMIT_AS);
	assert_int_equal(last()->fn, MP_FN_REALLOC);
	assert_int_equal(last()->op, 0);
	assert_int_equal(last()->bytes, GIB);
	assert_non_null(report_block(1, LOW));
	feed_end();
}

static void a_new_image_was_refused_nothing(void **state)
{
	struct mp_ev_refusal ev = mmap_of(MIB, RW, ENOMEM);

	(void)state;
	begin(0);
	refused(ev);
	feed_fork(1, 2, 1);
	feed_report();
	assert_int_equal(report_proc(2)->nr_refusals, 0);
	feed_exec(1, "new");
	feed_report();
	assert_int_equal(report_proc(1)->nr_refusals, 0);
	feed_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mmap_is_compared_in_the_kernels_order),
		cmocka_unit_test(limits_are_to_the_page),
		cmocka_unit_test(a_fixed_mapping_takes_the_place_of_others),
		cmocka_unit_test(addresses_run_out),
		cmocka_unit_test(overcommit_is_obvious_or_counted),
		cmocka_unit_test(memory_is_locked_up_to_a_limit),
		cmocka_unit_test(the_break_has_rules_of_its_own),
		cmocka_unit_test(mremap_and_mprotect),
		cmocka_unit_test(alike_are_one),
		cmocka_unit_test(many_sites_share_a_row),
		cmocka_unit_test(an_allocation_fails_for_what_it_was_refused),
		cmocka_unit_test(realloc_fails_too),
		cmocka_unit_test(a_new_image_was_refused_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
