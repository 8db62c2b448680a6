/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What happened to a page, as a report tells it where the model keeps the past (--history). */
#ifndef MP_MODEL_PAST_H
#define MP_MODEL_PAST_H

#include <stdbool.h>
#include <stdint.h>

enum mp_past_what {
	/* it came */
	MP_PAST_FAULT,
	MP_PAST_POPULATE,   /* read when the system call returned that filled the range */
	MP_PAST_SEEDED,     /* was there when tracing began */
	MP_PAST_RECONCILED, /* found when pagemap was read back; so are changes that nobody told */
	MP_PAST_TOOL,       /* a text page copied because a probe sits in it */
	MP_PAST_FORK,       /* with the address space that the process began with */
	MP_PAST_MREMAP_IN,  /* from another address */
	/* it changed */
	MP_PAST_COLLAPSE, /* into a huge page; or it came because the huge page has it too */
	MP_PAST_MIGRATE,  /* to another frame */
	MP_PAST_SPLIT,    /* its folio was: the frame stayed */
	MP_PAST_SWAP_OUT,
	MP_PAST_MADV_FREE, /* the kernel may take it from now on */
	/* it went */
	MP_PAST_MUNMAP,
	MP_PAST_CHUNK, /* munmap of an allocator: the mapping of one block, or of a heap */
	MP_PAST_BRK,
	MP_PAST_TRIM, /* an allocator lowered the break, or zapped what it keeps the addresses of */
	MP_PAST_MADV_DONTNEED, /* and what zaps like it */
	MP_PAST_RECLAIM,       /* after MADV_FREE */
	MP_PAST_MREMAP,        /* to another address, or cut off */
	MP_PAST_MMAP,          /* something else was mapped over it */
	MP_PAST_EXEC,
	MP_PAST_EXIT,
	MP_PAST_OOM,
	MP_PAST_UNSEEN,  /* found to be gone when pagemap was read back */
	MP_PAST_UNKNOWN, /* its frame was freed, and nobody told why */
	MP_PAST_NR
};

/* The word of the contract ("fault", "munmap", ...); never NULL. */
const char *mp_past_name(int what);
static inline bool mp_past_is_end(int what)
{
	return what >= MP_PAST_MUNMAP;
}

struct mp_past {
	uint64_t t_ns;
	uint64_t pfn;   /* that it has from then on, or had when it went; 0: none is known */
	uint64_t other; /* MREMAP...: the other address; 0: none */
	uint32_t site;  /* who: of the touch, of the system call; 0: nobody, or not known */
	uint32_t owner; /* whose memory it was; 0: not known */
	uint8_t what;   /* enum mp_past_what */
	uint8_t kind;   /* enum mp_kind of a fault, else MP_KIND_NONE */
	uint8_t by;     /* enum mp_by of what came, else MP_BY_NONE */
	uint8_t order;  /* of its folio */
	uint8_t fn;     /* enum mp_fn of the allocator call that the system call was made in */
};

/* Bytes of one site's pages that went in one way, given back by another (or the same). */
struct mp_departed {
	uint32_t by; /* site; 0: not known, or nobody of the process */
	uint8_t what;
	uint64_t bytes;
};

#endif
