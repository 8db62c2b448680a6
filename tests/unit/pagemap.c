// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A stopped child with a layout we made, page for page: what must be told of it follows from the
 * layout, the PFNs from a plain reading of pagemap one entry at a time.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "collect/pagemap.h"
#include "trace/trace.h"

#define PAGES      2048UL
#define PAGE       4096UL
#define HUGE_BYTES (2UL << 20)
#define HOLE_BYTES (3UL << 40) /* more pages than one event can tell */

/* What the test knows of its child's memory. */
static struct {
	pid_t pid;
	char *mixed;  /* PAGES: written where wanted_state() says so, read where it says zero */
	char *huge;   /* two huge pages: one written, one only read */
	char *file;   /* 8 pages of a private file mapping; 2 and 5 written */
	char *shared; /* written, but shared: not told */
	char *hole;   /* HOLE_BYTES without access, one page in the middle written before */
	char *empty;  /* the same without that page */
} child;

enum { ABSENT, ZERO, WRITTEN };

/* Runs of every length around the thresholds, alone and side by side. */
static int wanted_state(unsigned long page)
{
	if (page < 64)
		return page % 2 ? WRITTEN : ABSENT;
	if (page < 128)
		return page % 7 < 2 ? ZERO : page % 7 < 4 ? ABSENT : WRITTEN;
	if (page < 512)
		return page / 17 % 3;
	if (page < 1024)
		return page / 3 % 2 ? WRITTEN : ABSENT;
	return page < 1600 ? WRITTEN : page < 1900 ? ABSENT : ZERO;
}

static char *reserve(size_t len, int prot, int flags, int fd)
{
	char *p = mmap(NULL, len, prot, flags, fd, 0);

	assert_true(p != MAP_FAILED);
	return p;
}

static char *aligned_huge(void)
{
	char *p = reserve(4 * HUGE_BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);

	p = (char *)(((uintptr_t)p + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1));
	madvise(p, 2 * HUGE_BYTES, MADV_HUGEPAGE);
	return p;
}

static void touch(volatile char *p, int state)
{
	if (state == WRITTEN)
		*p = 1;
	else if (state == ZERO)
		(void)*p;
}

static void __attribute__((noreturn)) be_child(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned long i = 0; i < PAGES; i++)
		touch(child.mixed + i * PAGE, wanted_state(i));
	touch(child.huge, WRITTEN);
	touch(child.huge + HUGE_BYTES, ZERO);
	for (unsigned long i = 0; i < 8; i++)
		touch(child.file + i * PAGE, i == 2 || i == 5 ? WRITTEN : ZERO);
	touch(child.shared, WRITTEN);
	mprotect(child.hole + HOLE_BYTES / 2, PAGE, PROT_READ | PROT_WRITE);
	touch(child.hole + HOLE_BYTES / 2, WRITTEN);
	mprotect(child.hole + HOLE_BYTES / 2, PAGE, PROT_NONE);
	raise(SIGSTOP);
	munmap(child.hole, HOLE_BYTES);
	raise(SIGSTOP);
	_exit(0);
}

static uint64_t raw_at(const char *addr)
{
	char path[64];
	uint64_t raw;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", child.pid);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &raw, 8, (off_t)((uintptr_t)addr / PAGE * 8)), 8);
	close(fd);
	return raw;
}

static uint64_t raw_pfn(const char *addr)
{
	return raw_at(addr) & ((1ULL << 55) - 1);
}

/* AnonHugePages of the VMA at @addr: the kernel's own word for PMD mappings. */
static unsigned long huge_kb(const char *addr)
{
	unsigned long start, end, kb = 0, found = 0;
	char path[64], line[8192];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps", child.pid);
	f = fopen(path, "r");
	assert_non_null(f);
	while (!found && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			kb = start <= (uintptr_t)addr && (uintptr_t)addr < end;
		else if (kb == 1 && sscanf(line, "AnonHugePages: %lu", &found) == 1)
			break;
	}
	fclose(f);
	return found;
}

