// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/provider.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collect/object.h"

/* Bounds on what a hostile process can make us keep. */
#define MAX_OBJECTS 4096
#define MAX_MAPS    65536
#define MAX_LINKS   4096
#define MAX_NOTES   64

struct map { /* executable, of a file */
	uint64_t start, end, offset;
	uint64_t bias;
	size_t object;
	bool has_bias;
};

struct scan {
	pid_t pid;
	int mem;          /* /proc/PID/mem */
	struct map *maps; /* by address */
	size_t nr_maps;
	struct mp_object *objects;
	bool *used; /* the object gives out blocks in this process */
	size_t nr_objects;
	bool unresolved; /* some reference does not lead anywhere yet */
	struct mp_providers *out;
};

static void note(struct mp_providers *out, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* A note that finds no memory is not worth failing for. */
static void note(struct mp_providers *out, const char *fmt, ...)
{
	char **list;
	char *text;
	va_list ap;
	int n;

	if (out->nr_notes >= MAX_NOTES)
		return;
	list = reallocarray(out->notes, out->nr_notes + 1, sizeof(*list));
	if (!list)
		return;
	out->notes = list;
	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n >= 0)
		list[out->nr_notes++] = text;
}

/* ---- reading the process ------------------------------------------------------------------- */

static int find_object(struct scan *s, const struct mp_file_id *id, const char *path, size_t *index)
{
	struct mp_object *list;
	bool *used;
	size_t i;

	for (i = s->nr_objects; i-- > 0;) {
		const struct mp_file_id *other = &s->objects[i].id;

		*index = i;
		if (other->ino == id->ino && other->dev_major == id->dev_major &&
		    other->dev_minor == id->dev_minor)
			return 0;
	}
	if (s->nr_objects >= MAX_OBJECTS)
		return -E2BIG;
	list = reallocarray(s->objects, s->nr_objects + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	s->objects = list;
	used = reallocarray(s->used, s->nr_objects + 1, sizeof(*used));
	if (!used)
		return -ENOMEM;
	s->used = used;
	*index = s->nr_objects++;
	used[*index] = false;
	memset(&list[*index], 0, sizeof(*list));
	list[*index].id = *id;
	list[*index].path = strdup(path);
	return list[*index].path ? 0 : -ENOMEM;
}

static int add_map(struct scan *s, const struct map *m, const struct mp_file_id *id,
		   const char *path)
{
	struct map *list;
	size_t object;
	int err;

	if (s->nr_maps >= MAX_MAPS)
		return 0;
	err = find_object(s, id, path, &object);
	if (err)
		return err == -E2BIG ? 0 : err;
	list = s->maps;
	if (!(s->nr_maps & (s->nr_maps - 1)))
		list = reallocarray(list, s->nr_maps ? s->nr_maps * 2 : 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	s->maps = list;
	list[s->nr_maps] = *m;
	list[s->nr_maps++].object = object;
	return 0;
}

/* One line of /proc/PID/maps; those that are no executable mapping of a file are passed over. */
static int take_line(struct scan *s, char *line)
{
	struct mp_file_id id;
	struct map m = { 0 };
	char perms[5];
	int path = 0;

	line[strcspn(line, "\n")] = '\0';
	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %n", &m.start,
		   &m.end, perms, &m.offset, &id.dev_major, &id.dev_minor, &id.ino, &path) != 7)
		return 0;
	if (perms[2] != 'x' || !id.ino || !path || line[path] != '/' || m.start >= m.end)
		return 0;
	return add_map(s, &m, &id, line + path);
}

static int read_maps(struct scan *s, struct mp_err *err)
{
	char name[64], *line = NULL;
	size_t size = 0;
	int ret = 0;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/maps", s->pid);
	f = fopen(name, "re");
	if (!f && (errno == EACCES || errno == EPERM))
		return mp_fail(err, MP_EXIT_LACKS, EACCES,
			       "process %d: its mappings may not be read; run as root", s->pid);
	if (!f)
		return mp_fail(err, MP_EXIT_FAILED, ESRCH,
			       "process %d: it does not exist or has ended; list with ps -e",
			       s->pid);
	while (!ret && getline(&line, &size, f) >= 0)
		ret = take_line(s, line);
	free(line);
	fclose(f);
	if (ret)
		return mp_fail(err, MP_EXIT_FAILED, -ret, "process %d: out of memory", s->pid);
	return 0;
}

static bool read_word(const struct scan *s, uint64_t addr, uint64_t *word)
{
	return pread(s->mem, word, sizeof(*word), (off_t)addr) == sizeof(*word);
}

