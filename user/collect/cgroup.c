// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOT_KNOWN (~0ULL)
/* Version 1 tells "no limit" as the most its counters hold, in whole pages. */
#define LIMITLESS (1ULL << 62)

struct files {
	const char *limit, *usage, *peak;
	/* the file and the word in it before the number; "": the number is all there is */
	const char *hits[2], *ooms[2], *kills[2];
};

/* Documentation/admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst */
static const struct files versions[] = {
	[1] = { "memory.limit_in_bytes",
		"memory.usage_in_bytes",
		"memory.max_usage_in_bytes",
		{ "memory.failcnt", "" },
		{ NULL, "" },
		{ "memory.oom_control", "oom_kill" } },
	[2] = { "memory.max",
		"memory.current",
		"memory.peak",
		{ "memory.events", "max" },
		{ "memory.events", "oom" },
		{ "memory.events", "oom_kill" } },
};

struct mp_cgroup {
	int dir, version;
	uint64_t limit, ooms, kills;
	char path[PATH_MAX];
};

/* The number after @word, alone on its line; NOT_KNOWN if there is none ("max"). */
static uint64_t number(int dir, const char *file, const char *word)
{
	uint64_t value = NOT_KNOWN;
	char text[1024], *line, *rest, *end;
	size_t len = strlen(word);
	int fd = file ? openat(dir, file, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return NOT_KNOWN;
	text[n] = '\0';
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (strncmp(line, word, len) || (len && line[len] != ' '))
			continue;
		value = strtoull(line + len, &end, 10);
		return end == line + len || *end ? NOT_KNOWN : value;
	}
	return NOT_KNOWN;
}

static uint64_t limit_of(int dir, int version)
{
	uint64_t limit = number(dir, versions[version].limit, "");

	return limit < LIMITLESS ? limit : NOT_KNOWN;
}

static bool has_word(const char *list, const char *word)
{
	const char *at = list;
	size_t len = strlen(word);

	while ((at = strstr(at, word))) {
		if ((at == list || at[-1] == ',') && (!at[len] || at[len] == ','))
			return true;
		at += len;
	}
	return false;
}

/*
 * Of a line of /proc/PID/cgroup, "ID:CONTROLLERS:PATH": the path, if the memory controller is there.
 * Version 2 names none.
 */
static char *path_in(char *line, int *version)
{
	char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;

	if (!path || path[1] != '/')
		return NULL;
	*path++ = '\0';
	path[strcspn(path, "\n")] = '\0';
	*version = list[1] ? 1 : 2;
	return *version == 2 || has_word(list + 1, "memory") ? path : NULL;
}

/*
 * Of a line of /proc/self/mountinfo, "ID PARENT DEV ROOT POINT OPTIONS ... - TYPE SOURCE OPTIONS": where
 * the hierarchy is mounted, and which of its directories is there. Blanks in names are "\040"; such a
 * mount point is not looked for.
 */
static bool mounted(char *line, int version, char *root, char *point)
{
	const char *rest = strstr(line, " - ");
	char type[32], options[512];

	if (!rest || sscanf(rest, " - %31s %*s %511s", type, options) != 2 ||
	    sscanf(line, "%*s %*s %*s %4095s %4095s", root, point) != 2)
		return false;
	if (version == 2)
		return !strcmp(type, "cgroup2");
	return !strcmp(type, "cgroup") && has_word(options, "memory");
}

