// SPDX-License-Identifier: GPL-2.0-or-later
/* Heaps made up by hand: what each chunk is taken for, and what is made of one that is broken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "heaps.h"

#define PAGES 16
#define END   (HEAP + PAGES * MP_PAGE_SIZE)

static struct mp_heap_image image;
static struct heaps_result now;

static uint64_t bytes_of(int state)
{
	return now.r->total.by[state].bytes;
}

static uint64_t chunks_of(int state)
{
	return now.r->total.chunks[state];
}

static bool has_block(uint64_t addr, uint64_t usable)
{
	for (size_t i = 0; i < now.r->nr_blocks; i++)
		if (now.r->blocks[i].addr == addr && now.r->blocks[i].usable == usable)
			return true;
	return false;
}

/* A main heap of 16 pages; gives the chunk to begin with, whose predecessor is in use. */
static uint64_t begin(const struct mp_glibc_layout *at)
{
	heaps_begin(&image, at);
	heaps_map(&image, HEAP, PAGES);
	heaps_poke(&image, HEAP + 8, 1);
	return HEAP;
}

static void plain(void **state)
{
	uint64_t a, b, c, top;

	(void)state;
	a = begin(&heaps_236);
	b = heaps_chunk(&image, a, 0x290);
	c = heaps_free(&image, b, 0x1000);
	top = heaps_chunk(&image, c, 0x20);
	heaps_top(&image, top, END);
	now = heaps_walk(&image);
	assert_int_equal(now.walk.broken, 0);
	assert_int_equal(now.walk.flags, 0);
	assert_int_equal(chunks_of(MP_CHUNK_LIVE), 2);
	assert_true(has_block(a + 16, 0x288));
	assert_true(has_block(c + 16, 0x18));
	assert_int_equal(bytes_of(MP_CHUNK_LIVE), 0x288 + 0x18);
	assert_int_equal(bytes_of(MP_CHUNK_BIN), 0x1000);
	assert_int_equal(bytes_of(MP_CHUNK_TOP), END - top - 8);
	assert_int_equal(bytes_of(MP_CHUNK_OWN), 8 + 2 * 8); /* before the first, and two heads */
	assert_int_equal(now.r->arenas[0].holder.addr, c + 16);
	assert_int_equal(now.r->arenas[0].holder.bytes, 0x20);
	assert_int_equal(now.r->arenas[0].holder.free_below, 0x1000);
	heaps_end(&image, &now);
}

/* A thread cache at the first chunk; gives the chunk after it. */
static uint64_t begin_tcache(const struct mp_glibc_layout *at, uint64_t bytes)
{
	struct mp_heap_thread thread = { 7, HEAP + 16 };
	uint64_t next = heaps_chunk(&image, begin(at), bytes);

	assert_int_equal(
		mp_heap_image_add(&image.threads, &image.nr_threads, &thread, sizeof(thread)), 0);
	return next;
}

static void cached(void **state)
{
	const struct mp_glibc_layout *layouts[] = { &heaps_236, &heaps_243 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		uint64_t a = begin_tcache(layouts[i], i ? 0x300 : 0x290), b, c, top;

		b = heaps_chunk(&image, a, 0x40);
		c = heaps_chunk(&image, b, 0x40);
		top = heaps_chunk(&image, c, 0x40);
		heaps_top(&image, top, END);
		heaps_poke(&image, HEAP + 16 + layouts[i]->tcache_entries + 2 * 8, b + 16);
		heaps_link(&image, b, a + 16);
		heaps_poke(&image, b + 24, 0x1234);
		heaps_link(&image, a, 0);
		heaps_poke(&image, a + 24, 0x1234);
		now = heaps_walk(&image);
		assert_int_equal(now.walk.flags, 0);
		assert_int_equal(now.r->facts.tcaches, 1);
		assert_int_equal(chunks_of(MP_CHUNK_TCACHE), 2);
		assert_int_equal(bytes_of(MP_CHUNK_TCACHE), 0x80);
		assert_int_equal(chunks_of(MP_CHUNK_LIVE), 1);
		assert_true(has_block(c + 16, 0x38));
		heaps_end(&image, &now);
	}
}

