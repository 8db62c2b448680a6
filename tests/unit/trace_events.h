/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Smallest valid events of every type, for tests of the trace room. */
#ifndef MP_TEST_TRACE_EVENTS_H
#define MP_TEST_TRACE_EVENTS_H

#include "../bpf/event.h"

#define TEST_EVENT_MAX 256

union test_event {
	struct mp_ev h;
	struct mp_ev_alloc alloc;
	struct mp_ev_fault fault;
	struct mp_ev_pages pages;
	struct mp_ev_page_free page_free;
	struct mp_ev_gap gap;
	struct mp_ev_exec exec;
	struct mp_ev_stack stack;
	struct mp_ev_host host;
	struct mp_ev_proc proc;
	struct mp_ev_map map;
	struct mp_ev_allocator allocator;
	struct mp_ev_heap heap;
	struct mp_ev_cgroup cgroup;
	struct mp_ev_probe probe;
	struct mp_ev_part part;
	struct mp_ev_part_pages part_pages;
	struct mp_ev_chunks chunks;
	struct mp_ev_object object;
	struct mp_ev_names names;
	unsigned char bytes[TEST_EVENT_MAX];
	__u64 words[TEST_EVENT_MAX / 8];
};

/* The types one by one, 0 <= @i < test_event_nr() */
int test_event_type(int i);
/* Fills @ev with a valid event: variable parts hold one entry or a short string. */
void test_event(union test_event *ev, int type);

int test_event_nr(void);

#endif
