/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who provides malloc for a process: the objects that its resolved references lead to, and where in
 * them probes go. Nothing in the process is changed; it may run or be held meanwhile.
 */
#ifndef MP_COLLECT_PROVIDER_H
#define MP_COLLECT_PROVIDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../bpf/event.h"
#include "base/err.h"

struct mp_text { /* executable mapping of a provider in the process, [start, end) */
	uint64_t start, end;
};

struct mp_provider {
	char *object;    /* path as the process sees it */
	char *open_path; /* the same file for us: /proc/PID/root/... or /proc/PID/map_files/... */
	uint32_t dev_major, dev_minor; /* as /proc/PID/maps has them */
	uint64_t ino;
	int kind; /* enum mp_allocator_kind */
	/* true: gives out blocks. false: only its mapping wrappers (MP_FN_MMAP) are of interest, e.g.
	 * libc beside a jemalloc; its text is no allocator's */
	bool allocates;
	char version[32];
	uint8_t build_id[32];
	uint32_t build_id_len; /* 0: none */
	uint64_t bias;         /* run-time address minus ELF address, of the first instance */
	struct mp_text *text;
	size_t nr_text;
};

struct mp_attach {         /* one probe, ready to attach */
	uint16_t provider; /* index into mp_providers.list */
	uint8_t fn;        /* enum mp_fn */
	uint8_t kind;      /* enum mp_probe_kind */
	uint32_t into;     /* bytes between the function's entry and the probed instruction */
	uint64_t offset;   /* of the probed instruction in the file */
	uint64_t addr;     /* of the probed instruction in the process (first instance) */
	uint64_t size;     /* of the function, bytes */
	char symbol[64];
};

struct mp_providers {
	struct mp_provider *list; /* those that allocate first */
	size_t nr;
	struct mp_attach *probes; /* by provider, then offset; no two at one (provider, offset) */
	size_t nr_probes;
	char **notes; /* what was left out and why, for doctor and -v */
	size_t nr_notes;
};

/*
 * Fills *@out; the caller frees it with mp_providers_free(), also after an error (it is then empty).
 * Returns 0 or -errno with @err filled: -ESRCH the process is gone, -EACCES/-EPERM not permitted,
 * -ENOENT no malloc was found (stripped static program, or one that does not use malloc).
 */
int mp_providers_find(pid_t pid, struct mp_providers *out, struct mp_err *err);
void mp_providers_free(struct mp_providers *p);

/* True if @addr lies in the text of a provider that allocates. */
bool mp_providers_text(const struct mp_providers *p, uint64_t addr);

#endif
