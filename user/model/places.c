// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/places.h"

#include <errno.h>
#include <string.h>

#define FIRST_SLOTS 256

int mp_places__init(struct mp_places *s, struct mp_mem *mem)
{
	*s = (struct mp_places){ .mem = mem };
	if (mp_mem_grow(mem, &s->recs, &s->cap, 1, sizeof(*s->recs)))
		return -ENOMEM;
	memset(&s->recs[0], 0, sizeof(s->recs[0]));
	s->n = 1;
	return 0;
}

void mp_places__fini(struct mp_places *s)
{
	mp_mem_free(s->mem, s->recs);
	mp_mem_free(s->mem, s->slots);
	mp_mem_free(s->mem, s->loose);
	*s = (struct mp_places){ .mem = s->mem };
}

static uint64_t hash_of(const struct mp_place_key *key, uint8_t what)
{
	uint64_t h = key->space * 0x9e3779b97f4a7c15ULL; /* as mp_map_hash() */

	h = (h ^ h >> 29 ^ key->ino) * 0x9e3779b97f4a7c15ULL;
	h = (h ^ h >> 29 ^ key->at) * 0x9e3779b97f4a7c15ULL;
	h = (h ^ h >> 29 ^ what) * 0x9e3779b97f4a7c15ULL;
	return h ^ h >> 32;
}

static bool same(const struct mp_place_rec *a, const struct mp_place_key *b, uint8_t what)
{
	return a->key.space == b->space && a->key.ino == b->ino && a->key.at == b->at &&
	       a->place.what == what;
}

/* A slot whose place has another key by now (it was settled) only keeps its chain together. */
static uint32_t *slot_of(const struct mp_places *s, const struct mp_place_key *key, uint8_t what)
{
	size_t i = hash_of(key, what) & (s->nr_slots - 1);

	for (; s->slots[i]; i = (i + 1) & (s->nr_slots - 1))
		if (same(&s->recs[s->slots[i]], key, what))
			break;
	return &s->slots[i];
}

static int make_room(struct mp_places *s)
{
	size_t nr = s->nr_slots ? s->nr_slots * 2 : FIRST_SLOTS;
	uint32_t *old = s->slots;
	size_t i;

	if (s->used * 4 < s->nr_slots * 3)
		return 0;
	s->slots = mp_mem_zalloc(s->mem, nr * sizeof(*s->slots));
	if (!s->slots) {
		s->slots = old;
		return -ENOMEM;
	}
	s->nr_slots = nr;
	for (s->used = 0, i = 1; i < s->n; i++) {
		uint32_t *slot = slot_of(s, &s->recs[i].key, s->recs[i].place.what);

		/* of two places that turned out to be one, the older keeps the slot */
		if (*slot)
			continue;
		*slot = i;
		s->used++;
	}
	mp_mem_free(s->mem, old);
	return 0;
}

int mp_places__intern(struct mp_places *s, const struct mp_place_key *key,
		      const struct mp_place *place, bool loose, uint32_t *id)
{
	struct mp_place_rec *rec;
	uint32_t *slot;

	if (make_room(s))
		return -ENOMEM;
	slot = slot_of(s, key, place->what);
	if (*slot) {
		rec = &s->recs[*slot];
		*id = rec->same_as ? rec->same_as : *slot;
		return 0;
	}
	if (s->n >= UINT32_MAX ||
	    mp_mem_grow(s->mem, &s->recs, &s->cap, s->n + 1, sizeof(*s->recs)))
		return -ENOMEM;
	if (loose &&
	    mp_mem_grow(s->mem, &s->loose, &s->cap_loose, s->nr_loose + 1, sizeof(*s->loose)))
		return -ENOMEM;
	*id = s->n++;
	s->recs[*id] = (struct mp_place_rec){ .key = *key, .place = *place };
	*slot = *id;
	s->used++;
	if (loose)
		s->loose[s->nr_loose++] = *id;
	return 0;
}

static int settle_one(struct mp_places *s, uint32_t id, const struct mp_place_key *key,
		      const struct mp_place *place)
{
	uint32_t *slot;

	if (make_room(s))
		return -ENOMEM;
	slot = slot_of(s, key, place->what);
	if (*slot && *slot != id) {
		const struct mp_place_rec *rec = &s->recs[*slot];

		s->recs[id].same_as = rec->same_as ? rec->same_as : *slot;
		s->merged++;
		return 0;
	}
	s->recs[id].key = *key;
	s->recs[id].place = *place;
	*slot = id;
	s->used++;
	return 0;
}

int mp_places__settle(struct mp_places *s, uint64_t image,
		      bool (*find)(void *ctx, uint64_t addr, struct mp_place_key *key,
				   struct mp_place *place),
		      void *ctx)
{
	size_t i, kept = 0;
	int err = 0;

	for (i = 0; i < s->nr_loose; i++) {
		struct mp_place_rec *rec = &s->recs[s->loose[i]];
		struct mp_place place = rec->place;
		struct mp_place_key key;

		if (!err && rec->key.space == image && find(ctx, place.addr, &key, &place))
			err = settle_one(s, s->loose[i], &key, &place);
		else
			s->loose[kept++] = s->loose[i];
	}
	s->nr_loose = kept;
	return err;
}
