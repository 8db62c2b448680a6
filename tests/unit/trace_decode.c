// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "trace/trace.h"
#include "trace_events.h"

static void every_type_is_valid(void **state)
{
	union test_event ev;
	int i;

	(void)state;
	for (i = 0; i < test_event_nr(); i++) {
		test_event(&ev, test_event_type(i));
		assert_int_equal(mp_decode(&ev, sizeof(ev)), ev.h.size);
		assert_int_equal(mp_decode(&ev, ev.h.size), ev.h.size);
	}
}

/* Cut anywhere: more is needed. Each prefix has a heap block of its own, so ASan sees a read past. */
static void cut_short_wants_more(void **state)
{
	union test_event ev;
	void *copy;
	int i, len;

	(void)state;
	for (i = 0; i < test_event_nr(); i++) {
		test_event(&ev, test_event_type(i));
		for (len = 0; len < ev.h.size; len++) {
			copy = malloc(len ? len : 1);
			memcpy(copy, &ev, len);
			assert_int_equal(mp_decode(copy, len), 0);
			free(copy);
		}
	}
}

static void wrong_sizes_are_refused(void **state)
{
	static const int sizes[] = { 0, 8, 16, 23, 25, 28 };
	union test_event ev;
	size_t k;
	int i;

	(void)state;
	for (i = 0; i < test_event_nr(); i++) {
		test_event(&ev, test_event_type(i));
		for (k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
			ev.h.size = sizes[k];
			assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
		}
		test_event(&ev, test_event_type(i));
		ev.h.size += 4; /* long enough, but the next event would not be aligned */
		assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
		test_event(&ev, test_event_type(i));
		if (ev.h.type != MP_EV_PAGES) {
			ev.h.size -= 8;
			if (ev.h.type == MP_EV_MAP || ev.h.type == MP_EV_PROC ||
			    ev.h.type == MP_EV_ALLOCATOR)
				ev.h.size -= 8; /* below the fixed part, not only without text */
			assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
		}
	}
}

static void longer_and_unknown_are_valid(void **state)
{
	union test_event ev;
	int i;

	(void)state;
	for (i = 0; i < test_event_nr(); i++) {
		test_event(&ev, test_event_type(i));
		ev.h.size += 16;
		assert_int_equal(mp_decode(&ev, sizeof(ev)), ev.h.size);
	}
	test_event(&ev, 0);
	assert_int_equal(mp_decode(&ev, sizeof(ev)), 24);
	test_event(&ev, 31);
	assert_int_equal(mp_decode(&ev, sizeof(ev)), 24);
	test_event(&ev, 65535);
	ev.h.size = 65528;
	assert_int_equal(mp_decode(&ev, sizeof(ev)), 0);
}

static int64_t pages(uint64_t addr, uint32_t nr, int contig, int order, int entries)
{
	union test_event ev;

	test_event(&ev, MP_EV_PAGES);
	ev.h.size = 56 + 8 * entries;
	ev.pages.addr = addr;
	ev.pages.nr = nr;
	ev.pages.contig = contig;
	ev.pages.order = order;
	return mp_decode(&ev, sizeof(ev));
}

static void pages_entries(void **state)
{
	(void)state;
	assert_int_equal(pages(0x1000, 3, 0, 0, 3), 80);
	assert_int_equal(pages(0x1000, 4, 0, 0, 3), -EBADMSG);
	assert_int_equal(pages(0x1000, 0xffffffff, 0, 0, 3), -EBADMSG);
	assert_int_equal(pages(0x1000, 0, 0, 0, 0), 56);
	assert_int_equal(pages(0x1000, 512, 1, 9, 1), 64);
	assert_int_equal(pages(0x1000, 512, 1, 9, 0), -EBADMSG);
	assert_int_equal(pages(0x1000, 1 << 27, 1, 0, 1), 64);
	assert_int_equal(pages(0x1000, (1 << 27) + 1, 1, 0, 1), -EBADMSG);
	assert_int_equal(pages(0x1008, 1, 0, 0, 1), -EBADMSG);
	assert_int_equal(pages(0x1000, 1, 0, 19, 1), -EBADMSG);
	assert_int_equal(pages(UINT64_MAX & MP_PAGE_MASK, 2, 0, 0, 2), -EBADMSG);
	assert_int_equal(pages((1ULL << 57) - 4096, 1, 0, 0, 1), 64);
	assert_int_equal(pages((1ULL << 57) - 4096, 2, 0, 0, 2), -EBADMSG);
}

