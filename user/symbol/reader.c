// SPDX-License-Identifier: GPL-2.0-or-later
#include "symbol/reader.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "symbol/serve.h"

/* Waiting, not working, that long means a file system that does not answer. */
#define WALL_MS 300000
/* Files one request may ask for; an object needs two, each sought among some candidates. */
#define MAX_NEEDS 128

static void set_room(int sock)
{
	const int size = 4 * (int)sizeof(struct mp_wire);

	setsockopt(sock, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

int mp_reader_start(struct mp_reader *r)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	set_room(pair[0]);
	set_room(pair[1]);
	r->pid = fork();
	if (!r->pid)
		mp_serve(pair[1]);
	close(pair[1]);
	r->sock = pair[0];
	if (r->pid > 0)
		return 0;
	close(pair[0]);
	return -errno;
}

void mp_reader_stop(struct mp_reader *r)
{
	if (r->pid <= 0)
		return;
	close(r->sock);
	kill(r->pid, SIGKILL);
	while (waitpid(r->pid, NULL, 0) < 0 && errno == EINTR)
		;
	r->pid = 0;
}

static uint64_t in_ms(clockid_t clock)
{
	struct timespec t = { 0 };

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

struct budget {
	clockid_t clock; /* the reader's CPU time: a busy machine is not its fault */
	uint64_t cpu_end, wall_end;
};

static int wait_for(struct mp_reader *r, const struct budget *b)
{
	struct pollfd p = { .fd = r->sock, .events = POLLIN };

	for (;;) {
		int rc = poll(&p, 1, 50);

		if (rc > 0)
			return 0;
		if (rc < 0 && errno != EINTR)
			return -errno;
		if (in_ms(b->clock) > b->cpu_end || in_ms(CLOCK_MONOTONIC) > b->wall_end)
			return -ETIMEDOUT;
	}
}

static int give_file(struct mp_reader *r, struct mp_wire *m)
{
	int fd = r->need ? r->need(r->ctx, m) : -1, rc;

	mp_wire_begin(m, MP_WIRE_FILE, m->head.object);
	m->head.n = fd >= 0;
	rc = mp_wire_send(r->sock, m, fd);
	if (fd >= 0)
		close(fd);
	return rc;
}

static int converse(struct mp_reader *r, struct mp_wire *m, int fd, const struct budget *b)
{
	int rc = mp_wire_send(r->sock, m, fd), got;

	for (int needs = 0; !rc; needs++) {
		rc = wait_for(r, b);
		if (rc)
			break;
		rc = mp_wire_recv(r->sock, m, &got);
		if (got >= 0)
			close(got); /* it has none to give */
		if (rc || m->head.kind != MP_WIRE_NEED)
			break;
		rc = needs < MAX_NEEDS ? give_file(r, m) : -EBADMSG;
	}
	return rc;
}

int mp_reader_ask(struct mp_reader *r, struct mp_wire *m, int fd)
{
	struct budget b = { .clock = CLOCK_MONOTONIC };
	int rc;

	if (r->pid <= 0)
		return -EPIPE;
	/* should its clock be not to be had, that of the wall serves */
	clock_getcpuclockid(r->pid, &b.clock);
	b.cpu_end = in_ms(b.clock) + r->cpu_ms;
	b.wall_end = in_ms(CLOCK_MONOTONIC) + WALL_MS;
	rc = converse(r, m, fd, &b);
	if (rc)
		mp_reader_stop(r);
	return rc;
}