static void fastbin(void **state)
{
	uint64_t a, b, c, top;

	(void)state;
	a = begin(&heaps_236);
	b = heaps_chunk(&image, a, 0x30);
	c = heaps_chunk(&image, b, 0x30);
	top = heaps_chunk(&image, c, 0x30);
	heaps_top(&image, top, END);
	heaps_poke(&image, ARENA + heaps_236.fastbins + 8, c);
	heaps_link(&image, c, a);
	heaps_link(&image, a, 0);
	now = heaps_walk(&image);
	assert_int_equal(now.walk.flags, 0);
	assert_int_equal(chunks_of(MP_CHUNK_FASTBIN), 2);
	assert_int_equal(chunks_of(MP_CHUNK_LIVE), 1);
	assert_true(has_block(b + 16, 0x28));
	heaps_end(&image, &now);
}

/* What a chunk of a list may do wrong; the list ends there, said, and nothing else is wrong. */
static void broken_lists(void **state)
{
	(void)state;
	for (int how = 0; how < 6; how++) {
		uint64_t a = begin_tcache(&heaps_236, 0x290), b, top;
		uint64_t next[] = { a + 16, 0x10, a + 24, ARENA, PLACE, a + 16 + 8 * 16 };

		b = heaps_chunk(&image, a, 0x40);
		top = heaps_chunk(&image, b, 0x80);
		heaps_top(&image, top, END);
		heaps_poke(&image, HEAP + 16 + 128 + 2 * 8, a + 16);
		heaps_link(&image, a, next[how]);
		heaps_poke(&image, a + 24, 0x1234);
		heaps_poke(&image, ARENA + heaps_236.fastbins, next[how]);
		now = heaps_walk(&image);
		assert_true(now.walk.flags & MP_XRAY_LISTS);
		assert_int_equal(now.walk.broken, 0);
		assert_int_equal(chunks_of(MP_CHUNK_TCACHE), 1);
		heaps_end(&image, &now);
	}
}

/* A mark inside of a chunk: the list led to where no chunk begins. */
static void list_into_a_chunk(void **state)
{
	uint64_t a, top;

	(void)state;
	a = begin(&heaps_236);
	top = heaps_chunk(&image, a, 0x400);
	heaps_top(&image, top, END);
	heaps_poke(&image, a + 0x48, 0x21);
	heaps_link(&image, a + 0x40, 0);
	heaps_poke(&image, ARENA + heaps_236.fastbins, a + 0x40);
	now = heaps_walk(&image);
	assert_true(now.walk.flags & MP_XRAY_LISTS);
	assert_int_equal(chunks_of(MP_CHUNK_LIVE), 1);
	assert_int_equal(chunks_of(MP_CHUNK_FASTBIN), 0);
	heaps_end(&image, &now);
}

/* After a size that cannot be, chunks are found again that lead to the top. */
static void bad_sizes(void **state)
{
	static const uint64_t bad[] = { 0, 1, 0x10, 0x19, 0x8, 1ULL << 40, ~0ULL, 0x23, 0x31 << 20 };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint64_t a = begin(&heaps_236), b, c, d, top;

		b = heaps_chunk(&image, a, 0x100);
		c = heaps_chunk(&image, b, 0x100);
		d = heaps_chunk(&image, c, 0x100);
		top = heaps_chunk(&image, d, 0x100);
		heaps_top(&image, top, END);
		heaps_poke(&image, b + 8, bad[i] | 1);
		now = heaps_walk(&image);
		assert_int_equal(now.walk.broken, bad[i] != 0x10);
		if (bad[i] != 0x10) { /* that is an end mark, and what follows may be others' */
			assert_int_equal(now.r->breaks[0].at, b);
			assert_int_equal(now.r->breaks[0].how, MP_HEAP_BAD_SIZE);
		}
		assert_true(has_block(a + 16, 0xf8));
		assert_true(has_block(c + 16, 0xf8));
		assert_true(has_block(d + 16, 0xf8));
		assert_int_equal(chunks_of(MP_CHUNK_LIVE), 3);
		assert_int_equal(bytes_of(MP_CHUNK_UNKNOWN), bad[i] == 0x10 ? 0xf0 : 0x100);
		heaps_end(&image, &now);
	}
}

