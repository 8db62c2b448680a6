/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VMAs of a process, from /proc/PID/maps or smaps. The text is taken as hostile: a name can hold
 * anything, and the process changes while it is read.
 */
#ifndef MP_COLLECT_PROCFS_H
#define MP_COLLECT_PROCFS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/err.h"
#include "collect/emit.h"

#define MP_NAME_MAX 4095 /* bytes of a mapping's name that are kept */
#define MP_UNREAD   (~0ULL)

/* One VMA. @name is owned by the list. */
struct mp_map {
	uint64_t start, end, offset, ino;
	uint32_t dev_major, dev_minor;
	uint8_t perms; /* as in struct mp_ev_map */
	uint8_t kind;  /* enum mp_vma_kind; filled by mp_maps_read, by name only in mp_maps_parse */
	uint16_t name_len;
	char *name;                                                /* never NULL */
	uint64_t rss_bytes, anon_bytes, swap_bytes, hugetlb_bytes; /* MP_UNREAD without smaps */
	bool pfnmap;                                               /* VmFlags pf or io */
	bool hugetlb;                                              /* VmFlags ht */
};

/* Ascending by address, disjoint. */
struct mp_maps {
	struct mp_map *map;
	size_t nr;
	size_t room;
};

/*
 * Parses the text of maps or smaps. 0, -ENOMEM, -E2BIG (over 1 Mi VMAs), -EBADMSG (a line that is
 * no VMA; *@line tells which, may be NULL) or -EIO. On failure @out is empty.
 */
int mp_maps_parse(FILE *f, struct mp_maps *out, size_t *line);

/* Reads /proc/PID/maps (smaps if @with_rss) and decides every kind. Free with mp_maps_free. */
int mp_maps_read(pid_t pid, bool with_rss, struct mp_maps *out, struct mp_err *err);
void mp_maps_free(struct mp_maps *maps);

/*
 * Emits MP_EV_MAPS and its MP_EV_MAP events; with @with_rss MP_EV_PSS too. @with_rss: from smaps, between two readings of
 * smaps_rollup that agree (up to 3 tries; of a running process the last try stands).
 * 0, -errno with @err, or what @emit returned.
 */
int mp_procfs_maps(pid_t pid, bool with_rss, mp_emit_fn emit, void *ctx, struct mp_err *err);

struct mp_rollup { /* of smaps_rollup, in bytes; MP_UNREAD: it cannot be read */
	uint64_t rss, pss;
};
struct mp_rollup mp_procfs_rollup(pid_t pid);

#endif
