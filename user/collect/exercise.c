// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/exercise.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCK  (64 * 1024) /* below glibc's mmap threshold: out of the heap, which grows by brk */
#define BLOCKS 16
#define MAPPED (64 * MP_PAGE_SIZE)

static void touch(volatile char *mem, size_t size)
{
	for (size_t i = 0; mem && i < size; i += MP_PAGE_SIZE)
		mem[i] = 1;
}

/* What malloc asks of the kernel is asked once more directly: the allocator here may be another. */
static int workload(void)
{
	void *top, *mem;

	for (int i = 0; i < BLOCKS; i++)
		touch(malloc(BLOCK), BLOCK);
	top = sbrk(BLOCK);
	if (top == (void *)-1)
		return 1;
	touch(top, BLOCK);
	mem = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		return 1;
	madvise(mem, MAPPED, MADV_NOHUGEPAGE); /* huge pages pass do_anonymous_page by */
	touch(mem, MAPPED);
	return 0;
}

static int child(const int go[2])
{
	char c;

	close(go[1]);
	return read(go[0], &c, 1) == 1 ? workload() : 1;
}

static int failed(struct mp_err *err, int rc)
{
	return mp_fail(err, MP_EXIT_FAILED, rc, "a small workload of our own cannot be traced: %s",
		       strerror(rc));
}

int mp_exercise(struct mp_kernel *k, struct mp_err *err)
{
	int go[2], status = 0, rc;
	pid_t pid;

	if (pipe2(go, O_CLOEXEC))
		return failed(err, errno);
	pid = fork();
	if (!pid)
		_exit(child(go));
	if (pid < 0) {
		rc = errno;
		close(go[0]);
		close(go[1]);
		return failed(err, rc);
	}
	close(go[0]);
	rc = mp_kernel_trace(k, pid, 0);
	if (!rc && write(go[1], "g", 1) != 1)
		rc = -EPIPE;
	close(go[1]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	mp_kernel_forget(k, pid);
	if (!rc && status)
		rc = -ECHILD;
	return rc ? failed(err, -rc) : 0;
}
