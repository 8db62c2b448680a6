// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static bool maps_say(const void *addr, const struct mp_file_id *id)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	bool found = false;

	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f)) {
		uint64_t start, ino;
		unsigned int maj, min;

		if (sscanf(line, "%" SCNx64 "-%*x %*s %*x %x:%x %" SCNu64, &start, &maj, &min,
			   &ino) != 4)
			continue;
		if (start != (uint64_t)(uintptr_t)addr)
			continue;
		found = maj == id->dev_major && min == id->dev_minor && ino == id->ino;
		break;
	}
	fclose(f);
	return found;
}

bool mp_file_is(int fd, const struct mp_file_id *id)
{
	struct stat st;
	void *page;
	bool same;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size == 0)
		return false;
	if (st.st_ino != id->ino)
		return false;
	if (major(st.st_dev) == id->dev_major && minor(st.st_dev) == id->dev_minor)
		return true;
	page = mmap(NULL, 1, PROT_READ, MAP_PRIVATE, fd, 0);
	if (page == MAP_FAILED)
		return false;
	same = maps_say(page, id);
	munmap(page, 1);
	return same;
}

int mp_file_open(uint32_t tgid, const char *path, const struct mp_file_id *id, char *opened,
		 size_t opened_size)
{
	char via[PATH_MAX + 32];

	if (path[0] != '/')
		return -ENOENT;
	for (int plain = tgid ? 0 : 1; plain < 2; plain++) {
		int fd, n;

		n = plain ? snprintf(via, sizeof(via), "%s", path)
			  : snprintf(via, sizeof(via), "/proc/%u/root%s", tgid, path);
		if (n < 0 || (size_t)n >= sizeof(via))
			continue;
		/* O_NONBLOCK: the name may by now be a FIFO or a device of the target's making */
		fd = open(via, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		if (fd < 0)
			continue;
		if (mp_file_is(fd, id)) {
			if (opened)
				snprintf(opened, opened_size, "%s", via);
			return fd;
		}
		close(fd);
	}
	return -ENOENT;
}
