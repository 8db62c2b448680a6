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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("object", MFD_CLOEXEC);
	struct mp_names *n;
	struct mp_symbol s;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	n = mp_names__open(fd, "/object", "/nonexistent");
	for (size_t at = 0; n && at < size; at += size / 64 + 1) {
		mp_names__find(n, at, &s);
		/* the strings are read to their end */
		if ((s.function && strlen(s.function) > size + 65536) ||
		    (s.file && strlen(s.file) > size + 65536))
			abort();
	}
	mp_names__close(n);
	demangle(data, size);
	return 0;
}
