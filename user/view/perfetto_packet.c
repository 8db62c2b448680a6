// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/perfetto_packet.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

/* Field numbers of Perfetto's published .proto files, by message. */
enum { TRACE_PACKET = 1 };
enum { /* TracePacket */
       PACKET_TIMESTAMP = 8,
       PACKET_SEQUENCE = 10,
       PACKET_TRACK_EVENT = 11,
       PACKET_INTERNED = 12,
       PACKET_FLAGS = 13,
       PACKET_TRACK = 60,
};
enum { FLAG_CLEARED = 1, FLAG_NEEDS_STATE = 2 }; /* TracePacket.SequenceFlags */
enum { INTERNED_EVENT_NAMES = 2, INTERNED_NOTE_NAMES = 3, INTERNED_NOTE_STRINGS = 29 };
enum { STRING_IID = 1, STRING_NAME = 2 };
enum { /* TrackDescriptor */
       TRACK_UUID = 1,
       TRACK_NAME = 2,
       TRACK_PROCESS = 3,
       TRACK_THREAD = 4,
       TRACK_PARENT = 5,
       TRACK_COUNTER = 8,
};
enum { PROCESS_PID = 1, PROCESS_CMDLINE = 2, PROCESS_NAME = 6 };
enum { THREAD_PID = 1, THREAD_TID = 2 };
enum { COUNTER_UNIT = 3, UNIT_SIZE_BYTES = 3 };
enum { /* TrackEvent */
       EVENT_NOTES = 4,
       EVENT_TYPE = 9,
       EVENT_NAME_IID = 10,
       EVENT_TRACK = 11,
       EVENT_COUNTER_VALUE = 30,
};
enum { /* DebugAnnotation */
       NOTE_NAME_IID = 1,
       NOTE_UINT = 3,
       NOTE_POINTER = 7,
       NOTE_STRING_IID = 17,
};

#define SEQUENCE 1 /* there is one writer */

struct string {
	uint32_t kind; /* each has numbers of its own to the reader; here they are all different */
	uint64_t iid;
	char text[];
};

static int compare_strings(const void *a, const void *b)
{
	const struct string *x = a, *y = b;

	return x->kind != y->kind ? (x->kind > y->kind ? 1 : -1) : strcmp(x->text, y->text);
}

