// SPDX-License-Identifier: GPL-2.0-or-later
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "collect/heap_read.h"

/* Documentation/admin-guide/mm/pagemap.rst */
#define PM_EXCLUSIVE   (1ULL << 56)
#define PM_PRESENT     (1ULL << 63)
#define BATCH          16     /* pieces one call copies */
#define FORKED_NO_EXEC 0x40UL /* include/linux/sched.h: PF_FORKNOEXEC */
#define PIECE_PAGES    (MP_HEAP_PIECE / MP_PAGE_SIZE)
#define WORKERS        8

static int open_of(pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static bool read_line(const char *path, char *line, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, line, size - 1);

	if (fd >= 0)
		close(fd);
	line[n > 0 ? n : 0] = '\0';
	return n >= 0;
}

/* A thread of @pid has a child, or that cannot be known. */
static bool has_children(pid_t pid)
{
	char path[300], line[16];
	struct dirent *d;
	bool has = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		return true;
	while (!has && (d = readdir(dir))) {
		if (*d->d_name == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/children", pid, d->d_name);
		has = !read_line(path, line, sizeof(line)) || *line;
	}
	closedir(dir);
	return has;
}

/*
 * Whether it may share pages with others, or have done so: it came by fork and executed nothing since,
 * has children, had some it waited for (then their faults are counted), or does not wait for them.
 */
static bool may_have_forked(pid_t pid)
{
	char path[64], text[4096], *at;
	unsigned long flags, faults;
	unsigned long long ignored;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (!read_line(path, text, sizeof(text)))
		return true;
	at = strrchr(text, ')');
	/* state ppid pgrp session tty tpgid flags minflt cminflt */
	if (!at || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %lu %*u %lu", &flags, &faults) != 2 ||
	    flags & FORKED_NO_EXEC || faults)
		return true;
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	at = read_line(path, text, sizeof(text)) ? strstr(text, "\nSigIgn:") : NULL;
	if (!at || sscanf(at, "\nSigIgn: %llx", &ignored) != 1 || ignored >> (SIGCHLD - 1) & 1)
		return true;
	return has_children(pid);
}

int mp_heap_memory__open(struct mp_heap_memory *m, pid_t pid)
{
	int err;

	m->pid = pid;
	m->alone = !may_have_forked(pid);
	m->pagemap = open_of(pid, "pagemap");
	m->mem = m->pagemap < 0 ? -1 : open_of(pid, "mem");
	err = errno;
	if (m->mem >= 0)
		return 0;
	mp_heap_memory__close(m);
	return -err;
}

void mp_heap_memory__close(struct mp_heap_memory *m)
{
	if (m->pagemap >= 0)
		close(m->pagemap);
	if (m->mem >= 0)
		close(m->mem);
	m->pagemap = m->mem = -1;
}

enum mp_heap_pages_kind mp_heap_memory__kind(const struct mp_heap_memory *m, uint64_t addr,
					     size_t nr)
{
	uint64_t entries[PIECE_PAGES], all = UINT64_MAX;

	if (nr > PIECE_PAGES || pread(m->pagemap, entries, nr * 8,
				      (off_t)(addr / MP_PAGE_SIZE * 8)) != (ssize_t)(nr * 8))
		return MP_HEAP_NOT_THERE;
	while (nr--)
		all &= entries[nr];
	if (!(all & PM_PRESENT))
		return MP_HEAP_NOT_THERE;
	return m->alone && all & PM_EXCLUSIVE ? MP_HEAP_EXCLUSIVE : MP_HEAP_SHARED;
}

int mp_heap_memory__read(const void *memory, uint64_t addr, void *to, size_t len)
{
	const struct mp_heap_memory *m = memory;

	if (addr >= 1ULL << 57 || len > MP_PAGE_SIZE || !len)
		return -ENODATA;
	if (!mp_heap_memory__kind(m, addr, 1) || !mp_heap_memory__kind(m, addr + len - 1, 1))
		return -ENODATA;
	return pread(m->mem, to, len, (off_t)addr) == (ssize_t)len ? 0 : -ENODATA;
}

/* ---- much of it ----------------------------------------------------------------------------- */

struct job {
	const struct mp_heap_memory *m;
	struct mp_heap_piece *list;
	size_t nr;
	atomic_size_t next;
};

static void copy_slowly(const struct mp_heap_memory *m, struct mp_heap_piece *piece)
{
	for (piece->got = 0; piece->got < piece->len; piece->got += MP_PAGE_SIZE)
		if (mp_heap_memory__read(m, piece->addr + piece->got,
					 (char *)piece->to + piece->got, MP_PAGE_SIZE))
			return;
}

/* What one call did not get is asked for again from where it stopped; a page that is gone is left. */
static void copy_fast(const struct mp_heap_memory *m, struct mp_heap_piece **list, size_t nr)
{
	struct iovec local[BATCH], remote[BATCH];
	size_t i = 0;

	while (i < nr) {
		size_t n = 0;
		ssize_t got;

		for (size_t k = i; k < nr; k++, n++) {
			local[n] = (struct iovec){ list[k]->to, list[k]->len };
			remote[n] =
				(struct iovec){ (void *)(uintptr_t)list[k]->addr, list[k]->len };
		}
		got = process_vm_readv(m->pid, local, n, remote, n, 0);
		for (; got > 0 && i < nr; got -= (ssize_t)list[i++]->len) {
			list[i]->got = (uint64_t)got < list[i]->len ? (uint64_t)got : list[i]->len;
			if (list[i]->got < list[i]->len)
				break;
		}
		if (i < nr) /* the one that failed, or was cut short */
			i++;
	}
}

static void copy_batch(const struct mp_heap_memory *m, struct mp_heap_piece *list, size_t nr)
{
	struct mp_heap_piece *own[BATCH];
	size_t n = 0;

	for (size_t i = 0; i < nr; i++) {
		if (mp_heap_memory__kind(m, list[i].addr, list[i].len / MP_PAGE_SIZE) ==
		    MP_HEAP_EXCLUSIVE)
			own[n++] = &list[i];
		else
			copy_slowly(m, &list[i]);
	}
	copy_fast(m, own, n);
}

static void *work(void *arg)
{
	struct job *job = arg;
	size_t first;

	while ((first = atomic_fetch_add(&job->next, BATCH)) < job->nr)
		copy_batch(job->m, job->list + first,
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
