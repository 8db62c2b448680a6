// SPDX-License-Identifier: GPL-2.0-or-later
#include "symbol/symbol.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "symbol/debugfile.h"
#include "symbol/debuginfod.h"
#include "symbol/elsewhere.h"
#include "symbol/kept.h"
#include "symbol/object.h"
#include "symbol/perfmap.h"
#include "symbol/reader.h"
#include "symbol/serve.h"

#define MAX_DEBUG_DIRS 32
/* Readers lost until no other is started: each object may cost two. */
#define MAX_READERS 32
#define CPU_MS      30000
/* Given to debuginfod servers in all. */
#define NETWORK_MS 60000

enum state {
	STATE_NEW,
	STATE_OPEN, /* in the reader number @reader */
	STATE_NONE, /* no such file for @tgid, or nothing that has names */
	STATE_BAD,  /* the reader was lost over it */
};

struct object {
	struct mp_file_id id; /* all 0: the perf map of @tgid */
	uint32_t tgid;
	char *path;
	char *debug; /* where its separate debug file was found, NULL: nowhere yet */
	enum state state;
	uint8_t build_id[MP_BUILD_ID_MAX];
	size_t build_id_len; /* it must have; 0: none, or not known yet */
	unsigned int reader, lost;
	unsigned int fetched; /* bit: a kind of file that servers were asked for */
};

struct mp_symbols {
	struct object *objects;
	size_t nr_objects;
	struct mp_kept kept;
	struct mp_reader reader;
	unsigned int readers; /* started so far */
	char *debug_dirs[MAX_DEBUG_DIRS + 1];
	size_t nr_debug_dirs;
	bool jit;
	int network_ms;
	struct mp_wire m;
	size_t given_up;
	int first_error; /* of the first one given up */
	const char *first_path;
};

static int give_file(void *ctx, const struct mp_wire *need);

struct mp_symbols *mp_symbols__new(void)
{
	struct mp_symbols *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->network_ms = NETWORK_MS;
	s->reader = (struct mp_reader){ .need = give_file, .ctx = s, .cpu_ms = CPU_MS };
	s->objects = calloc(MP_OBJECTS_MAX, sizeof(*s->objects));
	if (s->objects)
		return s;
	free(s);
	return NULL;
}

void mp_symbols__free(struct mp_symbols *s)
{
	if (!s)
		return;
	mp_reader_stop(&s->reader);
	mp_kept_clear(&s->kept);
	for (size_t i = 0; i < s->nr_objects; i++) {
		free(s->objects[i].path);
		free(s->objects[i].debug);
	}
	free(s->objects);
	for (size_t i = 0; i < s->nr_debug_dirs; i++)
		free(s->debug_dirs[i]);
	free(s);
}

int mp_symbols__debug_dir(struct mp_symbols *s, const char *dirs)
{
	while (*dirs) {
		size_t len = strcspn(dirs, ":");

		if (len && s->nr_debug_dirs < MAX_DEBUG_DIRS) {
			char *dir = strndup(dirs, len);

			if (!dir)
				return -ENOMEM;
			s->debug_dirs[s->nr_debug_dirs++] = dir;
		}
		dirs += len + (dirs[len] == ':');
	}
	return 0;
}

void mp_symbols__use_jit_maps(struct mp_symbols *s)
{
	s->jit = true;
}

void mp_symbols__limit(struct mp_symbols *s, unsigned int cpu_ms)
{
	s->reader.cpu_ms = cpu_ms;
}

int mp_symbols__reader(const struct mp_symbols *s)
{
	return s->reader.pid;
}

/* ---- the reader and what it asks for ------------------------------------------------------- */

static int from_network(struct mp_symbols *s, struct object *o, const struct mp_need *need)
{
	struct timespec before, after;
	int fd;

	if (!mp_debuginfod_wanted() || !need->id_len || s->network_ms <= 0 ||
	    o->fetched & 1U << need->kind)
		return -ENOENT;
	o->fetched |= 1U << need->kind;
	clock_gettime(CLOCK_MONOTONIC, &before);
	fd = mp_debuginfod_fetch(need->id, need->id_len, s->network_ms);
	clock_gettime(CLOCK_MONOTONIC, &after);
	s->network_ms -= (int)((after.tv_sec - before.tv_sec) * 1000 +
			       (after.tv_nsec - before.tv_nsec) / 1000000);
	return fd;
}

