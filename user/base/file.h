/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Opening exactly the file that a mapping of some process shows. */
#ifndef MP_BASE_FILE_H
#define MP_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mp_file_id { /* as /proc/PID/maps prints it */
	uint32_t dev_major, dev_minor;
	uint64_t ino;
};

/*
 * True if @fd is the file @id. On btrfs and some overlays stat(2) tells another device than maps
 * does; then one page is mapped here and our own maps are asked.
 */
bool mp_file_is(int fd, const struct mp_file_id *id);

/*
 * Opens @path as process @tgid sees it (through /proc/TGID/root), or by a mapping of it that the
 * process has, or plainly; with @tgid 0 only plainly. The first regular file with identity @id is
 * taken. Returns a descriptor and, if @opened is not NULL, the path that led to it; or -ENOENT.
 */
int mp_file_open(uint32_t tgid, const char *path, const struct mp_file_id *id, char *opened,
		 size_t opened_size);

#endif
