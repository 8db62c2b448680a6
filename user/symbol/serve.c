// SPDX-License-Identifier: GPL-2.0-or-later
#include "symbol/serve.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbol/jail.h"
#include "symbol/object.h"
#include "symbol/perfmap.h"
#include "symbol/wire.h"

struct server {
	int sock;
	uint32_t object; /* that is asked about */
	struct mp_names *names[MP_OBJECTS_MAX];
	struct mp_perfmap *maps[MP_OBJECTS_MAX];
	struct mp_wire m, need;
	struct mp_symbol frames[MP_FRAMES_MAX];
};

static int ask_for_file(void *ctx, const struct mp_debug_need *need)
{
	struct server *s = ctx;
	struct mp_wire *m = &s->need;
	int fd;

	mp_wire_begin(m, MP_WIRE_NEED, s->object);
	m->head.n = need->index;
	m->head.value = need->kind;
	if (mp_wire_put_string(m, need->name) || mp_wire_put(m, need->id, need->id_len))
		return -1; /* a name of 64 KiB is none */
	if (mp_wire_send(s->sock, m, -1) || mp_wire_recv(s->sock, m, &fd))
		_exit(1);
	return fd;
}

/* The last @id_len bytes of the message: the build id it must have, if any. */
static struct mp_names *open_names(struct server *s, int fd, const char *path, size_t id_len)
{
	uint8_t id[MP_BUILD_ID_MAX], its[MP_BUILD_ID_MAX];
	struct mp_names *n;

	if (id_len > sizeof(id))
		return NULL;
	memcpy(id, s->m.data + s->m.head.bytes - id_len, id_len);
	n = mp_names__open(fd, path, ask_for_file, s);
	if (!n || !id_len ||
	    (mp_names__build_id(n, its, sizeof(its)) == id_len && !memcmp(its, id, id_len)))
		return n;
	mp_names__close(n);
	return NULL;
}

static void open_object(struct server *s, int fd)
{
	struct mp_wire *m = &s->m;
	uint8_t id[MP_BUILD_ID_MAX];
	size_t at = 0;
	const char *path = mp_wire_get_string(m, &at);
	uint32_t i = m->head.object;
	bool is_map = m->head.kind == MP_WIRE_MAP;

	if (is_map && fd >= 0)
		s->maps[i] = mp_perfmap__read(fd);
	else if (path && fd >= 0)
		s->names[i] = open_names(s, fd, path, m->head.bytes - at);
	if (is_map && fd >= 0)
		close(fd);
	mp_wire_begin(m, MP_WIRE_DONE, i);
	m->head.n = s->maps[i] || s->names[i];
	if (s->names[i])
		mp_wire_put(m, id, mp_names__build_id(s->names[i], id, sizeof(id)));
}

static size_t find(struct server *s, uint32_t object, uint64_t value)
{
	uint64_t start;

	if (s->names[object])
		return mp_names__find(s->names[object], value, s->frames, MP_FRAMES_MAX);
	s->frames[0] = (struct mp_symbol){ 0 };
	if (s->maps[object])
		s->frames[0].function = mp_perfmap__find(s->maps[object], value, &start);
	if (!s->frames[0].function)
		return 0;
	s->frames[0].into = value - start;
	return 1;
}

static void find_frames(struct server *s)
{
	struct mp_wire *m = &s->m;
	size_t nr = find(s, m->head.object, m->head.value);

	mp_wire_begin(m, MP_WIRE_FRAMES, m->head.object);
	while (m->head.n < nr && mp_wire_put_frame(m, &s->frames[m->head.n]))
		m->head.n++;
}

void mp_serve(int sock)
{
	struct server *s = calloc(1, sizeof(*s));
	int fd;

	if (!s || mp_jail_enter(sock))
		_exit(1);
	s->sock = sock;
	while (!mp_wire_recv(sock, &s->m, &fd) && s->m.head.object < MP_OBJECTS_MAX) {
		s->object = s->m.head.object;
		if (s->m.head.kind == MP_WIRE_FIND)
			find_frames(s);
		else
			open_object(s, fd);
		if (mp_wire_send(sock, &s->m, -1))
			break;
	}
	_exit(0);
}
