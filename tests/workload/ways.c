// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The rarer ways by which pages come, each followed by a barrier at which the truth is written
 * (truth.h). ways DIR SCENARIO...
 */
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "sites.h"
#include "truth.h"

#define PATIENCE_S 120

static void must(int failed, const char *what)
{
	if (failed)
		truth_die(what);
}

static void write_pages(void *p, size_t n)
{
	for (volatile char *c = p, *end = c + n; c < end; c += TRUTH_PAGE)
		*c = 1;
}

static void read_pages(const void *p, size_t n)
{
	for (const volatile char *c = p, *end = c + n; c < end; c += TRUTH_PAGE)
		(void)*c;
}

static char *map(size_t n, int flags, int fd)
{
	char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, flags, fd, 0);

	must(p == MAP_FAILED, "mmap");
	return p;
}

/* A file's pages are read and, of a private mapping, copied when they are written to. */
static void scenario_private_file(void)
{
	int fd = memfd_create("file", MFD_CLOEXEC);
	char *p;

	must(fd < 0 || ftruncate(fd, MIB), "memfd");
	p = map(MIB, MAP_PRIVATE, fd);
	close(fd);
	read_pages(p, MIB);
	write_pages(p + MIB / 4, MIB / 4);
	truth_expect(p + MIB / 4, MIB / 4, "cow", "user", "fault");
	madvise(p + MIB / 4, MIB / 8, MADV_DONTNEED);
	read_pages(p + MIB / 4, MIB / 16);
}

static void scenario_shared(void)
{
	char *p = map(MIB, MAP_SHARED | MAP_ANONYMOUS, -1);

	read_pages(p, MIB / 2);
	write_pages(p + MIB / 4, MIB / 4);
}

static __attribute__((noipa)) void grow_stack(void)
{
	volatile char deep[2 << 20];

	write_pages((char *)deep, sizeof(deep));
	truth_expect((char *)deep, MIB, "anon|thp", "user", "fault");
}

static void scenario_stack(void)
{
	grow_stack();
}

/* Not in Rss, and nobody's block. */
static void scenario_hugetlb(void)
{
	char *p = map(2 * HUGE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1);

	p[5] = 1;
	must(madvise(p, 2 * HUGE, MADV_DONTFORK), "MADV_DONTFORK");
}

/* ---- userfaultfd: another thread brings the pages ------------------------------------------------ */

struct filler {
	int fd;
	char *from;
};

static void *fill(void *arg)
{
	struct filler *f = arg;
	struct uffd_msg msg;

	while (read(f->fd, &msg, sizeof(msg)) == sizeof(msg)) {
		struct uffdio_copy copy = { .dst = msg.arg.pagefault.address & ~(TRUTH_PAGE - 1),
					    .src = (uintptr_t)f->from,
					    .len = TRUTH_PAGE };

		if (ioctl(f->fd, UFFDIO_COPY, &copy))
			truth_die("UFFDIO_COPY");
	}
	return NULL;
}

