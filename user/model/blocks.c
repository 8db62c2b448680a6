// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>

#include "model/blocks_inside.h"

static bool is_small(const struct mp_blk *blk)
{
	uint64_t size = blk->end - blk->start;

	return size <= SMALL_MAX &&
	       (blk->usable == MP_USABLE_UNKNOWN || blk->usable - size < SLACK_UNKNOWN);
}

static struct packed pack(const struct mp_blocks *bs, const struct mp_blk *blk)
{
	uint64_t size = blk->end - blk->start;
	uint64_t age = blk->t_ns > bs->epoch_ns ? blk->t_ns - bs->epoch_ns : 0;

	return (struct packed){
		.off_age = (blk->start & ~MP_PAGE_MASK) << OFF_SHIFT |
			   (age < AGE_MAX ? age : AGE_MAX),
		.requested = size,
		.site = blk->site,
		.tid = blk->tid,
		.slack = blk->usable == MP_USABLE_UNKNOWN ? SLACK_UNKNOWN : blk->usable - size,
		.tiered = blk->tiered,
		.flags = blk->transit ? TRANSIT : 0,
	};
}

void mp_blocks__init(struct mp_blocks *bs, struct mp_mem *mem, uint64_t epoch_ns)
{
	*bs = (struct mp_blocks){ .mem = mem, .epoch_ns = epoch_ns, .last_key = UINT64_MAX };
	bs->regions.mem = mem;
	bs->big.mem = mem;
	bs->big.size = sizeof(struct big);
}

void mp_blocks__fini(struct mp_blocks *bs)
{
	size_t i;

	for (i = 0; i < mp_map__room(&bs->regions); i++) {
		struct mp_region *r = bs->regions.slots[i].val;
		int page;

		if (!r)
			continue;
		for (page = 0; page < REGION_PAGES; page++)
			mp_mem_free(bs->mem, r->page[page].leaf);
		mp_mem_free(bs->mem, r);
	}
	mp_map__fini(&bs->regions);
	mp_omap__fini(&bs->big);
	bs->last = NULL;
	bs->last_key = UINT64_MAX;
	bs->n = 0;
	bs->bytes = 0;
}

static struct mp_region *find_region(struct mp_blocks *bs, uint64_t key)
{
	struct mp_region *r;

	if (bs->last_key == key)
		return bs->last;
	r = mp_map__get(&bs->regions, key);
	if (r) {
		bs->last_key = key;
		bs->last = r;
	}
	return r;
}

static struct mp_region *make_region(struct mp_blocks *bs, uint64_t key)
{
	struct mp_region *r = find_region(bs, key);

	if (r)
		return r;
	r = mp_mem_zalloc(bs->mem, sizeof(*r));
	if (!r)
		return NULL;
	if (mp_map__put(&bs->regions, key, r)) {
		mp_mem_free(bs->mem, r);
		return NULL;
	}
	return r;
}

/* Without the instruction, which not every x86-64 has: a call of libgcc's would cost as much again. */
static unsigned int ones(uint64_t x)
{
	x -= x >> 1 & 0x5555555555555555;
	x = (x & 0x3333333333333333) + (x >> 2 & 0x3333333333333333);
	x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f;
	return x * 0x0101010101010101 >> 56;
}

/* How many blocks of a page that is not crowded start in the grains before @grain. */
static unsigned int rank(const struct page *p, unsigned int grain)
{
	unsigned int word = grain / 64;

	return (word ? p->below[word - 1] : 0) + ones(p->bits[word] & ((1ULL << grain % 64) - 1));
}

/* Index of the first block of the page that starts at or after @off in it. */
static unsigned int lower_bound(const struct page *p, unsigned int off)
{
	unsigned int i;

	if (!p->crowded) {
		i = rank(p, off >> GRAIN_SHIFT);
		return i < p->n && off_of(&p->leaf[i]) < off ? i + 1 : i;
	}
	i = p->n * off >> MP_PAGE_SHIFT;
	while (i < p->n && off_of(&p->leaf[i]) < off)
		i++;
	while (i && off_of(&p->leaf[i - 1]) >= off)
		i--;
	return i;
}

