// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Whoever puts events empties the ring, and must not wait for a compressor: it fills buffers, which a thread
 * makes frames of and writes. The thread is begun with the first full buffer, so that what starts by
 * fork() has no other thread yet. It owns the descriptor, the index and the maker; the rest that both
 * use is behind the mutex.
 */
#include "trace/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trace/frame.h"

/*
 * Of events. Twice as much makes files 2 % smaller, a quarter of it 6 % larger; at a time this is what
 * a second-level cache holds.
 */
#define BUFFER_BYTES (256 * 1024)
#define BUFFERS      16          /* the thread may be as many behind */
#define FLUSH_NS     1000000000U /* what is older is not kept back */

struct buffer {
	size_t used;
	uint32_t events;
	uint64_t first_ns, last_ns;
	char bytes[BUFFER_BYTES];
};

struct mp_writer {
	int fd;
	char *path;
	struct mp_frame_maker *maker;
	uint64_t written, events; /* of whole frames */
	struct mp_frame_entry *index;
	size_t nr_index, cap_index;
	int failed;          /* what put has told, and tells from then on */
	uint64_t flushed_ns; /* time of the event that a buffer was last handed over for */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread;
	bool running, closing;
	int error;          /* errno of the first failure; nothing is written after it */
	size_t full, taken; /* counts of buffers: [taken, full) wait to be written */
	struct buffer *buffers[BUFFERS];
};

/* Of the one who puts: the buffer that is being filled. NULL: no memory. */
static struct buffer *filling(struct mp_writer *w)
{
	struct buffer **b = &w->buffers[w->full % BUFFERS];

	if (!*b)
		*b = calloc(1, sizeof(**b));
	return *b;
}

/* ---- what the thread does -------------------------------------------------------------------- */

