// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/map.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_BITS 3

static size_t home(const struct mp_map *map, uint64_t key)
{
	return mp_map_hash(key) & (((size_t)1 << map->bits) - 1);
}

static struct mp_map_slot *slot_of(const struct mp_map *map, uint64_t key)
{
	size_t mask = ((size_t)1 << map->bits) - 1;
	size_t i = home(map, key);

	while (map->slots[i].val && map->slots[i].key != key)
		i = (i + 1) & mask;
	return &map->slots[i];
}

static int grow(struct mp_map *map)
{
	struct mp_map old = *map;
	size_t i;

	map->bits = old.slots ? old.bits + 1 : FIRST_BITS;
	map->slots = mp_mem_zalloc(map->mem, sizeof(*map->slots) << map->bits);
	if (!map->slots) {
		*map = old;
		return -ENOMEM;
	}
	for (i = 0; i < mp_map__room(&old); i++)
		if (old.slots[i].val)
			*slot_of(map, old.slots[i].key) = old.slots[i];
	mp_mem_free(map->mem, old.slots);
	return 0;
}

int mp_map__put(struct mp_map *map, uint64_t key, void *val)
{
	struct mp_map_slot *slot;

	/* at most three quarters full, so that probe chains stay short */
	if ((map->n + 1) * 4 > mp_map__room(map) * 3 && grow(map))
		return -ENOMEM;
	slot = slot_of(map, key);
	if (!slot->val)
		map->n++;
	slot->key = key;
	slot->val = val;
	return 0;
}

void *mp_map__del(struct mp_map *map, uint64_t key)
{
	size_t mask = ((size_t)1 << map->bits) - 1;
	struct mp_map_slot *slot;
	size_t hole, i;
	void *val;

	if (!map->n)
		return NULL;
	slot = slot_of(map, key);
	val = slot->val;
	if (!val)
		return NULL;
	/* close the hole: whatever follows and may not stay behind it moves into it */
	hole = slot - map->slots;
	for (i = (hole + 1) & mask; map->slots[i].val; i = (i + 1) & mask) {
		if (((i - home(map, map->slots[i].key)) & mask) < ((i - hole) & mask))
			continue;
		map->slots[hole] = map->slots[i];
		hole = i;
	}
	map->slots[hole].val = NULL;
	map->n--;
	return val;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

uint64_t *mp_map__keys(const struct mp_map *map)
{
	uint64_t *keys = mp_mem_alloc(map->mem, (map->n + 1) * sizeof(*keys));
	size_t i, n = 0;

	if (!keys)
		return NULL;
	for (i = 0; i < mp_map__room(map); i++)
		if (map->slots[i].val)
			keys[n++] = map->slots[i].key;
	qsort(keys, n, sizeof(*keys), by_value);
	return keys;
}

void mp_map__fini(struct mp_map *map)
{
	mp_mem_free(map->mem, map->slots);
	map->slots = NULL;
	map->n = 0;
	map->bits = 0;
}