static void strings_must_end(void **state)
{
	union test_event ev;

	(void)state;
	test_event(&ev, MP_EV_EXEC);
	memset(ev.exec.comm, 'a', sizeof(ev.exec.comm));
	assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
	test_event(&ev, MP_EV_HOST);
	memset(ev.host.release, 'a', sizeof(ev.host.release));
	assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
	test_event(&ev, MP_EV_PROC);
	memset(ev.proc.comm, 'a', sizeof(ev.proc.comm));
	assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
	test_event(&ev, MP_EV_PROBE);
	memset(ev.probe.symbol, 'a', sizeof(ev.probe.symbol));
	assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
	test_event(&ev, MP_EV_ALLOCATOR);
	memset(ev.allocator.version, 'a', sizeof(ev.allocator.version));
	assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
	test_event(&ev, MP_EV_ALLOCATOR);
	memset(ev.allocator.object, 'a', 8);
	assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
	test_event(&ev, MP_EV_ALLOCATOR);
	ev.h.size = 96; /* no room for the object's name */
	assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
	test_event(&ev, MP_EV_MAP);
	memset(ev.map.name, 'a', 8);
	assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
}

static void lengths_must_fit(void **state)
{
	union test_event ev;

	(void)state;
	test_event(&ev, MP_EV_PROC);
	ev.proc.cmdline_len = 9;
	assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
	ev.proc.cmdline_len = UINT32_MAX;
	assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
	ev.proc.cmdline_len = 0;
	assert_int_equal(mp_decode(&ev, sizeof(ev)), ev.h.size);
	test_event(&ev, MP_EV_MAP);
	ev.map.name_len = 8;
	assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
	test_event(&ev, MP_EV_MAP);
	ev.map.start = ev.map.end + 4096;
	assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
	test_event(&ev, MP_EV_ALLOCATOR);
	ev.allocator.build_id_len = 33;
	assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
	test_event(&ev, MP_EV_GAP);
	ev.gap.reason = MP_DROP_MAX;
	assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
	test_event(&ev, MP_EV_FAULT);
	ev.fault.order = 200;
	assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
	test_event(&ev, MP_EV_STACK);
	ev.stack.nr = 8;
	assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
	test_event(&ev, MP_EV_STACK);
	ev.stack.end = 10;
	assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
	test_event(&ev, MP_EV_STACK);
	ev.stack.id = 0;
	assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
	test_event(&ev, MP_EV_PAGE_FREE);
	ev.page_free.order = 64;
	assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
}

static int64_t chunk(uint64_t addr, uint64_t entry, uint32_t nr)
{
	union test_event ev;

	test_event(&ev, MP_EV_CHUNKS);
	ev.chunks.addr = addr;
	ev.chunks.nr = nr;
	ev.chunks.entries[0] = entry;
	return mp_decode(&ev, sizeof(ev));
}

static void names_must_hold(void **state)
{
	union test_event ev;

	(void)state;
	test_event(&ev, MP_EV_OBJECT);
	ev.object.build_id_len = 33;
	assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
	test_event(&ev, MP_EV_OBJECT);
	memset(ev.object.path, 'a', 8);
	assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
	test_event(&ev, MP_EV_NAMES);
	ev.names.bytes = 17;
	assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
	test_event(&ev, MP_EV_NAMES);
	ev.names.nr = MP_NAMES_FRAMES + 1;
	assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
}

static void heaps_must_hold(void **state)
{
	const uint64_t live = (uint64_t)MP_CHUNK_LIVE << MP_CHUNK_SHIFT, end = 1ULL << 57;
	union test_event ev;

	(void)state;
	assert_int_equal(chunk(end - 32, live | 32, 1), 48);
	assert_int_equal(chunk(end - 32, live | 33, 1), -EBADMSG);
	assert_int_equal(chunk(end + 8, live, 1), -EBADMSG);
	assert_int_equal(chunk(0, live | 32, 2), -EBADMSG);
	assert_int_equal(chunk(0, 32, 1), -EBADMSG);
	assert_int_equal(chunk(0, (uint64_t)MP_CHUNK_STATES << MP_CHUNK_SHIFT, 1), -EBADMSG);
	test_event(&ev, MP_EV_PART);
	ev.part.start = ev.part.end + 1;
	assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
	test_event(&ev, MP_EV_PART);
	ev.part.how = MP_HEAP_END_MAX;
	assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
	test_event(&ev, MP_EV_PART);
	ev.part.kind = MP_HEAP_MMAPPED + 1;
	assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
	test_event(&ev, MP_EV_PART_PAGES);
	ev.part_pages.state = MP_HEAP_PAGE_MAX;
	assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
	test_event(&ev, MP_EV_PART_PAGES);
	ev.part_pages.nr = end;
	assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
	test_event(&ev, MP_EV_PART_PAGES);
	ev.part_pages.addr = 8;
	assert_int_equal(mp_decode(&ev, sizeof(ev)), -EBADMSG);
}

