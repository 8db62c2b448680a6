/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sites: callers interned to small ids, with the numbers that only ever add up. One place in one
 * object is one site, whichever process it is seen in; an address outside any file is a site of
 * its image (a process from exec to exec, with the children it forks).
 */
#ifndef MP_MODEL_SITES_H
#define MP_MODEL_SITES_H

#include <stdbool.h>
#include <stdint.h>

#include "model/mem.h"
#include "model/model.h"

/* What makes two callers one site. */
struct mp_site_key {
	uint64_t space; /* MP_SITE_FILE | device, or the image */
	uint64_t ino;   /* 0 outside files */
	uint64_t at;    /* offset in the file, or the address */
};
#define MP_SITE_FILE (1ULL << 63)

struct mp_site_rec {
	struct mp_site_key key;
	struct mp_place place;
	uint32_t same_as; /* the site this one turned out to be; 0: it is one */
	uint8_t fn;
	bool mapping;
	uint64_t calls, frees, failed, requested_bytes;
	uint64_t live_blocks, live_bytes;
	uint64_t mapped_bytes; /* of anonymous mappings made outside any allocator, that stand */
	uint64_t faults[MP_KIND_NR], faults_by[MP_BY_NR];
	uint64_t fault_ns, alloc_ns, timed_faults;
	struct mp_stages stages;
	uint64_t tiers[MP_TIER_NR];
};

struct mp_sites {
	struct mp_mem *mem;
	struct mp_site_rec *recs; /* recs[id]; recs[0] collects what nobody is known to own */
	size_t n, cap;            /* n counts recs[0] */
	uint32_t *slots;          /* hash by key; 0: free */
	size_t nr_slots, used;
	uint32_t *loose; /* ids of sites whose object is not known yet */
	size_t nr_loose, cap_loose;
};

/* 0 or -ENOMEM */
int mp_sites__init(struct mp_sites *s, struct mp_mem *mem);
void mp_sites__fini(struct mp_sites *s);
/* Never fails for an id this gave out, or 0. The pointer holds until the next intern. */
static inline struct mp_site_rec *mp_sites__rec(struct mp_sites *s, uint32_t id)
{
	return &s->recs[id];
}
/*
 * Finds or makes the site. @place is where it was seen; @loose: it may get a better key by
 * mp_sites__settle() later. 0 or -ENOMEM.
 */
int mp_sites__intern(struct mp_sites *s, const struct mp_site_key *key,
		     const struct mp_place *place, bool loose, uint32_t *id);
/*
 * Gives the loose sites of @image a place, if @find knows one. 0 or -ENOMEM.
 */
int mp_sites__settle(struct mp_sites *s, uint64_t image,
		     bool (*find)(void *ctx, uint64_t addr, struct mp_site_key *key,
				  struct mp_place *place),
		     void *ctx);

#endif
