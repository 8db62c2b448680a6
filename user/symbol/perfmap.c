// SPDX-License-Identifier: GPL-2.0-or-later
#include "symbol/perfmap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* What is beyond is not read: a compiler that ran for days writes some 100000 lines. */
#define MAX_BYTES   (256U << 20)
#define MAX_ENTRIES (4U << 20)
/* Entries looked back at for one that spans the address; more overlap only in made-up files. */
#define MAX_BACK 64

/* ---- finding it ---------------------------------------------------------------------------- */

struct owner {
	unsigned int uid, pid; /* @pid: in its own name space */
	time_t started;
};

static time_t start_time(uint32_t tgid)
{
	unsigned long long ticks = 0;
	struct timespec now, up;
	char path[32], line[1024], *rest;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%u/stat", tgid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	rest = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
	fclose(f);
	/* field 22; the second, the name, may hold anything */
	if (!rest || sscanf(rest,
			    ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d "
			    "%*d %*d %*d %*d %llu",
			    &ticks) != 1)
		return 0;
	clock_gettime(CLOCK_REALTIME, &now);
	clock_gettime(CLOCK_BOOTTIME, &up);
	return now.tv_sec - up.tv_sec + (time_t)(ticks / (unsigned long long)sysconf(_SC_CLK_TCK));
}

/* False: it has ended. */
static bool read_owner(uint32_t tgid, struct owner *o)
{
	char path[32], *line = NULL, *last;
	size_t size = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%u/status", tgid);
	f = fopen(path, "re");
	if (!f)
		return false;
	o->pid = tgid;
	o->uid = 0;
	while (getline(&line, &size, f) >= 0) {
		sscanf(line, "Uid: %u", &o->uid);
		last = strrchr(line, '\t');
		if (!strncmp(line, "NSpid:", 6) && last)
			o->pid = (unsigned int)strtoul(last, NULL, 10);
	}
	free(line);
	fclose(f);
	o->started = start_time(tgid);
	return true;
}

static int open_in_root(uint32_t tgid, unsigned int pid)
{
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	char path[48];
	int root, fd;

	snprintf(path, sizeof(path), "/proc/%u/root", tgid);
	root = open(tgid ? path : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -1;
	snprintf(path, sizeof(path), "tmp/perf-%u.map", pid);
	fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	close(root);
	return fd;
}

int mp_perfmap_open(uint32_t tgid)
{
	struct owner o = { .uid = getuid(), .pid = tgid };
	bool lives = read_owner(tgid, &o);
	int fd = open_in_root(lives ? tgid : 0, o.pid);
	struct stat st;
	int rc = 0;

	if (fd < 0)
		return -ENOENT;
	/* anybody may have put one into /tmp before; a second for clocks that are read in turn */
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (st.st_uid && st.st_uid != o.uid))
		rc = -EPERM;
	else if (lives && st.st_mtime + 1 < o.started)
		rc = -ESTALE;
	if (!rc)
		return fd;
	close(fd);
	return rc;
}

/* ---- reading it ---------------------------------------------------------------------------- */

struct entry {
	uint64_t start, end;
	const char *name;
	uint32_t order; /* of writing: code is thrown away and its place used again */
};

struct mp_perfmap {
	char *text;
	struct entry *entries; /* by start, then by order */
	size_t nr;
};

static char *read_text(int fd)
{
	size_t size = 0, room = 65536;
	char *text = malloc(room + 1), *more;
	ssize_t n;

	while (text && (n = pread(fd, text + size, room - size, (off_t)size)) > 0) {
		size += (size_t)n;
		if (size < room)
			continue;
		more = room < MAX_BYTES ? realloc(text, 2 * room + 1) : NULL;
		if (!more)
			break;
		text = more;
		room *= 2;
	}
	/* a zero byte ends it: what follows is not text */
	if (text)
		text[size] = '\0';
	return text;
}

static const char *parse_hex(const char *s, uint64_t *n)
{
	unsigned int digits = 0;

	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X'))
		s += 2;
	for (*n = 0; digits <= 16; digits++, s++) {
		if (*s >= '0' && *s <= '9')
			*n = *n << 4 | (uint64_t)(*s - '0');
		else if ((*s | 32) >= 'a' && (*s | 32) <= 'f')
			*n = *n << 4 | (uint64_t)((*s | 32) - 'a' + 10);
		else
			break;
	}
	return digits && digits <= 16 && *s == ' ' ? s + 1 : NULL;
}

static bool parse_line(const char *line, struct entry *e)
{
	uint64_t size;

	line = parse_hex(line, &e->start);
	line = line ? parse_hex(line, &size) : NULL;
	if (!line || !*line || !size || e->start + size < e->start)
		return false;
	e->end = e->start + size;
	e->name = line;
	return true;
}

static int by_start(const void *p, const void *q)
{
	const struct entry *a = p, *b = q;

	if (a->start != b->start)
		return a->start > b->start ? 1 : -1;
	return (a->order > b->order) - (a->order < b->order);
}

/* Of those with the same start the one written last stays. */
static void sort(struct mp_perfmap *m)
{
	size_t keep = 0;

	if (!m->nr)
		return;
	qsort(m->entries, m->nr, sizeof(*m->entries), by_start);
	for (size_t i = 0; i < m->nr; i++) {
		if (keep && m->entries[keep - 1].start == m->entries[i].start)
			keep--;
		m->entries[keep++] = m->entries[i];
	}
	m->nr = keep;
}

struct mp_perfmap *mp_perfmap__read(int fd)
{
	struct mp_perfmap *m = calloc(1, sizeof(*m));
	size_t lines = 1;
	char *rest, *line;

	if (m)
		m->text = read_text(fd);
	if (!m || !m->text)
		goto fail;
	for (const char *s = m->text; (s = strchr(s, '\n')) && lines < MAX_ENTRIES; s++)
		lines++;
	m->entries = calloc(lines, sizeof(*m->entries));
	if (!m->entries)
		goto fail;
	rest = m->text;
	while (m->nr < lines && (line = strsep(&rest, "\n"))) {
		m->entries[m->nr].order = (uint32_t)m->nr;
		m->nr += parse_line(line, &m->entries[m->nr]);
	}
	sort(m);
	return m;
fail:
	mp_perfmap__free(m);
	return NULL;
}

void mp_perfmap__free(struct mp_perfmap *m)
{
	if (!m)
		return;
	free(m->entries);
	free(m->text);
	free(m);
}

const char *mp_perfmap__find(const struct mp_perfmap *m, uint64_t addr, uint64_t *start)
{
	const struct entry *best = NULL;
	size_t lo = 0, hi = m->nr;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->entries[mid].start <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (int back = 0; lo > 0 && back < MAX_BACK; back++) {
		const struct entry *e = &m->entries[--lo];

		if (addr < e->end && (!best || e->order > best->order))
			best = e;
	}
	if (!best)
		return NULL;
	*start = best->start;
	return best->name;
}
