// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * stuck NR: NR threads that stand in page faults nobody answers (userfaultfd), each inside
 * handle_mm_fault. Says "stuck NR" once all do, and ends with its stdin.
 */
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#define PAGE 4096UL

static void *touch(void *page)
{
	*(volatile char *)page = 1;
	return NULL;
}

/* A userfaultfd over @len bytes of fresh memory at *@mem, or -1. */
static int watched(size_t len, char **mem)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	*mem = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fd < 0 || *mem == MAP_FAILED || ioctl(fd, UFFDIO_API, &api))
		return -1;
	reg.range.start = (unsigned long)*mem;
	reg.range.len = len;
	return ioctl(fd, UFFDIO_REGISTER, &reg) ? -1 : fd;
}

int main(int argc, char **argv)
{
	size_t nr = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	char *mem, byte;
	int fd = nr ? watched(nr * PAGE, &mem) : -1;

	if (fd < 0) {
		perror("stuck");
		return 1;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (size_t i = 0; i < nr; i++) {
		struct uffd_msg msg;
		pthread_t thread;

		if (pthread_create(&thread, NULL, touch, mem + i * PAGE) ||
		    read(fd, &msg, sizeof(msg)) != sizeof(msg))
			return 1;
	}
	printf("stuck %zu\n", nr);
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	_exit(0);
}
