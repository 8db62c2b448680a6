// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * steps: does a few things to memory and says each as `mallocpath trace` is to say it, in order. What
 * it knows is what malloc returned, and the page frame numbers of its own pagemap.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define BIG (3 << 20)

static uint64_t pfn_of(const void *p)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry = 0;

	if (fd < 0 || pread(fd, &entry, 8, (off_t)((uintptr_t)p / 4096 * 8)) != 8)
		abort();
	close(fd);
	return entry & ((1ULL << 55) - 1);
}

/* Printed at the end, so that stdio's own malloc is not among the steps. */
static char text[4096];
static size_t used;

static void __attribute__((format(printf, 1, 2))) say(const char *fmt, ...)
{
	__builtin_va_list ap;

	__builtin_va_start(ap, fmt);
	used += (size_t)vsnprintf(text + used, sizeof(text) - used, fmt, ap);
	__builtin_va_end(ap);
}

int main(void)
{
	char *volatile small = malloc(12345), *volatile big = malloc(BIG), *volatile map;
	void *again;
	pid_t child;

	say("malloc(12345) = %p\n", small);
	say("mmap(%d) = \n", BIG + 4096);
	say("malloc(%d) = %p mmap\n", BIG, big);
	madvise(big - 16, BIG, MADV_NOHUGEPAGE);
	say("madvise(%p, %d, MADV_NOHUGEPAGE) = 0\n", big - 16, BIG);
	big[5 * 4096] = 1;
	say("fault %p write anon 4.0 KiB pfn 0x%lx\n", big + 5 * 4096, pfn_of(big + 5 * 4096));
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	say("mmap(4096) = %p\n", map);
	say("fault %p read zero 4.0 KiB\n", map + 7 + map[7]);
	map[7] = 1;
	say("fault %p write cow 4.0 KiB pfn 0x%lx\n", map + 7, pfn_of(map));
	munmap(map, 4096);
	say("munmap(%p, 4096) = 0\n", map);
	say("free(%p) 12345 bytes, lived \n", small);
	free(small);
	again = realloc(big, 2 * BIG);
	say("realloc(%p, %d) = %p\n", big, 2 * BIG, again);
	say("free(%p) %d bytes, lived \n", again, 2 * BIG);
	free(again);
	child = fork();
	if (!child)
		_exit(0);
	say("fork = %d, not followed\n", child);
	say("exit 7\n");
	waitpid(child, NULL, 0);
	return write(1, text, used) == (ssize_t)used ? 7 : 1;
}
