// SPDX-License-Identifier: GPL-2.0-or-later
/* Call stacks: told in chunks, resolved by process and time, interned to sites. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "model_feed.h"

#define A     0x401000 /* callers of malloc, in the program */
#define B     0x402000
#define MAIN  0x403000
#define START 0x404000
#define LIB   0x7f0000100000ULL /* inside the library */
#define MEM   0x7f1000000000ULL

static const struct feed_vma program = {
	.start = 0x400000,
	.end = 0x500000,
	.ino = 42,
	.rss = UINT64_MAX,
	.anon = UINT64_MAX,
	.kind = MP_VMA_FILE,
	.perms = 5,
	.name = "/usr/bin/prog",
};

static struct feed_vma library(uint64_t start, uint64_t ino)
{
	struct feed_vma lib = program;

	lib.start = start;
	lib.end = start + 0x100000;
	lib.ino = ino;
	lib.name = ino == 50 ? "/usr/lib/one.so" : "/usr/lib/two.so";
	return lib;
}

/* Addresses outermost first. */
static void tell(uint32_t id, uint32_t prev, int end, int nr, const uint64_t *pc)
{
	struct mp_ev_stack ev = { .id = id, .prev = prev, .nr = nr, .end = end };

	if (nr)
		memcpy(ev.pc, pc, nr * sizeof(*pc));
	feed(&ev, MP_EV_STACK, sizeof(ev), 1, 1);
}
#define TELL(id, prev, end, ...)                                                    \
	tell(id, prev, end, sizeof((uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t), \
	     (uint64_t[]){ __VA_ARGS__ })

static void alloc(uint32_t pid, uint64_t addr, uint32_t stack, uint64_t caller)
{
	struct mp_ev_alloc ev = {
		.addr = addr, .requested = 10, .caller = caller, .stack = stack, .fn = MP_FN_MALLOC
	};

	feed(&ev, MP_EV_ALLOC, sizeof(ev), pid, pid);
}

/* The frames of site @id are at these addresses, innermost first. */
static void assert_frames(uint32_t id, int end, int nr, const uint64_t *addr)
{
	const struct mp_site *s = &feed_report()->sites[id - 1];
	const struct mp_stack_frame *f = s->frame;
	int i;

	assert_int_equal(s->end, end);
	for (i = 0; i < nr; i++, f = f->outer) {
		assert_non_null(f);
		assert_int_equal(f->place->addr, addr[i]);
	}
	assert_null(f);
}
#define FRAMES(id, end, ...)                                                           \
	assert_frames(id, end, sizeof((uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t), \
		      (uint64_t[]){ __VA_ARGS__ })

static void a_site_is_the_whole_stack(void **state)
{
	const struct mp_report *r;

	(void)state;
	feed_begin();
	feed_maps(1, UINT64_MAX, 0, &program, 1);
	TELL(1, 0, MP_STACK_WHOLE, START, MAIN);
	TELL(2, 1, MP_STACK_GOES_ON, B, A);
	TELL(3, 1, MP_STACK_GOES_ON, A);
	TELL(4, 0, MP_STACK_NO_RULE, A);
	alloc(1, 0x1000, 2, A);
	alloc(1, 0x2000, 3, A); /* the same caller, another way there */
	alloc(1, 0x3000, 2, A);
	alloc(1, 0x4000, 4, A);
	alloc(1, 0x5000, 0, A);
	r = feed_report();
	assert_int_equal(r->nr_sites, 4);
	assert_int_equal(r->sites[0].calls, 2);
	FRAMES(1, MP_STACK_WHOLE, A, B, MAIN, START);
	FRAMES(2, MP_STACK_WHOLE, A, MAIN, START);
	FRAMES(3, MP_STACK_NO_RULE, A);
	FRAMES(4, MP_STACK_GOES_ON, A);
	r = feed_report();
	assert_ptr_equal(r->sites[0].frame->outer->outer, r->sites[1].frame->outer);
	assert_int_equal(report_block(1, 0x3000)->site, 1);
	assert_int_equal(r->loss.stack_ends[MP_STACK_WHOLE], 3);
	assert_int_equal(r->loss.stack_ends[MP_STACK_NO_RULE], 1);
	assert_int_equal(r->loss.stack_ends[MP_STACK_GOES_ON], 1);
	assert_int_equal(r->loss.stacks_truncated, 2);
	assert_int_equal(r->loss.stacks_lost, 0);
	feed_end();
}

/* However a stack was cut into chunks, and whichever process it is of. */
static void equal_places_are_one_site(void **state)
{
	struct feed_vma elsewhere = program;

	(void)state;
	feed_begin();
	elsewhere.start += 0x10000000;
	elsewhere.end += 0x10000000;
	feed_maps(1, UINT64_MAX, 0, &program, 1);
	feed_maps(2, UINT64_MAX, 0, &elsewhere, 1);
	TELL(1, 0, MP_STACK_WHOLE, START, MAIN, A);
	TELL(2, 0, MP_STACK_WHOLE, START);
	TELL(3, 2, MP_STACK_GOES_ON, MAIN);
	TELL(4, 3, MP_STACK_GOES_ON, A);
	TELL(5, 0, MP_STACK_WHOLE, START + 0x10000000, MAIN + 0x10000000, A + 0x10000000);
	alloc(1, 0x1000, 1, A);
	alloc(1, 0x2000, 4, A);
	alloc(2, 0x1000, 5, A + 0x10000000);
	assert_int_equal(feed_report()->nr_sites, 1);
	assert_int_equal(report_site(A)->calls, 3);
	/* the same addresses are other places there */
	alloc(2, 0x2000, 4, A);
	assert_int_equal(feed_report()->nr_sites, 2);
	feed_end();
}

/* dlclose, dlopen: the same stack id means other code. */
static void code_is_replaced(void **state)
{
	struct feed_vma vmas[2] = { program, library(LIB, 50) };

	(void)state;
	feed_begin();
	feed_maps(1, UINT64_MAX, 0, vmas, 2);
	TELL(1, 0, MP_STACK_WHOLE, MAIN, LIB + 16);
	alloc(1, 0x1000, 1, LIB + 16);
	vmas[1] = library(LIB, 51);
	feed_maps(1, UINT64_MAX, 0, vmas, 2);
	alloc(1, 0x2000, 1, LIB + 16);
	assert_int_equal(feed_report()->nr_sites, 2);
	assert_string_equal(feed_report()->sites[0].frame->place->object, "/usr/lib/one.so");
	assert_string_equal(feed_report()->sites[1].frame->place->object, "/usr/lib/two.so");
	vmas[1] = library(LIB, 50);
	feed_maps(1, UINT64_MAX, 0, vmas, 2);
	alloc(1, 0x3000, 1, LIB + 16);
	assert_int_equal(feed_report()->nr_sites, 2);
	assert_int_equal(feed_report()->sites[0].calls, 2);
	feed_end();
}

/* A library calls before /proc was read again: only an outer frame tells the sites apart. */
static void sites_settle(void **state)
{
	struct feed_vma vmas[2] = { program, library(LIB, 50) };

	(void)state;
	feed_begin();
	feed_maps(1, UINT64_MAX, 0, &program, 1);
	feed_maps(2, UINT64_MAX, 0, vmas, 2);
	TELL(1, 0, MP_STACK_WHOLE, MAIN, LIB + 16, A);
	alloc(1, 0x1000, 1, A); /* the library is not known there yet */
	alloc(2, 0x1000, 1, A);
	assert_int_equal(feed_report()->nr_sites, 2);
	feed_maps(1, UINT64_MAX, 0, vmas, 2);
	assert_int_equal(feed_report()->nr_sites, 1);
	assert_int_equal(feed_report()->sites[0].calls, 2);
	assert_string_equal(feed_report()->sites[0].frame->outer->place->object, "/usr/lib/one.so");
	FRAMES(1, MP_STACK_WHOLE, A, LIB + 16, MAIN);
	alloc(1, 0x2000, 1, A);
	feed_report();
	assert_int_equal(feed_report()->nr_sites, 1);
	assert_int_equal(feed_report()->sites[0].live_blocks, 3);
	assert_int_equal(report_block(1, 0x1000)->site, 1);
	feed_end();
}

/* A fault inside malloc belongs to the site that malloc was called from; the allocator touched. */
static void faults_inside_the_allocator(void **state)
{
	struct feed_vma vmas[2] = { program, library(LIB, 50) };
	struct mp_ev_fault inside = {
		.ip = LIB + 8, .caller = A, .in_fn = MP_FN_MALLOC, .stack = 3
	};

	(void)state;
	feed_begin();
	feed_maps(1, UINT64_MAX, 0, vmas, 2);
	TELL(1, 0, MP_STACK_WHOLE, START, MAIN);
	TELL(2, 1, MP_STACK_GOES_ON, A);
	TELL(3, 1, MP_STACK_GOES_ON, A, LIB + 16, (LIB + 8) | MP_STACK_EXACT);
	feed_fault_like(1, MEM, 10, TOUCH | MP_FAULT_IN_ALLOC, inside);
	alloc(1, MEM, 2, A);
	feed_report();
	assert_int_equal(feed_report()->nr_sites, 2);
	assert_int_equal(report_site(A)->faults[MP_KIND_ANON], 1);
	assert_int_equal(report_site(A)->calls, 1);
	FRAMES(report_site(A)->id, MP_STACK_WHOLE, A, MAIN, START);
	FRAMES(report_site(LIB + 8)->id, MP_STACK_GOES_ON, LIB + 8);
	feed_report();
	assert_int_equal(report_page(1, MEM)->toucher, report_site(LIB + 8)->id);
	feed_end();
}

static void touchers_are_stacks(void **state)
{
	struct mp_ev_fault ev = { .ip = A, .stack = 2, .syscall = -1 };

	(void)state;
	feed_begin();
	feed_maps(1, UINT64_MAX, 0, &program, 1);
	TELL(1, 0, MP_STACK_WHOLE, MAIN);
	TELL(2, 1, MP_STACK_GOES_ON, A | MP_STACK_EXACT);
	TELL(3, 1, MP_STACK_GOES_ON, A);
	alloc(1, MEM, 3, A);
	feed_fault_like(1, MEM, 10, TOUCH, ev);
	/* the instruction after the call to malloc is not the call */
	assert_int_equal(feed_report()->nr_sites, 2);
	assert_int_equal(feed_report()->sites[0].touchers[0].site, 2);
	assert_int_equal(feed_report()->sites[1].frame->place->what, MP_PLACE_EXACT);
	FRAMES(2, MP_STACK_WHOLE, A, MAIN);
	/* read(2), called there */
	ev.syscall = 0;
	feed_fault_like(1, MEM + PAGE, 11, TOUCH | MP_FAULT_KERNEL, ev);
	assert_int_equal(feed_report()->nr_sites, 3);
	assert_int_equal(report_page(1, MEM + PAGE)->toucher, 3);
	assert_int_equal(feed_report()->sites[2].frame->place->what, MP_PLACE_SYSCALL);
	assert_int_equal(feed_report()->sites[2].frame->place->offset, 0);
	FRAMES(3, MP_STACK_WHOLE, 0, A, MAIN);
	/* write(2), of which no stack is told */
	ev.syscall = 1;
	ev.stack = 0;
	feed_fault_like(1, MEM + 2 * PAGE, 12, TOUCH | MP_FAULT_KERNEL, ev);
	assert_int_equal(feed_report()->nr_sites, 4);
	FRAMES(4, MP_STACK_GOES_ON, 0, A);
	assert_int_equal(feed_report()->loss.stack_ends[MP_STACK_GOES_ON], 1);
	assert_int_equal(feed_report()->loss.stack_ends[MP_STACK_WHOLE], 3);
	feed_end();
}

static void mappings_have_stacks(void **state)
{
	struct mp_ev_range ev = { .op = MP_OP_MMAP,
				  .len = 16 * PAGE,
				  .ret = MEM,
				  .caller = A,
				  .prot = 3,
				  .flags = 0x22,
				  .stack = 1 };

	(void)state;
	feed_begin();
	feed_maps(1, UINT64_MAX, 0, &program, 1);
	TELL(1, 0, MP_STACK_WHOLE, MAIN, A);
	feed_range(1, ev, 10);
	assert_int_equal(feed_report()->nr_sites, 1);
	assert_true(report_site(A)->mapping);
	FRAMES(1, MP_STACK_WHOLE, A, MAIN);
	feed_report();
	assert_int_equal(report_vma(1, MEM)->site, 1);
	feed_end();
}

/* What cannot be as told is counted, and the caller alone is taken. */
static void damage(void **state)
{
	uint32_t id;

	(void)state;
	feed_begin();
	feed_maps(1, UINT64_MAX, 0, &program, 1);
	TELL(1, 0, MP_STACK_WHOLE, MAIN, A);
	TELL(1, 0, MP_STACK_WHOLE, MAIN, A); /* told twice: the same */
	assert_int_equal(feed_report()->loss.stacks_lost, 0);
	TELL(1, 0, MP_STACK_WHOLE, MAIN, B); /* another content */
	TELL(2, 3, MP_STACK_GOES_ON, A);     /* outside of it: nothing that is known, */
	TELL(3, 3, MP_STACK_GOES_ON, A);     /* itself */
	TELL(4, 0, MP_STACK_GOES_ON, A);     /* no end, no outer chunk */
	TELL(5, 1, MP_STACK_WHOLE, A);       /* both */
	tell(6, 1, MP_STACK_GOES_ON, 0, NULL);
	assert_int_equal(feed_report()->loss.stacks_lost, 6);
	for (id = 2; id <= 6; id++)
		alloc(1, id * 0x1000, id, A);
	alloc(1, 0x10000, 1, A);
	assert_int_equal(feed_report()->loss.stacks_lost, 11);
	assert_int_equal(feed_report()->nr_sites, 2);
	FRAMES(1, MP_STACK_GOES_ON, A);
	FRAMES(2, MP_STACK_WHOLE, A, MAIN);
	assert_int_equal(feed_report()->sites[0].calls, 5);
	/* endlessly deep: cut where no kernel side of ours goes */
	for (id = 100; id < 300; id++)
		TELL(id, id > 100 ? id - 1 : 0, id > 100 ? 0 : MP_STACK_WHOLE, A, A, A, A, A, A, A);
	assert_int_equal(feed_report()->loss.stacks_lost, 11 + 200 - 64);
	feed_end();
}

/* Each from two processes. */
static void many_stacks(void **state)
{
	const struct mp_report *r;
	uint32_t id;

	(void)state;
	feed_begin();
	feed_maps(1, UINT64_MAX, 0, &program, 1);
	feed_maps(2, UINT64_MAX, 0, &program, 1);
	TELL(1, 0, MP_STACK_WHOLE, START, MAIN);
	for (id = 2; id < 50000; id++) {
		TELL(id, 1, MP_STACK_GOES_ON, 0x410000 + id, A);
		alloc(1, id * 16ULL, id, A);
		alloc(2, id * 16ULL, id, A);
	}
	r = feed_report();
	assert_int_equal(r->nr_sites, 50000 - 2);
	for (id = 0; id < r->nr_sites; id++)
		assert_int_equal(r->sites[id].calls, 2);
	feed_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_site_is_the_whole_stack),
		cmocka_unit_test(equal_places_are_one_site),
		cmocka_unit_test(code_is_replaced),
		cmocka_unit_test(sites_settle),
		cmocka_unit_test(faults_inside_the_allocator),
		cmocka_unit_test(touchers_are_stacks),
		cmocka_unit_test(mappings_have_stacks),
		cmocka_unit_test(damage),
		cmocka_unit_test(many_stacks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
