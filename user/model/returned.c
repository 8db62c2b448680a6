// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/returned.h"

#include <errno.h>

#define WORD 64 /* pages */

_Static_assert(sizeof(void *) == 8, "a set of 64 pages is kept where the map has a pointer");

void mp_returned__init(struct mp_returned *r, struct mp_mem *mem)
{
	*r = (struct mp_returned){ .words.mem = mem };
}

void mp_returned__fini(struct mp_returned *r)
{
	mp_map__fini(&r->words);
}

static uint64_t word(const struct mp_returned *r, uint64_t key)
{
	return (uintptr_t)mp_map__get(&r->words, key);
}

int mp_returned__add(struct mp_returned *r, uint64_t vpn, uint64_t set)
{
	if (!set)
		return 0;
	return mp_map__put(&r->words, vpn / WORD, (void *)(word(r, vpn / WORD) | set));
}

/* The pages of word @key that lie in [vpn, end). */
static uint64_t within(uint64_t key, uint64_t vpn, uint64_t end)
{
	uint64_t base = key * WORD, set = ~0ULL;

	if (vpn > base)
		set &= ~0ULL << (vpn - base);
	if (end < base + WORD)
		set &= ~(~0ULL << (end - base));
	return set;
}

static uint64_t take_word(struct mp_returned *r, uint64_t key, uint64_t vpn, uint64_t end)
{
	uint64_t there = word(r, key), taken = there & within(key, vpn, end);

	if (!taken)
		return 0;
	if (taken == there)
		mp_map__del(&r->words, key);
	else
		mp_map__put(&r->words, key, (void *)(there & ~taken)); /* replaces: cannot fail */
	return (uint64_t)__builtin_popcountll(taken);
}

/* Walks whichever is less, the range or the table; without memory for that, the range. */
uint64_t mp_returned__take(struct mp_returned *r, uint64_t vpn, uint64_t nr)
{
	uint64_t end = vpn + nr, key, last, n = 0, *keys = NULL;
	size_t i, nr_keys = r->words.n;

	if (!nr || !nr_keys)
		return 0;
	key = vpn / WORD;
	last = (end - 1) / WORD;
	if (last - key > nr_keys)
		keys = mp_map__keys(&r->words);
	if (!keys) {
		for (; key <= last; key++)
			n += take_word(r, key, vpn, end);
		return n;
	}
	for (i = 0; i < nr_keys; i++)
		if (keys[i] >= key && keys[i] <= last)
			n += take_word(r, keys[i], vpn, end);
	mp_mem_free(r->words.mem, keys);
	return n;
}
