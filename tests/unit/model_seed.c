// SPDX-License-Identifier: GPL-2.0-or-later
/* X-rays among the events: blocks from before the attach, and comparing with those known by events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "model_feed.h"

#define PID  100
#define HEAP 0x555500000000ULL
#define NEXT 0x555500001000ULL

static void xray(int phase, uint64_t end_ns, uint32_t flags)
{
	struct mp_ev_xray ev = {
		.phase = (uint32_t)phase, .end_ns = end_ns, .flags = flags, .trim_page_bytes = PAGE
	};

	feed(&ev, MP_EV_XRAY, sizeof(ev), PID, 0);
}

static void part(int phase, uint64_t start, uint64_t end)
{
	struct mp_ev_arena arena = { .flags = MP_ARENA_MAIN };
	struct mp_ev_part_pages pages = { .addr = start & MP_PAGE_MASK, .state = MP_HEAP_PRESENT };
	struct mp_ev_part ev = {
		.start = start, .end = end, .phase = (uint8_t)phase, .kind = MP_HEAP_MAIN
	};

	if (phase == MP_XRAY_BEGINS)
		feed(&arena, MP_EV_ARENA, sizeof(arena), PID, 0);
	feed(&ev, MP_EV_PART, sizeof(ev), PID, 0);
	if (phase != MP_XRAY_BEGINS)
		return;
	pages.nr = ((end + PAGE - 1) & MP_PAGE_MASK) / PAGE - pages.addr / PAGE;
	feed(&pages, MP_EV_PART_PAGES, sizeof(pages), PID, 0);
}

struct chunk {
	uint64_t size;
	enum mp_chunk_state state;
};

/* From @start on, as they are told: a chunk's head is its first eight bytes. */
static void heap(uint64_t start, const struct chunk *list, uint32_t nr)
{
	struct {
		struct mp_ev_chunks ev;
		uint64_t entries[16];
	} c = { .ev = { .addr = start, .nr = nr } };
	uint64_t end = start;

	for (uint32_t i = 0; i < nr; i++) {
		c.entries[i] = list[i].size | (uint64_t)list[i].state << MP_CHUNK_SHIFT;
		end += list[i].size;
	}
	part(MP_XRAY_BEGINS, start, end);
	feed(&c, MP_EV_CHUNKS, sizeof(c.ev) + 8UL * nr, PID, 0);
	part(MP_XRAY_DONE, start, end);
}

/* Chunks of 32 bytes from @addr on; each letter is one: l live, t in a thread cache, b in a bin. */
static void chunks(uint64_t addr, const char *states)
{
	struct chunk list[16];
	uint32_t nr = 0;

	for (; *states; states++)
		list[nr++] = (struct chunk){ 32, *states == 'l'   ? MP_CHUNK_LIVE
						 : *states == 't' ? MP_CHUNK_TCACHE
								  : MP_CHUNK_BIN };
	heap(addr + 8, list, nr);
}

/* Attached; an X-ray of chunks from HEAP on is told, which took until 10 us after its beginning. */
static void seed(const char *states)
{
	uint64_t end = feed_ns + 10000;

	xray(MP_XRAY_BEGINS, end, 0);
	chunks(HEAP, states);
	xray(MP_XRAY_DONE, end, 0);
}

static const struct mp_proc *proc(const struct mp_report *r)
{
	assert_int_equal(r->nr_procs, 1);
	return &r->procs[0];
}

static const struct mp_block *block(const struct mp_report *r, uint64_t addr)
{
	for (size_t i = 0; i < proc(r)->nr_blocks; i++)
		if (proc(r)->blocks[i].addr == addr)
			return &proc(r)->blocks[i];
	return NULL;
}

static void instant(void)
{
	struct mp_ev_instant ev = { .at = MP_AT_NOW };

	feed(&ev, MP_EV_INSTANT, sizeof(ev), 0, 0);
}

static struct mp_report *report(void)
{
	struct mp_report *r;

	instant();
	feed_check();
	r = mp_model__report(feed_model, MP_REPORT_BLOCKS);
	assert_non_null(r);
	return r;
}

static void begin(int launched)
{
	feed_begin();
	feed_proc(PID, "prog", launched);
	feed_allocator(PID, 0, MP_ALLOC_GLIBC);
}

static void known_without_site(void **state)
{
	const struct mp_block *b;
	struct mp_report *r;

	(void)state;
	begin(0);
	seed("ltlb");
	r = report();
	assert_true(proc(r)->xray.seeded);
	assert_false(proc(r)->xray.compared);
	assert_int_equal(proc(r)->xray.seeded_blocks, 2);
	assert_int_equal(proc(r)->xray.seeded_bytes, 48);
	assert_int_equal(proc(r)->nr_blocks, 2);
	b = block(r, HEAP + 16);
	assert_non_null(b);
	assert_true(b->seeded);
	assert_int_equal(b->usable, 24);
	assert_int_equal(b->site, 0);
	assert_non_null(block(r, HEAP + 80));
	mp_report__free(r);
	feed_end();
}

