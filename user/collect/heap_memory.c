// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

#include "collect/heap_read.h"

#define PM_PRESENT (1ULL << 63) /* Documentation/admin-guide/mm/pagemap.rst */
#define BATCH      64           /* pieces one call copies */
#define WORKERS    8

int mp_heap_memory__open(struct mp_heap_memory *m, pid_t pid)
{
	char path[64];

	m->pid = pid;
	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	m->pagemap = open(path, O_RDONLY | O_CLOEXEC);
	return m->pagemap < 0 ? -errno : 0;
}

void mp_heap_memory__close(struct mp_heap_memory *m)
{
	if (m->pagemap >= 0)
		close(m->pagemap);
	m->pagemap = -1;
}

static bool present(const struct mp_heap_memory *m, uint64_t addr)
{
	uint64_t entry;

	return pread(m->pagemap, &entry, sizeof(entry), (off_t)(addr / MP_PAGE_SIZE * 8)) ==
		       sizeof(entry) &&
	       entry & PM_PRESENT;
}

int mp_heap_memory__read(const void *memory, uint64_t addr, void *to, size_t len)
{
	const struct mp_heap_memory *m = memory;
	struct iovec local = { to, len }, remote = { (void *)(uintptr_t)addr, len };

	if (addr >= 1ULL << 57 || len > MP_PAGE_SIZE)
		return -ENODATA;
	if (!present(m, addr) || !present(m, addr + len - 1))
		return -ENODATA;
	return process_vm_readv(m->pid, &local, 1, &remote, 1, 0) == (ssize_t)len ? 0 : -ENODATA;
}

/* ---- much of it ----------------------------------------------------------------------------- */

struct job {
	const struct mp_heap_memory *m;
	struct mp_heap_piece *list;
	size_t nr;
	atomic_size_t next;
};

/* What one call did not get is asked for again from where it stopped; a page that is gone is left. */
static void copy_batch(const struct job *job, struct mp_heap_piece *list, size_t nr)
{
	struct iovec local[BATCH], remote[BATCH];
	size_t i = 0;

	while (i < nr) {
		size_t n = 0;
		ssize_t got;

		for (size_t k = i; k < nr; k++, n++) {
			local[n] = (struct iovec){ list[k].to, list[k].len };
			remote[n] = (struct iovec){ (void *)(uintptr_t)list[k].addr, list[k].len };
		}
		got = process_vm_readv(job->m->pid, local, n, remote, n, 0);
		for (; got > 0 && i < nr; got -= (ssize_t)list[i++].len) {
			list[i].got = (uint64_t)got < list[i].len ? (uint64_t)got : list[i].len;
			if (list[i].got < list[i].len)
				break;
		}
		if (i < nr) /* the one that failed, or was cut short */
			i++;
	}
}

static void *work(void *arg)
{
	struct job *job = arg;
	size_t first;

	while ((first = atomic_fetch_add(&job->next, BATCH)) < job->nr)
		copy_batch(job, job->list + first,
			   job->nr - first < BATCH ? job->nr - first : BATCH);
	return NULL;
}

void mp_heap_memory__copy(const struct mp_heap_memory *m, struct mp_heap_piece *list, size_t nr)
{
	struct job job = { .m = m, .list = list, .nr = nr };
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t threads[WORKERS];
	int n = 0;

	while (n < WORKERS && n + 1 < cpus && (size_t)(n + 1) * BATCH < nr &&
	       !pthread_create(&threads[n], NULL, work, &job))
		n++;
	work(&job);
	while (n)
		pthread_join(threads[--n], NULL);
}
