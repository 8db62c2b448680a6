// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where each thread's cache is. Thread-local variables lie at fixed places from the thread pointer,
 * a register that cannot be read of a running thread. But every thread of glibc registers its list of
 * robust mutexes with the kernel, which tells where that is, and it lies in struct pthread: at the
 * thread pointer, whose first and third words point to itself (the ABI of thread-local storage).
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "collect/heap_read.h"

#define NEAR        1024U /* in all versions so far; */
#define FAR         4000U /* if it ever is further */
#define THREADS_MAX (1U << 20)

/* The thread pointer at most @within bytes below @head. */
static uint64_t find_tp(const struct mp_heap_memory *m, uint64_t head, uint64_t within)
{
	uint64_t start = (head - within) & ~15ULL, words[FAR / 8 + 8];

	if (head < within || mp_heap_memory__read(m, start, words, head + 24 - start))
		return 0;
	for (uint64_t at = head & ~15ULL; at >= start; at -= 16) {
		size_t i = (at - start) / 8;

		if (words[i] == at && words[i + 2] == at)
			return at;
	}
	return 0;
}

static int add_thread(const struct mp_heap_memory *m, struct mp_heap_image *image, pid_t tid)
{
	struct mp_heap_thread thread = { .tid = tid };
	uint64_t head = 0, tp;
	size_t len;

	if (syscall(SYS_get_robust_list, tid, &head, &len) ? errno == ESRCH : !head)
		return 0; /* it is gone; it has only begun, or glibc did not make it */
	tp = find_tp(m, head, NEAR);
	if (!tp)
		tp = find_tp(m, head, FAR);
	if (!tp || mp_heap_memory__read(m, tp + (uint64_t)image->glibc.tcache_tp, &thread.tcache,
					sizeof(thread.tcache))) {
		image->flags |= MP_XRAY_TCACHES;
		return 0;
	}
	return mp_heap_image_add(&image->threads, &image->nr_threads, &thread, sizeof(thread));
}

int mp_heap_read_threads(const struct mp_heap_memory *m, struct mp_heap_image *image)
{
	struct dirent *d;
	char path[64];
	int ret = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", m->pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while (!ret && image->nr_threads < THREADS_MAX && (d = readdir(dir)))
		if (*d->d_name != '.')
			ret = add_thread(m, image, atoi(d->d_name));
	closedir(dir);
	return ret;
}
