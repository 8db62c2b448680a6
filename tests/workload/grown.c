// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Mappings that are made, joined, split, grown and moved by known functions. At the end it prints its
 * own /proc/self/maps, and for the memory it asked for "owner START END SITE": who asked for that part.
 * Nothing is read in between by anybody: what a report has at the end follows from the calls alone.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096UL
#define SITE static __attribute__((noipa))
#define RW   (PROT_READ | PROT_WRITE)

static struct owner {
	uintptr_t start, end;
	const char *site;
} owners[256];
static int nr_owners;
static char *base;

static void must(int good)
{
	if (!good) {
		perror("grown");
		_exit(97);
	}
}

static void disown(uintptr_t start, uintptr_t end)
{
	for (int i = nr_owners; i-- > 0;) {
		struct owner *o = &owners[i], tail = { end, o->end, o->site };

		if (o->end <= start || o->start >= end)
			continue;
		if (o->end > end)
			owners[nr_owners++] = tail;
		o->end = o->start < start ? start : o->start;
	}
}

static void own(void *p, size_t n, const char *site)
{
	disown((uintptr_t)p, (uintptr_t)p + n);
	must(nr_owners < 200);
	owners[nr_owners++] = (struct owner){ (uintptr_t)p, (uintptr_t)p + n, site };
}

static void make(int page, int pages, int prot, const char *site)
{
	own(base + page * PAGE, pages * PAGE, site);
	must(mmap(base + page * PAGE, pages * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		  -1, 0) == base + page * PAGE);
}

#define MAKER(name)                                   \
	SITE void name(int page, int pages, int prot) \
	{                                             \
		make(page, pages, prot, __func__);    \
	}

MAKER(site_first)
MAKER(site_second)
MAKER(site_third)
MAKER(site_bridge)
MAKER(site_over)

SITE void site_grows(int page, int from, int to)
{
	own(base + (page + from) * PAGE, (to - from) * PAGE, __func__);
	must(mremap(base + page * PAGE, from * PAGE, to * PAGE, 0) == base + page * PAGE);
}

SITE void site_moves(int page, int from, int where, int to)
{
	disown((uintptr_t)base + page * PAGE, (uintptr_t)base + (page + from) * PAGE);
	own(base + where * PAGE, to * PAGE, __func__);
	must(mremap(base + page * PAGE, from * PAGE, to * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		    base + where * PAGE) == base + where * PAGE);
}

static void drop(int page, int pages)
{
	disown((uintptr_t)base + page * PAGE, (uintptr_t)base + (page + pages) * PAGE);
	must(!munmap(base + page * PAGE, pages * PAGE));
}

static void protect(int page, int pages, int prot)
{
	must(!mprotect(base + page * PAGE, pages * PAGE, prot));
}

static void touch(int page, int pages)
{
	for (int i = 0; i < pages; i++)
		base[(page + i) * PAGE] = 1;
}

SITE void site_brk(int pages)
{
	char *was = sbrk(pages * (intptr_t)PAGE);

	must(was != (void *)-1);
	if (pages > 0)
		own(was, pages * PAGE, __func__);
	else
		disown((uintptr_t)was + pages * (intptr_t)PAGE, (uintptr_t)was);
}

/* The first one makes a heap too. */
SITE void site_malloc(size_t n)
{
	char *was = sbrk(0);
	size_t *block =
		malloc(n); /* the mapping begins with its head: two words, the second its size */

	must(block != NULL);
	own(was, (char *)sbrk(0) - was, __func__);
	own(block - 2, ((block[-1] & ~7UL) + PAGE - 1) & ~(PAGE - 1), __func__);
}

static void steps(void)
{
	site_first(0, 8, RW);
	touch(0, 3);
	site_second(8, 8, RW);
	site_third(16, 4, RW);
	protect(4, 2, PROT_READ); /* in three */
	drop(10, 2);              /* the last of these in two */
	protect(4, 2, RW);        /* and the first three are one again */
	site_grows(12, 8, 12);
	site_over(14, 3, RW); /* in the place of others */
	protect(13, 1, PROT_NONE);
	/* what was touched apart the kernel keeps apart */
	site_first(48, 2, RW);
	site_second(52, 2, RW);
	touch(48, 6 - 4);
	touch(52, 2);
	site_bridge(50, 2, RW);
	site_third(32, 4, RW);
	touch(32, 2);
	site_moves(32, 4, 40, 6);
	site_first(60, 1, PROT_READ);
	site_second(61, 1, PROT_NONE);
	protect(61, 1, PROT_READ);
	must(mprotect(base + 60 * PAGE, 3 * PAGE, PROT_NONE)); /* a hole: so far and no further */
	site_malloc(8UL << 20);
	site_malloc(3UL << 20);
	site_brk(16);
	site_brk(16);
	site_brk(-8);
}

static char text[1 << 16];

static void print(void)
{
	size_t n = 0;
	ssize_t got;
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

	must(fd >= 0);
	while ((got = read(fd, text + n, sizeof(text) - n)) > 0)
		n += got;
	must(write(1, text, n) == (ssize_t)n);
	for (int i = 0; i < nr_owners; i++)
		if (owners[i].start < owners[i].end)
			dprintf(1, "owner %#lx %#lx %s\n", owners[i].start, owners[i].end,
				owners[i].site);
	dprintf(1, "done\n");
}

int main(void)
{
	base = mmap(NULL, 80 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(base != MAP_FAILED && !munmap(base, 80 * PAGE));
	base += 8 * PAGE; /* not beside anything */
	steps();
	print();
	_exit(0);
}
