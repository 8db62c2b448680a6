/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names that a just-in-time compiler wrote to a file as "START SIZE NAME" lines, in hexadecimal. */
#ifndef MP_SYMBOL_PERFMAP_H
#define MP_SYMBOL_PERFMAP_H

#include <stdint.h>
#include <sys/types.h>

struct mp_perfmap;

/*
 * Opens the perf map of process @tgid: /tmp/perf-PID.map below its root with its PID in its own name
 * space; once it has ended, ours. It must be a regular file, no link, of the process's user or of
 * root, and not older than the process. A descriptor or -ENOENT, -EPERM, -ESTALE.
 */
int mp_perfmap_open(uint32_t tgid);

/* Reads @fd, which it leaves open. NULL: not readable or no memory. Lines that are none are skipped. */
struct mp_perfmap *mp_perfmap__read(int fd);
void mp_perfmap__free(struct mp_perfmap *m);

/* What was written last for @addr, with where it starts; NULL: nothing. */
const char *mp_perfmap__find(const struct mp_perfmap *m, uint64_t addr, uint64_t *start);

#endif
