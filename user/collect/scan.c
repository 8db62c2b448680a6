// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Bounds on what a hostile process can make us keep. */
#define MAX_OBJECTS 4096
#define MAX_MAPS    65536
#define MAX_NOTES   64

void mp_scan_note(struct mp_scan *s, const char *fmt, ...)
{
	char **list;
	char *text;
	va_list ap;
	int n;

	if (s->nr_notes >= MAX_NOTES)
		return;
	list = reallocarray(s->notes, s->nr_notes + 1, sizeof(*list));
	if (!list)
		return;
	s->notes = list;
	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n >= 0)
		list[s->nr_notes++] = text;
}

static int find_object(struct mp_scan *s, const struct mp_file_id *id, const char *path,
		       size_t *index)
{
	struct mp_object *list;
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
	*index = s->nr_objects++;
	memset(&list[*index], 0, sizeof(*list));
	list[*index].id = *id;
	list[*index].path = strdup(path);
	return list[*index].path ? 0 : -ENOMEM;
}

static int add_map(struct mp_scan *s, const struct mp_scan_map *m, const struct mp_file_id *id,
		   const char *path)
{
	struct mp_scan_map *list;
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
static int take_line(struct mp_scan *s, char *line)
{
	struct mp_file_id id;
	struct mp_scan_map m = { 0 };
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

static int read_maps(struct mp_scan *s, struct mp_err *err)
{
	char name[64], *line = NULL;
	size_t size = 0;
	int ret = 0;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/maps", s->pid);
	f = fopen(name, "re");
	if (!f && (errno == EACCES || errno == EPERM))
		return mp_fail(err, MP_EXIT_LACKS, EACCES,
			       "process %d: its mappings may not be read; run as root, with "
			       "CAP_SYS_PTRACE over it",
			       s->pid);
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

bool mp_scan_word(const struct mp_scan *s, uint64_t addr, uint64_t *word)
{
	return pread(s->mem, word, sizeof(*word), (off_t)addr) == sizeof(*word);
}

const struct mp_scan_map *mp_scan_find(const struct mp_scan *s, uint64_t addr)
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

static int open_object(const struct mp_scan *s, size_t object)
{
	struct mp_object *o = &s->objects[object];
	char opened[PATH_MAX + 32];
	int fd = mp_file_open((uint32_t)s->pid, o->path, &o->id, opened, sizeof(opened));

	if (fd < 0)
		return -ENOENT;
	o->open_path = strdup(opened);
	if (o->open_path)
		return fd;
	close(fd);
	return -ENOMEM;
}

static void set_biases(struct mp_scan *s, size_t object, const struct mp_elf *e)
{
	for (size_t i = 0; i < s->nr_maps; i++) {
		struct mp_scan_map *m = &s->maps[i];

		if (m->object == object)
			m->has_bias = !mp_elf__bias(e, m->start, m->offset, &m->bias);
	}
}

static int read_object(struct mp_scan *s, size_t object)
{
	struct mp_object *o = &s->objects[object];
	struct mp_elf *e;
	int fd, err;

	fd = open_object(s, object);
	if (fd == -ENOMEM)
		return fd;
	if (fd < 0) {
		mp_scan_note(s, "%s: the mapped file can no longer be opened", o->path);
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
		mp_scan_note(s, "%s: malloc is an indirect function (IFUNC), not probed", o->path);
	return err == -ENOMEM ? err : 0;
}

static int open_memory(struct mp_scan *s, struct mp_err *err)
{
	char name[64];

	snprintf(name, sizeof(name), "/proc/%d/mem", s->pid);
	s->mem = open(name, O_RDONLY | O_CLOEXEC);
	if (s->mem >= 0)
		return 0;
	if (errno == EACCES || errno == EPERM)
		return mp_fail(err, MP_EXIT_LACKS, EACCES,
			       "process %d: its memory may not be read; run as root, with "
			       "CAP_SYS_PTRACE over it",
			       s->pid);
	return mp_fail(err, MP_EXIT_FAILED, ESRCH, "process %d: it has ended", s->pid);
}

int mp_scan_process(struct mp_scan *s, pid_t pid, struct mp_err *err)
{
	int ret;

	memset(s, 0, sizeof(*s));
	s->pid = pid;
	s->mem = -1;
	ret = read_maps(s, err);
	if (!ret)
		ret = open_memory(s, err);
	if (ret)
		return ret;
	for (size_t i = 0; !ret && i < s->nr_objects; i++)
		ret = read_object(s, i);
	if (ret)
		return mp_fail(err, MP_EXIT_FAILED, -ret, "process %d: out of memory", pid);
	return 0;
}

void mp_scan_clear(struct mp_scan *s)
{
	if (s->mem >= 0)
		close(s->mem);
	for (size_t i = 0; i < s->nr_objects; i++)
		mp_object__clear(&s->objects[i]);
	for (size_t i = 0; i < s->nr_notes; i++)
		free(s->notes[i]);
	free(s->objects);
	free(s->maps);
	free(s->notes);
	memset(s, 0, sizeof(*s));
	s->mem = -1;
}
