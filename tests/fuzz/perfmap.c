// SPDX-License-Identifier: GPL-2.0-or-later
/* Any bytes as a perf map. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "symbol/perfmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("map", MFD_CLOEXEC);
	struct mp_perfmap *m;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	m = mp_perfmap__read(fd);
	close(fd);
	if (!m)
		abort(); /* only for want of memory */
	for (uint64_t addr = 0; addr < 0x2000; addr += 0x3f) {
		uint64_t start = addr + 1;
		const char *name = mp_perfmap__find(m, addr, &start);

		if (name && (start > addr || !*name || strlen(name) > size || strchr(name, '\n')))
			abort();
	}
	mp_perfmap__free(m);
	return 0;
}