static void scenario_userfault(void)
{
	struct filler f = { syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY),
			    map(TRUTH_PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1) };
	char *p = map(64 * TRUTH_PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	struct uffdio_register range = { .range = { (uintptr_t)p, 64 * TRUTH_PAGE },
					 .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_api api = { .api = UFFD_API };
	pthread_t thread;

	if (f.fd < 0 && errno == EINVAL) /* before Linux 5.11 */
		f.fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	must(f.fd < 0 || ioctl(f.fd, UFFDIO_API, &api), "userfaultfd");
	must(ioctl(f.fd, UFFDIO_REGISTER, &range), "UFFDIO_REGISTER");
	must(pthread_create(&thread, NULL, fill, &f), "thread");
	write_pages(p, 32 * TRUTH_PAGE);
	truth_expect(p, 32 * TRUTH_PAGE, "-", "user", "fault");
	pthread_cancel(thread);
	pthread_join(thread, NULL);
	must(ioctl(f.fd, UFFDIO_UNREGISTER, &range.range), "UFFDIO_UNREGISTER");
	close(f.fd);
}

/* ---- by another process -------------------------------------------------------------------------- */

static void scenario_foreign(void)
{
	char *p = map(64 * TRUTH_PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	pid_t parent = getpid(), child;
	int status;

	must(madvise(p, 64 * TRUTH_PAGE, MADV_DONTFORK), "MADV_DONTFORK");
	child = fork();
	must(child < 0, "fork");
	if (!child) {
		static char from[16 * TRUTH_PAGE];
		struct iovec here = { from, sizeof(from) }, there = { p, sizeof(from) };

		_exit(process_vm_writev(parent, &here, 1, &there, 1, 0) != sizeof(from));
	}
	must(waitpid(child, &status, 0) != child || status, "process_vm_writev");
}

/* ---- io_uring ------------------------------------------------------------------------------------ */

struct ring {
	int fd;
	char *queues;
	struct io_uring_sqe *entries;
	struct io_uring_params params;
};

static void open_ring(struct ring *r)
{
	r->params = (struct io_uring_params){ 0 };
	r->fd = syscall(SYS_io_uring_setup, 4, &r->params);
	must(r->fd < 0, "io_uring_setup");
	must(!(r->params.features & IORING_FEAT_SINGLE_MMAP), "IORING_FEAT_SINGLE_MMAP");
	r->queues = mmap(NULL, TRUTH_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd,
			 IORING_OFF_SQ_RING);
	r->entries = mmap(NULL, TRUTH_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			  r->fd, IORING_OFF_SQES);
	must(r->queues == MAP_FAILED || (void *)r->entries == MAP_FAILED, "mmap of a ring");
}

/* One request, and its result. */
static int submit(struct ring *r, struct io_uring_sqe entry)
{
	unsigned *tail = (void *)(r->queues + r->params.sq_off.tail);
	unsigned *array = (void *)(r->queues + r->params.sq_off.array);
	unsigned *head = (void *)(r->queues + r->params.cq_off.head);
	struct io_uring_cqe *done = (void *)(r->queues + r->params.cq_off.cqes);
	unsigned slot = *tail & (r->params.sq_entries - 1);
	int result;

	r->entries[slot] = entry;
	array[slot] = slot;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	must(syscall(SYS_io_uring_enter, r->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1,
	     "io_uring_enter");
	result = done[*head & (r->params.cq_entries - 1)].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return result;
}

/* Buffers that the kernel pins as they are registered, and one that it fills as any other. */
static void scenario_io_uring(void)
{
	char *pinned = map(32 * TRUTH_PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	char *plain = map(32 * TRUTH_PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	struct iovec buffer = { pinned, 16 * TRUTH_PAGE };
	int fd = memfd_create("from", MFD_CLOEXEC);
	struct ring ring;

	must(fd < 0 || ftruncate(fd, MIB), "memfd");
	must(madvise(pinned, 32 * TRUTH_PAGE, MADV_DONTFORK), "MADV_DONTFORK");
	open_ring(&ring);
	must(syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_BUFFERS, &buffer, 1),
	     "IORING_REGISTER_BUFFERS");
	truth_expect(pinned, 16 * TRUTH_PAGE, "anon|mthp|thp", "gup", "fault");
	must(submit(&ring, (struct io_uring_sqe){ .opcode = IORING_OP_READ_FIXED,
						  .fd = fd,
						  .addr = (uintptr_t)pinned,
						  .len = 4 * TRUTH_PAGE }) != 4 * TRUTH_PAGE,
	     "IORING_OP_READ_FIXED");
	must(submit(&ring, (struct io_uring_sqe){ .opcode = IORING_OP_READ,
						  .fd = fd,
						  .addr = (uintptr_t)plain,
						  .len = 8 * TRUTH_PAGE }) != 8 * TRUTH_PAGE,
	     "IORING_OP_READ");
	truth_expect(plain, 8 * TRUTH_PAGE, "anon|mthp|thp", "kernel", "fault");
	close(fd);
}

/* ---- KSM ----------------------------------------------------------------------------------------- */

#define MERGED 64 /* pages */

static char *alike;

static uint64_t frame_of(const char *p)
{
	int pm = truth_open("/proc/self/pagemap");
	uint64_t entry = 0;

	must(pread(pm, &entry, 8, (uintptr_t)p / TRUTH_PAGE * 8) != 8, "pagemap");
	close(pm);
	return entry & PM_PRESENT ? entry & PM_PFN : 0;
}

static int frames(const char *p, size_t pages)
{
	int other = 0;

	for (size_t i = 1; i < pages; i++)
		other += frame_of(p + i * TRUTH_PAGE) != frame_of(p);
	return other + 1;
}

/* Pages that hold the same are made one: the driver has switched it on. */
static void scenario_ksm(void)
{
	const struct timespec nap = { .tv_nsec = 50000000 };
	time_t end = time(NULL) + PATIENCE_S;

	alike = map(MERGED * TRUTH_PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	must(madvise(alike, MERGED * TRUTH_PAGE, MADV_NOHUGEPAGE), "MADV_NOHUGEPAGE");
	memset(alike, 0x5a, MERGED * TRUTH_PAGE);
	must(frames(alike, MERGED) != MERGED, "one frame for two pages");
	must(madvise(alike, MERGED * TRUTH_PAGE, MADV_MERGEABLE), "MADV_MERGEABLE");
	while (frames(alike, MERGED) > 1 && time(NULL) < end)
		nanosleep(&nap, NULL);
	must(frames(alike, MERGED) > 1, "KSM has not made them one");
}

/* Who writes gets a copy of his own. */
static void scenario_ksm_written(void)
{
	for (int i = 0; i < MERGED / 2; i++)
		alike[i * TRUTH_PAGE] = (char)i;
	truth_expect(alike, MERGED / 2 * TRUTH_PAGE, "cow", "user", "fault");
}

static void scenario_ksm_ends(void)
{
	must(madvise(alike, MERGED * TRUTH_PAGE, MADV_UNMERGEABLE), "MADV_UNMERGEABLE");
	must(frames(alike, MERGED) != MERGED, "one frame for two pages");
}

static const struct {
	const char *name;
	void (*run)(void);
} scenarios[] = {
	{ "private_file", scenario_private_file },
	{ "shared", scenario_shared },
	{ "stack", scenario_stack },
	{ "hugetlb", scenario_hugetlb },
	{ "userfault", scenario_userfault },
	{ "foreign", scenario_foreign },
	{ "io_uring", scenario_io_uring },
	{ "ksm", scenario_ksm },
	{ "ksm_written", scenario_ksm_written },
	{ "ksm_ends", scenario_ksm_ends },
};

int main(int argc, char **argv)
{
	if (argc < 2) {
		dprintf(2, "usage: ways DIR SCENARIO...\n");
		return 99;
	}
	truth_start(argv[1]);
	truth_barrier("begin");
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		int wanted = 0;

		for (int k = 2; k < argc; k++)
			wanted |= !strcmp(argv[k], scenarios[i].name);
		if (!wanted)
			continue;
		scenarios[i].run();
		truth_barrier(scenarios[i].name);
	}
	_exit(truth->failed ? 97 : 42);
}
