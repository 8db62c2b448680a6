// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fills its cgroup with the cache of a file, which can be reclaimed, and then wants that memory.
 *
 * usage: scarce FILE MIB       tells when the cache is full, goes on at a line, tells when it is done
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB 1048576UL

__attribute__((noipa)) static void *site_wants(size_t n)
{
	void *p = malloc(n);

	return p ? memset(p, 1, n) : p;
}

static void fill_cache(const char *path, size_t mib)
{
	static char bytes[65536];
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	for (size_t i = 0; i < mib * MIB / sizeof(bytes); i++)
		if (fd < 0 || write(fd, bytes, sizeof(bytes)) != sizeof(bytes))
			exit(2);
	if (fsync(fd) || lseek(fd, 0, SEEK_SET))
		exit(2);
	while (read(fd, bytes, sizeof(bytes)) > 0)
		;
	close(fd);
}

static void tell_and_wait(const char *word)
{
	char line[16];

	puts(word);
	fflush(stdout);
	if (read(STDIN_FILENO, line, sizeof(line)) <= 0)
		exit(2);
}

int main(int argc, char **argv)
{
	size_t mib = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;

	if (!mib)
		return 2;
	fill_cache(argv[1], mib);
	tell_and_wait("full");
	for (size_t i = 0; i < mib; i++)
		site_wants(MIB / 2);
	tell_and_wait("done");
	return 0;
}
