// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/limits.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "collect/cgroup.h"

#define LOOK_NS 100000000ULL
/* More than what is learnt in the time it takes to hear of a shortage, and to report it then. */
#define RESERVE_BYTES (16UL << 20)

struct limited {
	pid_t pid;
	struct mp_cgroup *cgroup; /* NULL: no limit */
	bool victim, told, ended;
};

struct mp_limits {
	struct limited *list;
	size_t nr;
	struct mp_cgroup *own;
	struct mp_shortage last;
	void *reserve; /* see mp_limits__mind() */
	uint64_t looked_ns;
	size_t next; /* of the list, to be looked at */
};

struct mp_limits *mp_limits__new(void)
{
	struct mp_limits *l = calloc(1, sizeof(*l));

	if (l)
		l->own = mp_cgroup__open(getpid());
	return l;
}

static void give_reserve(struct mp_limits *l)
{
	if (l->reserve)
		munmap(l->reserve, RESERVE_BYTES);
	l->reserve = NULL;
}

void mp_limits__mind(struct mp_limits *l, struct mp_kernel *k)
{
	if (l->reserve && mp_kernel_hits(k, MP_HIT_VICTIM))
		give_reserve(l);
}

static void take_reserve(struct mp_limits *l)
{
	uint64_t limit;
	void *p;

	if (l->reserve || !mp_limits__shared(l, &limit))
		return;
	p = mmap(NULL, RESERVE_BYTES, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	l->reserve = p == MAP_FAILED ? NULL : p;
}

void mp_limits__free(struct mp_limits *l)
{
	if (!l)
		return;
	give_reserve(l);
	while (l->nr)
		mp_cgroup__free(l->list[--l->nr].cgroup);
	mp_cgroup__free(l->own);
	free(l->list);
	free(l);
}

/* The last of that number. */
static struct limited *find(const struct mp_limits *l, pid_t pid)
{
	for (size_t i = l->nr; i-- > 0;)
		if (l->list[i].pid == pid)
			return &l->list[i];
	return NULL;
}

void mp_limits__add(struct mp_limits *l, pid_t pid)
{
	struct limited *p = find(l, pid), *list;

	if (p && !p->ended) {
		mp_cgroup__free(p->cgroup);
		p->cgroup = mp_cgroup__open(pid);
		take_reserve(l);
		return;
	}
	list = realloc(l->list, (l->nr + 1) * sizeof(*list));
	if (!list)
		return; /* its limit is not told */
	l->list = list;
	list[l->nr++] = (struct limited){ .pid = pid, .cgroup = mp_cgroup__open(pid) };
	take_reserve(l);
}

void mp_limits__tell(struct mp_limits *l, pid_t pid, mp_emit_fn emit, void *ctx)
{
	struct limited *p = find(l, pid);

	if (p && !p->cgroup && (!p->ended || p->victim)) /* it may have been given one since */
		p->cgroup = mp_cgroup__open(pid);
	if (p && p->cgroup)
		mp_cgroup__tell(p->cgroup, pid, emit, ctx);
}

void mp_limits__victim(struct mp_limits *l, pid_t pid)
{
	struct limited *p = find(l, pid);

	if (p)
		p->victim = true;
}

void mp_limits__end(struct mp_limits *l, pid_t pid)
{
	struct limited *p = find(l, pid);

	if (p)
		p->ended = true;
}

static const struct mp_shortage *shortage(struct mp_limits *l, struct limited *p, mp_emit_fn emit,
					  void *ctx)
{
	mp_limits__tell(l, p->pid, emit, ctx);
	l->last = (struct mp_shortage){
		.pid = p->pid,
		.victim = p->victim,
		.limit_bytes = p->cgroup ? mp_cgroup__limit(p->cgroup) : ~0ULL,
		.cgroup = p->cgroup ? mp_cgroup__path(p->cgroup) : "",
	};
	return &l->last;
}

/* Once for each process: that it is a victim, or what its cgroup had come to when it ended. */
static const struct mp_shortage *next_victim(struct mp_limits *l, mp_emit_fn emit, void *ctx)
{
	for (size_t i = 0; i < l->nr; i++) {
		struct limited *p = &l->list[i];

		if (p->told || !(p->victim || p->ended))
			continue;
		p->told = true;
		if (p->victim)
			return shortage(l, p, emit, ctx);
		mp_limits__tell(l, p->pid, emit, ctx);
	}
	return NULL;
}

const struct mp_shortage *mp_limits__look(struct mp_limits *l, mp_emit_fn emit, void *ctx)
{
	const struct mp_shortage *found = next_victim(l, emit, ctx);

	if (found)
		return found;
	if (l->next >= l->nr) {
		if (mp_mono_ns() - l->looked_ns < LOOK_NS)
			return NULL;
		l->looked_ns = mp_mono_ns();
		l->next = 0;
	}
	while (l->next < l->nr) {
		struct limited *p = &l->list[l->next++];

		if (p->cgroup && !p->ended && !p->victim && mp_cgroup__ran_out(p->cgroup))
			return shortage(l, p, emit, ctx);
	}
	return NULL;
}

const char *mp_limits__shared(const struct mp_limits *l, uint64_t *limit_bytes)
{
	for (size_t i = 0; l->own && i < l->nr; i++) {
		const struct mp_cgroup *cg = l->list[i].cgroup;

		if (!cg || l->list[i].ended || strcmp(mp_cgroup__path(cg), mp_cgroup__path(l->own)))
			continue;
		*limit_bytes = mp_cgroup__limit(cg);
		return mp_cgroup__path(cg);
	}
	return NULL;
}