static void bad_foot(void **state)
{
	uint64_t a, b, c, top;

	(void)state;
	a = begin(&heaps_236);
	b = heaps_free(&image, a, 0x100);
	c = heaps_chunk(&image, b, 0x40);
	top = heaps_chunk(&image, c, 0x40);
	heaps_top(&image, top, END);
	heaps_poke(&image, b, 0x110);
	now = heaps_walk(&image);
	assert_int_equal(now.walk.broken, 1);
	assert_int_equal(now.r->breaks[0].how, MP_HEAP_BAD_FOOT);
	assert_int_equal(bytes_of(MP_CHUNK_UNKNOWN), 0x100);
	assert_int_equal(chunks_of(MP_CHUNK_LIVE), 2);
	heaps_end(&image, &now);
}

/* A head on a page that is swapped out: what lies beyond is found again. */
static void swapped(void **state)
{
	uint64_t at, live = 0;

	(void)state;
	at = begin(&heaps_236);
	while (at < END - MP_PAGE_SIZE) {
		at = heaps_chunk(&image, at, 0x110);
		live++;
	}
	heaps_top(&image, at, END);
	heaps_page_state(&image, HEAP + 4 * MP_PAGE_SIZE, 1, MP_HEAP_SWAPPED);
	heaps_page_state(&image, HEAP + 9 * MP_PAGE_SIZE, 1, 0);
	now = heaps_walk(&image);
	assert_int_equal(now.walk.broken, 1);
	assert_int_equal(now.r->breaks[0].how, MP_HEAP_ABSENT);
	assert_int_equal(now.r->total.pages.present, PAGES - 2);
	assert_int_equal(now.r->total.pages.swapped, 1);
	/* on a page fit 15 heads and some; one chunk before and after each hole is lost too */
	assert_in_range(chunks_of(MP_CHUNK_LIVE), live - 2 * 18, live - 2 * 15);
	for (size_t i = 0; i < now.r->nr_blocks; i++)
		assert_int_equal((now.r->blocks[i].addr - 16 - HEAP) % 0x110, 0);
	heaps_end(&image, &now);
}

/* A heap of another arena that begins at @start, of @pages; @arena is where its arena lies. */
static uint64_t other_heap(uint64_t start, uint64_t pages, uint64_t arena, uint64_t prev)
{
	heaps_map(&image, start, pages);
	heaps_poke(&image, start, arena);
	heaps_poke(&image, start + 8, prev);
	heaps_poke(&image, start + 16, pages * MP_PAGE_SIZE);
	return start == arena - 48 ? (arena + 2200 + 15) & ~15ULL : start + 48;
}