/* Frees and reallocs of such blocks are matched; nothing is lost by them. */
static void end_as_others(void **state)
{
	struct mp_report *r;

	(void)state;
	begin(0);
	seed("lllll");
	feed_free(PID, HEAP + 16);
	feed_realloc(PID, 7, HEAP + 48);
	feed_realloc_done(PID, 7, HEAP + 48, NEXT, 100, 1);
	feed_realloc(PID, 7, HEAP + 80);
	feed_realloc_done(PID, 7, HEAP + 80, HEAP + 80, 20, 1);
	r = report();
	assert_int_equal(proc(r)->nr_blocks, 4);
	assert_null(block(r, HEAP + 16));
	assert_null(block(r, HEAP + 48));
	assert_int_equal(block(r, NEXT)->requested, 100);
	assert_false(block(r, HEAP + 80)->seeded);
	assert_true(block(r, HEAP + 112)->seeded);
	assert_int_equal(r->loss.frees_lost, 0);
	assert_int_equal(r->loss.frees_unmatched, 0);
	mp_report__free(r);
	feed_end();
}

/* What the events know holds, whatever was copied; and it is not lost by a seed over it. */
static void events_hold(void **state)
{
	struct mp_report *r;

	(void)state;
	begin(0);
	feed_alloc(PID, HEAP + 16, 20, 1); /* before the X-ray, which has it too */
	feed_free(PID, HEAP + 48);         /* entered before; its end was not copied */
	feed_realloc(PID, 9, HEAP + 80);   /* the same, of a realloc */
	seed("lllll");
	feed_realloc_done(PID, 9, HEAP + 80, NEXT, 50, 1);
	feed_alloc(PID, HEAP + 112, 8, 1); /* was under way while it was copied as live */
	r = report();
	assert_int_equal(proc(r)->nr_blocks, 4);
	assert_int_equal(block(r, HEAP + 16)->requested, 20);
	assert_null(block(r, HEAP + 48));
	assert_null(block(r, HEAP + 80));
	assert_int_equal(block(r, HEAP + 112)->requested, 8);
	assert_true(block(r, HEAP + 144)->seeded);
	assert_int_equal(r->loss.frees_lost, 0);
	assert_int_equal(proc(r)->xray.seeded_wrong, 0);
	mp_report__free(r);
	feed_end();
}

/* Long after, what is given out where a seed is tells that it was none; no free() is missing. */
static void wrong(void **state)
{
	struct mp_report *r;

	(void)state;
	begin(0);
	seed("ll");
	feed_ns += 1000000;
	feed_alloc(PID, HEAP + 16, 8, 1);
	r = report();
	assert_int_equal(proc(r)->xray.seeded_wrong, 1);
	assert_int_equal(r->loss.frees_lost, 0);
	assert_int_equal(proc(r)->nr_blocks, 2);
	mp_report__free(r);
	feed_end();
}

static void compared(void **state)
{
	struct mp_report *r;

	(void)state;
	begin(0);
	seed("lll");
	feed_alloc(PID, NEXT, 8, 1);
	feed_free(PID, HEAP + 16);
	seed("bltl"); /* of the seeds the third is in a cache; one is not known */
	r = report();
	assert_true(proc(r)->xray.compared);
	assert_int_equal(proc(r)->xray.both, 1);
	assert_int_equal(proc(r)->xray.xray_only, 1);
	assert_int_equal(proc(r)->xray.trace_only, 2);
	assert_int_equal(proc(r)->xray.seeded_blocks, 3);
	assert_int_equal(proc(r)->nr_blocks, 3);
	assert_false(proc(r)->xray.partial);
	mp_report__free(r);
	feed_end();
}

/* Of a launched process all blocks are known by events: its first X-ray is compared already. */
static void launched(void **state)
{
	struct mp_report *r;

	(void)state;
	begin(1);
	feed_alloc(PID, HEAP + 16, 8, 1);
	xray(MP_XRAY_BEGINS, feed_ns, 0);
	chunks(HEAP, "ll");
	xray(MP_XRAY_DONE, feed_ns, MP_XRAY_LISTS);
	r = report();
	assert_false(proc(r)->xray.seeded);
	assert_int_equal(proc(r)->nr_blocks, 1);
	assert_int_equal(proc(r)->xray.both, 1);
	assert_int_equal(proc(r)->xray.xray_only, 1);
	assert_true(proc(r)->xray.partial);
	mp_report__free(r);
	feed_end();
}

/*
 * Free stretches of almost three pages, and between them small blocks: of two sites, and one that is
 * not known. What each of them keeps is the page it is on.
 */
