/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A hash from 64-bit keys to pointers (never NULL): open addressing, linear probing. */
#ifndef MP_MODEL_MAP_H
#define MP_MODEL_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "model/mem.h"

struct mp_map_slot {
	uint64_t key;
	void *val; /* NULL: free slot */
};

struct mp_map {
	struct mp_mem *mem;
	struct mp_map_slot *slots; /* 1 << bits of them; NULL while the map is empty */
	unsigned int bits;
	size_t n;
};

static inline uint64_t mp_map_hash(uint64_t key)
{
	key *= 0x9e3779b97f4a7c15ULL; /* 2^64 over the golden ratio: spreads neighbours */
	return key ^ key >> 32;
}

static inline size_t mp_map__room(const struct mp_map *map)
{
	return map->slots ? (size_t)1 << map->bits : 0;
}

static inline void *mp_map__get(const struct mp_map *map, uint64_t key)
{
	size_t mask = ((size_t)1 << map->bits) - 1;
	size_t i;

	if (!map->n)
		return NULL;
	for (i = mp_map_hash(key) & mask; map->slots[i].val; i = (i + 1) & mask)
		if (map->slots[i].key == key)
			return map->slots[i].val;
	return NULL;
}

/* Sets or replaces. 0 or -ENOMEM. */
int mp_map__put(struct mp_map *map, uint64_t key, void *val);
/* Takes @key out; its value or NULL. */
void *mp_map__del(struct mp_map *map, uint64_t key);
/* Every key, ascending, in memory of the map's account; NULL with errno on failure. */
uint64_t *mp_map__keys(const struct mp_map *map);
/* Forgets everything; what the values point to is the caller's. */
void mp_map__fini(struct mp_map *map);

#endif
