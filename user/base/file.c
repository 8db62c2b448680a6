// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* One line of a maps file: its range, and true if it shows the file @id. */
static bool parse_line(const char *line, const struct mp_file_id *id, uint64_t *start,
		       uint64_t *end)
{
	unsigned int maj, min;
	uint64_t ino;

	return sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*x %x:%x %" SCNu64, start, end, &maj,
		      &min, &ino) == 5 &&
	       maj == id->dev_major && min == id->dev_minor && ino == id->ino;
}

static bool maps_say(const void *addr, const struct mp_file_id *id)
{
	FILE *f = fopen("/proc/self/maps", "re");
	uint64_t start, end;
	bool found = false;
	char *line = NULL;
	size_t size = 0;

	if (!f)
		return false;
	while (!found && getline(&line, &size, f) >= 0)
		found = parse_line(line, id, &start, &end) && start == (uintptr_t)addr;
	free(line);
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

/* O_NONBLOCK: the name may by now be a FIFO or a device of the target's making. */
static int open_checked(const char *path, const struct mp_file_id *id)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd >= 0 && !mp_file_is(fd, id)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* The file was replaced or deleted since (an upgrade): reach it by the mapping itself. */
static int open_mapped(uint32_t tgid, const struct mp_file_id *id, char *via, size_t via_size)
{
	char name[64], *line = NULL;
	uint64_t start, end;
	size_t size = 0;
	int fd = -1;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%u/maps", tgid);
	f = fopen(name, "re");
	if (!f)
		return -1;
	while (fd < 0 && getline(&line, &size, f) >= 0) {
		if (!parse_line(line, id, &start, &end))
			continue;
		snprintf(via, via_size, "/proc/%u/map_files/%" PRIx64 "-%" PRIx64, tgid, start,
			 end);
		fd = open_checked(via, id);
	}
	free(line);
	fclose(f);
	return fd;
}

int mp_file_open(uint32_t tgid, const char *path, const struct mp_file_id *id, char *opened,
		 size_t opened_size)
{
	char via[PATH_MAX + 32];
	int fd = -1;

	if (path[0] != '/')
		return -ENOENT;
	if (tgid && snprintf(via, sizeof(via), "/proc/%u/root%s", tgid, path) < (int)sizeof(via))
		fd = open_checked(via, id);
	if (fd < 0 && tgid)
		fd = open_mapped(tgid, id, via, sizeof(via));
	if (fd < 0 && snprintf(via, sizeof(via), "%s", path) < (int)sizeof(via))
		fd = open_checked(via, id);
	if (fd < 0)
		return -ENOENT;
	if (opened)
		snprintf(opened, opened_size, "%s", via);
	return fd;
}
