// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/stream.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collect/system.h"
#include "mallocpath.skel.h"

#define SYSTEM_NS 100000000ULL /* between two readings: its settings do not change by themselves */

struct pending {
	struct pending *next;
	struct mp_ev ev; /* whole event from here */
};

struct mp_stream {
	struct mp_kernel *k;
	struct ring_buffer *ring;
	mp_emit_fn sink;
	void *ctx;
	struct pending *head, **tail;
	uint64_t events, dropped; /* dropped: ring losses already told as GAP */
	uint64_t system_ns;       /* when the machine's limits were told last */
	int failed;               /* first non-zero result of the sink */
};

static int hand_on(struct mp_stream *s, const struct mp_ev *ev)
{
	s->events++;
	if (!s->failed)
		s->failed = s->sink(s->ctx, ev);
	return s->failed;
}

static void hand_on_pending(struct mp_stream *s, uint64_t until_ns)
{
	struct pending *p;

	while ((p = s->head) && p->ev.ts_ns <= until_ns) {
		s->head = p->next;
		if (!s->head)
			s->tail = &s->head;
		hand_on(s, &p->ev);
		free(p);
	}
}

/* Refusals may come in great numbers: they say what they were compared with, but for what is told here. */
static void tell_system(struct mp_stream *s)
{
	uint64_t now = mp_mono_ns();
	struct mp_ev_system ev;

	if (s->system_ns && now - s->system_ns < SYSTEM_NS)
		return;
	s->system_ns = now;
	mp_system_read(&ev);
	hand_on(s, &ev.h);
}

static int on_record(void *ctx, void *data, size_t size)
{
	struct mp_stream *s = ctx;
	const struct mp_ev *ev = data;

	if (size < sizeof(*ev))
		return 0;
	if (s->head && s->head->ev.ts_ns <= ev->ts_ns)
		hand_on_pending(s, ev->ts_ns);
	if (ev->type == MP_EV_REFUSAL)
		tell_system(s);
	return hand_on(s, ev);
}

struct mp_stream *mp_stream__new(struct mp_kernel *k, mp_emit_fn sink, void *ctx)
{
	struct mp_stream *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->k = k;
	s->sink = sink;
	s->ctx = ctx;
	s->tail = &s->head;
	s->ring = ring_buffer__new(bpf_map__fd(k->skel->maps.ring), on_record, s, NULL);
	if (!s->ring) {
		free(s);
		return NULL;
	}
	return s;
}

void mp_stream__free(struct mp_stream *s)
{
	struct pending *p;

	if (!s)
		return;
	while ((p = s->head)) {
		s->head = p->next;
		free(p);
	}
	ring_buffer__free(s->ring);
	free(s);
}

int mp_stream_emit(void *ctx, const struct mp_ev *ev)
{
	struct mp_stream *s = ctx;
	struct pending *p = malloc(offsetof(struct pending, ev) + ev->size);

	if (!p)
		return -ENOMEM;
	memcpy(&p->ev, ev, ev->size);
	p->next = NULL;
	*s->tail = p;
	s->tail = &p->next;
	return 0;
}

/* The ring cannot tell where in it events are missing; the reader tells it as soon as it sees it. */
static void tell_gap(struct mp_stream *s)
{
	struct mp_ev_gap ev = { .h = { .type = MP_EV_GAP, .size = sizeof(ev) } };
	uint64_t dropped[MP_DROP_MAX];

	mp_kernel_drops(s->k, dropped);
	if (dropped[MP_DROP_RING] == s->dropped)
		return;
	ev.h.ts_ns = mp_mono_ns();
	ev.count = dropped[MP_DROP_RING] - s->dropped;
	ev.reason = MP_DROP_RING;
	s->dropped = dropped[MP_DROP_RING];
	hand_on(s, &ev.h);
}

int64_t mp_stream__drain(struct mp_stream *s)
{
	int n = ring_buffer__consume(s->ring);

	tell_gap(s);
	if (n >= 0)
		hand_on_pending(s, UINT64_MAX);
	if (s->failed)
		return s->failed < 0 ? s->failed : -EIO;
	return n;
}

int mp_stream__fd(const struct mp_stream *s)
{
	return ring_buffer__epoll_fd(s->ring);
}

uint64_t mp_stream__events(const struct mp_stream *s)
{
	return s->events;
}