static void mark(struct page *p, unsigned int grain)
{
	p->crowded |= p->bits[grain / 64] >> grain % 64 & 1;
	p->bits[grain / 64] |= 1ULL << grain % 64;
	for (unsigned int word = grain / 64; word < GRAIN_WORDS - 1; word++)
		p->below[word]++;
}

static void unmark(struct page *p, unsigned int grain)
{
	p->bits[grain / 64] &= ~(1ULL << grain % 64);
	for (unsigned int word = grain / 64; word < GRAIN_WORDS - 1; word++)
		p->below[word]--;
}

/* The last small block that starts before @addr and could reach it. */
static bool before(struct mp_blocks *bs, uint64_t addr, struct spot *s)
{
	uint64_t mask = (1ULL << page_of(addr)) - 1;
	unsigned int off = addr & ~MP_PAGE_MASK;

	s->key = key_of(addr);
	s->page = page_of(addr);
	s->region = find_region(bs, s->key);
	if (s->region && s->region->starts >> s->page & 1) {
		s->i = lower_bound(&s->region->page[s->page], off);
		if (s->i) {
			s->i--;
			return true;
		}
	}
	if (!s->region || !(s->region->starts & mask)) {
		if (!s->key)
			return false;
		s->region = mp_map__get(&bs->regions, --s->key);
		mask = UINT64_MAX;
		if (!s->region || !s->region->starts)
			return false;
	}
	s->page = 63 - __builtin_clzll(s->region->starts & mask);
	s->i = s->region->page[s->page].n - 1;
	return true;
}

/* The first small block that starts in [@addr, @end) within one region. */
static bool in_region(struct mp_region *r, uint64_t key, uint64_t addr, uint64_t end,
		      struct spot *s)
{
	uint64_t base = key << REGION_SHIFT;
	uint64_t lo = addr > base ? addr - base : 0;
	uint64_t mask = UINT64_MAX << (lo >> MP_PAGE_SHIFT);

	s->region = r;
	s->key = key;
	for (mask &= r->starts; mask; mask &= mask - 1) {
		const struct page *p;
		uint64_t start;

		s->page = __builtin_ctzll(mask);
		start = base + ((uint64_t)s->page << MP_PAGE_SHIFT);
		if (start >= end)
			return false;
		p = &r->page[s->page];
		s->i = addr > start ? lower_bound(p, addr - start) : 0;
		if (s->i < p->n)
			return start + off_of(&p->leaf[s->i]) < end;
	}
	return false;
}

/* The first small block, in any order of regions, that starts in [@addr, @end). */
static bool within(struct mp_blocks *bs, uint64_t addr, uint64_t end, struct spot *s)
{
	uint64_t key = key_of(addr), last = key_of(end - 1);
	struct mp_region *r;
	size_t i;

	if (last - key < bs->regions.n) {
		for (; key <= last; key++) {
			r = find_region(bs, key);
			if (r && in_region(r, key, addr, end, s))
				return true;
		}
		return false;
	}
	for (i = 0; i < mp_map__room(&bs->regions); i++) {
		key = bs->regions.slots[i].key;
		r = bs->regions.slots[i].val;
		if (r && key >= key_of(addr) && key <= last && in_region(r, key, addr, end, s))
			return true;
	}
	return false;
}

static bool spot_start(struct mp_blocks *bs, uint64_t addr, struct spot *s)
{
	unsigned int off = addr & ~MP_PAGE_MASK;
	const struct page *p;

	s->key = key_of(addr);
	s->page = page_of(addr);
	s->region = find_region(bs, s->key);
	if (!s->region)
		return false;
	p = &s->region->page[s->page];
	s->i = lower_bound(p, off);
	return s->i < p->n && off_of(&p->leaf[s->i]) == off;
}

static unsigned int roomy(unsigned int n)
{
	return n < 4 ? 4 : n + n / 8 + 1;
}

