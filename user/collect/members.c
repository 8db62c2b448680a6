// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/members.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "collect/cgroup.h"

#define LIST      "cgroup.procs"
#define DEPTH_MAX 64 /* of cgroups below ours: one descriptor each while they are read */

struct mp_members {
	int dir;
};

static bool is_cgroup(int dir)
{
	struct statfs fs;

	return !fstatfs(dir, &fs) &&
	       (fs.f_type == CGROUP2_SUPER_MAGIC || fs.f_type == CGROUP_SUPER_MAGIC);
}

static int open_dir(int at, const char *path)
{
	return openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* -1 with @err. */
static int find_dir(const char *path, struct mp_err *err)
{
	const char *below = path + strspn(path, "/");
	int dir = *path == '/' ? open_dir(AT_FDCWD, path) : -1, mount;
	bool other = dir >= 0;

	if (dir >= 0 && is_cgroup(dir))
		return dir;
	if (dir >= 0)
		close(dir);
	mount = mp_cgroup_mount(2, NULL);
	dir = mount < 0 ? -1 : open_dir(mount, *below ? below : ".");
	if (mount >= 0)
		close(mount);
	if (dir >= 0 && is_cgroup(dir))
		return dir;
	if (dir >= 0)
		close(dir);
	if (other || dir >= 0)
		mp_fail(err, MP_EXIT_FAILED, ENOTDIR,
			"--cgroup %.400s: no cgroup, but a directory of another file system; give one "
			"below /sys/fs/cgroup",
			path);
	else if (mount < 0)
		mp_fail(err, MP_EXIT_LACKS, ENODEV,
			"--cgroup %.400s: no hierarchy of cgroups version 2 is mounted; mount one (mount "
			"-t cgroup2 none /sys/fs/cgroup) or give an absolute path",
			path);
	else
		mp_fail(err, MP_EXIT_FAILED, ENOENT,
			"--cgroup %.400s: no such cgroup; a process's own is in /proc/PID/cgroup, all are "
			"shown by find /sys/fs/cgroup -name " LIST,
			path);
	return -1;
}

/* The list of processes of the cgroup @dir, or NULL and errno. */
static FILE *open_list(int dir)
{
	int fd = openat(dir, LIST, O_RDONLY | O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "re");

	if (fd >= 0 && !f)
		close(fd);
	return f;
}

static int read_list(int dir, int (*fn)(void *ctx, pid_t pid), void *ctx)
{
	FILE *f = open_list(dir);
	int rc = 0, pid;

	if (!f)
		return errno == ENOENT ? -ENODEV : -errno;
	errno = 0;
	while (!rc && fscanf(f, "%d", &pid) == 1)
		if (pid > 0) /* 0: of another PID namespace */
			rc = fn(ctx, pid);
	if (!rc && ferror(f))
		rc = errno ? -errno : -EIO;
	fclose(f);
	return rc;
}

static int read_tree(int dir, int depth, int (*fn)(void *ctx, pid_t pid), void *ctx);

/* One that has gone meanwhile, or is threaded and so lists none of its own, has nothing to tell. */
static int read_child(int dir, const char *name, int depth, int (*fn)(void *ctx, pid_t pid),
		      void *ctx)
{
	int child = open_dir(dir, name), rc;

	if (child < 0)
		return 0;
	rc = read_tree(child, depth, fn, ctx);
	close(child);
	return rc == -ENODEV || rc == -EOPNOTSUPP ? 0 : rc;
}

static int read_tree(int dir, int depth, int (*fn)(void *ctx, pid_t pid), void *ctx)
{
	int rc = read_list(dir, fn, ctx), fd;
	const struct dirent *entry;
	DIR *list;

	if (rc || depth == DEPTH_MAX)
		return rc;
	fd = open_dir(dir, ".");
	list = fd < 0 ? NULL : fdopendir(fd);
	if (!list) {
		rc = errno == ENOENT ? -ENODEV : -errno;
		if (fd >= 0)
			close(fd);
		return rc;
	}
	while (!rc && (entry = readdir(list)))
		if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") &&
		    strcmp(entry->d_name, ".."))
			rc = read_child(dir, entry->d_name, depth + 1, fn, ctx);
	closedir(list);
	return rc;
}

static int nobody(void *ctx, pid_t pid)
{
	(void)ctx, (void)pid;
	return 0;
}

struct mp_members *mp_members__open(const char *path, struct mp_err *err)
{
	struct mp_members *m = calloc(1, sizeof(*m));
	int rc;

	if (!m) {
		mp_fail(err, MP_EXIT_FAILED, ENOMEM, "no memory");
		return NULL;
	}
	m->dir = find_dir(path, err);
	rc = m->dir < 0 ? 0 : read_list(m->dir, nobody, NULL);
	if (m->dir >= 0 && !rc)
		return m;
	if (rc == -EOPNOTSUPP)
		mp_fail(err, MP_EXIT_FAILED, EOPNOTSUPP,
			"--cgroup %.400s: it is threaded: its processes belong to a cgroup above it (the "
			"first whose cgroup.type is \"domain threaded\"); give that one",
			path);
	else if (rc)
		mp_fail(err, rc == -EACCES ? MP_EXIT_LACKS : MP_EXIT_FAILED, -rc,
			"--cgroup %.400s: its processes cannot be read: %s%s", path, strerror(-rc),
			rc == -EACCES ? "; run as root (sudo)" : "");
	mp_members__free(m);
	return NULL;
}

void mp_members__free(struct mp_members *m)
{
	if (m && m->dir >= 0)
		close(m->dir);
	free(m);
}

int mp_members__each(const struct mp_members *m, int (*fn)(void *ctx, pid_t pid), void *ctx)
{
	return read_tree(m->dir, 0, fn, ctx);
}
