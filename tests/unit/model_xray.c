// SPDX-License-Identifier: GPL-2.0-or-later
/* What the model makes of an X-ray's events: pages by what lives on them, what a trim gives back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/xray.h"
#include "view/xray.h"

#define START 0x555500000000ULL
#define PAGE  MP_PAGE_SIZE

static struct mp_xray *x;
static uint64_t at; /* where the next chunk begins */

static void feed(void *ev, int type, size_t size)
{
	struct mp_ev *h = ev;

	h->type = (uint16_t)type;
	h->size = (uint16_t)size;
	assert_int_equal(mp_xray__apply(x, h), 0);
}

static void begin(uint8_t kind, uint64_t pages)
{
	struct mp_ev_xray facts = { .phase = MP_XRAY_DONE, .trim_page_bytes = PAGE };
	struct mp_ev_arena arena = { .flags = kind == MP_HEAP_MAIN ? MP_ARENA_MAIN : 0 };
	struct mp_ev_part heap = {
		.start = START, .end = START + pages * PAGE, .phase = MP_XRAY_BEGINS, .kind = kind
	};

	x = mp_xray__new(MP_XRAY_WANT_MAP | MP_XRAY_WANT_BLOCKS);
	assert_non_null(x);
	feed(&facts, MP_EV_XRAY, sizeof(facts));
	feed(&arena, MP_EV_ARENA, sizeof(arena));
	feed(&heap, MP_EV_PART, sizeof(heap));
	at = START;
}

static void tell_pages(uint64_t first, uint64_t nr, uint8_t state, uint8_t huge)
{
	struct mp_ev_part_pages ev = {
		.addr = START + first * PAGE, .nr = nr, .state = state, .huge = huge
	};

	feed(&ev, MP_EV_PART_PAGES, sizeof(ev));
}

/* Chunks up to @end, an offset from the heap's start. */
static void tell(uint64_t end, int state)
{
	struct {
		struct mp_ev_chunks ev;
		uint64_t entry;
	} chunk = { .ev = { .addr = at, .nr = 1 } };

	chunk.entry = (START + end - at) | (uint64_t)state << MP_CHUNK_SHIFT;
	feed(&chunk, MP_EV_CHUNKS, sizeof(chunk));
	at = START + end;
}

static const struct mp_xray_report *end(void)
{
	struct mp_ev_part heap = { .start = START, .phase = MP_XRAY_DONE, .kind = MP_HEAP_MAIN };

	feed(&heap, MP_EV_PART, sizeof(heap));
	assert_int_equal(mp_xray__report(x)->refused, 0);
	return mp_xray__report(x);
}

/* Live blocks of 16 bytes on three pages; pages without; one page not there, one swapped. */
static void pages(void **state)
{
	const struct mp_xray_report *r;

	(void)state;
	begin(MP_HEAP_ARENA, 8);
	tell_pages(0, 3, MP_HEAP_PRESENT, 0);
	tell_pages(4, 1, MP_HEAP_SWAPPED, 0);
	tell_pages(5, 1, MP_HEAP_ZERO, 0);
	tell_pages(6, 2, MP_HEAP_PRESENT, 1);
	tell(32, MP_CHUNK_LIVE);               /* page 0: 32 bytes held */
	tell(2 * PAGE + 8, MP_CHUNK_BIN);      /* page 1: nothing */
	tell(2 * PAGE + 108, MP_CHUNK_TCACHE); /* page 2: cached only */
	tell(6 * PAGE + 2048, MP_CHUNK_FASTBIN);
	tell(7 * PAGE, MP_CHUNK_LIVE); /* page 6: half of it */
	tell(8 * PAGE, MP_CHUNK_TOP);
	r = end();
	assert_int_equal(r->total.pages.present, 5);
	assert_int_equal(r->total.pages.zero, 1);
	assert_int_equal(r->total.pages.swapped, 1);
	assert_int_equal(r->total.pages.idle, 3);
	assert_int_equal(r->total.pages.cached, 1);
	assert_int_equal(r->total.pages.pins[1], 1);
	assert_int_equal(r->total.pages.pins[7], 1);
	assert_int_equal(r->total.pages.huge, 2);
	assert_int_equal(r->total.pages.huge_idle, 1);
	assert_int_equal(r->total.by[MP_CHUNK_LIVE].bytes, 24 + 2040);
	assert_int_equal(r->total.by[MP_CHUNK_LIVE].present, 24 + 2040);
	assert_int_equal(r->total.by[MP_CHUNK_OWN].bytes, 16);
	assert_int_equal(r->total.by[MP_CHUNK_FASTBIN].swapped, PAGE);
	assert_int_equal(r->total.by[MP_CHUNK_FASTBIN].zero, PAGE);
	assert_int_equal(r->total.by[MP_CHUNK_FASTBIN].present, PAGE - 108 + 2048);
	assert_int_equal(r->nr_blocks, 2);
	assert_int_equal(r->nr_runs, 7); /* pages 1 and 2 are drawn alike */
	mp_xray__free(x);
}

