// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory calls that fail, each for one known reason, with what the program itself sees of it: a line
 * "refused CALL WITHIN ERRNO REASON SITE COUNT BYTES LIMIT" for each of the rows that a report must have,
 * in the words of docs/report.schema.json; "-" for null. A reason is what the program has set up.
 *
 * usage: refused NAME...      as data memlock maps address holes request size overcommit heuristic
 */
#include <errno.h>
#include <linux/capability.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096UL
#define MIB  (1UL << 20)
#define GIB  (1UL << 30)
#define TIB  (1UL << 40)
#define SITE static __attribute__((noipa))

/* What a report has to tell is kept here, for nothing may be asked for in between. */
static struct said {
	const char *call, *within, *error, *why, *site;
	unsigned long count, bytes, limit;
} said[64];
static int nr_said;

static void die(const char *what)
{
	perror(what);
	_exit(97);
}

static const char *name_of(int error)
{
	return error == ENOMEM   ? "ENOMEM"
	       : error == EAGAIN ? "EAGAIN"
	       : error == EPERM  ? "EPERM"
	       : error == EINVAL ? "EINVAL"
	       : error == EEXIST ? "EEXIST"
				 : "none";
}

/* @limit ~0: none is told */
static void say(const char *call, const char *within, int error, const char *why, const char *site,
		unsigned long bytes, unsigned long limit)
{
	const char *name = name_of(error);

	for (int i = 0; i < nr_said; i++) {
		struct said *s = &said[i];

		if (s->call == call && s->within == within && s->error == name && s->why == why &&
		    s->site == site) {
			s->count++;
			s->bytes += bytes;
			return;
		}
	}
	said[nr_said++] = (struct said){ call, within, name, why, site, 1, bytes, limit };
}

static int failed(int bad)
{
	int error = errno;

	if (!bad) {
		dprintf(2, "what had to fail has not\n");
		_exit(96);
	}
	return error;
}

#define CALL(call, failing, why, bytes, limit) \
	say(call, "-", failed((errno = 0, (failing))), why, __func__, bytes, limit)

static void limit(int which, unsigned long bytes)
{
	struct rlimit now;

	if (getrlimit(which, &now))
		die("getrlimit");
	now.rlim_cur = bytes;
	if (setrlimit(which, &now))
		die("setrlimit");
}

static char *map(size_t len, int prot, int flags)
{
	return mmap(NULL, len, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

static char *must_map(size_t len, int prot, int flags)
{
	char *p = map(len, prot, flags);

	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

#define BAD(p) ((p) == MAP_FAILED)

/* malloc() asks by mmap, then by the break, and by mmap for a new arena: what matters is that it fails. */
SITE void site_malloc(size_t n, const char *why, unsigned long limit)
{
	say("malloc", "-", failed((errno = 0, !malloc(n))), why, __func__, n, limit);
}

SITE void site_calloc(size_t n, const char *why, unsigned long limit)
{
	say("calloc", "-", failed((errno = 0, !calloc(n / 16, 16))), why, __func__, n, limit);
}

SITE void site_realloc(void *p, size_t n, const char *why, unsigned long limit)
{
	say("realloc", "-", failed((errno = 0, !realloc(p, n))), why, __func__, n, limit);
}

SITE void site_as(char *p)
{
	unsigned long most = 8 * GIB;

	for (int i = 0; i < 3; i++)
		CALL("mmap", BAD(map(9 * GIB, PROT_READ, 0)), "rlimit_as", 9 * GIB, most);
	CALL("mremap", BAD(mremap(p, MIB, 10 * GIB, MREMAP_MAYMOVE)), "rlimit_as", 10 * GIB - MIB,
	     most);
	CALL("brk", sbrk(12 * GIB) == (void *)-1, "rlimit_as", 12 * GIB, most);
}

static void scenario_as(void)
{
	char *p = must_map(MIB, PROT_READ, 0);

	limit(RLIMIT_AS, 8 * GIB);
	site_as(p);
	for (int i = 0; i < 2; i++)
		site_malloc(11 * GIB, "rlimit_as", 8 * GIB);
	site_calloc(11 * GIB, "rlimit_as", 8 * GIB);
	site_realloc(malloc(MIB), 11 * GIB, "rlimit_as", 8 * GIB);
	limit(RLIMIT_AS, RLIM_INFINITY);
}

SITE void site_data(char *p, char *grows)
{
	unsigned long most = 64 * MIB;

	CALL("mmap", BAD(map(100 * MIB, PROT_READ | PROT_WRITE, 0)), "rlimit_data", 100 * MIB,
	     most);
	CALL("mprotect", mprotect(p, 80 * MIB, PROT_READ | PROT_WRITE), "rlimit_data", 80 * MIB,
	     most);
	CALL("mremap", BAD(mremap(grows, MIB, 90 * MIB, MREMAP_MAYMOVE)), "rlimit_data", 89 * MIB,
	     most);
	CALL("brk", sbrk(70 * MIB) == (void *)-1, "rlimit_data", 70 * MIB, most);
	munmap(must_map(100 * MIB, PROT_READ, 0),
	       100 * MIB); /* what cannot be written is no data */
}

static void scenario_data(void)
{
	char *p = must_map(80 * MIB, PROT_READ, 0),
	     *grows = must_map(MIB, PROT_READ | PROT_WRITE, 0);

	limit(RLIMIT_DATA, 64 * MIB);
	site_data(p, grows);
	site_malloc(200 * MIB, "rlimit_data", 64 * MIB);
	limit(RLIMIT_DATA, RLIM_INFINITY);
}

static void drop_ipc_lock(void)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data))
		die("capget");
	data[0].effective &= ~(1U << CAP_IPC_LOCK);
	if (syscall(SYS_capset, &head, data))
		die("capset");
}

