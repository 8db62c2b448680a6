/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tool and its reader say to each other: one message a packet, perhaps with a descriptor.
 * The reader parses what others wrote, so the tool believes no length in an answer.
 */
#ifndef MP_SYMBOL_WIRE_H
#define MP_SYMBOL_WIRE_H

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

#include "symbol/symbol.h"

enum mp_wire_kind {
	/* to the reader */
	MP_WIRE_OBJECT = 1, /* string path; with the file */
	MP_WIRE_MAP,        /* with a perf map */
	MP_WIRE_FIND,       /* @value: the file offset, in a perf map the address */
	MP_WIRE_FILE,       /* the answer to NEED; @n: 1 with a descriptor, 0: there is none */
	/* from the reader */
	MP_WIRE_DONE,   /* @n: 1 if names can be looked up in it; bytes build id */
	MP_WIRE_FRAMES, /* @n frames */
	MP_WIRE_NEED,   /* string name, bytes build id; @n: the how-many-th such file, @value: the
			   need's kind */
};

struct mp_wire_head {
	uint32_t kind;
	uint32_t object;
	uint32_t n;
	uint32_t bytes; /* of data */
	uint64_t value;
};

/* A function's name of 16 KiB, a path of 4 KiB, and the other frames' room. */
#define MP_WIRE_DATA 65000

struct mp_wire {
	struct mp_wire_head head;
	char data[MP_WIRE_DATA];
};

/* Sends @m, and @fd unless it is negative. 0 or -errno; a peer that is gone raises no signal. */
int mp_wire_send(int sock, const struct mp_wire *m, int fd);
/*
 * Waits for one message. *@fd becomes the descriptor that came with it, or -1. 0, -EPIPE: the peer
 * is gone, -EBADMSG: that was no message, or -errno.
 */
int mp_wire_recv(int sock, struct mp_wire *m, int *fd);

/* Empties @m and sets its kind. */
void mp_wire_begin(struct mp_wire *m, uint32_t kind, uint32_t object);
/* 0, or -EMSGSIZE and @m is as it was. A NULL string is written as "". */
int mp_wire_put(struct mp_wire *m, const void *bytes, size_t len);
int mp_wire_put_string(struct mp_wire *m, const char *s);
/* False, and @m is as it was: an answer of deep inlining and huge names is cut at its outer end. */
bool mp_wire_put_frame(struct mp_wire *m, const struct mp_symbol *f);
/* Reading on from *@at; 0 or NULL, or -EBADMSG if the message ends before. */
int mp_wire_get(const struct mp_wire *m, size_t *at, void *bytes, size_t len);
const char *mp_wire_get_string(const struct mp_wire *m, size_t *at);

#endif