/* The executable mapping @addr lies in. */
static const struct map *find_map(const struct scan *s, uint64_t addr)
{
	size_t lo = 0, hi = s->nr_maps;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->maps[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < s->nr_maps && addr >= s->maps[lo].start ? &s->maps[lo] : NULL;
}

/* ---- reading its objects ------------------------------------------------------------------- */

/* By its path, or if the file was replaced or deleted since, by the mapping itself. */
static int open_object(const struct scan *s, size_t object)
{
	struct mp_object *o = &s->objects[object];
	char opened[PATH_MAX + 32];
	int fd = mp_file_open((uint32_t)s->pid, o->path, &o->id, opened, sizeof(opened));

	for (size_t i = 0; fd < 0 && i < s->nr_maps; i++) {
		const struct map *m = &s->maps[i];

		if (m->object != object)
			continue;
		snprintf(opened, sizeof(opened), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, s->pid,
			 m->start, m->end);
		fd = open(opened, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (fd >= 0 && !mp_file_is(fd, &o->id)) {
			close(fd);
			fd = -1;
		}
	}
	if (fd < 0)
		return -ENOENT;
	o->open_path = strdup(opened);
	if (o->open_path)
		return fd;
	close(fd);
	return -ENOMEM;
}

static void set_biases(struct scan *s, size_t object, const struct mp_elf *e)
{
	for (size_t i = 0; i < s->nr_maps; i++) {
		struct map *m = &s->maps[i];

		if (m->object == object)
			m->has_bias = !mp_elf__bias(e, m->start, m->offset, &m->bias);
	}
}

static int read_object(struct scan *s, size_t object)
{
	struct mp_object *o = &s->objects[object];
	struct mp_elf *e;
	int fd, err;

	fd = open_object(s, object);
	if (fd == -ENOMEM)
		return fd;
	if (fd < 0) {
		note(s->out, "%s: the mapped file can no longer be opened", o->path);
		return 0;
	}
	err = mp_elf__open(fd, &e);
	if (!err) {
		set_biases(s, object, e);
		err = mp_object__read(o, e);
		mp_elf__close(e);
	}
	close(fd);
	if (o->malloc_is_ifunc)
		note(s->out, "%s: malloc is an indirect function (IFUNC), not probed", o->path);
	return err == -ENOMEM ? err : 0;
}

/* ---- deciding who allocates ---------------------------------------------------------------- */

static bool can_provide(const struct mp_object *o)
{
	return o->open_path && !o->is_loader && (o->exports_malloc || o->hides_malloc);
}

static void follow_slot(struct scan *s, uint64_t addr)
{
	const struct mp_object *o;
	const struct map *m;
	uint64_t value;

	m = read_word(s, addr, &value) ? find_map(s, value) : NULL;
	o = m ? &s->objects[m->object] : NULL;
	/* Not bound yet (it leads to a PLT), or nowhere: the symbol's search order will tell. */
	if (!m || !m->has_bias || !mp_object__at(o, value - m->bias)) {
		s->unresolved = true;
		return;
	}
	if (can_provide(o))
		s->used[m->object] = true;
}

/* Every instance of every object: where do its references to allocation functions lead? */
static void follow_slots(struct scan *s)
{
	for (size_t i = 0; i < s->nr_maps; i++) {
		const struct map *m = &s->maps[i];
		const struct mp_object *o = &s->objects[m->object];

		if (!m->has_bias || o->is_loader)
			continue;
		/* several executable mappings of one instance: once is enough */
		if (i && s->maps[i - 1].object == m->object && s->maps[i - 1].bias == m->bias)
			continue;
		for (size_t k = 0; k < o->nr_slots; k++)
			follow_slot(s, m->bias + o->slots[k]);
	}
}

/* First field of r_debug that matters: the head of the list of objects in search order. */
static bool find_link_map(const struct scan *s, uint64_t *head)
{
	const uint64_t r_map = 8; /* offsetof(struct r_debug, r_map), link.h */
	uint64_t r_debug;

	for (size_t i = 0; i < s->nr_maps; i++) {
		const struct map *m = &s->maps[i];
		const struct mp_object *o = &s->objects[m->object];

		if (!m->has_bias)
			continue;
		if (o->r_debug && read_word(s, m->bias + o->r_debug + r_map, head) && *head)
			return true;
		if (o->dt_debug && read_word(s, m->bias + o->dt_debug, &r_debug) && r_debug &&
		    read_word(s, r_debug + r_map, head) && *head)
			return true;
	}
	return false;
}

/* The object whose dynamic segment is at run-time address @ld. */
static bool find_by_dynamic(const struct scan *s, uint64_t ld, size_t *object)
{
	for (size_t i = 0; i < s->nr_maps; i++) {
		const struct map *m = &s->maps[i];
		const struct mp_object *o = &s->objects[m->object];

		if (!m->has_bias || !o->dynamic || m->bias + o->dynamic != ld)
			continue;
		*object = m->object;
		return true;
	}
	return false;
}

/* The first object in search order that exports malloc gets what is not resolved yet. */
static bool use_search_order(struct scan *s)
{
	uint64_t link, ld;
	size_t object;

	if (!find_link_map(s, &link))
		return false;
	for (int n = 0; n < MAX_LINKS && link; n++) {
		/* struct link_map, link.h: l_addr, l_name, l_ld, l_next */
		if (!read_word(s, link + 16, &ld) || !read_word(s, link + 24, &link))
			return false;
		if (!find_by_dynamic(s, ld, &object) || !can_provide(&s->objects[object]) ||
		    !s->objects[object].exports_malloc)
			continue;
		s->used[object] = true;
		return true;
	}
	return false;
}

/* Without a list of objects: libc only if nobody else has a malloc. */
static void use_any(struct scan *s)
{
	for (int libc = 0; libc < 2; libc++)
		for (size_t i = 0; i < s->nr_objects; i++) {
			const struct mp_object *o = &s->objects[i];

			if (!can_provide(o) || !o->exports_malloc || o->is_libc != libc)
				continue;
			s->used[i] = true;
			return;
		}
}

static bool any_used(const struct scan *s)
{
	for (size_t i = 0; i < s->nr_objects; i++)
		if (s->used[i])
			return true;
	return false;
}

static void decide(struct scan *s)
{
	follow_slots(s);
	if ((s->unresolved || !any_used(s)) && !use_search_order(s) && !any_used(s))
		use_any(s);
	/* Nobody can refer to a malloc that is linked in and hidden, so it is there for its own object. */
	for (size_t i = 0; i < s->nr_objects; i++)
		if (can_provide(&s->objects[i]) && s->objects[i].hides_malloc)
			s->used[i] = true;
}

/* ---- the result ---------------------------------------------------------------------------- */

static int add_text(struct mp_provider *p, const struct map *m)
{
	struct mp_text *list = reallocarray(p->text, p->nr_text + 1, sizeof(*list));

	if (!list)
		return -ENOMEM;
	p->text = list;
	list[p->nr_text++] = (struct mp_text){ m->start, m->end };
	return 0;
}

static int fill_provider(const struct scan *s, size_t object, struct mp_provider *p)
{
	const struct mp_object *o = &s->objects[object];
	bool has_bias = false;

	p->object = strdup(o->path);
	p->open_path = strdup(o->open_path);
	if (!p->object || !p->open_path)
		return -ENOMEM;
	p->dev_major = o->id.dev_major;
	p->dev_minor = o->id.dev_minor;
	p->ino = o->id.ino;
	p->kind = o->kind;
	p->allocates = s->used[object];
	memcpy(p->version, o->version, sizeof(p->version));
	memcpy(p->build_id, o->build_id, sizeof(p->build_id));
	p->build_id_len = o->build_id_len;
	for (size_t i = 0; i < s->nr_maps; i++) {
		const struct map *m = &s->maps[i];

		if (m->object != object)
			continue;
		if (m->has_bias && !has_bias)
			p->bias = m->bias;
		has_bias |= m->has_bias;
		if (add_text(p, m))
			return -ENOMEM;
	}
	return 0;
}

static int by_offset(const void *a, const void *b)
{
	const struct mp_attach *x = a, *y = b;

	return (x->offset > y->offset) - (x->offset < y->offset);
}

static bool wants(const struct mp_object *o, const struct mp_function *f, bool allocates)
{
	/* tcmalloc has an mmap and sbrk of its own, which programs then call instead of libc's */
	if (f->family.flags & MP_FAMILY_WRAPPER)
		return o->is_libc || (allocates && f->exported);
	return allocates && !(f->family.flags & MP_FAMILY_UNFIT);
}

static void add_probe(const struct scan *s, size_t object, uint16_t provider,
		      const struct mp_function *f)
{
	const struct mp_object *o = &s->objects[object];
	struct mp_attach *a = &s->out->probes[s->out->nr_probes];

	if (!wants(o, f, s->used[object]) || mp_object__at(o, f->value) != f)
		return;
	if (!f->usable) {
		note(s->out, "%s: %s is no code that can be probed", o->path, f->name);
		return;
	}
	*a = (struct mp_attach){
		.provider = provider,
		.fn = f->family.fn,
		.kind = f->spot.kind,
		.into = f->spot.into,
		.offset = f->offset + f->spot.into,
		.addr = s->out->list[provider].bias + f->value + f->spot.into,
		.size = f->size,
	};
	snprintf(a->symbol, sizeof(a->symbol), "%s", f->name);
	s->out->nr_probes++;
}

/* Two functions that overlap (a hostile or odd file) could give one spot: keep the first. */
static void drop_twins(struct mp_providers *out, size_t first)
{
	size_t keep = first;

	qsort(out->probes + first, out->nr_probes - first, sizeof(*out->probes), by_offset);
	for (size_t i = first; i < out->nr_probes; i++)
		if (keep == first || out->probes[keep - 1].offset != out->probes[i].offset)
			out->probes[keep++] = out->probes[i];
	out->nr_probes = keep;
}

static int add_provider(const struct scan *s, size_t object)
{
	const struct mp_object *o = &s->objects[object];
	struct mp_providers *out = s->out;
	size_t first = out->nr_probes;
	struct mp_provider *list;
	struct mp_attach *probes;
	int err;

	if (out->nr > UINT16_MAX)
		return 0;
	list = reallocarray(out->list, out->nr + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	out->list = list;
	memset(&list[out->nr], 0, sizeof(*list));
	err = fill_provider(s, object, &list[out->nr++]);
	if (err)
		return err;
	probes = reallocarray(out->probes, first + o->nr_functions + 1, sizeof(*probes));
	if (!probes)
		return -ENOMEM;
	out->probes = probes;
	for (size_t i = 0; i < o->nr_functions; i++)
		add_probe(s, object, (uint16_t)(out->nr - 1), &o->functions[i]);
	drop_twins(out, first);
	return 0;
}

static int add_providers(struct scan *s)
{
	int err = 0;

	for (size_t i = 0; !err && i < s->nr_objects; i++)
		if (s->used[i])
			err = add_provider(s, i);
	for (size_t i = 0; !err && i < s->nr_objects; i++)
		if (!s->used[i] && s->objects[i].is_libc && s->objects[i].open_path)
			err = add_provider(s, i);
	return err;
}

static int fail_none(const struct scan *s, struct mp_err *err)
{
	bool dynamic = false;

	for (size_t i = 0; i < s->nr_objects; i++)
		dynamic |= s->objects[i].dynamic != 0;
	if (!s->nr_objects)
		return mp_fail(err, MP_EXIT_FAILED, ENOENT,
			       "process %d: it maps no program; is it a kernel thread or ending?",
			       s->pid);
	if (!dynamic)
		return mp_fail(
			err, MP_EXIT_FAILED, ENOENT,
			"process %d: %s is static and stripped, so its malloc cannot be found; "
			"trace pages and mappings with --alloc=none, or run it unstripped",
			s->pid, s->objects[0].path);
	return mp_fail(err, MP_EXIT_FAILED, ENOENT,
		       "process %d: no object that %s maps defines malloc; "
		       "trace pages and mappings with --alloc=none",
		       s->pid, s->objects[0].path);
}

static int scan_process(struct scan *s, struct mp_err *err)
{
	char name[64];
	int ret;

	ret = read_maps(s, err);
	if (ret)
		return ret;
	snprintf(name, sizeof(name), "/proc/%d/mem", s->pid);
	s->mem = open(name, O_RDONLY | O_CLOEXEC);
	if (s->mem < 0 && (errno == EACCES || errno == EPERM))
		return mp_fail(err, MP_EXIT_LACKS, EACCES,
			       "process %d: its memory may not be read; run as root or with "
			       "CAP_SYS_PTRACE",
			       s->pid);
	if (s->mem < 0)
		return mp_fail(err, MP_EXIT_FAILED, ESRCH, "process %d: it has ended", s->pid);
	for (size_t i = 0; !ret && i < s->nr_objects; i++)
		ret = read_object(s, i);
	if (!ret) {
		decide(s);
		if (!any_used(s))
			return fail_none(s, err);
		ret = add_providers(s);
	}
	if (ret)
		return mp_fail(err, MP_EXIT_FAILED, -ret, "process %d: out of memory", s->pid);
	return 0;
}

int mp_providers_find(pid_t pid, struct mp_providers *out, struct mp_err *err)
{
	struct scan s = { .pid = pid, .mem = -1, .out = out };
	int ret;

	memset(out, 0, sizeof(*out));
	ret = scan_process(&s, err);
	if (s.mem >= 0)
		close(s.mem);
	for (size_t i = 0; i < s.nr_objects; i++)
		mp_object__clear(&s.objects[i]);
	free(s.objects);
	free(s.used);
	free(s.maps);
	if (ret)
		mp_providers_free(out);
	return ret;
}

void mp_providers_free(struct mp_providers *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->nr; i++) {
		free(p->list[i].object);
		free(p->list[i].open_path);
		free(p->list[i].text);
	}
	for (size_t i = 0; i < p->nr_notes; i++)
		free(p->notes[i]);
	free(p->list);
	free(p->probes);
	free(p->notes);
	memset(p, 0, sizeof(*p));
}

bool mp_providers_text(const struct mp_providers *p, uint64_t addr)
{
	for (size_t i = 0; i < p->nr; i++)
		for (size_t k = 0; p->list[i].allocates && k < p->list[i].nr_text; k++)
			if (addr >= p->list[i].text[k].start && addr < p->list[i].text[k].end)
				return true;
	return false;
}
