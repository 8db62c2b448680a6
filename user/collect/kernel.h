/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel side as one object: programs loaded, hooks of every stage attached, counters read.
 * Allocator probes are per process and live in collect/probes.h.
 */
#ifndef MP_COLLECT_KERNEL_H
#define MP_COLLECT_KERNEL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../bpf/event.h"
#include "../bpf/shared.h"
#include "base/err.h"
#include "collect/rows.h"

struct mallocpath_bpf;
struct mp_grace;

struct mp_kernel {
	struct mallocpath_bpf *skel;
	struct mp_settings set;
	struct mp_rows rows; /* how faults are seen */
	bool want_images;    /* MP_KERNEL_IMAGES */
	bool multi;          /* uprobe.multi links are to be had */
	bool session;        /* and such whose entry can spare the return */
	struct mp_grace *grace;
	uint8_t *owned; /* a byte a page: the map "owned", shared with the programs */
	size_t owned_bytes;
	const struct mp_counts *counts; /* one a CPU: the map "counts" */
	size_t counts_bytes;
	bool reclaim; /* what faults wait for is seen */
	bool victims; /* it is seen whom the out-of-memory killer chooses */
	struct bpf_link **links;
	size_t nr_links;
	bool tracing;            /* some process is traced */
	uint64_t skipped_before; /* runs of programs that were skipped before that */
};

/* A stage of DESIGN section 5: what is asked for, what is there, what the gap costs. */
struct mp_stage {
	const char *stage;
	const char *wanted; /* the kernel function of this stage; "" if it is not one */
	const char *how;    /* "fentry", "kprobe", "tracepoint", ... */
	const char *hook;   /* in use: this kernel's own names */
	const char *gap;    /* what this row cannot see; "" for the first choice */
	uint32_t hit;       /* MP_HIT_* that counts it, or MP_HIT_NONE */
};

enum mp_kernel_flag {
	MP_KERNEL_FOLLOW = 1, /* what is born of a traced process is traced */
	MP_KERNEL_IMAGES = 2, /* MP_EV_IMAGE_END is sent */
};

/*
 * Calibrates, loads and attaches everything but allocator probes. @ring_bytes: a power of two. @row 0:
 * the first row this kernel has. 0, or -errno with @err; then nothing is left attached.
 */
int mp_kernel_open(struct mp_kernel *k, uint32_t ring_bytes, unsigned int flags, enum mp_row row,
		   struct mp_err *err);
/* Begins to take everything off, without waiting for it. */
void mp_kernel_detach(struct mp_kernel *k);
void mp_kernel_close(struct mp_kernel *k);

/* Events of @tgid's address space are sent from now on; @layout: of mp_unwinder, 0 for no stacks. */
int mp_kernel_trace(struct mp_kernel *k, pid_t tgid, uint32_t layout);
/* Whether it is traced: by the above, or since it was born of one that is followed. */
bool mp_kernel_knows(struct mp_kernel *k, pid_t tgid);
/* MP_HIT_CGROUP counts from now on; false: only what is born elsewhere than its parent. */
bool mp_kernel_watch_cgroups(struct mp_kernel *k);
/* Its stacks are unwound by this entry of the map "layouts". */
int mp_kernel_layout(struct mp_kernel *k, pid_t tgid, uint32_t layout);
/* Where its glibc keeps its heap, for tiers. */
int mp_kernel_glibc(struct mp_kernel *k, pid_t tgid, const struct mp_glibc_at *at);
/* Was it told that? */
bool mp_kernel_has_glibc(struct mp_kernel *k, pid_t tgid);
/* For kernels without cookies: what the probe at @addr in @tgid is. */
int mp_kernel_spot(struct mp_kernel *k, pid_t tgid, uint64_t addr, uint64_t cookie);
void mp_kernel_forget(struct mp_kernel *k, pid_t tgid);
/* Where the allocators' own text lies in @tgid. */
int mp_kernel_texts(struct mp_kernel *k, pid_t tgid, const struct mp_texts *texts);

/* The pages of @ev (MP_EV_PAGES read from pagemap) are a traced process's: tell when they are freed. */
void mp_kernel_own(struct mp_kernel *k, const struct mp_ev_pages *ev);

/* Fills in MP_EV_HOST, but for what this does not know: the allocator's probes, the module. */
void mp_kernel_host(const struct mp_kernel *k, struct mp_ev_host *ev);

/* Running totals since the first mp_kernel_trace; the first is cheap. */
void mp_kernel_drops(struct mp_kernel *k, uint64_t dropped[MP_DROP_MAX]);
void mp_kernel_loss(struct mp_kernel *k, struct mp_ev_loss *ev);
uint64_t mp_kernel_hits(struct mp_kernel *k, uint32_t which);

/* The table of stages as they are on this kernel with @k open; ended by stage NULL. */
const struct mp_stage *mp_kernel_stages(const struct mp_kernel *k);

/*
 * skipped.c: runs that the kernel skipped and that are a loss. Those of the programs not named here are none:
 * either there are more of the kind, and what one misses another gets (bpf/page.bpf.c,
 * bpf/hooks.bpf.c, bpf/vma.bpf.c), or they add a detail that is then told as not known (a slow path at
 * worst as none); and what an interrupt allocates is no page of a fault.
 */
uint64_t mp_kernel_skipped(const struct mp_kernel *k);

#endif
