/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing messages in the wire format of protocol buffers
 * (https://protobuf.dev/programming-guides/encoding/). Errors stick in @err.
 */
#ifndef MP_VIEW_PROTO_H
#define MP_VIEW_PROTO_H

#include <stddef.h>
#include <stdint.h>

struct mp_proto { /* begins as all zero */
	unsigned char *bytes;
	size_t len, room;
	int err; /* 0 or -ENOMEM */
};

void mp_proto_fini(struct mp_proto *p);
/* Forgets what was written, and keeps the room. */
void mp_proto_clear(struct mp_proto *p);

/* A varint field; one that is 0 is left out, for that is what it means. */
void mp_proto_number(struct mp_proto *p, uint32_t field, uint64_t n);
/* The same, and there if it is 0: a field of a oneof. */
void mp_proto_set(struct mp_proto *p, uint32_t field, uint64_t n);
/* An element of a repeated field, or one that is to be there though empty. */
void mp_proto_bytes(struct mp_proto *p, uint32_t field, const void *bytes, size_t len);
void mp_proto_string(struct mp_proto *p, uint32_t field, const char *s);
void mp_proto_packed(struct mp_proto *p, uint32_t field, const uint64_t *n, size_t nr);
/* @m as a field of @p. */
void mp_proto_message(struct mp_proto *p, uint32_t field, const struct mp_proto *m);

#endif
