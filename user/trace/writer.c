// SPDX-License-Identifier: GPL-2.0-or-later
#include "trace/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_BYTES (256 * 1024) /* at 64 bytes an event one write(2) in about 4000 events */

struct mp_writer {
	int fd;
	int error; /* errno of the first failure; nothing is written after it */
	uint64_t written;
	size_t used;
	char *path;
	char buffer[BUFFER_BYTES];
};

static int flush(struct mp_writer *w)
{
	size_t done = 0;
	ssize_t n;

	while (!w->error && done < w->used) {
		n = write(w->fd, w->buffer + done, w->used - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			w->error = errno;
		else if (n == 0)
			w->error = EIO;
		else
			done += n;
	}
	w->written += done;
	w->used = 0;
	return -w->error;
}

static int append(struct mp_writer *w, const void *bytes, size_t len)
{
	if (!w->error && len > sizeof(w->buffer) - w->used)
		flush(w);
	if (w->error)
		return -w->error;
	memcpy(w->buffer + w->used, bytes, len);
	w->used += len;
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

struct mp_writer *mp_writer__open(const char *path, uint64_t wall_ns, uint64_t mono_ns,
				  struct mp_err *err)
{
	struct mp_file_header header = {
		.version = 1,
		.byte_order = 0x01020304,
		.wall_ns = wall_ns,
		.mono_ns = mono_ns,
	};
	struct mp_writer *w;
	int fd;

	memcpy(header.magic, MP_FILE_MAGIC, sizeof(header.magic));
	w = malloc(sizeof(*w));
	if (!w)
		goto no_memory;
	w->path = strdup(path);
	if (!w->path)
		goto free_writer;
	fd = create_private(path);
	if (fd < 0)
		goto free_path;
	w->fd = fd;
	w->error = 0;
	w->written = 0;
	w->used = 0;
	append(w, &header, sizeof(header));
	return w;

free_path:
	free(w->path);
	free(w);
	errno = -mp_fail(err, MP_EXIT_FAILED, -fd, "cannot create %s: %s; choose another -o", path,
			 strerror(-fd));
	return NULL;
free_writer:
	free(w);
no_memory:
	errno = -mp_fail(err, MP_EXIT_FAILED, ENOMEM, "cannot create %s: out of memory", path);
	return NULL;
}

int mp_writer__put(struct mp_writer *w, const struct mp_ev *ev)
{
	return append(w, ev, ev->size);
}

int mp_writer__close(struct mp_writer *w, struct mp_err *err)
{
	int error;

	if (!w)
		return 0;
	flush(w);
	/* Network file systems tell of a full disk only here. Never retried: the fd is gone. */
	if (close(w->fd) && !w->error && errno != EINTR)
		w->error = errno;
	error = w->error;
	if (error)
		mp_fail(err, MP_EXIT_FAILED, error,
			"cannot write %s: %s; %" PRIu64 " bytes were written and can be read, "
			"the rest is lost: %s choose another -o",
			w->path, strerror(error), w->written,
			error == ENOSPC || error == EDQUOT ? "free space or" : "");
	free(w->path);
	free(w);
	return -error;
}
