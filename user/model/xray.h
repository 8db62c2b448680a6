/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A heap as it stands, from the events of an X-ray: what each byte of it is, whether it is in
 * memory, and what keeps a page there. Pure, as the rest of the model; it needs nothing else of it.
 */
#ifndef MP_MODEL_XRAY_H
#define MP_MODEL_XRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../bpf/event.h"

struct mp_xray_bytes {
	uint64_t bytes;   /* all of them; what is in none of the following is not there */
	uint64_t present; /* on pages that count in Rss */
	uint64_t zero;    /* on the zero page */
	uint64_t swapped;
};

#define MP_XRAY_PINS 10

struct mp_xray_pages { /* numbers of pages of 4096 bytes */
	uint64_t present, zero, swapped;
	uint64_t idle;   /* present without a live byte or one of the allocator's own, */
	uint64_t cached; /* of these: with chunks that thread caches or fastbins hold */
	/* present with such bytes, by how many they are: up to mp_xray_pin_limits[i] */
	uint64_t pins[MP_XRAY_PINS];
	uint64_t huge;      /* present, mapped by PMD entries, */
	uint64_t huge_idle; /* and idle */
};
extern const uint32_t mp_xray_pin_limits[MP_XRAY_PINS];

struct mp_xray_holder {      /* the chunk below the top chunk, which keeps that from being larger */
	uint64_t addr;       /* of what it handed out; 0: there is none */
	uint64_t bytes;      /* of the chunk */
	uint64_t free_below; /* bytes of the free chunk below it, if there is one */
	uint8_t state;       /* enum mp_chunk_state */
};

struct mp_xray_arena {
	uint64_t addr, system_bytes, top;
	uint32_t index, flags, threads; /* as in struct mp_ev_arena */
	uint64_t parts, broken; /* contiguous parts, and those that could not be read whole */
	uint64_t chunks[MP_CHUNK_STATES];
	/* Of a live chunk what it hands out; its head is among MP_CHUNK_OWN. */
	struct mp_xray_bytes by[MP_CHUNK_STATES];
	struct mp_xray_pages pages;
	uint64_t trim_bytes; /* of Rss: what malloc_trim(0) would give back */
	struct mp_xray_holder holder;
};

struct mp_xray_break { /* where a part of a heap could not be read on */
	uint64_t start, end, at;
	uint32_t arena;
	uint8_t how; /* enum mp_heap_end */
};
#define MP_XRAY_BREAKS 16

enum mp_xray_page { /* what a page of the map is */
		    MP_XPAGE_ABSENT = 0,
		    MP_XPAGE_ZERO,
		    MP_XPAGE_SWAPPED,
		    MP_XPAGE_IDLE,   /* present, nothing live on it */
		    MP_XPAGE_TOP,    /* the same, and all of it in the top chunk */
		    MP_XPAGE_PINNED, /* up to 64 live bytes */
		    MP_XPAGE_PARTLY, /* up to half */
		    MP_XPAGE_MOSTLY,
		    MP_XPAGE_FULL,
		    MP_XPAGE_NR
};

struct mp_xray_run { /* of pages that are alike */
	uint64_t addr, nr;
	uint32_t arena;
	uint8_t kind;  /* enum mp_heap_kind */
	uint8_t state; /* enum mp_xray_page */
};

struct mp_xray_block {
	uint64_t addr, usable;
};

struct mp_xray_report {
	uint32_t pid;
	char comm[16];
	struct mp_ev_xray facts; /* of its end; phase 0: there was no X-ray */
	struct mp_xray_arena *arenas;
	size_t nr_arenas;
	struct mp_xray_arena mapped; /* chunks that are mappings of their own */
	struct mp_xray_arena total;  /* of all of these; its @holder is none */
	struct mp_xray_break breaks[MP_XRAY_BREAKS];
	size_t nr_breaks;         /* those after MP_XRAY_BREAKS are counted in @broken only */
	struct mp_xray_run *runs; /* MP_XRAY_WANT_MAP */
	size_t nr_runs;
	struct mp_xray_block *blocks; /* MP_XRAY_WANT_BLOCKS: live ones */
	size_t nr_blocks;
	uint64_t refused; /* events out of order, or that tell what cannot be */
};

enum mp_xray_want { MP_XRAY_WANT_MAP = 1, MP_XRAY_WANT_BLOCKS = 2 };

/* Who is told what a report has no room for. All return 0 or -ENOMEM, but for @owner. */
struct mp_xray_ops {
	/* Whose the live block at @addr is: any number. */
	uint32_t (*owner)(void *ctx, uint64_t addr);
	/*
	 * Were all blocks of @owner freed, and none else, malloc_trim(0) would give back @bytes more.
	 * Told piece by piece. What would join the top of an arena that is not the main one is not
	 * in it: only free() itself gives that back, and not always.
	 */
	int (*pinned)(void *ctx, uint32_t owner, uint64_t bytes);
	/* On each of @nr present pages from @addr on @bytes are the allocator's own. */
	int (*metadata)(void *ctx, uint64_t addr, uint64_t nr, uint32_t bytes);
};

struct mp_xray;
/* @want: enum mp_xray_want. NULL without memory. */
struct mp_xray *mp_xray__new(unsigned int want);
void mp_xray__free(struct mp_xray *x);
/* @ops have to last as long as @x. */
void mp_xray__watch(struct mp_xray *x, const struct mp_xray_ops *ops, void *ctx);
/* Takes an event that mp_decode() has let pass; others than those of an X-ray are passed over. 0 or -ENOMEM. */
int mp_xray__apply(struct mp_xray *x, const struct mp_ev *ev);
/* Adds up; holds until @x is freed or gets an event. */
const struct mp_xray_report *mp_xray__report(struct mp_xray *x);

#endif
