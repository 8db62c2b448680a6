// SPDX-License-Identifier: GPL-2.0-or-later
/* Any bytes as the libc of a hostile process: its relocations, its data and the code of its malloc. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "collect/glibc_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The last bytes say where malloc and calloc are, how long, and are part of the file too. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("libc", MFD_CLOEXEC);
	struct mp_glibc_code_at at[2] = { 0 };
	struct mp_glibc_file file;
	const char *why = NULL;
	struct mp_elf *e;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	if (size >= sizeof(at))
		memcpy(at, data + size - sizeof(at), sizeof(at));
	if (!mp_elf__open(fd, &e)) {
		int err = mp_glibc_read_file(e, at[0], at[1], &file, &why);

		if (err && !why)
			abort();
		if (!err && file.at.tcache_entries >= 1024)
			abort();
		mp_elf__close(e);
	}
	close(fd);
	return 0;
}