static int give_file(void *ctx, const struct mp_wire *m)
{
	struct mp_symbols *s = ctx;
	struct object *o = m->head.object < s->nr_objects ? &s->objects[m->head.object] : NULL;
	struct mp_need need = { .kind = m->head.value ? MP_NEED_ALT : MP_NEED_DEBUG };
	char found[PATH_MAX];
	size_t at = 0;
	int fd;

	need.name = mp_wire_get_string(m, &at);
	if (!o || !need.name || m->head.bytes - at > MP_BUILD_ID_MAX)
		return -EBADMSG;
	need.id_len = m->head.bytes - at;
	mp_wire_get(m, &at, need.id, need.id_len);
	need.tgid = o->tgid;
	need.path = o->path;
	need.beside = o->debug ? o->debug : "";
	fd = mp_debugfile_open(&need, (const char *const *)s->debug_dirs, m->head.n, found);
	if (fd < 0)
		return from_network(s, o, &need);
	if (need.kind == MP_NEED_DEBUG) {
		free(o->debug);
		o->debug = strdup(found);
	}
	return fd;
}

static void give_up(struct mp_symbols *s, struct object *o, int error)
{
	o->state = STATE_BAD;
	if (s->given_up++)
		return;
	s->first_error = error;
	s->first_path = o->path;
}

bool mp_symbols__trouble(const struct mp_symbols *s, struct mp_err *err)
{
	if (!s->given_up)
		return false;
	mp_fail(err, MP_EXIT_FAILED, EIO,
		"%zu object%s could not be read for names; the first, %s: %s", s->given_up,
		s->given_up == 1 ? "" : "s", s->first_path,
		s->first_error == -ETIMEDOUT ? "it takes too long"
					     : "the process that reads it did not survive it");
	return true;
}

/* The reader was lost over @o. It may have been killed by chance: once more with the next one. */
static void lost(struct mp_symbols *s, struct object *o, int error)
{
	o->state = STATE_NEW;
	if (error == -ETIMEDOUT || ++o->lost >= 2)
		give_up(s, o, error);
}

/* Sends s->m about @o; false: the reader was lost. */
static bool ask(struct mp_symbols *s, struct object *o, int fd, uint32_t wanted)
{
	int rc = mp_reader_ask(&s->reader, &s->m, fd);

	if (!rc && (s->m.head.kind != wanted || s->m.head.object != o - s->objects)) {
		mp_reader_stop(&s->reader);
		rc = -EBADMSG;
	}
	if (rc)
		lost(s, o, rc);
	return !rc;
}

static bool ensure_reader(struct mp_symbols *s)
{
	if (s->reader.pid > 0)
		return true;
	if (s->readers >= MAX_READERS || mp_reader_start(&s->reader))
		return false;
	s->readers++;
	return true;
}

static bool is_map(const struct object *o)
{
	return !o->id.ino && !o->id.dev_major && !o->id.dev_minor;
}

/* Has the reader that runs now open @fd for @o. False: not asked further, @o->state says why. */
static bool open_as(struct mp_symbols *s, struct object *o, int fd, bool map)
{
	mp_wire_begin(&s->m, map ? MP_WIRE_MAP : MP_WIRE_OBJECT, (uint32_t)(o - s->objects));
	mp_wire_put_string(&s->m, o->path);
	mp_wire_put(&s->m, o->build_id, o->build_id_len);
	if (ask(s, o, fd, MP_WIRE_DONE)) {
		o->state = s->m.head.n ? STATE_OPEN : STATE_NONE;
		o->reader = s->readers;
	}
	if (o->state == STATE_OPEN && s->m.head.bytes && s->m.head.bytes <= sizeof(o->build_id)) {
		o->build_id_len = s->m.head.bytes;
		memcpy(o->build_id, s->m.data, o->build_id_len);
	}
	close(fd);
	return o->state == STATE_NONE;
}