/* As malloc_trim does it by hand: what is whole pages from 48 bytes after the chunk's head. */
static void trim(void **state)
{
	static const struct {
		uint8_t kind;
		uint64_t first, free; /* bytes of a live chunk before, and of the free one */
		uint64_t top;         /* bytes of the top chunk after a live chunk of 32 */
		uint64_t gives;       /* pages */
	} cases[] = {
		{ MP_HEAP_ARENA, 16, 8 * PAGE, PAGE, 7 },
		{ MP_HEAP_ARENA, PAGE - 48, 3 * PAGE, PAGE, 2 },
		{ MP_HEAP_ARENA, PAGE - 64, 3 * PAGE, PAGE, 2 },
		{ MP_HEAP_ARENA, PAGE - 32, 3 * PAGE - 32, PAGE, 1 },
		{ MP_HEAP_MAIN, 16, PAGE, 4 * PAGE, 3 },
		{ MP_HEAP_MAIN, 16, 16, 4 * PAGE + 34, 4 },
		{ MP_HEAP_MAIN, 16, 16, 4 * PAGE + 33 - 16, 3 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t first = cases[i].first + 8, free_end = first + cases[i].free;
		uint64_t pages = 16, top = pages * PAGE - cases[i].top + 8;
		const struct mp_xray_report *r;

		begin(cases[i].kind, pages);
		tell_pages(0, pages, MP_HEAP_PRESENT, 0);
		tell(8, MP_CHUNK_OWN);
		tell(first, MP_CHUNK_LIVE);
		tell(free_end, MP_CHUNK_BIN);
		tell(top, MP_CHUNK_LIVE);
		tell(pages * PAGE, MP_CHUNK_TOP);
		r = end();
		assert_int_equal(r->total.trim_bytes, cases[i].gives * PAGE);
		mp_xray__free(x);
	}
}

/* Fastbins are emptied first: what lies between free chunks joins them, or the top. */
static void trim_joins(void **state)
{
	const struct mp_xray_report *r;

	(void)state;
	begin(MP_HEAP_MAIN, 8);
	tell_pages(0, 8, MP_HEAP_PRESENT, 0);
	tell(8, MP_CHUNK_OWN);
	tell(PAGE, MP_CHUNK_BIN);
	tell(PAGE + 64, MP_CHUNK_FASTBIN);
	tell(3 * PAGE, MP_CHUNK_BIN); /* one chunk of three pages from 0 on: pages 1 and 2 */
	tell(3 * PAGE + 32, MP_CHUNK_TCACHE);
	tell(4 * PAGE, MP_CHUNK_FASTBIN);
	tell(8 * PAGE, MP_CHUNK_TOP); /* from 3 * PAGE + 24 on: but the last 33 bytes */
	r = end();
	assert_int_equal(r->total.trim_bytes, (1 + 4) * PAGE);
	assert_int_equal(r->arenas[0].holder.state, MP_CHUNK_FASTBIN);
	mp_xray__free(x);
}

/* What is not there is not given back; and a terabyte that is not there takes no time. */
static void absent(void **state)
{
	const uint64_t pages = 1ULL << 28;
	const struct mp_xray_report *r;

	(void)state;
	begin(MP_HEAP_MAIN, pages);
	tell_pages(0, 2, MP_HEAP_PRESENT, 0);
	tell_pages(pages - 2, 2, MP_HEAP_PRESENT, 0);
	tell(64, MP_CHUNK_LIVE);
	tell(pages * PAGE, MP_CHUNK_TOP);
	r = end();
	assert_int_equal(r->total.trim_bytes, 3 * PAGE);
	assert_int_equal(r->total.pages.present, 4);
	assert_int_equal(r->total.pages.idle, 3);
	assert_int_equal(r->nr_runs, 4);
	mp_xray__free(x);
}

/* What is out of order, or goes past the heap, changes nothing but a count. */
static void hostile(void **state)
{
	struct mp_ev_part heap = { .start = START,
				   .end = START + PAGE,
				   .phase = MP_XRAY_BEGINS,
				   .kind = MP_HEAP_ARENA,
				   .arena = 9 };
	const struct mp_xray_report *r;

	(void)state;
	begin(MP_HEAP_ARENA, 4);
	tell_pages(2, 1, MP_HEAP_PRESENT, 0);
	tell_pages(1, 1, MP_HEAP_PRESENT, 0); /* not ascending */
	tell(PAGE, MP_CHUNK_LIVE);
	tell_pages(3, 1, MP_HEAP_PRESENT, 0); /* after chunks */
	tell(5 * PAGE, MP_CHUNK_LIVE);        /* past the end */
	at = START + 2 * PAGE;
	tell(3 * PAGE, MP_CHUNK_LIVE);         /* not where the last one ended */
	feed(&heap, MP_EV_PART, sizeof(heap)); /* of no arena; and ends the one before */
	r = mp_xray__report(x);
	assert_int_equal(r->refused, 5);
	assert_int_equal(r->total.pages.present, 1);
	assert_int_equal(r->total.by[MP_CHUNK_LIVE].bytes, PAGE - 8);
	assert_int_equal(r->total.by[MP_CHUNK_UNKNOWN].bytes, 3 * PAGE);
	mp_xray__free(x);
}

static void map(void **state)
{
	const struct mp_xray_report *r;
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	begin(MP_HEAP_ARENA, 9);
	tell_pages(0, 5, MP_HEAP_PRESENT, 0);
	tell_pages(5, 1, MP_HEAP_ZERO, 0);
	tell_pages(6, 1, MP_HEAP_SWAPPED, 0);
	tell_pages(8, 1, MP_HEAP_PRESENT, 0);
	tell(PAGE, MP_CHUNK_LIVE);
	tell(PAGE + 3000, MP_CHUNK_LIVE);
	tell(2 * PAGE + 2000, MP_CHUNK_BIN);
	tell(3 * PAGE - 96, MP_CHUNK_LIVE);
	tell(3 * PAGE + 64, MP_CHUNK_LIVE);
	tell(8 * PAGE, MP_CHUNK_BIN);
	tell(9 * PAGE, MP_CHUNK_TOP);
	r = end();
	mp_view_xray_map(r, out);
	fclose(out);
	assert_non_null(strstr(text, "0x555500000000  #**!-zs.t\n"));
	free(text);
	mp_xray__free(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages),  cmocka_unit_test(trim),    cmocka_unit_test(trim_joins),
		cmocka_unit_test(absent), cmocka_unit_test(hostile), cmocka_unit_test(map),
	};

	return cmocka_run_group_tests_name("model_xray", tests, NULL, NULL);
}