SITE void site_memlock(char *p)
{
	unsigned long most = MIB;

	CALL("mlock", mlock(p, 2 * MIB), "rlimit_memlock", 2 * MIB, most);
	CALL("mmap", BAD(map(3 * MIB, PROT_READ, MAP_LOCKED)), "rlimit_memlock", 3 * MIB, most);
	CALL("mlockall", mlockall(MCL_CURRENT), "rlimit_memlock", 0, most);
}

SITE void site_memlock_none(char *p)
{
	CALL("mlock", mlock(p, PAGE), "rlimit_memlock", PAGE, 0);
}

static void scenario_memlock(void)
{
	char *p = must_map(2 * MIB, PROT_READ, 0);

	drop_ipc_lock();
	limit(RLIMIT_MEMLOCK, MIB);
	if (mlock(p, MIB / 2) || munlock(p, MIB / 2))
		die("mlock");
	site_memlock(p);
	limit(RLIMIT_MEMLOCK, 0);
	site_memlock_none(p);
}

/* Single pages that differ from their neighbours are mappings of their own. */
static unsigned long max_mappings(void)
{
	FILE *f = fopen("/proc/sys/vm/max_map_count", "re");
	unsigned long n;

	if (!f || fscanf(f, "%lu", &n) != 1)
		die("max_map_count");
	fclose(f);
	return n;
}

SITE void site_maps(char *whole, unsigned long most)
{
	for (int i = 0; i < 5; i++)
		CALL("munmap", munmap(whole + PAGE, PAGE), "max_map_count", 0, most);
	CALL("mprotect", mprotect(whole + PAGE, PAGE, PROT_WRITE), "max_map_count", PAGE, most);
}

/* One after the other until there are no more: mmap() may make one more than a split. */
SITE int one_more(char *at)
{
	return mprotect(at, PAGE, PROT_WRITE);
}

static void scenario_maps(void)
{
	unsigned long most = max_mappings(), n = 0;
	char *p = must_map((2 * most + 3) * PAGE, PROT_READ, MAP_NORESERVE);
	char *whole = must_map(3 * PAGE, PROT_READ | PROT_EXEC, 0);

	while (n < most && !one_more(p + (2 * n + 1) * PAGE))
		n++;
	failed(n < most);
	say("mprotect", "-", errno, "max_map_count", "one_more", PAGE, most);
	site_maps(whole, most);
	munmap(p, (2 * most + 3) * PAGE);
}

