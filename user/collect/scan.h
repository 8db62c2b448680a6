/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process's executable mappings, its objects, and its memory, read for provider.c. */
#ifndef MP_COLLECT_SCAN_H
#define MP_COLLECT_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "collect/object.h"

struct mp_scan_map { /* executable, of a file */
	uint64_t start, end, offset;
	uint64_t bias; /* run-time address minus ELF address, if @has_bias */
	size_t object;
	bool has_bias;
};

struct mp_scan {
	pid_t pid;
	int mem;                  /* /proc/PID/mem, -1: not open */
	struct mp_scan_map *maps; /* by address */
	size_t nr_maps;
	struct mp_object *objects;
	size_t nr_objects;
	char **notes; /* what could not be read and why; the caller may take them */
	size_t nr_notes;
};

/*
 * Fills *@s; mp_scan_clear() frees it, also after an error. 0 or -errno with @err filled: -ESRCH the
 * process is gone, -EACCES not permitted, -ENOMEM.
 */
int mp_scan_process(struct mp_scan *s, pid_t pid, struct mp_err *err);
void mp_scan_clear(struct mp_scan *s);

/* Adds to the notes; one that finds no memory is dropped. */
void mp_scan_note(struct mp_scan *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The executable mapping @addr lies in, or NULL. */
const struct mp_scan_map *mp_scan_find(const struct mp_scan *s, uint64_t addr);
/* Reads eight bytes of the process's memory. */
bool mp_scan_word(const struct mp_scan *s, uint64_t addr, uint64_t *word);

#endif