static void other_arena(void **state)
{
	uint64_t arena = PLACE + 48, second = PLACE + HEAP_MAX, a, b, end, top;

	(void)state;
	begin(&heaps_236);
	heaps_top(&image, heaps_chunk(&image, HEAP, 0x40), END);
	a = other_heap(PLACE, 2, arena, 0);
	heaps_poke(&image, a + 8, 1);
	b = heaps_chunk(&image, a, 0x100);
	end = heaps_free(&image, b, PLACE + 2 * MP_PAGE_SIZE - 32 - b);
	/* the marks where the first heap ends: one of 16 bytes and one of none */
	heaps_poke(&image, end + 8, 0x10);
	heaps_poke(&image, end + 24, 1);
	b = other_heap(second, 3, arena, PLACE);
	heaps_poke(&image, b + 8, 1);
	top = heaps_chunk(&image, b, 0x200);
	heaps_poke(&image, top + 8, (second + 3 * MP_PAGE_SIZE - top) | 1);
	heaps_poke(&image, arena + heaps_236.top, top);
	heaps_poke(&image, arena + heaps_236.system_mem, 5 * MP_PAGE_SIZE);
	heaps_poke(&image, arena + heaps_236.next, ARENA);
	heaps_poke(&image, ARENA + heaps_236.next, arena);
	now = heaps_walk(&image);
	assert_int_equal(now.walk.flags, 0);
	assert_int_equal(now.walk.parts, 3);
	assert_int_equal(now.walk.broken, 0);
	assert_int_equal(now.r->nr_arenas, 2);
	assert_true(has_block(a + 16, 0xf8));
	assert_true(has_block(b + 16, 0x1f8));
	assert_int_equal(chunks_of(MP_CHUNK_LIVE), 3);
	heaps_end(&image, &now);
}

/* Rings and chains that do not come back, or lead out of memory. */
static void broken_rings(void **state)
{
	uint64_t arena = PLACE + 48;
	uint64_t nexts[] = { arena, 0, PLACE, PLACE + HEAP_MAX + 48, ~0ULL, ARENA + 16 };
	uint64_t prevs[] = { PLACE + HEAP_MAX, PLACE + 2 * HEAP_MAX, 8, ~0ULL };

	(void)state;
	for (size_t i = 0; i < 10; i++) {
		uint64_t a;

		begin(&heaps_236);
		heaps_top(&image, heaps_chunk(&image, HEAP, 0x40), END);
		a = other_heap(PLACE, 2, arena, 0);
		heaps_poke(&image, a + 8, (PLACE + 2 * MP_PAGE_SIZE - a) | 1);
		heaps_poke(&image, arena + heaps_236.top, a);
		if (i >= 6) {
			a = other_heap(PLACE + HEAP_MAX, 1, arena, prevs[i - 6]);
			heaps_poke(&image, a + 8, (MP_PAGE_SIZE - 48) | 1);
			heaps_poke(&image, arena + heaps_236.top, a);
		}
		heaps_poke(&image, arena + heaps_236.next, i < 6 ? nexts[i] : ARENA);
		heaps_poke(&image, ARENA + heaps_236.next, arena);
		now = heaps_walk(&image);
		assert_true(now.walk.flags & MP_XRAY_ARENAS);
		assert_true(has_block(HEAP + 16, 0x38));
		heaps_end(&image, &now);
	}
}

/* Tops that cannot be: no part of a heap can be told then, but for what is still sure. */
static void bad_tops(void **state)
{
	uint64_t tops[] = { HEAP + 8, HEAP - 16, END, PLACE, ~0ULL, 16 };

	(void)state;
	for (size_t i = 0; i < sizeof(tops) / sizeof(tops[0]); i++) {
		begin(&heaps_236);
		heaps_top(&image, heaps_chunk(&image, HEAP, 0x40), END);
		heaps_poke(&image, ARENA + heaps_236.top, tops[i]);
		now = heaps_walk(&image);
		assert_true(now.walk.flags & MP_XRAY_ARENAS || now.walk.broken);
		heaps_end(&image, &now);
	}
}

static void add_head(uint64_t addr, uint64_t prev_size, uint64_t size)
{
	struct mp_heap_head head = { addr, prev_size, size };

	assert_int_equal(mp_heap_image_add(&image.heads, &image.nr_heads, &head, sizeof(head)), 0);
}