int mp_cgroup_mount(int version, size_t *above)
{
	char line[3 * PATH_MAX], root[PATH_MAX], point[PATH_MAX];
	FILE *f = fopen("/proc/self/mountinfo", "re");
	int fd = -1;

	while (f && fd < 0 && fgets(line, sizeof(line), f)) {
		if (!mounted(line, version, root, point))
			continue;
		if (above)
			*above = strcmp(root, "/") ? strlen(root) : 0;
		fd = open(point, O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	if (f)
		fclose(f);
	return fd;
}

static void consider(struct mp_cgroup *cg, int mount, const char *path)
{
	int dir = openat(mount, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t limit = dir < 0 ? NOT_KNOWN : limit_of(dir, cg->version);

	if (limit >= cg->limit) {
		if (dir >= 0)
			close(dir);
		return;
	}
	if (cg->dir >= 0)
		close(cg->dir);
	cg->dir = dir;
	cg->limit = limit;
	snprintf(cg->path, sizeof(cg->path), "/%s", path);
}

/* From @path, which begins with '/', upwards; it is cut on the way. */
static void find_least(struct mp_cgroup *cg, char *path)
{
	size_t above = 0, len;
	int mount = mp_cgroup_mount(cg->version, &above);

	if (mount < 0)
		return;
	if (strlen(path) >= above)
		path += above;
	path += *path == '/';
	while ((len = strlen(path))) {
		consider(cg, mount, path);
		while (len && path[len] != '/')
			len--;
		path[len] = '\0';
	}
	consider(cg, mount, path);
	close(mount);
}

static void count_now(struct mp_cgroup *cg)
{
	const struct files *f = &versions[cg->version];

	cg->ooms = number(cg->dir, f->ooms[0], f->ooms[1]);
	cg->kills = number(cg->dir, f->kills[0], f->kills[1]);
}

struct mp_cgroup *mp_cgroup__open(pid_t pid)
{
	struct mp_cgroup *cg = calloc(1, sizeof(*cg));
	char file[64], line[PATH_MAX + 256];
	int version;
	FILE *f;

	if (!cg)
		return NULL;
	cg->dir = -1;
	cg->limit = NOT_KNOWN;
	snprintf(file, sizeof(file), "/proc/%d/cgroup", pid);
	f = fopen(file, "re");
	while (f && cg->dir < 0 && fgets(line, sizeof(line), f)) {
		char *path = path_in(line, &version);

		if (!path)
			continue;
		cg->version = version;
		find_least(cg, path);
	}
	if (f)
		fclose(f);
	if (cg->dir < 0) {
		free(cg);
		return NULL;
	}
	count_now(cg);
	return cg;
}

void mp_cgroup__free(struct mp_cgroup *cg)
{
	if (cg)
		close(cg->dir);
	free(cg);
}

const char *mp_cgroup__path(const struct mp_cgroup *cg)
{
	return cg->path;
}

uint64_t mp_cgroup__limit(const struct mp_cgroup *cg)
{
	return cg->limit;
}

uint64_t mp_cgroup__room(const struct mp_cgroup *cg)
{
	uint64_t used = number(cg->dir, versions[cg->version].usage, "");
	uint64_t files = number(cg->dir, "memory.stat", "inactive_file");

	if (used == NOT_KNOWN)
		return cg->limit;
	if (files != NOT_KNOWN)
		used -= files < used ? files : used;
	return used < cg->limit ? cg->limit - used : 0;
}

bool mp_cgroup__ran_out(struct mp_cgroup *cg)
{
	struct mp_cgroup was = *cg;

	count_now(cg);
	if (cg->kills == NOT_KNOWN) /* it is gone */
		cg->kills = was.kills;
	if (cg->ooms == NOT_KNOWN)
		cg->ooms = was.ooms;
	return cg->ooms != was.ooms || cg->kills != was.kills;
}

struct told { /* MP_EV_CGROUP with its path */
	struct mp_ev_cgroup ev;
	char path[PATH_MAX];
};
_Static_assert(sizeof(struct told) % 8 == 0, "wire format");

int mp_cgroup__tell(struct mp_cgroup *cg, pid_t pid, mp_emit_fn emit, void *ctx)
{
	const struct files *f = &versions[cg->version];
	uint64_t limit = limit_of(cg->dir, cg->version);
	struct told t = { .ev.h = { .type = MP_EV_CGROUP, .tgid = pid } };

	if (limit == NOT_KNOWN)
		return 0;
	cg->limit = limit;
	t.ev.limit_bytes = limit;
	t.ev.usage_bytes = number(cg->dir, f->usage, "");
	t.ev.peak_bytes = number(cg->dir, f->peak, "");
	t.ev.limit_hits = number(cg->dir, f->hits[0], f->hits[1]);
	t.ev.ooms = number(cg->dir, f->ooms[0], f->ooms[1]);
	t.ev.oom_kills = number(cg->dir, f->kills[0], f->kills[1]);
	t.ev.version = (uint32_t)cg->version;
	memcpy(t.path, cg->path, sizeof(t.path));
	t.ev.h.size = (sizeof(t.ev) + strlen(t.path) + 1 + 7) & ~7;
	t.ev.h.ts_ns = mp_mono_ns();
	return emit(ctx, &t.ev.h);
}
