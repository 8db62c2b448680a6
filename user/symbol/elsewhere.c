// SPDX-License-Identifier: GPL-2.0-or-later
#include "symbol/elsewhere.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "symbol/debugfile.h"

#define SYSTEM_DIR "/usr/lib/debug"

static int open_regular(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode))
		return fd;
	if (fd >= 0)
		close(fd);
	return -ENOENT;
}

/* The @which-th place in @dir. */
static int open_in(const char *dir, unsigned int which, const char *path, const uint8_t *id,
		   size_t id_len)
{
	char hex[2 * MP_BUILD_ID_MAX + 1], name[PATH_MAX];
	int n;

	for (size_t i = 0; i < id_len; i++)
		sprintf(hex + 2 * i, "%02x", id[i]);
	if (which == 0)
		n = snprintf(name, sizeof(name), "%s%s", dir, path);
	else
		n = snprintf(name, sizeof(name), "%s/.build-id/%.2s/%s", dir, hex, hex + 2);
	return n < (int)sizeof(name) ? open_regular(name) : -ENOENT;
}

int mp_elsewhere_open(const char *path, const uint8_t *id, size_t id_len, const char *const *dirs,
		      unsigned int *index)
{
	int fd;

	if (path[0] != '/' || id_len < 2 || id_len > MP_BUILD_ID_MAX)
		return -ENOENT;
	for (;; ++*index) {
		const char *dir = *index ? dirs[(*index - 1) / 2] : "";

		if (*index == 0)
			fd = open_regular(path);
		else
			fd = open_in(dir ? dir : SYSTEM_DIR, (*index - 1) % 2, path, id, id_len);
		if (fd >= 0)
			return fd;
		if (!dir && *index % 2 == 0)
			return -ENOENT;
	}
}