/* Gives the page room for @cap blocks. */
static int resize_leaf(struct mp_blocks *bs, struct page *p, unsigned int cap)
{
	struct packed *leaf = mp_mem_resize(bs->mem, p->leaf, cap * sizeof(*leaf));

	if (!leaf)
		return -ENOMEM;
	p->leaf = leaf;
	p->cap = cap;
	return 0;
}

/* Puts @blk in as number @i of its page. */
static int insert(struct mp_blocks *bs, struct mp_region *r, unsigned int i,
		  const struct mp_blk *blk)
{
	struct page *p = &r->page[page_of(blk->start)];

	if (p->n == p->cap && resize_leaf(bs, p, roomy(p->n + 1)))
		return -ENOMEM;
	memmove(&p->leaf[i + 1], &p->leaf[i], (p->n - i) * sizeof(*p->leaf));
	p->leaf[i] = pack(bs, blk);
	mark(p, (blk->start & ~MP_PAGE_MASK) >> GRAIN_SHIFT);
	if (!p->n++)
		r->starts |= 1ULL << page_of(blk->start);
	return 0;
}

static int put_small(struct mp_blocks *bs, const struct mp_blk *blk)
{
	struct mp_region *r = make_region(bs, key_of(blk->start));

	if (!r)
		return -ENOMEM;
	return insert(bs, r, lower_bound(&r->page[page_of(blk->start)], blk->start & ~MP_PAGE_MASK),
		      blk);
}

/*
 * The usual case: @blk comes after another one that begins in its page, and ends before the next one or
 * the page does: then nothing small can overlap it. 0 if it is in, 1 if it has to be looked at closely,
 * -ENOMEM.
 */
static int put_between(struct mp_blocks *bs, const struct mp_blk *blk)
{
	struct mp_region *r = find_region(bs, key_of(blk->start));
	unsigned int off = blk->start & ~MP_PAGE_MASK, i;
	uint64_t end = reach(off, off + (blk->end - blk->start));
	const struct packed *before;
	const struct page *p;

	if (!r || !is_small(blk))
		return 1;
	p = &r->page[page_of(blk->start)];
	i = lower_bound(p, off);
	if (!i || end > (i < p->n ? off_of(&p->leaf[i]) : MP_PAGE_SIZE))
		return 1;
	before = &p->leaf[i - 1];
	if (reach(off_of(before), off_of(before) + (uint64_t)before->requested) > off ||
	    (bs->big.n && mp_omap__overlap(&bs->big, blk->start, blk->start - off + end)))
		return 1;
	return insert(bs, r, i, blk);
}

static void drop_small(struct mp_blocks *bs, const struct spot *s)
{
	struct page *p = &s->region->page[s->page];
	unsigned int n = --p->n;

	unmark(p, off_of(&p->leaf[s->i]) >> GRAIN_SHIFT);
	memmove(&p->leaf[s->i], &p->leaf[s->i + 1], (n - s->i) * sizeof(*p->leaf));
	if (!n) {
		p->crowded = false;
		s->region->starts &= ~(1ULL << s->page);
	}
	/* failing to shrink costs only memory */
	if (p->cap > 8 && n < p->cap / 2)
		resize_leaf(bs, p, roomy(n));
}

static bool overlapping(struct mp_blocks *bs, const struct mp_blk *blk, struct mp_blk *hit)
{
	uint64_t end = reach(blk->start, blk->end);
	const struct big *big;
	struct spot s;

	if (bs->regions.n && before(bs, blk->start, &s)) {
		*hit = unpack(bs, &s);
		if (hit->end > blk->start)
			return true;
	}
	if (bs->regions.n && within(bs, blk->start, end, &s)) {
		*hit = unpack(bs, &s);
		return true;
	}
	big = bs->big.n ? mp_omap__overlap(&bs->big, blk->start, end) : NULL;
	if (big)
		*hit = big->blk;
	return big;
}

