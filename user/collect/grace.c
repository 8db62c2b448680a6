// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/grace.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS 16

struct put {
	int outer, fd;
	uint32_t index;
	atomic_int rc;    /* UNDER_WAY, then 0 or -errno */
	atomic_int users; /* the thread that does it, the one that wants it */
};
#define UNDER_WAY 1

struct job {
	struct job *next;
	struct bpf_link *link;
	int fd;
	struct put *put;
};

struct mp_grace {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct job *head;
	bool ending;
	pthread_t thread[THREADS];
	int nr_threads;
};

static void leave(struct put *p)
{
	if (atomic_fetch_sub(&p->users, 1) == 1)
		free(p);
}

static int put_now(int outer, uint32_t index, int fd)
{
	int rc = fd < 0 ? bpf_map_delete_elem(outer, &index)
			: bpf_map_update_elem(outer, &index, &fd, BPF_ANY);

	rc = rc ? -errno : 0;
	if (fd >= 0)
		close(fd); /* the outer map holds it */
	return rc;
}

static void do_now(const struct job *j)
{
	bpf_link__destroy(j->link);
	if (j->fd >= 0)
		close(j->fd);
	if (!j->put)
		return;
	atomic_store(&j->put->rc, put_now(j->put->outer, j->put->index, j->put->fd));
	leave(j->put);
}

static struct job *take(struct mp_grace *g)
{
	struct job *j;

	pthread_mutex_lock(&g->lock);
	while (!g->head && !g->ending)
		pthread_cond_wait(&g->more, &g->lock);
	j = g->head;
	if (j)
		g->head = j->next;
	pthread_mutex_unlock(&g->lock);
	return j;
}

static void *work(void *ctx)
{
	struct job *j;

	while ((j = take(ctx))) {
		do_now(j);
		free(j);
	}
	return NULL;
}

/* The threads take no signals: those are for the main loop. */
struct mp_grace *mp_grace__new(void)
{
	struct mp_grace *g = calloc(1, sizeof(*g));
	sigset_t all, old;

	if (!g)
		return NULL;
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->more, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (g->nr_threads < THREADS && !pthread_create(&g->thread[g->nr_threads], NULL, work, g))
		g->nr_threads++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (g->nr_threads)
		return g;
	free(g);
	return NULL;
}

static void give(struct mp_grace *g, const struct job *what)
{
	struct job *j = g ? malloc(sizeof(*j)) : NULL;

	if (!j) {
		do_now(what);
		return;
	}
	*j = *what;
	pthread_mutex_lock(&g->lock);
	j->next = g->head;
	g->head = j;
	pthread_cond_signal(&g->more);
	pthread_mutex_unlock(&g->lock);
}

void mp_grace__close(struct mp_grace *g, struct bpf_link *link, int fd)
{
	give(g, &(struct job){ .link = link, .fd = fd });
}

/* The id of a map, 0 for none: what a lookup in a map of maps tells. */
static uint32_t id_of(int fd)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);

	return fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

static bool is_there(const struct put *p, uint32_t wanted)
{
	uint32_t id = 0;

	return !(bpf_map_lookup_elem(p->outer, &p->index, &id) && errno != ENOENT) && id == wanted;
}

int mp_grace__put(struct mp_grace *g, int outer, uint32_t index, int fd)
{
	struct put *p = malloc(sizeof(*p));
	uint32_t wanted = id_of(fd);
	int rc;

	if (!p)
		return put_now(outer, index, fd);
	*p = (struct put){ .outer = outer, .fd = fd, .index = index, .rc = UNDER_WAY, .users = 2 };
	give(g, &(struct job){ .fd = -1, .put = p });
	/* the kernel waits after it has put it there (kernel/bpf/syscall.c, maybe_wait_bpf_programs) */
	while ((rc = atomic_load(&p->rc)) == UNDER_WAY && !is_there(p, wanted))
		usleep(20);
	leave(p);
	return rc == UNDER_WAY ? 0 : rc;
}

void mp_grace__free(struct mp_grace *g)
{
	if (!g)
		return;
	pthread_mutex_lock(&g->lock);
	g->ending = true;
	pthread_cond_broadcast(&g->more);
	pthread_mutex_unlock(&g->lock);
	for (int i = 0; i < g->nr_threads; i++)
		pthread_join(g->thread[i], NULL);
	pthread_cond_destroy(&g->more);
	pthread_mutex_destroy(&g->lock);
	free(g);
}