static int compare_tracks(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void failed(struct mp_packets *p, int err)
{
	if (!p->err)
		p->err = err;
}

/* The number of @text, told with the packet under way if it is new; 0: no memory. */
static uint64_t iid_of(struct mp_packets *p, uint32_t kind, const char *text)
{
	struct string *s = malloc(sizeof(*s) + strlen(text) + 1), **found;
	struct mp_proto told = { 0 };

	if (!s)
		goto no_memory;
	s->kind = kind;
	strcpy(s->text, text);
	found = tsearch(s, &p->strings, compare_strings);
	if (!found)
		goto no_memory;
	if (*found != s) {
		free(s);
		return (*found)->iid;
	}
	s->iid = ++p->last_iid;
	mp_proto_number(&told, STRING_IID, s->iid);
	mp_proto_string(&told, STRING_NAME, text);
	mp_proto_message(&p->interned, kind, &told);
	mp_proto_fini(&told);
	return s->iid;
no_memory:
	free(s);
	failed(p, -ENOMEM);
	return 0;
}

void mp_packets_fini(struct mp_packets *p)
{
	struct mp_proto *protos[] = { &p->packet, &p->event, &p->note, &p->interned, &p->whole };

	for (size_t i = 0; i < sizeof(protos) / sizeof(protos[0]); i++)
		mp_proto_fini(protos[i]);
	tdestroy(p->strings, free);
	tdestroy(p->tracks, free);
}

bool mp_packets_new_track(struct mp_packets *p, uint64_t track)
{
	uint64_t *mine = malloc(sizeof(*mine)), **found;

	if (mine)
		*mine = track;
	found = mine ? tsearch(mine, &p->tracks, compare_tracks) : NULL;
	if (!found)
		failed(p, -ENOMEM);
	if (found && *found == mine)
		return true;
	free(mine);
	return false;
}

/* Writes p->packet, which is whole but for what is in every one. */
static void put_packet(struct mp_packets *p)
{
	uint64_t flags = FLAG_NEEDS_STATE | (p->begun ? 0 : FLAG_CLEARED);

	mp_proto_number(&p->packet, PACKET_SEQUENCE, SEQUENCE);
	mp_proto_number(&p->packet, PACKET_FLAGS, flags);
	if (p->interned.len)
		mp_proto_message(&p->packet, PACKET_INTERNED, &p->interned);
	mp_proto_clear(&p->whole);
	mp_proto_message(&p->whole, TRACE_PACKET, &p->packet);
	if (mp_packets_err(p))
		return;
	errno = 0;
	if (fwrite(p->whole.bytes, 1, p->whole.len, p->out) != p->whole.len)
		failed(p, errno ? -errno : -EIO);
	p->begun = true;
	mp_proto_clear(&p->interned);
	mp_proto_clear(&p->packet);
}

static void put_track(struct mp_packets *p, const struct mp_proto *track)
{
	mp_proto_clear(&p->packet);
	mp_proto_message(&p->packet, PACKET_TRACK, track);
	put_packet(p);
}

void mp_packets_process(struct mp_packets *p, uint32_t pid, const char *name, const char *cmdline,
			size_t len)
{
	char word[400];
	struct mp_proto track = { 0 }, process = { 0 };

	mp_proto_number(&process, PROCESS_PID, pid);
	for (size_t at = 0; at < len; at += strnlen(cmdline + at, len - at) + 1) {
		snprintf(word, sizeof(word), "%.*s", (int)strnlen(cmdline + at, len - at),
			 cmdline + at);
		mp_proto_string(&process, PROCESS_CMDLINE, word);
	}
	mp_proto_string(&process, PROCESS_NAME, name);
	mp_proto_number(&track, TRACK_UUID, MP_TRACK(MP_TRACK_PROCESS, pid));
	mp_proto_message(&track, TRACK_PROCESS, &process);
	put_track(p, &track);
	mp_proto_fini(&process);
	mp_proto_fini(&track);
}

void mp_packets_thread(struct mp_packets *p, uint32_t pid, uint32_t tid)
{
	struct mp_proto track = { 0 }, thread = { 0 };

	mp_proto_number(&thread, THREAD_PID, pid);
	mp_proto_number(&thread, THREAD_TID, tid);
	mp_proto_number(&track, TRACK_UUID, MP_TRACK(MP_TRACK_THREAD, tid));
	mp_proto_message(&track, TRACK_THREAD, &thread);
	put_track(p, &track);
	mp_proto_fini(&thread);
	mp_proto_fini(&track);
}

void mp_packets_track(struct mp_packets *p, uint64_t uuid, uint64_t parent, const char *name,
		      bool counts_bytes)
{
	struct mp_proto track = { 0 }, counter = { 0 };

	mp_proto_number(&track, TRACK_UUID, uuid);
	mp_proto_number(&track, TRACK_PARENT, parent);
	mp_proto_string(&track, TRACK_NAME, name);
	mp_proto_number(&counter, COUNTER_UNIT, UNIT_SIZE_BYTES);
	if (counts_bytes)
		mp_proto_message(&track, TRACK_COUNTER, &counter);
	put_track(p, &track);
	mp_proto_fini(&counter);
	mp_proto_fini(&track);
}

void mp_packets_begin(struct mp_packets *p, uint64_t track, enum mp_slice type, const char *name)
{
	mp_proto_clear(&p->event);
	mp_proto_number(&p->event, EVENT_TYPE, type);
	mp_proto_number(&p->event, EVENT_TRACK, track);
	if (name)
		mp_proto_number(&p->event, EVENT_NAME_IID, iid_of(p, INTERNED_EVENT_NAMES, name));
}

static void note(struct mp_packets *p, const char *key, uint32_t field, uint64_t n)
{
	mp_proto_clear(&p->note);
	mp_proto_number(&p->note, NOTE_NAME_IID, iid_of(p, INTERNED_NOTE_NAMES, key));
	mp_proto_set(&p->note, field, n);
	mp_proto_message(&p->event, EVENT_NOTES, &p->note);
}

void mp_packets_number(struct mp_packets *p, const char *key, uint64_t n)
{
	note(p, key, NOTE_UINT, n);
}

void mp_packets_addr(struct mp_packets *p, const char *key, uint64_t addr)
{
	note(p, key, NOTE_POINTER, addr);
}

void mp_packets_text(struct mp_packets *p, const char *key, const char *text)
{
	if (*text)
		note(p, key, NOTE_STRING_IID, iid_of(p, INTERNED_NOTE_STRINGS, text));
}

void mp_packets_put(struct mp_packets *p, uint64_t t_ns)
{
	mp_proto_clear(&p->packet);
	mp_proto_set(&p->packet, PACKET_TIMESTAMP, t_ns);
	mp_proto_message(&p->packet, PACKET_TRACK_EVENT, &p->event);
	put_packet(p);
}

void mp_packets_count(struct mp_packets *p, uint64_t track, uint64_t t_ns, uint64_t value)
{
	mp_packets_begin(p, track, MP_SLICE_COUNTER, NULL);
	mp_proto_set(&p->event, EVENT_COUNTER_VALUE, value);
	mp_packets_put(p, t_ns);
}

int mp_packets_err(const struct mp_packets *p)
{
	const struct mp_proto *protos[] = { &p->packet, &p->event, &p->note, &p->interned,
					    &p->whole };

	for (size_t i = 0; i < sizeof(protos) / sizeof(protos[0]); i++)
		if (protos[i]->err)
			return protos[i]->err;
	return p->err;
}
