// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/tracefs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_fsopen
#define SYS_fsopen   430
#define SYS_fsconfig 431
#define SYS_fsmount  432
#endif
#define CMD_CREATE 6 /* FSCONFIG_CMD_CREATE, include/uapi/linux/mount.h */

static int open_detached(void)
{
	int fs = syscall(SYS_fsopen, "tracefs", 1), mnt = -1;

	if (fs < 0)
		return -errno;
	if (!syscall(SYS_fsconfig, fs, CMD_CREATE, NULL, NULL, 0))
		mnt = syscall(SYS_fsmount, fs, 1, 0);
	if (mnt < 0)
		mnt = -errno;
	close(fs);
	return mnt;
}

static int tracefs(void)
{
	static int root = -1;

	if (root < 0)
		root = open("/sys/kernel/tracing/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root >= 0 && !faccessat(root, "events", F_OK, 0))
		return root;
	if (root >= 0)
		close(root);
	root = open_detached();
	return root;
}

int64_t mp_tracefs_id(const char *group, const char *prefix, const char *name)
{
	char path[256], text[32] = "";
	int root = tracefs(), fd;
	ssize_t n;

	if (root < 0)
		return root;
	snprintf(path, sizeof(path), "events/%s/%s%s/id", group, prefix, name);
	fd = openat(root, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n > 0 ? atoll(text) : -EIO;
}
