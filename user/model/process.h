/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One traced process, from the first event about its address space to its exit. */
#ifndef MP_MODEL_PROCESS_H
#define MP_MODEL_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "model/blocks.h"
#include "model/model.h"
#include "model/pages.h"
#include "model/ranges.h"
#include "model/refusals.h"
#include "model/returned.h"
#include "model/tally.h"
#include "model/timeline.h"

struct mp_allocator_rec {
	uint16_t index;
	uint16_t kind;
	uint8_t build_id[32];
	uint32_t build_id_len;
	const char *object, *version;
	struct mp_probe *probes; /* symbols are interned */
	size_t nr_probes, cap_probes;
};

struct mp_glibc_rec {
	bool told, fixed;
	uint64_t main_arena, mmap_threshold, trim_threshold;
	const char *why;
	uint64_t raised;
	struct mp_raise *raises; /* sites are the model's */
	size_t nr_raises, cap_raises;
	uint64_t arenas; /* there were, when it was looked at; 0: not known */
	uint64_t arenas_made, heaps_made;
	uint64_t arenas_made_before; /* it was looked at */
	struct mp_new_heap *heaps;   /* sites are the model's */
	size_t nr_heaps, cap_heaps;
};

struct mp_own_bytes { /* of pages, by ascending address */
	uint64_t vpn, nr;
	uint32_t bytes; /* malloc's own, on each */
};

struct mp_seed_rec { /* seed.c */
	bool told;   /* blocks from before the attach were */
	bool open, seeding, broken;
	bool fresh;    /* one was compared since the last instant */
	bool compared; /* at the last instant one was: the rest from @both on holds */
	bool partial;
	uint64_t end_ns; /* no copy was made after this */
	uint64_t blocks, bytes;
	uint64_t wrong; /* of these: were not live, as others took their place */
	uint64_t both, xray_only, trace_only; /* of the last comparison */
	uint64_t *unmatched;  /* addresses of the last frees of what was not known, a ring */
	size_t nr_unmatched;  /* ever */
	struct mp_xray *xray; /* while one is told that is compared */
	uint64_t trim_bytes;  /* what malloc_trim(0) would give back, */
	uint64_t *pinned;     /* and how much more without the blocks of a site, by its number */
	size_t nr_pinned, cap_pinned;
	struct mp_own_bytes *own;
	size_t nr_own, cap_own;
};

/* A realloc that was entered and has not returned. */
struct mp_transit {
	uint32_t tid;
	bool open; /* the old block still stands */
	uint64_t addr;
};
#define MP_TRANSITS_MAX 256 /* threads inside realloc at once; beyond, the oldest is forgotten */

/* What /proc said last, in bytes. */
struct mp_reading {
	bool seen;  /* a MP_EV_MAPS was completed */
	bool known; /* the numbers below were read with it */
	uint64_t rss, hugetlb;
	uint64_t file, shmem; /* resident and not anonymous, by kind of VMA */
	bool split;           /* file and shmem hold */
	int64_t pss;          /* MP_UNKNOWN: not told */
};

/* A walk of the kernel module through the page tables. */
struct mp_walk {
	bool open, done; /* done: since the last instant */
	uint64_t begin_ns;
	uint64_t image_ns; /* last exec: what was read before is of another address space */
};

#define MP_RECENT 64

struct mp_process {
	uint32_t tgid;
	bool exited, launched;
	bool whole;     /* seen from its first instruction: every block ever made is known */
	uint64_t image; /* see mp_place_key */
	uint64_t maps;  /* generation of what code lies where: key of what is cached of it */
	uint32_t kids;  /* forked, not followed, and not known to be gone */
	uint32_t at;    /* enum mp_at */
	uint64_t instant_ns;
	const char *comm;
	char *cmdline; /* words, each ended by NUL */
	uint32_t cmdline_len;

	struct mp_blocks blocks;
	struct mp_pages pages;
	struct mp_ranges ranges;
	struct mp_tally tally;
	struct mp_returned returned;
	struct mp_give_back given_back;
	struct mp_waits waits;
	struct mp_timeline timeline;
	uint64_t departed[MP_PAST_NR]; /* pages, by how they went; with history only */
	uint64_t acted_ns;             /* when it did anything last; with history only */

	struct mp_glibc_rec glibc;
	struct mp_limit limit; /* path interned */
	struct mp_seed_rec seed;
	struct mp_refusals_rec refusals;
	struct mp_allocator_rec *allocators;
	size_t nr_allocators, cap_allocators;
	struct mp_transit *transits;
	size_t nr_transits, cap_transits;
	/*
	 * The last system calls that changed mappings, a ring: a reading of /proc may be older than
	 * they are, though it is told later.
	 */
	struct mp_ev_range *recent;
	size_t nr_recent; /* ever */

	struct mp_vma_rec *pending; /* a reading of the VMAs under way */
	size_t nr_pending, cap_pending, want_pending;
	struct mp_ev_maps pending_maps;
	struct mp_reading pending_reading, reading;
	struct mp_walk walk;    /* of the kernel module */
	bool witnessed;         /* at the last instant its walk was compared */
	struct mp_ev_exit exit; /* once exited, */
	int64_t exit_pss;       /* and mp_sharing_pss() then */
};

#endif
