// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "view/pprof.h"

struct string {
	uint64_t index;
	char text[];
};

struct function {
	uint64_t id, name, file; /* the last two are indices of strings */
};

struct place {
	uint64_t id;
	const struct mp_place *place; /* NULL: no code, */
	uint64_t function;            /* but something with a name */
};

/*
 * An object in a process: where its file's first byte would be, and what of it is known to be mapped
 * around the code that is spoken of.
 */
struct mp_pprof_mapping {
	uint64_t id, base, start, end;
	const struct mp_place *place; /* one in it */
	bool functions, files, lines;
	struct mp_pprof_mapping *next;
};

void mp_pprof__init(struct mp_pprof *p, const struct mp_report *r, struct mp_symbols *sym)
{
	memset(p, 0, sizeof(*p));
	p->r = r;
	p->sym = sym;
	p->last_mapping = &p->first_mapping;
	mp_pprof__string(p, "");
}

void mp_pprof__fini(struct mp_pprof *p)
{
	tdestroy(p->strings, free);
	tdestroy(p->functions, free);
	tdestroy(p->places, free);
	tdestroy(p->mappings, free);
	mp_proto_fini(&p->profile);
	mp_proto_fini(&p->part);
	mp_proto_fini(&p->line);
}

/* The one in the tree that equals @key, or a copy of it, which is *@fresh then. NULL: no memory. */
static void *intern(struct mp_pprof *p, void **tree, const void *key, size_t size,
		    int (*compare)(const void *, const void *), bool *fresh)
{
	void **found = tfind(key, tree, compare);
	void *copy;

	*fresh = !found;
	if (found)
		return *found;
	copy = malloc(size);
	if (copy)
		memcpy(copy, key, size);
	found = copy ? tsearch(copy, tree, compare) : NULL;
	if (found)
		return *found;
	free(copy);
	p->err = -ENOMEM;
	return NULL;
}

static int order(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(((const struct string *)a)->text, ((const struct string *)b)->text);
}

uint64_t mp_pprof__string(struct mp_pprof *p, const char *s)
{
	struct {
		struct string head;
		char text[sizeof(struct mp_label)];
	} key;
	struct string *found;
	bool fresh;

	mp_label_safe(key.head.text, sizeof(key.text), s);
	found = intern(p, &p->strings, &key, sizeof(key.head) + strlen(key.head.text) + 1, by_text,
		       &fresh);
	if (!found)
		return 0;
	if (fresh) {
		found->index = p->nr_strings++;
		mp_proto_string(&p->profile, MP_PPROF_STRING, found->text);
	}
	return found->index;
}

static int by_names(const void *a, const void *b)
{
	const struct function *x = a, *y = b;

	return x->name != y->name ? order(x->name, y->name) : order(x->file, y->file);
}

static uint64_t function_of(struct mp_pprof *p, const char *name, const char *file)
{
	enum { ID = 1, NAME = 2, SYSTEM_NAME = 3, FILENAME = 4 };
	struct function key = { .name = mp_pprof__string(p, name),
				.file = mp_pprof__string(p, file) };
	struct function *f;
	bool fresh;

	f = intern(p, &p->functions, &key, sizeof(key), by_names, &fresh);
	if (!f)
		return 0;
	if (!fresh)
		return f->id;
	f->id = ++p->nr_functions;
	mp_proto_clear(&p->line);
	mp_proto_number(&p->line, ID, f->id);
	mp_proto_number(&p->line, NAME, f->name);
	mp_proto_number(&p->line, SYSTEM_NAME, f->name);
	mp_proto_number(&p->line, FILENAME, f->file);
	mp_proto_message(&p->profile, MP_PPROF_FUNCTION, &p->line);
	return f->id;
}

/* ---- mappings ------------------------------------------------------------------------------ */

static int by_object(const void *a, const void *b)
{
	const struct mp_pprof_mapping *x = a, *y = b;

	if (x->base != y->base)
		return order(x->base, y->base);
	if (x->place->tgid != y->place->tgid)
		return order(x->place->tgid, y->place->tgid);
	return strcmp(x->place->object, y->place->object);
}

