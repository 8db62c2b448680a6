/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel module, where it is loaded: docs/MODULE.md. Its text is read by the names of its
 * columns, and taken as hostile all the same: another version may write it.
 */
#ifndef MP_COLLECT_MODULE_H
#define MP_COLLECT_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/err.h"
#include "collect/emit.h"

struct mp_module_status {
	char version[32];
	uint64_t faults_missed, faults_unplaced, moves_missed;
	bool full; /* addresses new since then have no counts */
};

/* Is it loaded, and may we see it? */
bool mp_module_there(void);
/* 0, or -errno with @err: not loaded, no debugfs, not permitted (all exit 3), no sense in its text. */
int mp_module_status(struct mp_module_status *out, struct mp_err *err);

/* 1: it is tracked from now on, 0: it was already, or -errno with @err. */
int mp_module_track(pid_t pid, struct mp_err *err);
void mp_module_untrack(pid_t pid);

/*
 * Has the module walk the process's page tables: MP_EV_WITNESS, MP_EV_WITNESS_PAGES..., MP_EV_WITNESS.
 * The process is tracked for the while if it was not. Pages that hold an address of @tool (ascending;
 * addresses of our probes) are told as MP_EV_PAGES with MP_SRC_TOOL first. 0, -errno with @err, or
 * what @emit returned.
 */
int mp_module_walk(pid_t pid, const uint64_t *tool, size_t nr_tool, mp_emit_fn emit, void *ctx,
		   struct mp_err *err);

#define MP_MODULE_KINDS 8  /* of faults, in the order of enum mp_kind (model/model.h) */
#define MP_MODULE_NODES 16 /* nodes above are counted in the last */
#define MP_MODULE_NONE  UINT64_MAX

/* A line of PID/vmas; what the module does not know is MP_MODULE_NONE. */
struct mp_module_vma {
	uint64_t start, end; /* MP_MODULE_NONE: counted, but in no mapping */
	char perms[8], kind[16];
	uint64_t faults[MP_MODULE_KINDS];
	uint64_t minor, major, foreign, first_ns, last_ns;
	/* pages */
	uint64_t present, anon, thp, mthp, swap, zero, huge_zero, hugetlb;
	uint64_t nodes[MP_MODULE_NODES];
	char *name; /* never NULL; "" if there is none */
};

struct mp_module_vmas {
	struct mp_module_vma *row;
	size_t nr, room;
	uint32_t known_nodes; /* bit N: there is a column of node N */
	uint64_t since_ns;    /* faults are counted since; MP_MODULE_NONE if not known */
};

/*
 * The text of PID/vmas. 0, -ENOMEM, -E2BIG (over 1 Mi lines), -EIO, or -EBADMSG; then *@line (may be
 * NULL) is the number of the line that makes no sense. On failure @out is empty.
 */
int mp_module_vmas_parse(FILE *f, struct mp_module_vmas *out, size_t *line);
/* Of a tracked process. 0 or -errno with @err. Free with mp_module_vmas_free(). */
int mp_module_vmas(pid_t pid, struct mp_module_vmas *out, struct mp_err *err);
void mp_module_vmas_free(struct mp_module_vmas *vmas);

/* Opens PID/@name. NULL with @err. */
FILE *mp_module_open(pid_t pid, const char *name, struct mp_err *err);
/* For tests: another directory than debugfs's, NULL: that one. */
void mp_module_use_root(const char *dir);

#endif
