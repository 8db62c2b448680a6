// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The text of maps and smaps: real lines, hostile ones, and what this process knows of itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "collect/procfs.h"
#include "trace/trace.h"

static int parse(const char *text, size_t len, struct mp_maps *maps, size_t *line)
{
	FILE *f = fmemopen((void *)(uintptr_t)text, len, "r");
	int ret;

	assert_non_null(f);
	ret = mp_maps_parse(f, maps, line);
	fclose(f);
	return ret;
}

static int parse_text(const char *text, struct mp_maps *maps)
{
	return parse(text, strlen(text), maps, NULL);
}

static void test_lines(void **state)
{
	static const char text[] =
		"55d0c8a00000-55d0c8a02000 r--p 00001000 fe:01 1048602   /usr/bin/my program\n"
		"55d0ca000000-55d0ca021000 rw-p 00000000 00:00 0         [heap]\n"
		"7f0000000000-7f0000001000 rw-p 00000000 00:00 0 \n"
		"7f0000001000-7f0000002000 rw-s 00000000 00:01 77        /dev/zero (deleted)\n"
		"7f0000002000-7f0000003000 rw-s 00000000 00:01 78        /memfd:x y (deleted)\n"
		"7f0000003000-7f0000004000 rw-s 00000000 00:01 79        /SYSV00000000 (deleted)\n"
		"7f0000004000-7f0000005000 rw-s 00000000 00:01 79        [anon_shmem:pool]\n"
		"7f0000005000-7f0000006000 rw-p 00000000 00:00 0         [anon:arena]\n"
		"7f0000006000-7f0000007000 rw-p 00000000 00:06 5         /dev/zero\n"
		"7f0000007000-7f0000008000 ---p 00000000 08:01 9         /tmp/a\\012b\n"
		"7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0         [stack]\n"
		"7ffc00100000-7ffc00104000 r--p 00000000 00:00 0         [vvar]\n"
		"7ffc00104000-7ffc00106000 r-xp 00000000 00:00 0         [vdso]\n"
		"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]";
	static const uint8_t kinds[] = {
		MP_VMA_FILE,  MP_VMA_HEAP,    MP_VMA_ANON,    MP_VMA_SHMEM,   MP_VMA_SHMEM,
		MP_VMA_SHMEM, MP_VMA_SHMEM,   MP_VMA_ANON,    MP_VMA_ANON,    MP_VMA_FILE,
		MP_VMA_STACK, MP_VMA_SPECIAL, MP_VMA_SPECIAL, MP_VMA_SPECIAL,
	};
	struct mp_maps maps;

	(void)state;
	assert_int_equal(parse_text(text, &maps), 0);
	assert_int_equal(maps.nr, sizeof(kinds));
	for (size_t i = 0; i < maps.nr; i++)
		if (maps.map[i].kind != kinds[i])
			fail_msg("%s: kind %d", maps.map[i].name, maps.map[i].kind);
	assert_true(maps.map[0].start == 0x55d0c8a00000 && maps.map[0].end == 0x55d0c8a02000);
	assert_int_equal(maps.map[0].perms, 1);
	assert_int_equal(maps.map[0].offset, 0x1000);
	assert_int_equal(maps.map[0].dev_major, 0xfe);
	assert_int_equal(maps.map[0].dev_minor, 1);
	assert_int_equal(maps.map[0].ino, 1048602);
	assert_string_equal(maps.map[0].name, "/usr/bin/my program");
	assert_int_equal(maps.map[3].perms, 1 | 2 | 8);
	assert_string_equal(maps.map[9].name, "/tmp/a\nb");
	assert_int_equal(maps.map[9].perms, 0);
	assert_true(maps.map[13].start == 0xffffffffff600000);
	assert_true(maps.map[13].rss_bytes == MP_UNREAD);
	mp_maps_free(&maps);
}

