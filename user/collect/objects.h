/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which build of which file is executed: told once for each file, so that names can be found later. */
#ifndef MP_COLLECT_OBJECTS_H
#define MP_COLLECT_OBJECTS_H

#include <stddef.h>
#include <sys/types.h>

#include "base/file.h"
#include "collect/emit.h"

struct mp_objects {
	mp_emit_fn emit; /* NULL: nobody is told */
	void *ctx;
	struct mp_file_id *told;
	size_t nr, cap;
};

/* @path as @pid sees it. What cannot be told (no memory) is not. */
void mp_objects_tell(struct mp_objects *o, pid_t pid, const char *path, const struct mp_file_id *id,
		     const uint8_t *build_id, uint32_t len);

#endif