/* As @size bytes in a heap block of their own, so that ASan sees a read past them. */
static int64_t decode_old(const union test_event *ev, int size, union test_event *out)
{
	const struct mp_ev *whole;
	struct mp_wide wide;
	struct mp_ev *copy = malloc(size);
	int64_t ret;

	memcpy(copy, ev, size);
	copy->size = size;
	ret = mp_decode_old(copy, size, &wide, &whole);
	if (ret > 0)
		memcpy(out, whole, whole->size);
	free(copy);
	return ret;
}

/* What was appended since the first version 1 may be missing, to the word; nothing else may. */
static void older_events_are_widened(void **state)
{
	static const struct {
		int type, size;
	} first[] = { { MP_EV_FAULT, 88 }, { MP_EV_EXIT, 64 }, { MP_EV_HOST, 112 } };
	union test_event ev, out;

	(void)state;
	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
		test_event(&ev, first[i].type);
		for (int at = first[i].size; at < ev.h.size; at++)
			ev.bytes[at] = 0xee;
		assert_int_equal(decode_old(&ev, first[i].size, &out), first[i].size);
		assert_int_equal(out.h.size, ev.h.size);
		assert_memory_equal(out.bytes + 4, ev.bytes + 4, first[i].size - 4);
		for (int at = first[i].size; at < ev.h.size; at++)
			assert_int_equal(out.bytes[at], 0);
		assert_int_equal(decode_old(&ev, first[i].size - 8, &out), -EBADMSG);
		assert_int_equal(decode_old(&ev, first[i].size + 4, &out), -EBADMSG);
		assert_int_equal(mp_decode_old(&ev, 24, &(struct mp_wide){},
					       &(const struct mp_ev *){ 0 }),
				 0);
	}
	for (int i = 0; i < test_event_nr(); i++) {
		int least = sizeof(struct mp_ev);

		test_event(&ev, test_event_type(i));
		for (size_t k = 0; k < sizeof(first) / sizeof(first[0]); k++)
			if (first[k].type == ev.h.type)
				least = first[k].size;
		if (least == sizeof(struct mp_ev))
			assert_int_equal(decode_old(&ev, least, &out), -EBADMSG);
	}
	/* what is missing makes nothing valid that is not */
	test_event(&ev, MP_EV_FAULT);
	ev.fault.order = 19;
	assert_int_equal(decode_old(&ev, 88, &out), -EBADMSG);
	test_event(&ev, MP_EV_HOST);
	memset(ev.host.release, 'a', sizeof(ev.host.release));
	assert_int_equal(decode_old(&ev, 112, &out), -EBADMSG);
}

/* A traced program may hand out any address: that must not end the trace. */
static void what_a_target_chooses_is_not_judged(void **state)
{
	union test_event ev;

	(void)state;
	test_event(&ev, MP_EV_ALLOC);
	ev.alloc.addr = UINT64_MAX - 7;
	ev.alloc.requested = UINT64_MAX;
	ev.alloc.fn = 255;
	assert_int_equal(mp_decode(&ev, sizeof(ev)), ev.h.size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_is_valid),
		cmocka_unit_test(cut_short_wants_more),
		cmocka_unit_test(wrong_sizes_are_refused),
		cmocka_unit_test(longer_and_unknown_are_valid),
		cmocka_unit_test(pages_entries),
		cmocka_unit_test(strings_must_end),
		cmocka_unit_test(lengths_must_fit),
		cmocka_unit_test(heaps_must_hold),
		cmocka_unit_test(names_must_hold),
		cmocka_unit_test(older_events_are_widened),
		cmocka_unit_test(what_a_target_chooses_is_not_judged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