SITE void site_address(char *p)
{
	void *brk = sbrk(0);

	CALL("mmap", BAD(map(120 * TIB, PROT_NONE, MAP_NORESERVE)), "address_space", 120 * TIB,
	     ~0UL);
	CALL("mmap",
	     BAD(mmap((void *)(100 * TIB), 60 * TIB, PROT_NONE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0)),
	     "address_space", 60 * TIB, ~0UL);
	/* the next page is mapped too */
	CALL("mremap", BAD(mremap(p, PAGE, 2 * PAGE, 0)), "address_space", PAGE, ~0UL);
	/* and so it is at the break, when there is a mapping behind */
	brk = (void *)(((uintptr_t)brk + PAGE - 1) & ~(PAGE - 1));
	if (mmap((char *)brk + 16 * PAGE, PAGE, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED)
		die("mmap at the break");
	CALL("brk", sbrk(64 * PAGE) == (void *)-1, "address_space", 64 * PAGE, ~0UL);
	munmap((char *)brk + 16 * PAGE, PAGE);
}

static void scenario_address(void)
{
	char *p = must_map(2 * PAGE, PROT_READ, 0);

	if (mprotect(p, PAGE, PROT_NONE))
		die("mprotect");
	site_address(p);
	site_malloc(120 * TIB, "address_space", ~0UL);
}

SITE void site_holes(char *p)
{
	CALL("mprotect", mprotect(p, 3 * PAGE, PROT_NONE), "not_mapped", 3 * PAGE, ~0UL);
	CALL("mlock", mlock(p, 3 * PAGE), "not_mapped", 3 * PAGE, ~0UL);
}

static void scenario_holes(void)
{
	char *p = must_map(3 * PAGE, PROT_READ, 0);

	if (munmap(p + PAGE, PAGE))
		die("munmap");
	site_holes(p);
}

SITE void site_request(char *p)
{
	CALL("mmap", BAD(map(0, PROT_READ, 0)), "call", 0, ~0UL);
	CALL("mmap",
	     BAD(mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		      0)),
	     "call", PAGE, ~0UL);
	CALL("munmap", munmap(p + 1, PAGE), "call", 0, ~0UL);
}

static void scenario_request(void)
{
	site_request(must_map(PAGE, PROT_READ, 0));
}

static void scenario_size(void)
{
	site_malloc((size_t)PTRDIFF_MAX + 1, "size", PTRDIFF_MAX);
}

static unsigned long meminfo(const char *word)
{
	FILE *f = fopen("/proc/meminfo", "re");
	char line[128];
	unsigned long kib = 0;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, word, strlen(word)) && line[strlen(word)] == ':')
			kib = strtoul(line + strlen(word) + 1, NULL, 10);
	if (f)
		fclose(f);
	return kib * 1024;
}

SITE void site_overcommit(size_t n, unsigned long most, char *p)
{
	CALL("mmap", BAD(map(n, PROT_READ | PROT_WRITE, 0)), "overcommit", n, most);
	CALL("mmap", BAD(mmap(NULL, n, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0)), "overcommit",
	     n, most);
	CALL("mremap", BAD(mremap(p, MIB, n, MREMAP_MAYMOVE)), "overcommit", n - MIB, most);
	CALL("mprotect", mprotect(p + MIB, n, PROT_READ | PROT_WRITE), "overcommit", n, most);
	munmap(must_map(n, PROT_READ, 0), n); /* nothing to be counted */
}

static void overcommit(const char *most_is, size_t n, unsigned long most)
{
	char *p = must_map(MIB + n, PROT_READ, 0);

	(void)most_is;
	if (mprotect(p, MIB, PROT_READ | PROT_WRITE))
		die("mprotect");
	site_overcommit(n, most, p);
	site_malloc(n, "overcommit", most);
	munmap(p, MIB + n);
}

/* Where the driver has set vm.overcommit_memory to 2: half of what is left is too much twice. */
static void scenario_overcommit(void)
{
	unsigned long most = meminfo("CommitLimit");

	overcommit("CommitLimit", most, most);
}

/* Where it is 0: what is more than all of RAM and swap. */
static void scenario_heuristic(void)
{
	unsigned long most = meminfo("MemTotal") + meminfo("SwapTotal");

	overcommit("MemTotal + SwapTotal", most + GIB, most);
}

static const struct {
	const char *name;
	void (*run)(void);
} scenarios[] = {
	{ "as", scenario_as },
	{ "data", scenario_data },
	{ "maps", scenario_maps },
	{ "address", scenario_address },
	{ "holes", scenario_holes },
	{ "request", scenario_request },
	{ "size", scenario_size },
	{ "overcommit", scenario_overcommit },
	{ "heuristic", scenario_heuristic },
	{ "memlock", scenario_memlock },
};

int main(int argc, char **argv)
{
	/* malloc() is not to ask for what no scenario is about */
	mallopt(M_ARENA_MAX, 1);
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++)
		for (int k = 1; k < argc; k++)
			if (!strcmp(argv[k], scenarios[i].name))
				scenarios[i].run();
	for (int i = 0; i < nr_said; i++) {
		const struct said *s = &said[i];

		dprintf(1, "refused %s %s %s %s %s %lu %lu ", s->call, s->within, s->error, s->why,
			s->site, s->count, s->bytes);
		dprintf(1, s->limit == ~0UL ? "-\n" : "%lu\n", s->limit);
	}
	dprintf(1, "done\n");
	return 0;
}
