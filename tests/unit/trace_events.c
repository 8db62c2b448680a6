// SPDX-License-Identifier: GPL-2.0-or-later
#include "trace_events.h"

#include <string.h>

/* Sizes as docs/FORMAT.md has them, written out here a second time. */
static const struct {
	int type, size;
} events[] = {
	{ MP_EV_GAP, 40 },       { MP_EV_ALLOC, 64 },         { MP_EV_FREE, 48 },
	{ MP_EV_REALLOC, 48 },   { MP_EV_REALLOC_DONE, 72 },  { MP_EV_FAULT, 96 },
	{ MP_EV_PAGES, 64 },     { MP_EV_PAGE_FREE, 40 },     { MP_EV_RANGE, 96 },
	{ MP_EV_FORK, 32 },      { MP_EV_EXEC, 40 },          { MP_EV_EXIT, 72 },
	{ MP_EV_HOST, 120 },     { MP_EV_PROC, 56 },          { MP_EV_MAPS, 56 },
	{ MP_EV_MAP, 104 },      { MP_EV_ALLOCATOR, 104 },    { MP_EV_PROBE, 112 },
	{ MP_EV_INSTANT, 32 },   { MP_EV_LOSS, 160 },         { MP_EV_COST, 88 },
	{ MP_EV_WITNESS, 40 },   { MP_EV_WITNESS_PAGES, 64 }, { MP_EV_STACK, 96 },
	{ MP_EV_HEAP, 64 },      { MP_EV_THRESHOLD, 80 },     { MP_EV_OOM, 72 },
	{ MP_EV_CGROUP, 88 },    { MP_EV_NEW_HEAP, 56 },      { MP_EV_HEAP, 64 },
	{ MP_EV_THRESHOLD, 80 }, { MP_EV_XRAY, 96 },          { MP_EV_ARENA, 64 },
	{ MP_EV_PART, 56 },      { MP_EV_PART_PAGES, 48 },    { MP_EV_CHUNKS, 48 },
	{ MP_EV_STALL, 96 },     { MP_EV_REFUSAL, 192 },      { MP_EV_SYSTEM, 72 },
	{ MP_EV_OBJECT, 88 },    { MP_EV_NAMES, 80 },
};

int test_event_nr(void)
{
	return sizeof(events) / sizeof(events[0]);
}

static int size_of(int type)
{
	int i;

	for (i = 0; i < test_event_nr(); i++)
		if (events[i].type == type)
			return events[i].size;
	return sizeof(struct mp_ev);
}

int test_event_type(int i)
{
	return events[i].type;
}

void test_event(union test_event *ev, int type)
{
	memset(ev, 0, sizeof(*ev));
	ev->h.type = type;
	ev->h.size = size_of(type);
	ev->h.tgid = 4242;
	if (type == MP_EV_PAGES || type == MP_EV_WITNESS_PAGES) {
		ev->pages.addr = 0x7f0000000000;
		ev->pages.nr = 1;
	} else if (type == MP_EV_STACK) {
		ev->stack.id = 1;
		ev->stack.nr = 7;
		ev->stack.end = MP_STACK_WHOLE;
	} else if (type == MP_EV_PROC) {
		ev->proc.cmdline_len = 8;
		memcpy(ev->proc.cmdline, "prog\0arg", 8);
	} else if (type == MP_EV_MAP) {
		ev->map.start = 0x1000;
		ev->map.end = 0x3000;
		ev->map.name_len = 6;
		strcpy(ev->map.name, "[heap]");
	} else if (type == MP_EV_HEAP) {
		strcpy(ev->heap.why, "a check");
	} else if (type == MP_EV_CGROUP) {
		strcpy(ev->cgroup.path, "/a");
	} else if (type == MP_EV_ALLOCATOR) {
		ev->allocator.build_id_len = 20;
		strcpy(ev->allocator.object, "/libc");
	} else if (type == MP_EV_OBJECT) {
		ev->object.build_id_len = 20;
		strcpy(ev->object.path, "/libc");
	} else if (type == MP_EV_NAMES) {
		ev->names.nr = 1;
		ev->names.bytes = 16;
	} else if (type == MP_EV_PART) {
		ev->part.end = 0x1000;
		ev->part.kind = MP_HEAP_MAIN;
	} else if (type == MP_EV_PART_PAGES) {
		ev->part_pages.nr = 1;
		ev->part_pages.state = MP_HEAP_PRESENT;
	} else if (type == MP_EV_CHUNKS) {
		ev->chunks.nr = 1;
		ev->chunks.entries[0] = 32 | (__u64)MP_CHUNK_LIVE << MP_CHUNK_SHIFT;
	}
}
