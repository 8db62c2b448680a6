// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/tally.h"

#include <errno.h>
#include <string.h>

#define REGION 64 /* pages */

struct region {
	uint32_t (*carry)[MP_KIND_NR]; /* NULL until a counter wraps; each stands for 256 */
	uint8_t n[REGION][MP_KIND_NR];
};

void mp_tally__init(struct mp_tally *t, struct mp_mem *mem)
{
	*t = (struct mp_tally){ .regions.mem = mem };
}

void mp_tally__fini(struct mp_tally *t)
{
	size_t i;

	for (i = 0; i < mp_map__room(&t->regions); i++) {
		struct region *r = t->regions.slots[i].val;

		if (r)
			mp_mem_free(t->regions.mem, r->carry);
		mp_mem_free(t->regions.mem, r);
	}
	mp_map__fini(&t->regions);
}

static struct region *make_region(struct mp_tally *t, uint64_t key)
{
	struct region *r = mp_map__get(&t->regions, key);

	if (r)
		return r;
	r = mp_mem_zalloc(t->regions.mem, sizeof(*r));
	if (!r)
		return NULL;
	if (mp_map__put(&t->regions, key, r)) {
		mp_mem_free(t->regions.mem, r);
		return NULL;
	}
	return r;
}

int mp_tally__count(struct mp_tally *t, uint64_t vpn, enum mp_kind kind)
{
	struct region *r = make_region(t, vpn / REGION);
	unsigned int page = vpn % REGION;

	if (!r)
		return -ENOMEM;
	if (r->n[page][kind] == UINT8_MAX) {
		if (!r->carry)
			r->carry = mp_mem_zalloc(t->regions.mem, REGION * sizeof(*r->carry));
		if (!r->carry)
			return -ENOMEM;
		r->carry[page][kind]++;
	}
	r->n[page][kind]++; /* wraps to 0 with the carry */
	return 0;
}

typedef void (*pages_fn)(struct region *r, unsigned int from, unsigned int to, uint64_t *faults);

static void clear_pages(struct region *r, unsigned int from, unsigned int to, uint64_t *faults)
{
	(void)faults;
	memset(r->n[from], 0, (to - from) * sizeof(r->n[0]));
	if (r->carry)
		memset(r->carry[from], 0, (to - from) * sizeof(r->carry[0]));
}

static void sum_pages(struct region *r, unsigned int from, unsigned int to, uint64_t *faults)
{
	unsigned int page;
	int kind;

	for (page = from; page < to; page++)
		for (kind = 0; kind < MP_KIND_NR; kind++)
			faults[kind] +=
				r->n[page][kind] + (r->carry ? 256ULL * r->carry[page][kind] : 0);
}

static void visit(struct region *r, uint64_t base, uint64_t vpn, uint64_t end, pages_fn fn,
		  uint64_t *faults)
{
	if (r && base < end && base + REGION > vpn)
		fn(r, vpn > base ? vpn - base : 0, end < base + REGION ? end - base : REGION,
		   faults);
}

/* Walks whichever is less, the range or the table. */
static void walk(const struct mp_tally *t, uint64_t vpn, uint64_t nr, pages_fn fn, uint64_t *faults)
{
	uint64_t key = vpn / REGION, end = vpn + nr, last = (end - 1) / REGION;
	size_t i, room = mp_map__room(&t->regions);

	if (!nr || !t->regions.n)
		return;
	if (last - key < room) {
		for (; key <= last; key++)
			visit(mp_map__get(&t->regions, key), key * REGION, vpn, end, fn, faults);
		return;
	}
	for (i = 0; i < room; i++)
		visit(t->regions.slots[i].val, t->regions.slots[i].key * REGION, vpn, end, fn,
		      faults);
}

void mp_tally__cut(struct mp_tally *t, uint64_t vpn, uint64_t nr)
{
	walk(t, vpn, nr, clear_pages, NULL);
}

void mp_tally__sum(const struct mp_tally *t, uint64_t vpn, uint64_t nr, uint64_t faults[MP_KIND_NR])
{
	walk(t, vpn, nr, sum_pages, faults);
}
