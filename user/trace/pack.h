/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events next to each other differ in little: the time by a few hundred, an address by some bits. Each
 * is told as what it differs by from the last one of its type and size (docs/FORMAT.md, "Packed
 * events"), in a quarter of the bytes or less; deflate then has less to do, both ways.
 */
#ifndef MP_TRACE_PACK_H
#define MP_TRACE_PACK_H

#include <stddef.h>
#include <stdint.h>

/* Packed bytes that @len bytes of events take at most: one and a half beside every eight. */
#define MP_PACK_ROOM(len) ((len) + (len) / 4 + 16)
/* Bytes that must be there to be read behind what is unpacked; their value is of no matter. */
#define MP_UNPACK_SLACK 160

/* Packs @len bytes of whole events, of valid sizes, into @out; returns how many bytes it took. */
size_t mp_pack(const void *events, size_t len, void *out);

/* Unpacks @len bytes into @out, @room at most. Bytes of events, or -EBADMSG. */
int64_t mp_unpack(const void *packed, size_t len, void *out, size_t room);

#endif