static void test_smaps(void **state)
{
	static const char text[] =
		"7f0000000000-7f0000400000 rw-p 00000000 00:00 0 \n"
		"Size:               4096 kB\n"
		"KernelPageSize:        4 kB\n"
		"Rss:                  40 kB\n"
		"Anonymous:            36 kB\n"
		"Swap:                  8 kB\n"
		"SwapPss:               3 kB\n"
		"THPeligible:           0\n"
		"ProtectionKey:         0\n"
		"VmFlags: rd wr mr mw me ac sd \n"
		"7f0000400000-7f0000600000 rw-p 00000000 00:10 5 /anon_hugepage\n"
		"Rss:                   0 kB\n"
		"Shared_Hugetlb:     1024 kB\n"
		"Private_Hugetlb:    2048 kB\n"
		"VmFlags: rd wr ht de\n"
		"7f0000600000-7f0000601000 rw-s 00000000 00:06 5 /dev/mem\n"
		"Rss:                   4 kB\n"
		"VmFlags: rd wr io pf de dd\n";
	struct mp_maps maps;

	(void)state;
	assert_int_equal(parse_text(text, &maps), 0);
	assert_int_equal(maps.nr, 3);
	assert_int_equal(maps.map[0].rss_bytes, 40 * 1024);
	assert_int_equal(maps.map[0].anon_bytes, 36 * 1024);
	assert_int_equal(maps.map[0].swap_bytes, 8 * 1024);
	assert_false(maps.map[0].pfnmap || maps.map[0].hugetlb);
	assert_int_equal(maps.map[1].hugetlb_bytes, 3072 * 1024);
	assert_true(maps.map[1].hugetlb);
	assert_true(maps.map[2].pfnmap);
	mp_maps_free(&maps);
}

/* None of these may be taken for a VMA, and none may be read beyond. */
static void test_refused(void **state)
{
	static const char *const bad[] = {
		"x",
		"\n",
		"Rss: 4 kB\n",
		"1000\n",
		"1000-2000\n",
		"1000-2000 rw\n",
		"1000-2000 rw-x 0 0:0 0\n",
		"1000-2000 rw-p 0 0:0\n",
		"1000-2000 rw-p 0 0:0 0x\n",
		"2000-1000 rw-p 0 0:0 0\n",
		"1000-1000 rw-p 0 0:0 0\n",
		"1001-2000 rw-p 0 0:0 0\n",
		"10000000000001000-10000000000002000 rw-p 0 0:0 0\n",
		"1000-2000 rw-p 0 100000000:0 0\n",
		"1000-2000 rw-p 0 0:0 0\nRss: kB\n",
		"1000-2000 rw-p 0 0:0 0\nRss: 4 MB\n",
		"1000-2000 rw-p 0 0:0 0\nRss: 99999999999999999999 kB\n",
		"1000-2000 rw-p 0 0:0 0\nRss: 18014398509481983 kB\n",
		"1000-2000 rw-p 0 0:0 0\nno key\n",
		"1000-2000 rw-p 0 0:0 0\nNoColon\n",
	};
	struct mp_maps maps;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int ret = parse_text(bad[i], &maps);

		if (ret != -EBADMSG)
			fail_msg("\"%s\": %d", bad[i], ret);
		assert_null(maps.map);
		assert_int_equal(maps.nr, 0);
	}
}

static void test_which_line(void **state)
{
	static const char text[] = "1000-2000 rw-p 0 0:0 0\n2000-3000 rw-p 0 0:0 0\nhello\n";
	struct mp_maps maps;
	size_t line = 0;

	(void)state;
	assert_int_equal(parse(text, strlen(text), &maps, &line), -EBADMSG);
	assert_int_equal(line, 3);
}

/* A process that changes under the reader can show an address twice. */
static void test_overlap(void **state)
{
	static const char text[] = "3000-5000 rw-p 0 0:0 0\nRss: 8 kB\n"
				   "2000-4000 rw-p 0 0:0 0 again\nRss: 100 kB\n"
				   "5000-6000 rw-p 0 0:0 0\nRss: 4 kB\n";
	struct mp_maps maps;

	(void)state;
	assert_int_equal(parse_text(text, &maps), 0);
	assert_int_equal(maps.nr, 2);
	assert_int_equal(maps.map[0].rss_bytes, 8192);
	assert_int_equal(maps.map[1].start, 0x5000);
	assert_int_equal(maps.map[1].rss_bytes, 4096);
	mp_maps_free(&maps);
}

static int check_event(void *ctx, const struct mp_ev *ev)
{
	const struct mp_ev_map *map = (const void *)ev;
	size_t *longest = ctx;

	assert_int_equal(mp_decode(ev, ev->size), ev->size);
	if (ev->type == MP_EV_MAP && map->name_len > *longest)
		*longest = map->name_len;
	return 0;
}

/* A line longer than any path can be is cut, and the next one is still found. */
static void test_long_name(void **state)
{
	size_t len = 300000;
	char *text = malloc(len + 100);
	struct mp_maps maps;
	int n = sprintf(text, "1000-2000 rw-p 0 8:1 1 ");

	(void)state;
	memset(text + n, 'x', len);
	strcpy(text + n + len, "\n2000-3000 rw-p 0 8:1 1 /end\n");
	assert_int_equal(parse_text(text, &maps), 0);
	assert_int_equal(maps.nr, 2);
	assert_int_equal(maps.map[0].name_len, MP_NAME_MAX);
	assert_int_equal(strlen(maps.map[0].name), MP_NAME_MAX);
	assert_string_equal(maps.map[1].name, "/end");
	mp_maps_free(&maps);
	free(text);
}

