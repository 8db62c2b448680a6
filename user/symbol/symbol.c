// SPDX-License-Identifier: GPL-2.0-or-later
#include "symbol/symbol.h"

#include <errno.h>
#include <search.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "symbol/object.h"

/* Every object keeps a descriptor and a mapping; every answer some 80 bytes. */
#define MAX_OBJECTS 512
#define MAX_ANSWERS (1U << 20)

struct object {
	struct mp_file_id id;
	struct mp_names *names; /* NULL: could not be opened for @tgid */
	uint32_t tgid;
};

struct answer {
	uint32_t object;
	int is_return;
	uint64_t offset;
	struct mp_symbol symbol;
	int result;
};

struct mp_symbols {
	struct object *objects;
	size_t nr_objects;
	void *answers; /* tsearch(3) tree of struct answer */
	size_t nr_answers;
};

struct mp_symbols *mp_symbols__new(void)
{
	struct mp_symbols *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->objects = calloc(MAX_OBJECTS, sizeof(*s->objects));
	if (s->objects)
		return s;
	free(s);
	return NULL;
}

void mp_symbols__free(struct mp_symbols *s)
{
	if (!s)
		return;
	tdestroy(s->answers, free);
	for (size_t i = 0; i < s->nr_objects; i++)
		mp_names__close(s->objects[i].names);
	free(s->objects);
	free(s);
}

static int compare(const void *p, const void *q)
{
	const struct answer *a = p, *b = q;

	if (a->object != b->object)
		return a->object > b->object ? 1 : -1;
	if (a->offset != b->offset)
		return a->offset > b->offset ? 1 : -1;
	return a->is_return - b->is_return;
}

static void open_names(struct object *o, uint32_t tgid, const char *path)
{
	char debug_path[96];
	int fd;

	o->tgid = tgid;
	fd = mp_file_open(tgid, path, &o->id, NULL, 0);
	if (fd < 0)
		return;
	/* beside the file, of this system, of the process's own root; build ids must match */
	snprintf(debug_path, sizeof(debug_path),
		 ":.debug:/usr/lib/debug:/proc/%u/root/usr/lib/debug", tgid);
	o->names = mp_names__open(fd, path, debug_path);
}

/* NULL if the object is not to be had. */
static struct object *get_object(struct mp_symbols *s, uint32_t tgid, const char *path,
				 const struct mp_file_id *id)
{
	struct object *o;

	for (size_t i = 0; i < s->nr_objects; i++) {
		o = &s->objects[i];
		if (o->id.ino != id->ino || o->id.dev_major != id->dev_major ||
		    o->id.dev_minor != id->dev_minor)
			continue;
		/* what one process could not show another may */
		if (!o->names && o->tgid != tgid)
			open_names(o, tgid, path);
		return o->names ? o : NULL;
	}
	if (s->nr_objects >= MAX_OBJECTS)
		return NULL;
	o = &s->objects[s->nr_objects++];
	o->id = *id;
	open_names(o, tgid, path);
	return o->names ? o : NULL;
}

static const struct answer *get_answer(struct mp_symbols *s, const struct answer *key)
{
	struct answer **found = tfind(key, &s->answers, compare);
	struct mp_names *names = s->objects[key->object].names;
	struct answer *a;
	bool step_back = key->is_return && key->offset;

	if (found)
		return *found;
	if (s->nr_answers >= MAX_ANSWERS)
		return NULL;
	a = malloc(sizeof(*a));
	if (!a)
		return NULL;
	*a = *key;
	if (!tsearch(a, &s->answers, compare)) {
		free(a);
		return NULL;
	}
	s->nr_answers++;
	a->result = mp_names__find(names, a->offset - step_back, &a->symbol);
	if (a->symbol.function)
		a->symbol.into += step_back;
	return a;
}

int mp_symbols__lookup(struct mp_symbols *s, uint32_t tgid, const char *path, uint64_t ino,
		       uint32_t dev_major, uint32_t dev_minor, uint64_t offset, int is_return,
		       struct mp_symbol *out)
{
	struct mp_file_id id = { dev_major, dev_minor, ino };
	struct answer key = { .offset = offset, .is_return = !!is_return };
	const struct answer *a;
	struct object *o;

	memset(out, 0, sizeof(*out));
	if (!s || !path || path[0] != '/')
		return -ENOENT;
	o = get_object(s, tgid, path, &id);
	if (!o)
		return -ENOENT;
	key.object = (uint32_t)(o - s->objects);
	a = get_answer(s, &key);
	if (!a)
		return -ENOENT;
	*out = a->symbol;
	return a->result;
}
