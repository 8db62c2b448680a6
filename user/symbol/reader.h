/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process that parses: forked when first asked, without rights, given open files over a socket,
 * and killed when it takes too long. Should a hostile file crash it, only it is lost.
 */
#ifndef MP_SYMBOL_READER_H
#define MP_SYMBOL_READER_H

#include <sys/types.h>

#include "symbol/wire.h"

/* Answers a request for a file: a descriptor, which is closed afterwards, or negative. */
typedef int mp_reader_need_fn(void *ctx, const struct mp_wire *need);

struct mp_reader {
	int sock;
	pid_t pid;
	mp_reader_need_fn *need;
	void *ctx;
	unsigned int cpu_ms; /* of the reader's time that one request may take */
};

/* Starts it. 0 or -errno. */
int mp_reader_start(struct mp_reader *r);
/* Ends it, if it runs. */
void mp_reader_stop(struct mp_reader *r);

/*
 * Sends @m, with @fd unless negative, and puts the answer into @m; @fd stays the caller's. 0, or
 * -EPIPE: it has died, -ETIMEDOUT: it took too long, -EBADMSG: it answers nonsense, or -errno; then
 * it is ended.
 */
int mp_reader_ask(struct mp_reader *r, struct mp_wire *m, int fd);

#endif