static void mapped(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		uint64_t less = i ? 16 : 0, at = PLACE;

		begin(i ? &heaps_243 : &heaps_236);
		heaps_top(&image, heaps_chunk(&image, HEAP, 0x40), END);
		heaps_map(&image, PLACE, 64);
		add_head(at, 0, (0x4000 - less) | 2);
		/* one that was aligned: the head it had first is still there */
		add_head(at + 0x4000, 0, (0x8000 - less) | 2);
		add_head(at + 0x5ff0, 0x1ff0, (0x8000 - 0x1ff0 - less) | 2);
		/* what cannot be: no page's end, past the mapping, in another's block */
		add_head(at + 0xd000, 0, 0x1010 | 2);
		add_head(at + 0xe000, 0, 0x100000 | 2);
		add_head(at + 0x8000, 0, (0x1000 - less) | 2);
		add_head(at + 0xf000, 0x10000, (0x1000 - less) | 2);
		/* what no mapping begins or ends with, nor what touches that */
		add_head(at + 0x10000, 0, (0x2000 - less) | 2);
		add_head(at + 0x12000, 0, (0x2000 - less) | 2);
		heaps_poke(&image, PAR + 60, 2);
		heaps_poke(&image, PAR + 80, 0xc000);
		now = heaps_walk(&image);
		assert_int_equal(now.walk.flags, 0);
		assert_int_equal(now.r->mapped.chunks[MP_CHUNK_LIVE], 2);
		assert_true(has_block(at + 16, 0x4000 - 16 - less / 2));
		assert_true(has_block(at + 0x6000, 0x6000 - less / 2));
		heaps_end(&image, &now);
	}
}

/* One between other memory is told from what only looks like one by what malloc counts. */
static void mapped_between(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		begin(&heaps_236);
		heaps_top(&image, heaps_chunk(&image, HEAP, 0x40), END);
		heaps_map(&image, PLACE, 64);
		add_head(PLACE, 0, 0x4002);
		add_head(PLACE + 0x8000, 0, 0x3002);
		add_head(PLACE + 0xd000, 0, i ? 0x2002 : 0x3002);
		heaps_poke(&image, PAR + 60, 2);
		heaps_poke(&image, PAR + 80, i == 2 ? 0x8000 : 0x7000);
		now = heaps_walk(&image);
		assert_int_equal(now.walk.flags, i == 1 ? 0 : MP_XRAY_MMAPPED);
		assert_int_equal(now.r->mapped.chunks[MP_CHUNK_LIVE], i == 1 ? 2 : 1);
		heaps_end(&image, &now);
	}
}

static void mapped_differ(void **state)
{
	(void)state;
	begin(&heaps_236);
	heaps_top(&image, heaps_chunk(&image, HEAP, 0x40), END);
	heaps_poke(&image, PAR + 60, 1);
	now = heaps_walk(&image);
	assert_int_equal(now.walk.flags, MP_XRAY_MMAPPED);
	heaps_end(&image, &now);
}

/* A process without a heap yet. */
static void empty(void **state)
{
	(void)state;
	heaps_begin(&image, &heaps_236);
	heaps_poke(&image, ARENA + heaps_236.top, ARENA + heaps_236.bins - 16);
	now = heaps_walk(&image);
	assert_int_equal(now.walk.flags, 0);
	assert_int_equal(now.walk.parts, 0);
	heaps_end(&image, &now);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain),
		cmocka_unit_test(cached),
		cmocka_unit_test(fastbin),
		cmocka_unit_test(broken_lists),
		cmocka_unit_test(list_into_a_chunk),
		cmocka_unit_test(bad_sizes),
		cmocka_unit_test(bad_foot),
		cmocka_unit_test(swapped),
		cmocka_unit_test(other_arena),
		cmocka_unit_test(broken_rings),
		cmocka_unit_test(bad_tops),
		cmocka_unit_test(mapped),
		cmocka_unit_test(mapped_between),
		cmocka_unit_test(mapped_differ),
		cmocka_unit_test(empty),
	};

	return cmocka_run_group_tests_name("heap_walk", tests, NULL, NULL);
}
