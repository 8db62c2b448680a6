// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/objects.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define TOLD_MAX  16384 /* files; one after them is told each time it is looked at */
#define PATH_ROOM 4096

static bool remember(struct mp_objects *o, const struct mp_file_id *id)
{
	for (size_t i = 0; i < o->nr; i++)
		if (o->told[i].ino == id->ino && o->told[i].dev_major == id->dev_major &&
		    o->told[i].dev_minor == id->dev_minor)
			return false;
	if (o->nr == o->cap && o->cap < TOLD_MAX) {
		size_t cap = o->cap ? 2 * o->cap : 64;
		struct mp_file_id *told = realloc(o->told, cap * sizeof(*told));

		if (!told)
			return false;
		o->told = told;
		o->cap = cap;
	}
	if (o->nr < o->cap)
		o->told[o->nr++] = *id;
	return true;
}

void mp_objects_tell(struct mp_objects *o, pid_t pid, const char *path, const struct mp_file_id *id,
		     const uint8_t *build_id, uint32_t len)
{
	union {
		struct mp_ev_object ev;
		char bytes[sizeof(struct mp_ev_object) + PATH_ROOM];
	} u;
	size_t room = (strlen(path) + 8) & ~(size_t)7;

	if (!o->emit || !len || len > sizeof(u.ev.build_id) || room > PATH_ROOM || !remember(o, id))
		return;
	memset(&u, 0, sizeof(u.ev) + room);
	u.ev.h.type = MP_EV_OBJECT;
	u.ev.h.size = sizeof(u.ev) + room;
	u.ev.h.ts_ns = mp_mono_ns();
	u.ev.h.tgid = (uint32_t)pid;
	u.ev.ino = id->ino;
	u.ev.dev_major = id->dev_major;
	u.ev.dev_minor = id->dev_minor;
	u.ev.build_id_len = len;
	memcpy(u.ev.build_id, build_id, len);
	strcpy(u.bytes + sizeof(u.ev), path);
	o->emit(o->ctx, &u.ev.h);
}