static int set_up(void **state)
{
	char path[] = "/var/tmp/mallocpath-XXXXXX";
	int fd = mkstemp(path), status;
	int private = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

	(void)state;
	unlink(path);
	assert_int_equal(geteuid(), 0); /* PFNs are shown to root only: no privilege, no pass */
	assert_int_equal(ftruncate(fd, 8 * PAGE), 0);
	child.mixed = reserve(PAGES * PAGE, PROT_READ | PROT_WRITE, private, -1);
	madvise(child.mixed, PAGES * PAGE, MADV_NOHUGEPAGE);
	child.huge = aligned_huge();
	child.file = reserve(8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
	child.shared = reserve(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
	child.hole = reserve(HOLE_BYTES, PROT_NONE, private, -1);
	child.empty = reserve(HOLE_BYTES, PROT_NONE, private, -1);
	/* no neighbour may be merged with it */
	assert_int_equal(mprotect(child.empty, PAGE, PROT_READ), 0);
	assert_int_equal(mprotect(child.empty + HOLE_BYTES - PAGE, PAGE, PROT_READ), 0);
	close(fd);
	child.pid = fork();
	if (!child.pid)
		be_child();
	assert_int_equal(waitpid(child.pid, &status, WUNTRACED), child.pid);
	assert_true(WIFSTOPPED(status));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	kill(child.pid, SIGKILL);
	waitpid(child.pid, NULL, 0);
	return 0;
}

/* ---- what was told --------------------------------------------------------------------------- */

struct told {
	uint64_t mixed[PAGES], huge[1024], file[8], shared, hole;
	uint8_t mixed_told[PAGES], hole_told;
	uint64_t file_tool[8];
	uint64_t events, absent_pages, tool_pages, order9;
	uint8_t source;
	uint64_t all; /* a sum over every page told, for comparing two readings */
};

static void note(uint64_t addr, uint64_t entry, struct told *told, int tool)
{
	uint64_t i = (addr - (uintptr_t)child.mixed) / PAGE;

	if (i < PAGES) {
		assert_int_equal(told->mixed_told[i], 0); /* no page twice */
		told->mixed_told[i] = 1;
		told->mixed[i] = entry;
	}
	i = (addr - (uintptr_t)child.huge) / PAGE;
	if (i < 1024)
		told->huge[i] = entry;
	i = (addr - (uintptr_t)child.file) / PAGE;
	if (i < 8)
		*(tool ? &told->file_tool[i] : &told->file[i]) = entry;
	if (addr == (uintptr_t)child.shared)
		told->shared = 1;
	if (addr == (uintptr_t)child.hole + HOLE_BYTES / 2) {
		told->hole_told = 1;
		told->hole = entry;
	}
}

static int collect(void *ctx, const struct mp_ev *ev)
{
	const struct mp_ev_pages *pages = (const void *)ev;
	struct told *told = ctx;
	int tool = pages->source == MP_SRC_TOOL; /* such a page is told again among the rest */

	assert_int_equal(ev->type, MP_EV_PAGES);
	assert_int_equal(mp_decode(ev, ev->size), ev->size);
	assert_int_equal(ev->tgid, child.pid);
	assert_true(pages->begin_ns && pages->begin_ns <= ev->ts_ns);
	assert_true(tool || pages->source == told->source);
	told->events++;
	told->tool_pages += tool;
	told->order9 += pages->order == 9;
	if (pages->contig && !pages->entries[0]) {
		told->absent_pages += pages->nr;
		for (uint64_t i = 0; i < pages->nr; i++) {
			if (pages->nr > 1U << 20) /* the hole: look only at its middle */
				i = pages->nr;
			else
				note(pages->addr + i * PAGE, 0, told, tool);
		}
		return 0;
	}
	for (uint64_t i = 0; i < pages->nr; i++) {
		uint64_t entry = pages->entries[pages->contig ? 0 : i];

		if (pages->contig && !(entry & MP_PAGE_ZERO))
			entry += i;
		note(pages->addr + i * PAGE, entry, told, tool);
		if (entry)
			told->all += (pages->addr + i * PAGE) * (entry & ~MP_PAGE_HUGE);
	}
	return 0;
}

static struct told *read_child(enum mp_source source, const uint64_t *tool, size_t nr_tool)
{
	static struct told told;
	struct mp_err err = { 0 };

	told = (struct told){ .source = (uint8_t)source };
	if (mp_pagemap_read(child.pid, source, tool, nr_tool, collect, &told, &err))
		fail_msg("%s", err.text);
	return &told;
}

/* The entry of an anonymous page in a folio of @order. */
static uint64_t anon(uint64_t pfn, uint64_t order)
{
	return MP_PAGE_PRESENT | MP_PAGE_ANON | MP_PAGE_ORDERED | order << MP_PAGE_ORDER_SHIFT |
	       pfn;
}

static void check_mixed(const struct told *told, int absent_too)
{
	for (unsigned long i = 0; i < PAGES; i++) {
		uint64_t pfn = raw_pfn(child.mixed + i * PAGE), wanted = 0;

		if (wanted_state(i) == WRITTEN)
			wanted = anon(pfn, 0);
		else if (wanted_state(i) == ZERO)
			wanted = MP_PAGE_PRESENT | MP_PAGE_ZERO | pfn;
		if (told->mixed[i] != wanted)
			fail_msg("page %lu: %#lx, not %#lx", i, told->mixed[i], wanted);
		assert_true(told->mixed_told[i] || !absent_too);
		assert_true(!wanted || pfn);
	}
}

static void check_files(const struct told *told)
{
	for (unsigned long i = 0; i < 8; i++) {
		uint64_t wanted = anon(raw_pfn(child.file + i * PAGE), 0);

		assert_true(told->file[i] == (i == 2 || i == 5 ? wanted : 0));
	}
	assert_int_equal(told->shared, 0);
	assert_true(told->hole == anon(raw_pfn(child.hole + HOLE_BYTES / 2), 0));
}

static void test_seeded(void **state)
{
	const struct told *told = read_child(MP_SRC_SEEDED, NULL, 0);

	(void)state;
	check_mixed(told, 0);
	check_files(told);
	assert_int_equal(told->absent_pages, 0);
	assert_int_equal(told->tool_pages, 0);
}

static void test_check_tells_absent(void **state)
{
	const struct told *told = read_child(MP_SRC_CHECK, NULL, 0);

	(void)state;
	check_mixed(told, 1);
	check_files(told);
	assert_true(told->absent_pages >= HOLE_BYTES / PAGE - 1);
}

/* Linux 6.7 has an ioctl that tells a mapping of a whole huge page; before nobody can. */
static int kernel_tells_huge(void)
{
	uint64_t arg[12] = { sizeof(arg) }; /* an empty range */
	int fd = open("/proc/self/pagemap", O_RDONLY), ret;

	assert_true(fd >= 0);
	ret = ioctl(fd, _IOWR('f', 16, arg), arg);
	close(fd);
	return ret == 0;
}

/* The written huge page counts up and is PMD mapped; the read one is the huge zero page. */
static void test_huge(void **state)
{
	const struct told *told = read_child(MP_SRC_SEEDED, NULL, 0);
	int whole = huge_kb(child.huge) >= 2048, given = whole, tells = kernel_tells_huge();
	uint64_t huge = whole && tells ? MP_PAGE_HUGE : 0, kind = anon(0, whole ? 9 : 0);

	(void)state;
	assert_int_equal(told->order9, huge != 0);
	for (unsigned long i = 0; i < 1024; i++) {
		if (i == 512) { /* it is counted nowhere, but the small zero page is one PFN */
			kind = MP_PAGE_PRESENT | MP_PAGE_ZERO;
			given = raw_pfn(child.huge + HUGE_BYTES) + 1 ==
				raw_pfn(child.huge + HUGE_BYTES + PAGE);
			huge = given ? MP_PAGE_HUGE : 0;
		}
		if (!given && i % 512) /* no huge page to be had: one small page each */
			continue;
		assert_true(told->huge[i] == (huge | kind | raw_pfn(child.huge + i * PAGE)));
	}
}

static void test_tool_pages(void **state)
{
	uint64_t addrs[] = { (uintptr_t)child.file, (uintptr_t)child.file + 2 * PAGE + 7,
			     (uintptr_t)child.file + 2 * PAGE + 99 };
	const struct told *told = read_child(MP_SRC_RECONCILED, addrs, 3);

	(void)state;
	check_files(told);
	for (int i = 0; i < 8; i++)
		assert_true(told->file_tool[i] == (i == 2 ? told->file[i] : 0));
	assert_int_equal(told->tool_pages, 1); /* two probes on one page, and one not copied */
}

#ifndef __SANITIZE_ADDRESS__ /* reserves 16 TiB in the child too: minutes without the ioctl */
/* Where the kernel is asked for holes and where it is not: the same pages. */
static void test_both_ways(void **state)
{
	const struct told *told;
	uint64_t all, absent;
	int status;

	(void)state;
	kill(child.pid, SIGCONT); /* gives back the hole that cannot be known to be empty */
	assert_int_equal(waitpid(child.pid, &status, WUNTRACED), child.pid);
	told = read_child(MP_SRC_CHECK, NULL, 0);
	all = told->all;
	absent = told->absent_pages;
	assert_int_equal(mp_pagemap_use_scan(0), 1);
	told = read_child(MP_SRC_CHECK, NULL, 0);
	mp_pagemap_use_scan(1);
	assert_true(told->events < 1000); /* not one for each piece of what is empty */
	assert_true(told->all == all);
	check_mixed(told, 1);
	assert_true(absent >= HOLE_BYTES / PAGE - 2 && told->absent_pages >= HOLE_BYTES / PAGE - 2);
	for (unsigned long i = 512; i < 1024; i += 511)
		assert_true(told->huge[i] & MP_PAGE_ZERO || raw_pfn(child.huge + i * PAGE) == 0);
}
#endif

static void test_self(void **state)
{
	char *page = reserve(2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	uint64_t pfn = 0;

	(void)state;
	assert_int_equal(mp_pagemap_self(page, &pfn), -ENOENT);
	page[0] = 1;
	assert_int_equal(mp_pagemap_self(page, &pfn), 0);
	assert_true(pfn);
	munmap(page, 2 * PAGE);
}

static int refuse(void *ctx, const struct mp_ev *ev)
{
	(void)ev;
	return *(int *)ctx;
}

/* What the callback says is handed back as it is, and is no error of the kernel's. */
static void test_stop(void **state)
{
	struct mp_err err = { 0 };
	int say = -ENOSPC;

	(void)state;
	assert_int_equal(mp_pagemap_read(child.pid, MP_SRC_SEEDED, NULL, 0, refuse, &say, &err),
			 -ENOSPC);
	assert_string_equal(err.text, "");
	say = 7;
	assert_int_equal(mp_pagemap_read(child.pid, MP_SRC_SEEDED, NULL, 0, refuse, &say, &err), 7);
}

/* Without CAP_SYS_ADMIN the kernel shows PFN 0: that must never be taken for a page. */
static void test_no_privilege(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (!pid) {
		struct mp_err err = { 0 };
		struct told told = { .source = MP_SRC_SEEDED };
		int ret;

		if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
			_exit(2);
		prctl(PR_SET_DUMPABLE, 1);
		ret = mp_pagemap_read(getpid(), MP_SRC_SEEDED, NULL, 0, collect, &told, &err);
		_exit(ret == -EPERM && err.exit == MP_EXIT_LACKS &&
				      strstr(err.text, "CAP_SYS_ADMIN") && !told.events
			      ? 0
			      : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_ended(void **state)
{
	struct mp_err err = { 0 };
	struct told told = { 0 };
	pid_t pid = fork();
	siginfo_t info;

	(void)state;
	if (!pid)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(mp_pagemap_read(pid, MP_SRC_SEEDED, NULL, 0, collect, &told, &err),
			 -ESRCH);
	assert_int_equal(err.exit, MP_EXIT_FAILED);
	waitpid(pid, NULL, 0);
	assert_int_equal(mp_pagemap_read(pid, MP_SRC_SEEDED, NULL, 0, collect, &told, &err),
			 -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seeded),       cmocka_unit_test(test_check_tells_absent),
		cmocka_unit_test(test_huge),         cmocka_unit_test(test_tool_pages),
#ifndef __SANITIZE_ADDRESS__
		cmocka_unit_test(test_both_ways),
#endif
		cmocka_unit_test(test_self),         cmocka_unit_test(test_stop),
		cmocka_unit_test(test_no_privilege), cmocka_unit_test(test_ended),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