/* The file itself; else one with its build id. */
static void open_object(struct mp_symbols *s, struct object *o)
{
	bool map = is_map(o);
	int fd = map ? mp_perfmap_open(o->tgid) : mp_file_open(o->tgid, o->path, &o->id, NULL, 0);
	unsigned int index = 0;

	o->state = STATE_NONE;
	if (fd >= 0 && !open_as(s, o, fd, map))
		return;
	for (; o->build_id_len; index++) {
		fd = mp_elsewhere_open(o->path, o->build_id, o->build_id_len,
				       (const char *const *)s->debug_dirs, &index);
		if (fd < 0 || !open_as(s, o, fd, false))
			return;
	}
}

/*
 * With a reader, @o open in it; false: it is not to be had. Ends because whatever costs a reader
 * brings its object nearer to being given up.
 */
static bool ensure_open(struct mp_symbols *s, struct object *o)
{
	while (o->state == STATE_NEW || o->state == STATE_OPEN) {
		if (!ensure_reader(s))
			return false;
		if (o->state == STATE_OPEN && o->reader == s->readers)
			return true;
		open_object(s, o);
	}
	return false;
}

/* ---- objects and answers ------------------------------------------------------------------- */

/* NULL: there are too many. */
static struct object *get_object(struct mp_symbols *s, uint32_t tgid, const char *path,
				 const struct mp_file_id *id)
{
	bool map = !id->ino && !id->dev_major && !id->dev_minor;
	struct object *o;
	char *copy;

	for (size_t i = 0; i < s->nr_objects; i++) {
		o = &s->objects[i];
		if (o->id.ino != id->ino || o->id.dev_major != id->dev_major ||
		    o->id.dev_minor != id->dev_minor || (map && o->tgid != tgid))
			continue;
		if (!*o->path && *path) { /* only its names had been heard of */
			copy = strdup(path);
			if (!copy)
				return NULL;
			free(o->path);
			o->path = copy;
		}
		/* what one process could not show another may */
		if (o->state == STATE_NONE && o->tgid != tgid) {
			o->tgid = tgid;
			o->state = STATE_NEW;
		}
		return o;
	}
	copy = s->nr_objects < MP_OBJECTS_MAX ? strdup(path) : NULL;
	if (!copy)
		return NULL;
	o = &s->objects[s->nr_objects++];
	*o = (struct object){ .id = *id, .tgid = tgid, .path = copy };
	return o;
}

static const struct mp_kept_answer *get_answer(struct mp_symbols *s, struct object *o,
					       uint64_t where, bool is_return)
{
	struct mp_kept_key key = { where, (uint32_t)(o - s->objects), is_return };
	const struct mp_kept_answer *a = mp_kept_find(&s->kept, &key);
	bool asked = false;

	/* at most two readers are lost over it */
	while (!a && !asked && ensure_open(s, o)) {
		mp_wire_begin(&s->m, MP_WIRE_FIND, key.object);
		s->m.head.value = where - (is_return && where);
		asked = ask(s, o, -1, MP_WIRE_FRAMES);
		if (asked)
			a = mp_kept_add(&s->kept, &key, &s->m, false);
	}
	return a;
}

size_t mp_symbols__build_id(struct mp_symbols *s, const struct mp_code *code, uint8_t *id,
			    size_t max)
{
	const struct mp_file_id file = { code->dev_major, code->dev_minor, code->ino };
	struct object *o = NULL;

	if (s && code->path && code->path[0] == '/' && code->ino)
		o = get_object(s, code->tgid, code->path, &file);
	if (!o || !(o->build_id_len || ensure_open(s, o)) || o->build_id_len > max)
		return 0;
	memcpy(id, o->build_id, o->build_id_len);
	return o->build_id_len;
}

/* ---- what a trace file says ------------------------------------------------------------------ */

