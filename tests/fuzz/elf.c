// SPDX-License-Identifier: GPL-2.0-or-later
/* Any bytes as an object that a hostile process maps: read for its allocator. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "collect/elf.h"
#include "collect/object.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("elf", MFD_CLOEXEC);
	struct mp_object o = { 0 };
	struct mp_elf *e;
	uint64_t bias;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	if (!mp_elf__open(fd, &e)) {
		mp_elf__bias(e, 0x7f0000001000, 0x1000, &bias);
		if (mp_object__read(&o, e))
			abort(); /* only for want of memory */
		for (size_t i = 0; i < o.nr_functions; i++)
			if (o.functions[i].usable && o.functions[i].offset >= size)
				abort();
		mp_object__clear(&o);
		mp_elf__close(e);
	}
	close(fd);
	return 0;
}
