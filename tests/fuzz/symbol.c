// SPDX-License-Identifier: GPL-2.0-or-later
/* Any bytes as an object whose names and lines are asked for. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "symbol/demangle.h"
#include "symbol/object.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demangle(const uint8_t *data, size_t size)
{
	char *name = malloc(size + 3);

	if (!name)
		abort();
	memcpy(name, "_Z", 2);
	memcpy(name + 2, data, size);
	name[size + 2] = '\0';
	free(mp_demangle(name));
	free(name);
}

/* Every debug file there is is the object again, and asked for once more. */
static int give_itself(void *ctx, const struct mp_debug_need *need)
{
	if (need->id_len > MP_BUILD_ID_MAX || (need->id_len && !need->id) || !need->name)
		abort();
	return need->index < 2 ? dup(*(int *)ctx) : -1;
}

/* The strings are read to their end. */
static void read_frames(const struct mp_symbol *frames, size_t nr, size_t size)
{
	if (nr > MP_FRAMES_MAX)
		abort();
	for (size_t i = 0; i < nr; i++)
		if ((frames[i].function && strlen(frames[i].function) > size + 65536) ||
		    (frames[i].file && strlen(frames[i].file) > size + 65536))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("object", MFD_CLOEXEC);
	int fd_of_data = dup(fd);
	struct mp_symbol frames[MP_FRAMES_MAX];
	struct mp_names *n;

	if (fd < 0 || fd_of_data < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	n = mp_names__open(fd, "/object", give_itself, &fd_of_data);
	for (size_t at = 0; n && at < size; at += size / 64 + 1)
		read_frames(frames, mp_names__find(n, at, frames, MP_FRAMES_MAX), size);
	mp_names__close(n);
	close(fd_of_data);
	demangle(data, size);
	return 0;
}