/* Any bytes in any place: nothing but a list in order, or a refusal. */
static void test_garbage(void **state)
{
	static const char seed_text[] = "1000-2000 rw-p 00000000 00:00 0 [heap]\nRss:  4 kB\n"
					"VmFlags: rd wr ht\n2000-3000 r--p 0 8:1 2 /x\\012y\n";
	char text[sizeof(seed_text)];
	uint32_t seed = 1;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct mp_maps maps;

		memcpy(text, seed_text, sizeof(text));
		for (int i = 0; i < 3; i++) {
			seed = seed * 1103515245 + 12345;
			text[seed / 65536 % (sizeof(text) - 1)] = (char)(seed >> 24);
		}
		if (parse(text, sizeof(text) - 1, &maps, NULL))
			continue;
		for (size_t i = 0; i < maps.nr; i++) {
			assert_true(maps.map[i].start < maps.map[i].end);
			assert_true(!i || maps.map[i - 1].end <= maps.map[i].start);
		}
		mp_maps_free(&maps);
	}
}

/* ---- this process ---------------------------------------------------------------------------- */

static const struct mp_map *map_at(const struct mp_maps *maps, const void *addr)
{
	for (size_t i = 0; i < maps->nr; i++)
		if (maps->map[i].start <= (uintptr_t)addr && (uintptr_t)addr < maps->map[i].end)
			return &maps->map[i];
	fail_msg("nothing at %p", addr);
	return NULL;
}

static char *map_fd(int fd, int flags)
{
	char *p = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, flags, fd, 0);

	assert_true(p != MAP_FAILED);
	return p;
}

static int temp_file(const char *dir)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%s/mallocpath-XXXXXX", dir);
	fd = mkstemp(path);
	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(ftruncate(fd, 4 * 4096), 0);
	return fd;
}

/* Asks the kernel about mappings whose kind we chose. */
static void test_own_kinds(void **state)
{
	int memfd = memfd_create("pool", MFD_CLOEXEC), shm = temp_file("/dev/shm");
	int file = temp_file("/var/tmp"), zero = open("/dev/zero", O_RDWR);
	char *heap = sbrk(4096), *anon, *shared, *pool, *tmpfs, *private_tmpfs, *disk, *devzero;
	struct mp_err err = { 0 };
	struct mp_maps maps;

	(void)state;
	assert_int_equal(ftruncate(memfd, 4 * 4096), 0);
	anon = map_fd(-1, MAP_PRIVATE | MAP_ANONYMOUS);
	assert_int_equal(mprotect(anon, 4096, PROT_NONE), 0); /* keeps it apart from others */
	shared = map_fd(-1, MAP_SHARED | MAP_ANONYMOUS);
	pool = map_fd(memfd, MAP_SHARED);
	tmpfs = map_fd(shm, MAP_SHARED);
	private_tmpfs = map_fd(shm, MAP_PRIVATE);
	disk = map_fd(file, MAP_PRIVATE);
	devzero = map_fd(zero, MAP_PRIVATE);
	for (int with_rss = 0; with_rss < 2; with_rss++) {
		if (mp_maps_read(getpid(), with_rss, &maps, &err))
			fail_msg("%s", err.text);
		assert_int_equal(map_at(&maps, anon)->kind, MP_VMA_ANON);
		assert_int_equal(map_at(&maps, shared)->kind, MP_VMA_SHMEM);
		assert_int_equal(map_at(&maps, pool)->kind, MP_VMA_SHMEM);
		assert_int_equal(map_at(&maps, tmpfs)->kind, MP_VMA_SHMEM);
		assert_int_equal(map_at(&maps, private_tmpfs)->kind, MP_VMA_SHMEM);
		assert_int_equal(map_at(&maps, disk)->kind, MP_VMA_FILE);
		assert_int_equal(map_at(&maps, devzero)->kind, MP_VMA_ANON);
		assert_int_equal(map_at(&maps, &err)->kind, MP_VMA_STACK);
		assert_int_equal(map_at(&maps, heap)->kind, MP_VMA_HEAP);
		assert_int_equal(map_at(&maps, (void *)(uintptr_t)test_own_kinds)->kind,
				 MP_VMA_FILE);
		mp_maps_free(&maps);
	}
	close(memfd);
	close(shm);
	close(file);
	close(zero);
}

