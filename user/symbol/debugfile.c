// SPDX-License-Identifier: GPL-2.0-or-later
#include "symbol/debugfile.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char system_dir[] = "/usr/lib/debug";

struct search {
	const struct mp_need *need;
	unsigned int skip;  /* that many hits are not the one wanted */
	int root;           /* the process's, -1: it is ours */
	const char *inside; /* the object's path in that root */
	int fd;             /* the one wanted, -1: not yet */
	char *found;
};

/* What is no ELF file is none of the reader's business, whatever its name led to. */
static bool is_elf(int fd)
{
	char magic[SELFMAG];
	struct stat st;

	return !fstat(fd, &st) && S_ISREG(st.st_mode) && pread(fd, magic, SELFMAG, 0) == SELFMAG &&
	       !memcmp(magic, ELFMAG, SELFMAG);
}

/* Links below a process's root are its own: they must not lead out of it. O_NONBLOCK for FIFOs. */
static int open_below(int root, const char *path)
{
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};

	if (root < 0)
		return open(path, (int)how.flags);
	return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

static void try(struct search *s, int root, const char *path)
{
	int fd;

	if (s->fd >= 0)
		return;
	fd = open_below(root, path);
	if (fd < 0)
		return;
	if (!is_elf(fd) || s->skip) {
		s->skip -= s->skip && is_elf(fd);
		close(fd);
		return;
	}
	s->fd = fd;
	snprintf(s->found, PATH_MAX, "%s", path);
}

static __attribute__((format(printf, 3, 4))) void tryf(struct search *s, int root, const char *fmt,
						       ...)
{
	char path[PATH_MAX];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	if (n > 0 && n < (int)sizeof(path))
		try(s, root, path);
}

static void by_build_id(struct search *s, int root, const char *dir)
{
	char hex[2 * MP_BUILD_ID_MAX + 1];

	if (s->need->id_len < 2 || s->need->id_len > MP_BUILD_ID_MAX)
		return;
	for (size_t i = 0; i < s->need->id_len; i++)
		sprintf(hex + 2 * i, "%02x", s->need->id[i]);
	tryf(s, root, "%s/.build-id/%.2s/%s.debug", dir, hex, hex + 2);
}

/* Length of the directory of @path, without the slash. */
static int dir_len(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (int)(slash - path) : 0;
}

/* A debuglink is a file's name and nothing else. */
static bool plain_name(const char *name)
{
	return *name && !strchr(name, '/') && strcmp(name, ".") && strcmp(name, "..");
}

static const char *object_path(const struct search *s, int root)
{
	return root >= 0 ? s->inside : s->need->path;
}

static void beside_object(struct search *s, int root)
{
	const char *path = object_path(s, root), *name = s->need->name;

	tryf(s, root, "%.*s/%s", dir_len(path), path, name);
	tryf(s, root, "%.*s/.debug/%s", dir_len(path), path, name);
}

static void below_dir(struct search *s, int root, const char *dir)
{
	const char *path = object_path(s, root), *name = s->need->name;

	tryf(s, root, "%s%.*s/%s", dir, dir_len(path), path, name);
}

/* An alternate file is named by a path, absolute or from the file that needs it. */
static void by_alt_name(struct search *s, int root)
{
	const char *name = s->need->name, *from = s->need->beside, *path = object_path(s, root);

	if (name[0] == '/') {
		try(s, root, name);
		return;
	}
	if (*name && *from)
		tryf(s, root, "%.*s/%s", dir_len(from), from, name);
	if (*name && path[0] == '/')
		tryf(s, root, "%.*s/%s", dir_len(path), path, name);
}

static void search(struct search *s, const char *const *dirs)
{
	bool inside = s->root >= 0, link = s->need->kind == MP_NEED_DEBUG;

	for (size_t i = 0; dirs[i]; i++)
		by_build_id(s, -1, dirs[i]);
	if (inside)
		by_build_id(s, s->root, system_dir);
	by_build_id(s, -1, system_dir);
	if (!link) {
		if (inside)
			by_alt_name(s, s->root);
		by_alt_name(s, -1);
		return;
	}
	if (!plain_name(s->need->name))
		return;
	if (inside)
		beside_object(s, s->root);
	beside_object(s, -1);
	for (size_t i = 0; dirs[i]; i++) {
		below_dir(s, -1, dirs[i]);
		tryf(s, -1, "%s/%s", dirs[i], s->need->name);
	}
	if (inside)
		below_dir(s, s->root, system_dir);
	below_dir(s, -1, system_dir);
}

/*
 * maps tells an object's path from our root if it can be reached from there, as that of a chroot; of
 * a container it is from the container's own.
 */
static const char *path_inside(const struct mp_need *need)
{
	char link[32], root[PATH_MAX];
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/%u/root", need->tgid);
	len = readlink(link, root, sizeof(root));
	if (len > 1 && len < (ssize_t)sizeof(root) && !strncmp(need->path, root, (size_t)len) &&
	    need->path[len] == '/')
		return need->path + len;
	return need->path;
}

static int open_root(uint32_t tgid)
{
	struct stat theirs, ours;
	char path[32];
	int fd;

	if (!tgid)
		return -1;
	snprintf(path, sizeof(path), "/proc/%u/root", tgid);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (!fstat(fd, &theirs) && !stat("/", &ours) &&
	    (theirs.st_dev != ours.st_dev || theirs.st_ino != ours.st_ino))
		return fd;
	close(fd);
	return -1;
}

int mp_debugfile_open(const struct mp_need *need, const char *const *dirs, unsigned int index,
		      char found[PATH_MAX])
{
	struct search s = { .need = need, .skip = index, .fd = -1, .found = found };

	s.root = open_root(need->tgid);
	s.inside = s.root >= 0 ? path_inside(need) : need->path;
	search(&s, dirs);
	if (s.root >= 0)
		close(s.root);
	return s.fd < 0 ? -ENOENT : s.fd;
}
