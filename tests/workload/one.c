// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * one: asks for one block of 100,000 bytes, touches the byte 50,000 of it, says where that is and its
 * page frame number, and ends with its stdin.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void)
{
	char *volatile block = malloc(100000), c;
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry;

	if (!block || fd < 0)
		return 1;
	block[50000] = 1;
	if (pread(fd, &entry, 8, (off_t)((uintptr_t)(block + 50000) / 4096 * 8)) != 8)
		return 1;
	printf("%p 0x%lx\n", block, entry & ((1UL << 55) - 1));
	fflush(stdout);
	return read(0, &c, 1) != 0;
}