static int put_big(struct mp_blocks *bs, const struct mp_blk *blk)
{
	struct big big = { { blk->start, reach(blk->start, blk->end) }, *blk };

	return mp_omap__insert(&bs->big, &big) ? 0 : -ENOMEM;
}

int mp_blocks__add(struct mp_blocks *bs, const struct mp_blk *blk, struct mp_blk *hit)
{
	int err = put_between(bs, blk);

	if (err == 1 && overlapping(bs, blk, hit)) {
		mp_blocks__take(bs, hit->start, hit);
		return 1;
	}
	if (err == 1)
		err = is_small(blk) ? put_small(bs, blk) : put_big(bs, blk);
	bs->n += !err;
	bs->bytes += err ? 0 : blk->end - blk->start;
	return err;
}

bool mp_blocks__take(struct mp_blocks *bs, uint64_t addr, struct mp_blk *out)
{
	const struct big *big;
	struct spot s;

	if (spot_start(bs, addr, &s)) {
		*out = unpack(bs, &s);
		drop_small(bs, &s);
		bs->n--;
		bs->bytes -= out->end - out->start;
		return true;
	}
	big = mp_omap__floor(&bs->big, addr);
	if (!big || big->blk.start != addr)
		return false;
	*out = big->blk;
	mp_omap__erase(&bs->big, addr);
	bs->n--;
	bs->bytes -= out->end - out->start;
	return true;
}

bool mp_blocks__start(struct mp_blocks *bs, uint64_t addr, struct mp_blk *out)
{
	const struct big *big;
	struct spot s;

	if (spot_start(bs, addr, &s)) {
		*out = unpack(bs, &s);
		return true;
	}
	big = mp_omap__floor(&bs->big, addr);
	if (!big || big->blk.start != addr)
		return false;
	*out = big->blk;
	return true;
}

bool mp_blocks__at(struct mp_blocks *bs, uint64_t addr, struct mp_blk *out)
{
	const struct big *big;
	struct spot s;

	if (bs->regions.n && before(bs, addr + 1, &s)) {
		*out = unpack(bs, &s);
		if (out->end > addr)
			return true;
	}
	big = bs->big.n ? mp_omap__at(&bs->big, addr) : NULL;
	if (!big || big->blk.end <= addr)
		return false;
	*out = big->blk;
	return true;
}

void mp_blocks__set_transit(struct mp_blocks *bs, uint64_t addr, bool transit)
{
	struct big *big;
	struct spot s;

	if (spot_start(bs, addr, &s)) {
		s.region->page[s.page].leaf[s.i].flags = transit ? TRANSIT : 0;
		return;
	}
	big = mp_omap__floor(&bs->big, addr);
	if (big && big->blk.start == addr)
		big->blk.transit = transit;
}

static int copy_region(struct mp_blocks *to, uint64_t key, const struct mp_region *from)
{
	struct mp_region *r = make_region(to, key);
	int page;

	if (!r)
		return -ENOMEM;
	for (page = 0; page < REGION_PAGES; page++) {
		const struct page *p = &from->page[page];
		size_t size = p->n * sizeof(*p->leaf);
		struct packed *leaf;

		if (!p->n)
			continue;
		leaf = mp_mem_alloc(to->mem, size);
		if (!leaf)
			return -ENOMEM;
		memcpy(leaf, p->leaf, size);
		r->page[page] = *p;
		r->page[page].leaf = leaf;
		r->page[page].cap = p->n;
		r->starts |= 1ULL << page;
		to->n += p->n;
	}
	return 0;
}

int mp_blocks__copy(struct mp_blocks *to, const struct mp_blocks *from)
{
	size_t i;

	to->epoch_ns = from->epoch_ns;
	for (i = 0; i < mp_map__room(&from->regions); i++) {
		const struct mp_map_slot *slot = &from->regions.slots[i];

		if (slot->val && copy_region(to, slot->key, slot->val))
			return -ENOMEM;
	}
	if (mp_omap__copy(&to->big, &from->big))
		return -ENOMEM;
	to->n += from->big.n;
	to->bytes = from->bytes;
	return 0;
}
