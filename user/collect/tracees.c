// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/tracees.h"

#include <stdlib.h>

static struct mp_tracee **bucket_of(struct mp_tracees *all, pid_t tid)
{
	return &all->bucket[(unsigned int)tid % MP_TRACEE_BUCKETS];
}

struct mp_tracee *mp_tracees__find(const struct mp_tracees *all, pid_t tid)
{
	struct mp_tracee *t = all->bucket[(unsigned int)tid % MP_TRACEE_BUCKETS];

	while (t && t->tid != tid)
		t = t->next;
	return t;
}

struct mp_tracee *mp_tracees__add(struct mp_tracees *all, pid_t tid, pid_t tgid)
{
	struct mp_tracee **bucket = bucket_of(all, tid);
	struct mp_tracee *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->tid = tid;
	t->tgid = tgid;
	t->hold.linker_fd = t->hold.entry_fd = -1;
	t->next = *bucket;
	*bucket = t;
	all->nr++;
	return t;
}

void mp_tracee_end_hold(struct mp_tracee *t)
{
	if (t->holding)
		mp_hold_end(&t->hold, t->tid);
	t->holding = false;
}

void mp_tracees__forget(struct mp_tracees *all, pid_t tid)
{
	struct mp_tracee **slot = bucket_of(all, tid), *t;

	while (*slot && (*slot)->tid != tid)
		slot = &(*slot)->next;
	t = *slot;
	if (!t)
		return;
	mp_tracee_end_hold(t);
	*slot = t->next;
	free(t);
	all->nr--;
}

void mp_tracees__forget_threads(struct mp_tracees *all, pid_t tgid)
{
	for (size_t i = 0; i < MP_TRACEE_BUCKETS; i++) {
		struct mp_tracee *t = all->bucket[i], *next;

		for (; t; t = next) {
			next = t->next;
			if (t->tgid == tgid && t->tid != tgid)
				mp_tracees__forget(all, t->tid);
		}
	}
}

void mp_tracees__forget_all(struct mp_tracees *all)
{
	for (size_t i = 0; i < MP_TRACEE_BUCKETS; i++)
		while (all->bucket[i])
			mp_tracees__forget(all, all->bucket[i]->tid);
}