static int hear_object(struct mp_symbols *s, const struct mp_ev_object *ev)
{
	const struct mp_file_id id = { ev->dev_major, ev->dev_minor, ev->ino };
	struct object *o = ev->ino ? get_object(s, ev->h.tgid, ev->path, &id) : NULL;

	if (!o)
		return 0; /* there are too many, or it is none */
	memcpy(o->build_id, ev->build_id, ev->build_id_len);
	o->build_id_len = ev->build_id_len;
	return 0;
}

static int hear_names(struct mp_symbols *s, const struct mp_ev_names *ev)
{
	const struct mp_file_id id = { ev->dev_major, ev->dev_minor, ev->ino };
	struct object *o = ev->ino ? get_object(s, ev->h.tgid, "", &id) : NULL;
	struct mp_kept_key key = { .where = ev->offset, .is_return = ev->is_return };

	if (!o)
		return 0;
	key.object = (uint32_t)(o - s->objects);
	mp_wire_begin(&s->m, MP_WIRE_FRAMES, key.object);
	s->m.head.n = ev->nr;
	if (!mp_wire_put(&s->m, ev->frames, ev->bytes) && !mp_kept_find(&s->kept, &key))
		mp_kept_add(&s->kept, &key, &s->m, true);
	return 0;
}

int mp_symbols__hear(struct mp_symbols *s, const struct mp_ev *ev)
{
	if (ev->type == MP_EV_OBJECT)
		return hear_object(s, (const struct mp_ev_object *)ev);
	if (ev->type == MP_EV_NAMES)
		return hear_names(s, (const struct mp_ev_names *)ev);
	return 0;
}

bool mp_symbols__tell(struct mp_symbols *s, const struct mp_code *code, struct mp_ev_names *room)
{
	struct mp_symbol frames[MP_NAMES_FRAMES];
	size_t nr = code->ino ? mp_symbols__frames(s, code, frames, MP_NAMES_FRAMES) : 0, size;

	if (!nr)
		return false;
	mp_wire_begin(&s->m, MP_WIRE_FRAMES, 0);
	for (s->m.head.n = 0; s->m.head.n < nr; s->m.head.n++)
		if (!mp_wire_put_frame(&s->m, &frames[s->m.head.n]))
			break;
	size = sizeof(*room) + ((s->m.head.bytes + 7) & ~7U);
	memset(room, 0, size);
	room->h.type = MP_EV_NAMES;
	room->h.size = (uint16_t)size;
	room->h.tgid = code->tgid;
	room->ino = code->ino;
	room->dev_major = code->dev_major;
	room->dev_minor = code->dev_minor;
	room->offset = code->offset;
	room->is_return = code->is_return;
	room->nr = s->m.head.n;
	room->bytes = s->m.head.bytes;
	memcpy(room->frames, s->m.data, s->m.head.bytes);
	return true;
}

/* ---- all of it ------------------------------------------------------------------------------- */

size_t mp_symbols__frames(struct mp_symbols *s, const struct mp_code *code, struct mp_symbol *out,
			  size_t max)
{
	static const struct mp_file_id no_file;
	const struct mp_file_id id = { code->dev_major, code->dev_minor, code->ino };
	const struct mp_kept_answer *a = NULL;
	struct object *o = NULL;
	bool is_file = code->path && code->path[0] == '/' && code->ino;

	if (!s)
		return 0;
	if (is_file)
		o = get_object(s, code->tgid, code->path, &id);
	if (o)
		a = get_answer(s, o, code->offset, code->is_return);
	/* compiled code may lie in a file that is no object: shared memory, a memfd */
	if (s->jit && code->tgid && code->addr && (!is_file || (o && o->state == STATE_NONE))) {
		o = get_object(s, code->tgid, "its perf map", &no_file);
		a = o ? get_answer(s, o, code->addr, code->is_return) : NULL;
	}
	if (!a)
		return 0;
	max = a->nr < max ? a->nr : max;
	memcpy(out, a->frames, max * sizeof(*out));
	return max;
}
