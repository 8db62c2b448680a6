/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The wire format of an X-ray: a heap as it stands, arena by arena, part by part, with the pages and
 * then the chunks of each. Told by the user side only; part of event.h, whose rules hold.
 */
#ifndef MALLOCPATH_HEAP_H
#define MALLOCPATH_HEAP_H

#include "event.h"

enum mp_xray_phase { MP_XRAY_BEGINS = 1, MP_XRAY_DONE = 2 };

enum mp_xray_flag {
	MP_XRAY_FROZEN = 1 << 0,  /* the process stood still while its memory was copied */
	MP_XRAY_ZERO_IN = 1 << 1, /* the kernel did not tell zero pages: they count as present */
	MP_XRAY_ARENAS = 1 << 2,  /* the list of arenas or of heaps is broken: some are missing */
	MP_XRAY_LISTS = 1 << 3,   /* a list of free chunks is broken: some are taken for live */
	MP_XRAY_TCACHES =
		1 << 4, /* a thread's cache was not found: its chunks are taken for live */
	MP_XRAY_MMAPPED = 1 << 5,   /* mapped chunks found are not as many as mp_ says there are */
	MP_XRAY_TOO_LARGE = 1 << 6, /* there is more memory than may be copied */
};

/* MP_EV_XRAY. With BEGINS all fields hold but those that say DONE. */
struct mp_ev_xray {
	struct mp_ev h;
	__u64 begin_ns;        /* memory was copied after this time, */
	__u64 end_ns;          /* and before this one */
	__u64 mmap_threshold;  /* mp_ of the process: bytes from which malloc maps, */
	__u64 trim_threshold;  /* and at which free gives back the top of the main arena */
	__u64 mmapped_chunks;  /* how many chunks it says are mapped one by one, */
	__u64 mmapped_bytes;   /* and their mappings' bytes */
	__u32 phase;           /* enum mp_xray_phase */
	__u32 flags;           /* enum mp_xray_flag */
	__u32 tcaches;         /* DONE: threads whose cache was read */
	__u32 tries;           /* copies made until one held together */
	__u64 trim_page_bytes; /* what the top is trimmed to a multiple of */
};
_Static_assert(sizeof(struct mp_ev_xray) == 96, "wire format");

enum mp_arena_flag {
	MP_ARENA_MAIN = 1 << 0,
	MP_ARENA_BUSY = 1 << 1 /* its lock was held: it may be in the middle of a change */
};

struct mp_ev_arena {
	struct mp_ev h;
	__u64 addr;
	__u64 top;          /* address of the top chunk; 0: none yet */
	__u64 system_bytes; /* what the arena itself says it has from the system */
	__u32 index;        /* in the list of arenas; 0 is the main one */
	__u32 flags;        /* enum mp_arena_flag */
	__u32 threads;      /* attached to it; 0 for the main arena if it says so */
	__u32 pad;
};
_Static_assert(sizeof(struct mp_ev_arena) == 64, "wire format");

enum mp_heap_kind {
	MP_HEAP_MAIN = 1,    /* from brk (or a mapping in its place) */
	MP_HEAP_ARENA = 2,   /* of another arena */
	MP_HEAP_MMAPPED = 3, /* one chunk that is a mapping of its own; it has no arena */
};

enum mp_heap_end {
	MP_HEAP_CLOSED = 0,   /* the chunks led to the end */
	MP_HEAP_BAD_SIZE = 1, /* a size that cannot be */
	MP_HEAP_BAD_FOOT = 2, /* a free chunk's two sizes differ */
	MP_HEAP_ABSENT = 3,   /* a chunk's head is not in memory (swapped out) or was not copied */
	MP_HEAP_END_MAX
};

/* MP_EV_PART: between BEGINS and DONE its pages are told, then chunks that tile [start, end). */
struct mp_ev_part {
	struct mp_ev h;
	__u64 start;
	__u64 end;
	__u64 broken; /* DONE, and not CLOSED: address of the first chunk that could not be read */
	__u32 arena;  /* index of MP_EV_ARENA */
	__u8 phase;   /* enum mp_xray_phase */
	__u8 kind;    /* enum mp_heap_kind */
	__u8 how;     /* DONE: enum mp_heap_end, of the first break */
	__u8 pad;
};
_Static_assert(sizeof(struct mp_ev_part) == 56, "wire format");

/* What is not told is not there. */
enum mp_heap_page {
	MP_HEAP_PRESENT = 1,
	MP_HEAP_ZERO = 2, /* the zero page: mapped, but not in Rss */
	MP_HEAP_SWAPPED = 3,
	MP_HEAP_PAGE_MAX
};

/* MP_EV_PART_PAGES: by ascending address within a MP_EV_PART. */
struct mp_ev_part_pages {
	struct mp_ev h;
	__u64 addr;
	__u64 nr;
	__u8 state; /* enum mp_heap_page */
	__u8 huge;  /* mapped by PMD entries */
	__u8 pad[6];
};
_Static_assert(sizeof(struct mp_ev_part_pages) == 48, "wire format");

enum mp_chunk_state {
	MP_CHUNK_LIVE = 1, /* given out: eight bytes of head, then the block */
	MP_CHUNK_TCACHE = 2,
	MP_CHUNK_FASTBIN = 3,
	MP_CHUNK_BIN = 4, /* in the unsorted, a small or a large bin */
	MP_CHUNK_TOP = 5,
	MP_CHUNK_OWN = 6,     /* the allocator's own: arena, heap header, thread cache, end marks */
	MP_CHUNK_UNKNOWN = 7, /* could not be read */
	MP_CHUNK_STATES
};

/*
 * MP_EV_CHUNKS: from @addr on, one after the other. Glibc's chunk at c is told as [c + 8, c + 8 +
 * size): its head and what it hands out, without the word that belongs to the chunk before.
 */
struct mp_ev_chunks {
	struct mp_ev h;
	__u64 addr;
	__u32 nr;
	__u32 pad;
	__u64 entries[]; /* bytes, and the state from bit MP_CHUNK_SHIFT on */
};
_Static_assert(sizeof(struct mp_ev_chunks) == 40, "wire format");
#define MP_CHUNK_SHIFT        60
#define MP_CHUNK_BYTES(entry) ((entry) & ((1ULL << MP_CHUNK_SHIFT) - 1))

#endif /* MALLOCPATH_HEAP_H */
