// SPDX-License-Identifier: GPL-2.0-or-later
#include "symbol/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

union control {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(sizeof(int))];
};

int mp_wire_send(int sock, const struct mp_wire *m, int fd)
{
	union control control = { 0 };
	struct iovec io = { (void *)m, sizeof(m->head) + m->head.bytes };
	struct msghdr msg = { .msg_iov = &io, .msg_iovlen = 1 };
	struct cmsghdr *c;
	ssize_t n;

	if (fd >= 0) {
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int mp_wire_recv(int sock, struct mp_wire *m, int *fd)
{
	union control control;
	struct iovec io = { m, sizeof(*m) };
	struct msghdr msg = {
		.msg_iov = &io,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;
	ssize_t n;

	*fd = -1;
	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(*fd)))
		memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	if (!n)
		return -EPIPE;
	if ((size_t)n >= sizeof(m->head) && (size_t)n - sizeof(m->head) == m->head.bytes &&
	    !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return 0;
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	return -EBADMSG;
}

void mp_wire_begin(struct mp_wire *m, uint32_t kind, uint32_t object)
{
	m->head = (struct mp_wire_head){ .kind = kind, .object = object };
}

int mp_wire_put(struct mp_wire *m, const void *bytes, size_t len)
{
	if (len > sizeof(m->data) - m->head.bytes)
		return -EMSGSIZE;
	if (len) /* else @bytes may be NULL */
		memcpy(m->data + m->head.bytes, bytes, len);
	m->head.bytes += (uint32_t)len;
	return 0;
}

int mp_wire_put_string(struct mp_wire *m, const char *s)
{
	return mp_wire_put(m, s ? s : "", s ? strlen(s) + 1 : 1);
}

bool mp_wire_put_frame(struct mp_wire *m, const struct mp_symbol *f)
{
	struct mp_wire_head before = m->head;
	uint8_t inlined = f->inlined;

	if (!mp_wire_put(m, &inlined, sizeof(inlined)) &&
	    !mp_wire_put(m, &f->line, sizeof(f->line)) &&
	    !mp_wire_put(m, &f->into, sizeof(f->into)) && !mp_wire_put_string(m, f->function) &&
	    !mp_wire_put_string(m, f->file))
		return true;
	m->head = before;
	return false;
}

int mp_wire_get(const struct mp_wire *m, size_t *at, void *bytes, size_t len)
{
	if (len > m->head.bytes - *at)
		return -EBADMSG;
	memcpy(bytes, m->data + *at, len);
	*at += len;
	return 0;
}

const char *mp_wire_get_string(const struct mp_wire *m, size_t *at)
{
	const char *s = m->data + *at;
	const char *end = memchr(s, '\0', m->head.bytes - *at);

	if (!end)
		return NULL;
	*at += (size_t)(end - s) + 1;
	return s;
}