/* The VMA of the process that holds @addr; NULL: it is gone, or the process is. */
static const struct mp_vma *vma_of(const struct mp_report *r, uint32_t pid, uint64_t addr)
{
	const struct mp_proc *p = NULL;
	size_t i, low = 0, high, mid;

	for (i = 0; i < r->nr_procs && !p; i++)
		if (r->procs[i].pid == pid)
			p = &r->procs[i];
	for (high = p ? p->nr_vmas : 0; low < high;) {
		mid = low + (high - low) / 2;
		if (p->vmas[mid].end <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return p && low < p->nr_vmas && p->vmas[low].start <= addr ? &p->vmas[low] : NULL;
}

static struct mp_pprof_mapping *mapping_of(struct mp_pprof *p, const struct mp_place *place)
{
	struct mp_pprof_mapping key = { .base = place->addr - place->offset, .place = place }, *m;
	const struct mp_vma *vma = vma_of(p->r, place->tgid, place->addr);
	uint64_t start = place->addr & ~(uint64_t)(MP_PAGE_SIZE - 1), end = start + MP_PAGE_SIZE;
	bool fresh;

	if (place->what == MP_PLACE_SYSCALL || !*place->object)
		return NULL;
	m = intern(p, &p->mappings, &key, sizeof(key), by_object, &fresh);
	if (!m)
		return NULL;
	if (vma && !strcmp(vma->name, place->object)) {
		start = vma->start;
		end = vma->end;
	}
	if (fresh) {
		m->id = ++p->nr_mappings;
		*p->last_mapping = m;
		p->last_mapping = &m->next;
		m->start = start;
		m->end = end;
	}
	m->start = start < m->start ? start : m->start;
	m->end = end > m->end ? end : m->end;
	return m;
}

static size_t known_build_id(struct mp_pprof *p, const struct mp_place *place, uint8_t id[32])
{
	const struct mp_code code = {
		.tgid = place->tgid,
		.path = place->object,
		.ino = place->ino,
		.dev_major = place->dev_major,
		.dev_minor = place->dev_minor,
	};
	size_t i, k;

	for (i = 0; i < p->r->nr_procs; i++) {
		const struct mp_proc *proc = &p->r->procs[i];

		for (k = 0; proc->pid == place->tgid && k < proc->nr_allocators; k++) {
			const struct mp_allocator *a = &proc->allocators[k];

			if (strcmp(a->object, place->object) || !a->build_id_len ||
			    a->build_id_len > 32)
				continue;
			memcpy(id, a->build_id, a->build_id_len);
			return a->build_id_len;
		}
	}
	return mp_symbols__build_id(p->sym, &code, id, 32);
}

static uint64_t build_id(struct mp_pprof *p, const struct mp_place *place)
{
	uint8_t id[32];
	char hex[2 * sizeof(id) + 1] = "";
	size_t i, len = known_build_id(p, place, id);

	for (i = 0; i < len; i++)
		snprintf(hex + 2 * i, 3, "%02x", id[i]);
	return mp_pprof__string(p, hex);
}

static void put_mapping(struct mp_pprof *p, const struct mp_pprof_mapping *m)
{
	enum { ID = 1, START, LIMIT, OFFSET, FILENAME, BUILD_ID, FUNCTIONS, FILES, LINES, INLINE };
	uint64_t object = mp_pprof__string(p, m->place->object), build = build_id(p, m->place);

	mp_proto_clear(&p->part);
	mp_proto_number(&p->part, ID, m->id);
	mp_proto_number(&p->part, START, m->start);
	mp_proto_number(&p->part, LIMIT, m->end);
	mp_proto_number(&p->part, OFFSET, m->start - m->base);
	mp_proto_number(&p->part, FILENAME, object);
	mp_proto_number(&p->part, BUILD_ID, build);
	mp_proto_number(&p->part, FUNCTIONS, m->functions);
	mp_proto_number(&p->part, FILES, m->files);
	mp_proto_number(&p->part, LINES, m->lines);
	mp_proto_number(&p->part, INLINE, m->functions && m->lines);
	mp_proto_message(&p->profile, MP_PPROF_MAPPING, &p->part);
}

/* The program itself, which by convention comes first: of the code that files have it is lowest. */
static const struct mp_vma *program_of(const struct mp_report *r)
{
	size_t i;

	for (i = 0; r->nr_procs && i < r->procs[0].nr_vmas; i++) {
		const struct mp_vma *v = &r->procs[0].vmas[i];

		if (v->kind == MP_VMA_FILE && v->perms & 4)
			return v;
	}
	return NULL;
}

void mp_pprof__mappings(struct mp_pprof *p)
{
	const struct mp_vma *program = program_of(p->r);
	const struct mp_pprof_mapping *m, *first = NULL;

	for (m = p->first_mapping; program && m && !first; m = m->next)
		if (m->place->tgid == p->r->procs[0].pid && m->start <= program->start &&
		    program->start < m->end)
			first = m;
	if (first)
		put_mapping(p, first);
	for (m = p->first_mapping; m; m = m->next)
		if (m != first)
			put_mapping(p, m);
}

/* ---- locations ----------------------------------------------------------------------------- */

enum { LOCATION_ID = 1, LOCATION_MAPPING, LOCATION_ADDRESS, LOCATION_LINE };
enum { LINE_FUNCTION = 1, LINE_LINE };

static int by_place(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->place != y->place)
		return x->place < y->place ? -1 : 1;
	return order(x->function, y->function);
}

static void put_line(struct mp_pprof *p, uint64_t function, int line)
{
	mp_proto_clear(&p->line);
	mp_proto_number(&p->line, LINE_FUNCTION, function);
	mp_proto_number(&p->line, LINE_LINE, line > 0 ? (uint64_t)line : 0);
	mp_proto_message(&p->part, LOCATION_LINE, &p->line);
}

/* All the names at the place, innermost first; what has none is left to who reads the profile. */
static void put_lines(struct mp_pprof *p, const struct mp_frames *f, struct mp_pprof_mapping *m)
{
	const struct mp_symbol *s;
	uint64_t function;
	size_t i;

	for (i = 0; i < f->nr; i++) {
		s = &f->names[i];
		if (f->frame->place->what == MP_PLACE_SYSCALL)
			put_line(p, function_of(p, mp_frames_label(f, 0).s, "[kernel]"), 0);
		if (!s->function)
			continue;
		function = function_of(p, s->function, s->file ? s->file : "");
		put_line(p, function, s->line);
		if (m) {
			m->functions = true;
			m->files |= s->file != NULL;
			m->lines |= s->line > 0;
		}
	}
}

static uint64_t address_of(const struct mp_place *place)
{
	/* one byte before where a call returns to is in the call */
	return place->addr - (place->what == MP_PLACE_RETURN && place->addr);
}

uint64_t mp_pprof__location(struct mp_pprof *p, struct mp_frames *f)
{
	const struct mp_stack_frame *frame = f->frame;
	const struct place key = { .place = frame->place };
	struct mp_pprof_mapping *m;
	struct place *at;
	bool fresh;

	at = intern(p, &p->places, &key, sizeof(key), by_place, &fresh);
	if (at && fresh) {
		at->id = ++p->nr_places;
		m = mapping_of(p, frame->place);
		mp_proto_clear(&p->part);
		mp_proto_number(&p->part, LOCATION_ID, at->id);
		mp_proto_number(&p->part, LOCATION_MAPPING, m ? m->id : 0);
		mp_proto_number(&p->part, LOCATION_ADDRESS, address_of(frame->place));
		put_lines(p, f, m);
		mp_proto_message(&p->profile, MP_PPROF_LOCATION, &p->part);
	}
	while (f->frame == frame)
		mp_frames_next(f, p->sym);
	return at ? at->id : 0;
}

uint64_t mp_pprof__named(struct mp_pprof *p, const char *name)
{
	const struct place key = { .function = function_of(p, name, "") };
	struct place *at;
	bool fresh;

	at = intern(p, &p->places, &key, sizeof(key), by_place, &fresh);
	if (at && fresh) {
		at->id = ++p->nr_places;
		mp_proto_clear(&p->part);
		mp_proto_number(&p->part, LOCATION_ID, at->id);
		put_line(p, key.function, 0);
		mp_proto_message(&p->profile, MP_PPROF_LOCATION, &p->part);
	}
	return at ? at->id : 0;
}
