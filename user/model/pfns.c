// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/pfns.h"

#include <errno.h>
#include <string.h>

#define LEAF 64
#define MORE (1ULL << 63) /* of a slot: ps->extra has further mappings */

struct leaf {
	uint32_t used; /* slots that are not 0 */
	uint64_t slot[LEAF];
};

/* Second and further mappings of one PFN. */
struct extra {
	size_t n, cap;
	uint64_t *refs;
};

/* Never 0, and bit 63 stays clear. */
static uint64_t encode(struct mp_ref ref)
{
	return ((uint64_t)ref.space << MP_VPN_BITS | ref.vpn) + 1;
}

static struct mp_ref decode(uint64_t slot)
{
	uint64_t v = (slot & ~MORE) - 1;

	return (struct mp_ref){ .space = v >> MP_VPN_BITS, .vpn = v & ((1ULL << MP_VPN_BITS) - 1) };
}

void mp_pfns__init(struct mp_pfns *ps, struct mp_mem *mem)
{
	*ps = (struct mp_pfns){ .mem = mem, .leaves.mem = mem, .extra.mem = mem };
}

static void free_extra(struct mp_pfns *ps, struct extra *x)
{
	mp_mem_free(ps->mem, x->refs);
	mp_mem_free(ps->mem, x);
}

void mp_pfns__fini(struct mp_pfns *ps)
{
	size_t i;

	for (i = 0; i < mp_map__room(&ps->leaves); i++)
		mp_mem_free(ps->mem, ps->leaves.slots[i].val);
	for (i = 0; i < mp_map__room(&ps->extra); i++)
		if (ps->extra.slots[i].val)
			free_extra(ps, ps->extra.slots[i].val);
	mp_map__fini(&ps->leaves);
	mp_map__fini(&ps->extra);
}

static uint64_t *slot_of(const struct mp_pfns *ps, uint64_t pfn)
{
	struct leaf *leaf = mp_map__get(&ps->leaves, pfn / LEAF);

	return leaf ? &leaf->slot[pfn % LEAF] : NULL;
}

static void clear_slot(struct mp_pfns *ps, uint64_t pfn)
{
	struct leaf *leaf = mp_map__get(&ps->leaves, pfn / LEAF);

	leaf->slot[pfn % LEAF] = 0;
	if (!--leaf->used) {
		mp_map__del(&ps->leaves, pfn / LEAF);
		mp_mem_free(ps->mem, leaf);
	}
}

static int add_extra(struct mp_pfns *ps, uint64_t pfn, uint64_t ref)
{
	struct extra *x = mp_map__get(&ps->extra, pfn);

	if (!x) {
		x = mp_mem_zalloc(ps->mem, sizeof(*x));
		if (!x)
			return -ENOMEM;
		if (mp_map__put(&ps->extra, pfn, x)) {
			mp_mem_free(ps->mem, x);
			return -ENOMEM;
		}
	}
	if (x->n == x->cap) {
		uint64_t *refs = mp_mem_resize(ps->mem, x->refs, (x->n * 2 + 1) * sizeof(*refs));

		if (!refs)
			return -ENOMEM;
		x->refs = refs;
		x->cap = x->n * 2 + 1;
	}
	x->refs[x->n++] = ref;
	return 0;
}

int mp_pfns__add(struct mp_pfns *ps, uint64_t pfn, struct mp_ref ref)
{
	struct leaf *leaf = mp_map__get(&ps->leaves, pfn / LEAF);
	uint64_t *slot;

	if (!leaf) {
		leaf = mp_mem_zalloc(ps->mem, sizeof(*leaf));
		if (!leaf)
			return -ENOMEM;
		if (mp_map__put(&ps->leaves, pfn / LEAF, leaf)) {
			mp_mem_free(ps->mem, leaf);
			return -ENOMEM;
		}
	}
	slot = &leaf->slot[pfn % LEAF];
	if (!*slot) {
		*slot = encode(ref);
		leaf->used++;
		return 0;
	}
	/* the mark goes first: it may stand without an entry, never the other way round */
	*slot |= MORE;
	return add_extra(ps, pfn, encode(ref));
}

/* The last of the further mappings of @pfn, taken out; 0 if there is none. */
static uint64_t pop_extra(struct mp_pfns *ps, uint64_t pfn)
{
	struct extra *x = mp_map__get(&ps->extra, pfn);
	uint64_t ref = x && x->n ? x->refs[--x->n] : 0;

	if (x && !x->n) {
		mp_map__del(&ps->extra, pfn);
		free_extra(ps, x);
	}
	return ref;
}

/* Refills the slot whose own mapping went from the further ones. */
static void refill(struct mp_pfns *ps, uint64_t pfn, uint64_t *slot)
{
	uint64_t ref = *slot & MORE ? pop_extra(ps, pfn) : 0;

	if (!ref)
		clear_slot(ps, pfn);
	else
		*slot = ref | (mp_map__get(&ps->extra, pfn) ? MORE : 0);
}

void mp_pfns__del(struct mp_pfns *ps, uint64_t pfn, struct mp_ref ref)
{
	uint64_t *slot = slot_of(ps, pfn), want = encode(ref);
	struct extra *x;
	size_t i;

	if (!slot || !*slot)
		return;
	if ((*slot & ~MORE) == want) {
		refill(ps, pfn, slot);
		return;
	}
	x = *slot & MORE ? mp_map__get(&ps->extra, pfn) : NULL;
	for (i = 0; x && i < x->n; i++) {
		if (x->refs[i] != want)
			continue;
		x->refs[i] = x->refs[x->n - 1];
		pop_extra(ps, pfn);
		if (!mp_map__get(&ps->extra, pfn))
			*slot &= ~MORE;
		return;
	}
}

bool mp_pfns__pop(struct mp_pfns *ps, uint64_t pfn, struct mp_ref *ref)
{
	uint64_t *slot = slot_of(ps, pfn);

	if (!slot || !*slot)
		return false;
	*ref = decode(*slot);
	refill(ps, pfn, slot);
	return true;
}

bool mp_pfns__only(const struct mp_pfns *ps, uint64_t pfn, struct mp_ref *ref)
{
	uint64_t *slot = slot_of(ps, pfn);

	if (!slot || !*slot || *slot & MORE)
		return false;
	*ref = decode(*slot);
	return true;
}

size_t mp_pfns__nr(const struct mp_pfns *ps, uint64_t pfn)
{
	const uint64_t *slot = slot_of(ps, pfn);
	const struct extra *x = slot && *slot & MORE ? mp_map__get(&ps->extra, pfn) : NULL;

	return slot && *slot ? 1 + (x ? x->n : 0) : 0;
}

bool mp_pfns__has(const struct mp_pfns *ps, uint64_t pfn, struct mp_ref ref)
{
	const struct extra *x = mp_map__get(&ps->extra, pfn);
	const uint64_t *slot = slot_of(ps, pfn);
	size_t i;

	if (slot && (*slot & ~MORE) == encode(ref))
		return true;
	for (i = 0; x && i < x->n; i++)
		if (x->refs[i] == encode(ref))
			return true;
	return false;
}

uint64_t mp_pfns__count(const struct mp_pfns *ps)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < mp_map__room(&ps->leaves); i++) {
		const struct leaf *leaf = ps->leaves.slots[i].val;

		n += leaf ? leaf->used : 0;
	}
	for (i = 0; i < mp_map__room(&ps->extra); i++) {
		const struct extra *x = ps->extra.slots[i].val;

		n += x ? x->n : 0;
	}
	return n;
}
