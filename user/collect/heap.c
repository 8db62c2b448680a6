// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/heap.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "collect/cgroup.h"
#include "collect/heap_read.h"
#include "collect/heap_walk.h"

#define TRIES    5
#define PAUSE_US 2000 /* between two copies of a process that was in the middle of a change */

/* A copy must not use up the limit of a cgroup that the process is perhaps in as well. */
static uint64_t cgroup_room(void)
{
	struct mp_cgroup *cg = mp_cgroup__open(getpid());
	uint64_t room = cg ? mp_cgroup__room(cg) : UINT64_MAX;

	mp_cgroup__free(cg);
	return room;
}

/* What may be copied without driving anything else out of memory. */
static uint64_t memory_limit(void)
{
	uint64_t room = cgroup_room(), most;
	unsigned long long kb = 0;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %llu", &kb) == 1)
			break;
	if (f)
		fclose(f);
	most = kb ? kb * 1024 / 4 * 3 : UINT64_MAX;
	return room / 2 < most ? room / 2 : most;
}

struct xray {
	pid_t pid;
	struct mp_heap_options o;
	struct mp_glibc glibc;
	struct mp_heap_buffers *buffers;
	struct mp_heap_image image;
};

/* The process stands still only as long as this takes. */
static int copy(struct xray *x, uint64_t limit, struct mp_err *err)
{
	struct mp_freeze *freeze = NULL;
	int ret;

	if (x->o.freeze) {
		freeze = mp_freeze__begin(x->pid, err);
		if (!freeze)
			return -EPERM;
	}
	ret = mp_heap_copy(x->buffers, x->pid, &x->glibc, limit, &x->image, err);
	mp_freeze__end(freeze);
	if (!ret && x->o.freeze)
		x->image.flags |= MP_XRAY_FROZEN;
	return ret;
}

/*
 * Nothing is amiss; but what is lost for good (swapped out, corrupted, too large, caches never found)
 * is no different the next time: that is what the number of tries is for.
 */
static bool holds_together(const struct mp_heap_result *r)
{
	return !r->broken && !r->busy &&
	       !(r->flags & (MP_XRAY_ARENAS | MP_XRAY_LISTS | MP_XRAY_MMAPPED));
}

static int copy_until_it_holds(struct xray *x, struct mp_ev h, struct mp_err *err)
{
	uint64_t limit = memory_limit();
	struct mp_heap_result result;
	int ret = 0;

	if (x->o.limit_bytes && x->o.limit_bytes < limit)
		limit = x->o.limit_bytes;
	for (uint32_t n = 1; !ret && n <= (x->o.tries ? x->o.tries : TRIES); n++) {
		mp_heap_image__clear(&x->image);
		if (n > 1)
			usleep(PAUSE_US * n);
		ret = mp_heap_buffers__prepare(x->buffers, x->pid, &x->glibc, limit, err);
		if (!ret && x->o.before)
			x->o.before(x->o.ctx);
		if (!ret)
			ret = copy(x, limit, err);
		if (ret)
			break;
		x->image.tries = n;
		ret = mp_heap_walk(&x->image, h, NULL, NULL, &result);
		if (ret)
			return mp_fail(err, MP_EXIT_FAILED, -ret, "no memory");
		if (holds_together(&result))
			break;
	}
	return ret;
}

int mp_heap_xray(pid_t pid, const struct mp_heap_options *o, mp_emit_fn emit, void *ctx,
		 struct mp_err *err)
{
	struct mp_ev h = { .tgid = (uint32_t)pid };
	struct xray x = { .pid = pid, .o = o ? *o : (struct mp_heap_options){ 0 } };
	struct mp_heap_result result;
	int ret = mp_glibc_find(pid, &x.glibc, err);

	if (ret)
		return ret;
	x.buffers = mp_heap_buffers__new();
	if (!x.buffers)
		return mp_fail(err, MP_EXIT_FAILED, ENOMEM, "no memory");
	ret = copy_until_it_holds(&x, h, err);
	if (!ret) {
		h.ts_ns = x.image.begin_ns;
		ret = mp_heap_walk(&x.image, h, emit, ctx, &result);
		if (ret == -ENOMEM)
			mp_fail(err, MP_EXIT_FAILED, ENOMEM, "no memory");
	}
	mp_heap_image__clear(&x.image);
	mp_heap_buffers__free(x.buffers);
	return ret;
}