/* In a mount namespace of its own: a device node and a plain file on one tmpfs. */
static int node_and_file(void)
{
	char *both = mmap(NULL, 8 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct mp_maps maps;
	int node, file;

	if (both == MAP_FAILED || unshare(CLONE_NEWNS) ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/mnt", "tmpfs", 0, NULL) ||
	    mknod("/mnt/node", S_IFCHR | 0600, makedev(1, 5)))
		return 2;
	node = open("/mnt/node", O_RDWR);
	file = open("/mnt/file", O_RDWR | O_CREAT, 0600);
	if (ftruncate(file, 4 * 4096) ||
	    mmap(both, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED, node, 0) == MAP_FAILED ||
	    mmap(both + 4096, 4096, PROT_READ, MAP_SHARED | MAP_FIXED, file, 0) == MAP_FAILED ||
	    mp_maps_read(getpid(), false, &maps, NULL))
		return 3;
	return map_at(&maps, both)->kind != MP_VMA_ANON ||
	       map_at(&maps, both + 4096)->kind != MP_VMA_SHMEM;
}

static void test_node_and_file(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (!pid)
		_exit(node_and_file());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

struct sums {
	struct mp_ev_maps head;
	uint64_t rss, nr, longest, at_rss, at_anon;
	uint64_t pss;
	uintptr_t at;
};

static int add_up(void *ctx, const struct mp_ev *ev)
{
	struct sums *sums = ctx;
	const struct mp_ev_map *map = (const void *)ev;

	assert_int_equal(check_event(&sums->longest, ev), 0);
	if (ev->type == MP_EV_MAPS) {
		memcpy(&sums->head, ev, sizeof(sums->head));
		return 0;
	}
	if (ev->type == MP_EV_PSS) {
		sums->pss = ((const struct mp_ev_pss *)ev)->pss_bytes;
		return 0;
	}
	sums->nr++;
	sums->rss += map->rss_bytes;
	if (map->start <= sums->at && sums->at < map->end) {
		sums->at_rss = map->rss_bytes;
		sums->at_anon = map->anon_bytes;
	}
	return 0;
}

/* A stopped child with a known number of touched pages. */
static void test_events(void **state)
{
	struct mp_err err = { 0 };
	struct sums sums = { 0 };
	char *pages =
		mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	(void)state;
	assert_true(pages != MAP_FAILED);
	/* no neighbour may merge with it */
	assert_int_equal(mprotect(pages, 4096, PROT_NONE), 0);
	assert_int_equal(mprotect(pages + 63 * 4096, 4096, PROT_NONE), 0);
	pid = fork();
	if (!pid) {
		for (int i = 1; i <= 17; i++)
			pages[i * 4096] = 1;
		(void)*(volatile char *)(pages + 30 * 4096); /* the zero page is not in Rss */
		raise(SIGSTOP);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	sums.at = (uintptr_t)pages + 4096;
	if (mp_procfs_maps(pid, true, add_up, &sums, &err))
		fail_msg("%s", err.text);
	assert_int_equal(sums.at_rss, 17 * 4096);
	assert_int_equal(sums.at_anon, 17 * 4096);
	assert_int_equal(sums.head.nr, sums.nr);
	assert_int_equal(sums.head.with_rss, 1);
	assert_int_equal(sums.head.rss_bytes, sums.rss); /* rollup against the sum of the VMAs */
	assert_true(sums.pss >= 17 * 4096 &&
		    sums.pss < sums.rss); /* its libraries are others' too */
	assert_int_equal(sums.head.hugetlb_bytes, 0);
	assert_int_equal(sums.head.h.tgid, pid);
	sums = (struct sums){ .at = sums.at };
	assert_int_equal(mp_procfs_maps(pid, false, add_up, &sums, &err), 0);
	assert_true(sums.head.rss_bytes == MP_UNREAD && sums.at_rss == MP_UNREAD);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	assert_int_equal(mp_procfs_maps(pid, true, add_up, &sums, &err), -ESRCH);
	assert_int_equal(err.exit, MP_EXIT_FAILED);
	assert_non_null(strstr(err.text, "ended"));
	munmap(pages, 64 * 4096);
}

static int stop_at(void *ctx, const struct mp_ev *ev)
{
	(void)ev;
	return --*(int *)ctx ? 0 : 42;
}

static void test_stop(void **state)
{
	struct mp_err err = { 0 };
	int left = 3;

	(void)state;
	assert_int_equal(mp_procfs_maps(getpid(), false, stop_at, &left, &err), 42);
	assert_int_equal(left, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),         cmocka_unit_test(test_smaps),
		cmocka_unit_test(test_refused),       cmocka_unit_test(test_which_line),
		cmocka_unit_test(test_overlap),       cmocka_unit_test(test_long_name),
		cmocka_unit_test(test_garbage),       cmocka_unit_test(test_own_kinds),
		cmocka_unit_test(test_node_and_file), cmocka_unit_test(test_events),
		cmocka_unit_test(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
