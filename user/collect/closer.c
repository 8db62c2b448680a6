// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/closer.h"

#include <bpf/libbpf.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS 16

struct job {
	struct job *next;
	struct bpf_link *link;
	int fd;
};

struct mp_closer {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct job *head;
	bool ending;
	pthread_t thread[THREADS];
	int nr_threads;
};

static void close_now(struct bpf_link *link, int fd)
{
	bpf_link__destroy(link);
	if (fd >= 0)
		close(fd);
}

static struct job *take(struct mp_closer *c)
{
	struct job *j;

	pthread_mutex_lock(&c->lock);
	while (!c->head && !c->ending)
		pthread_cond_wait(&c->more, &c->lock);
	j = c->head;
	if (j)
		c->head = j->next;
	pthread_mutex_unlock(&c->lock);
	return j;
}

static void *work(void *ctx)
{
	struct job *j;

	while ((j = take(ctx))) {
		close_now(j->link, j->fd);
		free(j);
	}
	return NULL;
}

/* The threads take no signals: those are for the main loop. */
struct mp_closer *mp_closer__new(void)
{
	struct mp_closer *c = calloc(1, sizeof(*c));
	sigset_t all, old;

	if (!c)
		return NULL;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->more, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (c->nr_threads < THREADS && !pthread_create(&c->thread[c->nr_threads], NULL, work, c))
		c->nr_threads++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (c->nr_threads)
		return c;
	free(c);
	return NULL;
}

void mp_closer__close(struct mp_closer *c, struct bpf_link *link, int fd)
{
	struct job *j = c ? malloc(sizeof(*j)) : NULL;

	if (!j) {
		close_now(link, fd);
		return;
	}
	*j = (struct job){ .link = link, .fd = fd };
	pthread_mutex_lock(&c->lock);
	j->next = c->head;
	c->head = j;
	pthread_cond_signal(&c->more);
	pthread_mutex_unlock(&c->lock);
}

void mp_closer__free(struct mp_closer *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->ending = true;
	pthread_cond_broadcast(&c->more);
	pthread_mutex_unlock(&c->lock);
	for (int i = 0; i < c->nr_threads; i++)
		pthread_join(c->thread[i], NULL);
	pthread_cond_destroy(&c->more);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
