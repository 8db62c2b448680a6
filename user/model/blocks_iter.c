// SPDX-License-Identifier: GPL-2.0-or-later
/* All blocks by their addresses, and whether they are kept as they should be. */
#include <errno.h>
#include <string.h>

#include "model/blocks_inside.h"

static void next_small(struct mp_blocks_iter *it)
{
	for (; it->key < it->nr_keys; it->key++, it->page = 0, it->i = 0) {
		struct spot s = { .key = it->keys[it->key] };

		s.region = mp_map__get(&it->bs->regions, s.key);
		for (; it->page < REGION_PAGES; it->page++, it->i = 0) {
			if (it->i >= s.region->page[it->page].n)
				continue;
			s.page = it->page;
			s.i = it->i++;
			it->small_next = unpack(it->bs, &s);
			it->has_small = true;
			return;
		}
	}
	it->has_small = false;
}

static void next_big(struct mp_blocks_iter *it)
{
	const struct big *big = mp_omap_iter__next(&it->big);

	it->has_big = big;
	if (big)
		it->big_next = big->blk;
}

int mp_blocks_iter__init(struct mp_blocks_iter *it, const struct mp_blocks *bs)
{
	*it = (struct mp_blocks_iter){ .bs = bs, .nr_keys = bs->regions.n };
	it->keys = mp_map__keys(&bs->regions);
	if (!it->keys)
		return -ENOMEM;
	it->big = mp_omap__iter(&bs->big);
	next_small(it);
	next_big(it);
	return 0;
}

bool mp_blocks_iter__next(struct mp_blocks_iter *it, struct mp_blk *out)
{
	if (it->has_small && (!it->has_big || it->small_next.start < it->big_next.start)) {
		*out = it->small_next;
		next_small(it);
		return true;
	}
	if (!it->has_big)
		return false;
	*out = it->big_next;
	next_big(it);
	return true;
}

void mp_blocks_iter__fini(struct mp_blocks_iter *it)
{
	mp_mem_free(it->bs->mem, it->keys);
}

static bool region_sound(const struct mp_region *r)
{
	for (int page = 0; page < REGION_PAGES; page++) {
		const struct page *p = &r->page[page];
		uint64_t bits[GRAIN_WORDS] = { 0 };

		if ((r->starts >> page & 1) != (p->n != 0))
			return false;
		for (unsigned int i = 0; i < p->n; i++)
			bits[off_of(&p->leaf[i]) >> (GRAIN_SHIFT + 6)] |=
				1ULL << (off_of(&p->leaf[i]) >> GRAIN_SHIFT) % 64;
		if (!p->crowded && memcmp(bits, p->bits, sizeof(bits)) != 0)
			return false;
	}
	return true;
}

bool mp_blocks__sound(const struct mp_blocks *bs)
{
	struct mp_blocks_iter it;
	struct mp_blk blk;
	uint64_t edge = 0, n = 0, bytes = 0;
	bool ok = true;
	size_t i;

	for (i = 0; i < mp_map__room(&bs->regions); i++)
		if (bs->regions.slots[i].val)
			ok &= region_sound(bs->regions.slots[i].val);
	if (mp_blocks_iter__init(&it, bs))
		return false;
	for (; mp_blocks_iter__next(&it, &blk); n++) {
		ok &= blk.start >= edge && blk.end >= blk.start;
		edge = reach(blk.start, blk.end);
		bytes += blk.end - blk.start;
	}
	mp_blocks_iter__fini(&it);
	return ok && n == bs->n && bytes == bs->bytes;
}
