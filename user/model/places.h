/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Places in code, interned to small ids. One place in one object is one place, whichever process it is
 * seen in; an address outside any file is a place of its image (a process from exec to exec, with the
 * children it forks).
 */
#ifndef MP_MODEL_PLACES_H
#define MP_MODEL_PLACES_H

#include <stdbool.h>
#include <stdint.h>

#include "model/mem.h"
#include "model/model.h"

/* What makes two addresses one place, besides what they are (mp_place.what). */
struct mp_place_key {
	uint64_t space; /* MP_PLACE_FILE | device, or the image */
	uint64_t ino;   /* 0 outside files */
	uint64_t at;    /* offset in the file, the address, or a system call's number */
};
#define MP_PLACE_FILE   (1ULL << 63)
#define MP_PLACE_KERNEL (1ULL << 62)

struct mp_place_rec {
	struct mp_place_key key;
	struct mp_place place;
	uint32_t same_as; /* the place this one turned out to be; 0: it is one */
};

struct mp_places {
	struct mp_mem *mem;
	struct mp_place_rec *recs; /* recs[id]; recs[0] is none */
	size_t n, cap;             /* n counts recs[0] */
	uint32_t *slots;           /* hash by key; 0: free */
	size_t nr_slots, used;
	uint32_t *loose; /* ids of places whose object is not known yet */
	size_t nr_loose, cap_loose;
	uint32_t merged; /* how many turned out to be another */
};

/* 0 or -ENOMEM */
int mp_places__init(struct mp_places *s, struct mp_mem *mem);
void mp_places__fini(struct mp_places *s);
/*
 * Finds or makes the place. @place is where it was seen; @loose: it may get a better key by
 * mp_places__settle() later. 0 or -ENOMEM.
 */
int mp_places__intern(struct mp_places *s, const struct mp_place_key *key,
		      const struct mp_place *place, bool loose, uint32_t *id);
/* The place that @id is now. */
static inline uint32_t mp_places__now(const struct mp_places *s, uint32_t id)
{
	return s->recs[id].same_as ? s->recs[id].same_as : id;
}
/* Gives the loose places of @image an object, if @find knows one. 0 or -ENOMEM. */
int mp_places__settle(struct mp_places *s, uint64_t image,
		      bool (*find)(void *ctx, uint64_t addr, struct mp_place_key *key,
				   struct mp_place *place),
		      void *ctx);

#endif