static int write_all(int fd, const void *bytes, size_t len)
{
	const char *at = bytes;
	ssize_t n;

	while (len) {
		n = write(fd, at, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		at += n;
		len -= n;
	}
	return 0;
}

/* Half a frame is of no use: a full disk has its room back. */
static int write_frame(struct mp_writer *w, const struct mp_frame *f, const void *stored)
{
	int err = write_all(w->fd, f, sizeof(*f));

	if (!err)
		err = write_all(w->fd, stored, f->stored);
	if (!err)
		w->written += sizeof(*f) + f->stored;
	else if (ftruncate(w->fd, (off_t)w->written))
		return err; /* a pipe, or a device: it cannot be helped */
	return err;
}

static int remember(struct mp_writer *w, const struct mp_frame *f)
{
	struct mp_frame_entry *e;

	if (w->nr_index == w->cap_index) {
		size_t cap = w->cap_index ? 2 * w->cap_index : 64;

		e = realloc(w->index, cap * sizeof(*e));
		if (!e)
			return -ENOMEM;
		w->index = e;
		w->cap_index = cap;
	}
	w->index[w->nr_index++] = (struct mp_frame_entry){
		.offset = w->written,
		.first_ns = f->first_ns,
		.last_ns = f->last_ns,
		.events = f->events,
		.bytes = f->bytes,
	};
	w->events += f->events;
	return 0;
}

static int write_events(struct mp_writer *w, struct buffer *b)
{
	struct mp_frame f = {
		.kind = MP_FRAME_EVENTS,
		.events = b->events,
		.first_ns = b->first_ns,
		.last_ns = b->last_ns,
	};
	const void *stored;
	int err = mp_frame_maker__make(w->maker, &f, b->bytes, b->used, &stored);

	if (!err)
		err = remember(w, &f);
	if (!err)
		err = write_frame(w, &f, stored);
	b->used = 0;
	b->events = 0;
	return err;
}

static int write_plain(struct mp_writer *w, enum mp_frame_kind kind, const void *content,
		       size_t bytes)
{
	struct mp_frame f = { .kind = kind };
	const void *stored;
	int err = mp_frame_maker__make(w->maker, &f, content, bytes, &stored);

	return err ? err : write_frame(w, &f, stored);
}

static int write_index(struct mp_writer *w)
{
	size_t most = MP_FRAME_MAX / sizeof(*w->index), at, nr;
	struct mp_frame_end end = { w->written, w->nr_index, w->events, 0 };
	int err = 0;

	for (at = 0; !err && at < w->nr_index; at += nr) {
		nr = w->nr_index - at < most ? w->nr_index - at : most;
		err = write_plain(w, MP_FRAME_INDEX, w->index + at, nr * sizeof(*w->index));
	}
	return err ? err : write_plain(w, MP_FRAME_END, &end, sizeof(end));
}

static void *work(void *arg)
{
	struct mp_writer *w = arg;
	int err;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		while (w->taken == w->full && !w->closing)
			pthread_cond_wait(&w->changed, &w->lock);
		if (w->taken == w->full || w->error)
			break;
		pthread_mutex_unlock(&w->lock);
		err = write_events(w, w->buffers[w->taken % BUFFERS]);
		pthread_mutex_lock(&w->lock);
		w->taken++;
		w->error = -err;
		pthread_cond_signal(&w->changed);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* ---- what the one who puts does -------------------------------------------------------------- */

/* Signals are for the thread that traces. Without a thread it is done here and now. */
static void start(struct mp_writer *w)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	w->running = !pthread_create(&w->thread, NULL, work, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static int hand_over(struct mp_writer *w)
{
	int err;

	if (!w->running)
		start(w);
	if (!w->running) {
		if (!w->error)
			w->error = -write_events(w, filling(w));
		return -w->error;
	}
	pthread_mutex_lock(&w->lock);
	w->full++;
	pthread_cond_signal(&w->changed);
	while (w->full - w->taken == BUFFERS && !w->error)
		pthread_cond_wait(&w->changed, &w->lock);
	err = -w->error;
	pthread_mutex_unlock(&w->lock);
	return err;
}

int mp_writer__put(struct mp_writer *w, const struct mp_ev *ev)
{
	struct buffer *b = filling(w);

	if (ev->size < sizeof(*ev) || ev->size % 8)
		return -EINVAL;
	if (!w->flushed_ns)
		w->flushed_ns = ev->ts_ns;
	if (b && !w->failed && b->events &&
	    (b->used + ev->size > sizeof(b->bytes) || ev->ts_ns > w->flushed_ns + FLUSH_NS)) {
		w->failed = hand_over(w);
		w->flushed_ns = ev->ts_ns;
		b = filling(w);
	}
	if (!b && !w->failed)
		w->failed = -ENOMEM;
	if (w->failed)
		return w->failed;
	if (!b->events || ev->ts_ns < b->first_ns)
		b->first_ns = ev->ts_ns;
	if (!b->events || ev->ts_ns > b->last_ns)
		b->last_ns = ev->ts_ns;
	b->events++;
	memcpy(b->bytes + b->used, ev, ev->size);
	b->used += ev->size;
	return 0;
}

/* A file that was there before keeps its old mode on O_CREAT: addresses and PFNs are not for all. */
static int create_private(const char *path)
{
	struct stat st;
	int fd, err;

	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0600);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || (S_ISREG(st.st_mode) && fchmod(fd, 0600))) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static void free_writer(struct mp_writer *w)
{
	for (size_t i = 0; i < BUFFERS; i++)
		free(w->buffers[i]);
	mp_frame_maker__free(w->maker);
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->changed);
	free(w->index);
	free(w->path);
	free(w);
}

static void write_header(struct mp_writer *w, uint64_t wall_ns, uint64_t mono_ns)
{
	struct mp_file_header header = {
		.version = MP_FILE_VERSION,
		.byte_order = MP_FILE_ORDER,
		.wall_ns = wall_ns,
		.mono_ns = mono_ns,
	};

	memcpy(header.magic, MP_FILE_MAGIC, sizeof(header.magic));
	w->error = -write_all(w->fd, &header, sizeof(header));
	w->written = w->error ? 0 : sizeof(header);
}

struct mp_writer *mp_writer__open(const char *path, int level, uint64_t wall_ns, uint64_t mono_ns,
				  struct mp_err *err)
{
	struct mp_writer *w = calloc(1, sizeof(*w));
	int fd;

	if (!w)
		goto no_memory;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	w->path = strdup(path);
	w->maker = mp_frame_maker__new(level);
	if (!w->path || !w->maker)
		goto free_writer;
	fd = create_private(path);
	if (fd < 0)
		goto cannot_create;
	w->fd = fd;
	write_header(w, wall_ns, mono_ns);
	return w;

cannot_create:
	free_writer(w);
	errno = -mp_fail(err, MP_EXIT_FAILED, -fd, "cannot create %s: %s; choose another -o", path,
			 strerror(-fd));
	return NULL;
free_writer:
	free_writer(w);
no_memory:
	errno = -mp_fail(err, MP_EXIT_FAILED, ENOMEM, "cannot create %s: out of memory", path);
	return NULL;
}

static void join(struct mp_writer *w)
{
	if (!w->running)
		return;
	pthread_mutex_lock(&w->lock);
	w->closing = true;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
}

int mp_writer__close(struct mp_writer *w, struct mp_err *err)
{
	struct buffer *b;
	int ret;

	if (!w)
		return 0;
	join(w);
	b = w->buffers[w->full % BUFFERS];
	if (!w->error)
		w->error = -w->failed;
	if (!w->error && b && b->events)
		w->error = -write_events(w, b);
	if (!w->error)
		w->error = -write_index(w);
	if (close(w->fd) && !w->error)
		w->error = errno;
	ret = -w->error;
	if (ret)
		mp_fail(err, MP_EXIT_FAILED, w->error,
			"cannot write %s: %s; %" PRIu64 " bytes were written and can be read%s",
			w->path, strerror(w->error), w->written,
			w->error == ENOSPC ? "; free space or choose another -o" : "");
	free_writer(w);
	return ret;
}