static void pinned(void **state)
{
	static const struct chunk list[] = {
		{ 8, MP_CHUNK_OWN },      { 0x3000, MP_CHUNK_BIN }, { 32, MP_CHUNK_LIVE },
		{ 0x2fe0, MP_CHUNK_BIN }, { 32, MP_CHUNK_LIVE },    { 0x2fe0, MP_CHUNK_BIN },
		{ 32, MP_CHUNK_LIVE },    { 0xfd8, MP_CHUNK_TOP },
	};
	const struct feed_vma vma = { HEAP,
				      HEAP + 10 * PAGE,
				      .rss = 10 * PAGE,
				      .anon = 10 * PAGE,
				      .kind = MP_VMA_HEAP,
				      .perms = 3 };
	const struct mp_books *b;

	(void)state;
	begin(1);
	feed_maps(PID, UINT64_MAX, 0, &vma, 1);
	feed_alloc(PID, HEAP + 0x3010, 16, 0x1000);
	feed_alloc(PID, HEAP + 0x6010, 16, 0x2000);
	for (int i = 0; i < 10; i++)
		feed_fault(PID, HEAP + i * PAGE, 100 + i, TOUCH);
	feed_report();
	assert_true(report_proc(PID)->books.metadata == MP_UNKNOWN);
	assert_true(report_site(0x1000)->pinned == MP_UNKNOWN);
	xray(MP_XRAY_BEGINS, feed_ns, 0);
	heap(HEAP, list, sizeof(list) / sizeof(list[0]));
	xray(MP_XRAY_DONE, feed_ns, 0);
	feed_maps(PID, 10 * PAGE, 0, &vma, 1);
	instant();
	feed_report();
	assert_true(report_proc(PID)->xray.compared);
	/* of each free chunk what lies behind its first 48 bytes: pages 1 2, 4 5, 7 8 */
	assert_int_equal(report_proc(PID)->xray.trim_bytes, 6 * PAGE);
	assert_int_equal(report_site(0x1000)->pinned, PAGE);           /* page 3 */
	assert_int_equal(report_site(0x2000)->pinned, PAGE);           /* page 6 */
	assert_int_equal(report_proc(PID)->xray.pinned_unknown, PAGE); /* 9, given with the top */
	assert_int_equal(report_proc(PID)->xray.both, 2);
	assert_int_equal(report_proc(PID)->xray.xray_only, 1);
	b = &report_proc(PID)->books;
	assert_int_equal(b->metadata, 4 * 8);
	assert_int_equal(b->block, 2 * 16);
	assert_int_equal(b->block + b->metadata + b->retained + b->before_attach, 10 * PAGE);
	assert_int_equal(b->unexplained, 0);
	instant(); /* the next one is without an X-ray */
	feed_report();
	assert_false(report_proc(PID)->xray.compared);
	assert_true(report_proc(PID)->books.metadata == MP_UNKNOWN);
	assert_true(report_site(0x1000)->pinned == MP_UNKNOWN);
	feed_end();
}

/* What is in a thread's cache stays there, and two sites' blocks on a page keep it for each other. */
static void pinned_by_more(void **state)
{
	static const struct chunk list[] = {
		{ 8, MP_CHUNK_OWN },     { 0x2000, MP_CHUNK_LIVE }, { 32, MP_CHUNK_LIVE },
		{ 0xfe0, MP_CHUNK_BIN }, { 32, MP_CHUNK_TCACHE },   { 0x1fe0, MP_CHUNK_LIVE },
		{ 32, MP_CHUNK_LIVE },   { 0xfd8, MP_CHUNK_TOP },
	};

	(void)state;
	begin(1);
	feed_alloc(PID, HEAP + 0x10, 0x1ff8, 0x1000);
	feed_alloc(PID, HEAP + 0x2010, 16, 0x2000);
	feed_alloc(PID, HEAP + 0x3030, 0x1fd8, 0x1000);
	feed_alloc(PID, HEAP + 0x5010, 16, 0x1000);
	xray(MP_XRAY_BEGINS, feed_ns, 0);
	heap(HEAP, list, sizeof(list) / sizeof(list[0]));
	xray(MP_XRAY_DONE, feed_ns, 0);
	instant();
	feed_report();
	assert_int_equal(report_proc(PID)->xray.trim_bytes, 0);
	/* 0x1000 of the first block; of the others, which join the top, from 0x4000 on */
	assert_int_equal(report_site(0x1000)->pinned, PAGE + 2 * PAGE);
	assert_int_equal(report_site(0x2000)->pinned, 0);
	feed_end();
}

/* Chunks outside of an X-ray, ends without a beginning, blocks at the end of what there is. */
static void hostile(void **state)
{
	struct mp_report *r;

	(void)state;
	begin(0);
	chunks(HEAP, "ll");
	xray(MP_XRAY_DONE, 0, 0);
	xray(MP_XRAY_BEGINS, 0, 0);
	xray(MP_XRAY_BEGINS, 0, 0);
	chunks((1ULL << 57) - 40, "l");
	chunks(HEAP, "ll");
	chunks(HEAP + 16, "ll"); /* across those */
	r = report();
	assert_int_equal(proc(r)->xray.seeded_blocks, 3);
	assert_false(proc(r)->xray.seeded);
	mp_report__free(r);
	feed_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_without_site),
		cmocka_unit_test(end_as_others),
		cmocka_unit_test(events_hold),
		cmocka_unit_test(wrong),
		cmocka_unit_test(compared),
		cmocka_unit_test(launched),
		cmocka_unit_test(pinned),
		cmocka_unit_test(pinned_by_more),
		cmocka_unit_test(hostile),
	};

	return cmocka_run_group_tests_name("model_seed", tests, NULL, NULL);
}
