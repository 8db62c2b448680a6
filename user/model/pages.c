// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>

#include "model/history.h"
#include "model/pages_inside.h"

/* Readings of a page table are older than their event by less than this. */
#define MEMORY_NS 10000000000ULL

void mp_ledger__init(struct mp_ledger *l, struct mp_mem *mem)
{
	*l = (struct mp_ledger){ .mem = mem };
	mp_pfns__init(&l->pfns, mem);
}

void mp_ledger__fini(struct mp_ledger *l)
{
	mp_pfns__fini(&l->pfns);
	mp_mem_free(l->mem, l->spaces);
	l->spaces = NULL;
}

int mp_pages__init(struct mp_pages *ps, struct mp_ledger *l)
{
	if (l->nr >= MP_SPACES_MAX ||
	    mp_mem_grow(l->mem, &l->spaces, &l->cap, l->nr + 1, sizeof(*l->spaces)))
		return -ENOMEM;
	*ps = (struct mp_pages){ .ledger = l, .space = l->nr, .regions.mem = l->mem };
	l->spaces[l->nr++] = ps;
	return 0;
}

void mp_pages__fini(struct mp_pages *ps)
{
	size_t i;

	for (i = 0; i < mp_map__room(&ps->regions); i++)
		mp_mem_free(ps->regions.mem, ps->regions.slots[i].val);
	mp_map__fini(&ps->regions);
}

struct mp_page_rec *mp_pages__get(const struct mp_pages *ps, uint64_t vpn)
{
	return held(mp_map__get(&ps->regions, vpn / REGION), vpn);
}

static uint64_t changed_ns(const struct mp_page_rec *rec)
{
	return rec->t_ns + (uint64_t)rec->moved * MP_MOVED_UNIT_NS;
}

uint64_t mp_pages__changed_ns(const struct mp_pages *ps, uint64_t vpn)
{
	const struct region *r = mp_map__get(&ps->regions, vpn / REGION);

	return r ? changed_ns(&r->rec[vpn % REGION]) : 0;
}

/* Once only one mapping of a PFN is left, its owner has the page to itself. */
static void unshare_last(struct mp_ledger *l, uint64_t pfn)
{
	struct mp_page_rec *rec;
	struct mp_ref ref;

	if (!mp_pfns__only(&l->pfns, pfn, &ref))
		return;
	rec = mp_pages__get(l->spaces[ref.space], ref.vpn);
	if (!rec || rec->state != MP_STATE_SHARED_COW ||
	    rec->t_ns <= l->spaces[ref.space]->shared_ns)
		return;
	rec->state = MP_STATE_PRESENT;
	l->spaces[ref.space]->unshared_ns = l->now_ns;
}

static void unindex(struct mp_pages *ps, uint64_t vpn, const struct mp_page_rec *rec)
{
	if (!indexed(ps, rec))
		return;
	mp_pfns__del(&ps->ledger->pfns, rec->pfn, ref_of(ps, vpn));
	if (rec->state == MP_STATE_SHARED_COW)
		unshare_last(ps->ledger, rec->pfn);
}

static struct region *make_region(struct mp_pages *ps, uint64_t key)
{
	struct region *r = mp_map__get(&ps->regions, key);

	if (r)
		return r;
	r = mp_mem_zalloc(ps->regions.mem, sizeof(*r));
	if (!r)
		return NULL;
	if (mp_map__put(&ps->regions, key, r)) {
		mp_mem_free(ps->regions.mem, r);
		return NULL;
	}
	ps->dead++;
	return r;
}

/* @more pages of @ps are in Rss than were; may be negative. */
static void count(struct mp_pages *ps, int more)
{
	ps->nr_rss += more;
	if (!ps->closed)
		ps->ledger->mapped += more;
}

/* @others: whether those that share the frame it had may have it alone now. */
static int put(struct mp_pages *ps, uint64_t vpn, const struct mp_page_rec *rec, bool others)
{
	struct region *r = make_region(ps, vpn / REGION);
	struct mp_page_rec *old;

	if (!r)
		return -ENOMEM;
	if (indexed(ps, rec) && mp_pfns__add(&ps->ledger->pfns, rec->pfn, ref_of(ps, vpn)))
		return -ENOMEM;
	old = held(r, vpn);
	if (ps->ledger->history)
		mp_history__put(ps->ledger->history, ps, vpn, old, rec, !others);
	if (old && others) {
		unindex(ps, vpn, old);
	} else if (old) {
		if (indexed(ps, old))
			mp_pfns__del(&ps->ledger->pfns, old->pfn, ref_of(ps, vpn));
	} else {
		ps->dead -= !r->live;
		r->live |= 1ULL << vpn % REGION;
		ps->n++;
	}
	count(ps, mapped(rec) - (old && mapped(old)));
	r->rec[vpn % REGION] = *rec;
	return 0;
}

int mp_pages__set(struct mp_pages *ps, uint64_t vpn, const struct mp_page_rec *rec)
{
	return put(ps, vpn, rec, true);
}

int mp_pages__shift(struct mp_pages *ps, uint64_t vpn, const struct mp_page_rec *rec)
{
	return put(ps, vpn, rec, false);
}

/* Frees regions whose last page went longer ago than any reading still under way. */
static void tidy(struct mp_pages *ps, uint64_t now_ns)
{
	uint64_t *keys;
	size_t i, n = ps->regions.n;

	if (ps->dead < 64 || ps->dead < n / 2 || now_ns < ps->tidy_ns)
		return;
	keys = mp_map__keys(&ps->regions);
	if (!keys)
		return; /* tidying can wait */
	for (i = 0; i < n; i++) {
		struct region *r = mp_map__get(&ps->regions, keys[i]);

		if (r->live || r->newest_ns + MEMORY_NS > now_ns)
			continue;
		mp_map__del(&ps->regions, keys[i]);
		mp_mem_free(ps->regions.mem, r);
		ps->dead--;
	}
	mp_mem_free(ps->regions.mem, keys);
	ps->tidy_ns = now_ns + MEMORY_NS;
}

/* @rec is of the held page @vpn in @r. Its PFN must be out of the index already. */
static void bury(struct mp_pages *ps, struct region *r, uint64_t vpn, uint64_t now_ns)
{
	count(ps, -mapped(&r->rec[vpn % REGION]));
	if (ps->ledger->history)
		mp_history__gone(ps->ledger->history, ps, vpn, &r->rec[vpn % REGION]);
	r->rec[vpn % REGION] = (struct mp_page_rec){ .state = MP_STATE_GONE, .t_ns = now_ns };
	r->live &= ~(1ULL << vpn % REGION);
	if (now_ns > r->newest_ns)
		r->newest_ns = now_ns;
	ps->dead += !r->live;
	ps->n--;
}

void mp_pages__drop(struct mp_pages *ps, uint64_t vpn, uint64_t now_ns)
{
	struct region *r = mp_map__get(&ps->regions, vpn / REGION);
	struct mp_page_rec old;

	if (!held(r, vpn))
		return;
	old = *held(r, vpn);
	bury(ps, r, vpn, now_ns);
	unindex(ps, vpn, &old);
	tidy(ps, now_ns);
}

/*
 * The pages of @r, region @key, that lie in [vpn, end) and came before @before_ns, as a bit set; with
 * @unchanged those that did not change since either.
 */
static uint64_t older(const struct region *r, uint64_t key, uint64_t vpn, uint64_t end,
		      uint64_t before_ns, bool unchanged)
{
	uint64_t set = 0, bits, base = key * REGION;

	for (bits = r->live; bits; bits &= bits - 1) {
		unsigned int i = __builtin_ctzll(bits);

		if (base + i >= vpn && base + i < end &&
		    (unchanged ? changed_ns(&r->rec[i]) : r->rec[i].t_ns) < before_ns)
			set |= 1ULL << i;
	}
	return set;
}

/*
 * The numbers of the regions that touch [vpn, end), ascending. Whichever is less is walked: the
 * range or the table. NULL without memory.
 */
static uint64_t *keys_in(const struct mp_pages *ps, uint64_t vpn, uint64_t end, size_t *nr)
{
	uint64_t key = vpn / REGION, last = (end - 1) / REGION, *keys;
	size_t i, n = 0, all = ps->regions.n;

	*nr = 0;
	if (last - key >= all) {
		keys = mp_map__keys(&ps->regions);
		for (i = 0; keys && i < all; i++)
			if (keys[i] >= key && keys[i] <= last)
				keys[n++] = keys[i];
	} else {
		keys = mp_mem_alloc(ps->regions.mem, (last - key + 1) * sizeof(*keys));
		for (; keys && key <= last; key++)
			if (mp_map__get(&ps->regions, key))
				keys[n++] = key;
	}
	*nr = n;
	return keys;
}

static uint64_t drop_set(struct mp_pages *ps, uint64_t key, uint64_t set, uint64_t now_ns)
{
	uint64_t n = 0;

	for (; set; set &= set - 1, n++) {
		struct region *r = mp_map__get(&ps->regions, key);
		uint64_t vpn = key * REGION + __builtin_ctzll(set);
		struct mp_page_rec old = *held(r, vpn);

		bury(ps, r, vpn, now_ns);
		unindex(ps, vpn, &old);
	}
	return n;
}

void mp_pages__split_zero(struct mp_pages *ps, uint64_t vpn)
{
	uint64_t first = vpn & ~511ULL;
	struct mp_page_rec *rec = mp_pages__get(ps, vpn);

	if (!rec || rec->state != MP_STATE_ZERO || rec->order != 9)
		return;
	for (uint64_t i = first; i < first + 512; i++) {
		rec = mp_pages__get(ps, i);
		if (!rec || rec->state != MP_STATE_ZERO || rec->order != 9)
			continue;
		rec->pfn = ps->ledger->zero_pfn;
		rec->order = 0;
	}
}

void mp_pages__split_ends(struct mp_pages *ps, uint64_t vpn, uint64_t nr)
{
	if (vpn & 511)
		mp_pages__split_zero(ps, vpn);
	if ((vpn + nr) & 511)
		mp_pages__split_zero(ps, vpn + nr);
}

static uint64_t drop_older(struct mp_pages *ps, uint64_t vpn, uint64_t nr, uint64_t before_ns,
			   bool unchanged, uint64_t now_ns)
{
	uint64_t *keys, n = 0;
	size_t i, nr_keys;

	mp_pages__split_ends(ps, vpn, nr);
	if (!nr || !ps->n)
		return 0;
	keys = keys_in(ps, vpn, vpn + nr, &nr_keys);
	for (i = 0; i < nr_keys; i++) {
		const struct region *r = mp_map__get(&ps->regions, keys[i]);

		n += drop_set(ps, keys[i], older(r, keys[i], vpn, vpn + nr, before_ns, unchanged),
			      now_ns);
	}
	mp_mem_free(ps->regions.mem, keys);
	if (n)
		tidy(ps, now_ns);
	return n;
}

void mp_pages__drop_older(struct mp_pages *ps, uint64_t vpn, uint64_t nr, uint64_t before_ns,
			  uint64_t now_ns)
{
	drop_older(ps, vpn, nr, before_ns, false, now_ns);
}

uint64_t mp_pages__drop_unchanged(struct mp_pages *ps, uint64_t vpn, uint64_t nr,
				  uint64_t before_ns, uint64_t now_ns)
{
	return drop_older(ps, vpn, nr, before_ns, true, now_ns);
}

static uint64_t going(const struct region *r, uint64_t base, uint64_t vpn, uint64_t end,
		      uint64_t since_ns, bool recent)
{
	uint64_t set = 0, i;

	for (i = 0; i < REGION; i++) {
		bool live = r->live >> i & 1;

		if (base + i < vpn || base + i >= end)
			continue;
		if (live && !recent ? mapped(&r->rec[i]) && r->rec[i].t_ns < since_ns
				    : r->rec[i].t_ns >= since_ns)
			set |= 1ULL << i;
	}
	return set;
}

int mp_pages__going(const struct mp_pages *ps, uint64_t vpn, uint64_t nr, uint64_t since_ns,
		    bool recent, int (*fn)(void *ctx, uint64_t vpn, uint64_t set), void *ctx)
{
	size_t i, nr_keys;
	uint64_t *keys;
	int err = 0;

	if (!nr || !ps->regions.n)
		return 0;
	keys = keys_in(ps, vpn, vpn + nr, &nr_keys);
	if (!keys)
		return -ENOMEM;
	for (i = 0; i < nr_keys && !err; i++) {
		uint64_t base = keys[i] * REGION;
		uint64_t set = going(mp_map__get(&ps->regions, keys[i]), base, vpn, vpn + nr,
				     since_ns, recent);

		if (set)
			err = fn(ctx, base, set);
	}
	mp_mem_free(ps->regions.mem, keys);
	return err;
}

static int move_one(struct mp_pages *ps, uint64_t vpn, uint64_t to, uint64_t now_ns)
{
	const struct mp_page_rec *rec = mp_pages__get(ps, vpn), *there = mp_pages__get(ps, to);
	struct mp_page_rec copy;
	struct region *r;

	/* what another thread touched at the new address since then is newer */
	if (!rec || (there && there->t_ns >= rec->t_ns)) {
		mp_pages__drop(ps, vpn, now_ns);
		return 0;
	}
	copy = *rec;
	if (indexed(ps, &copy))
		mp_pfns__del(&ps->ledger->pfns, copy.pfn, ref_of(ps, vpn));
	r = mp_map__get(&ps->regions, vpn / REGION);
	bury(ps, r, vpn, now_ns);
	return mp_pages__set(ps, to, &copy);
}

int mp_pages__move(struct mp_pages *ps, uint64_t vpn, uint64_t nr, uint64_t to, uint64_t before_ns,
		   uint64_t now_ns)
{
	uint64_t *keys, set;
	size_t i, nr_keys;
	int err = 0;

	mp_pages__split_ends(ps, vpn, nr);
	if (!nr || !ps->n || vpn == to)
		return 0;
	keys = keys_in(ps, vpn, vpn + nr, &nr_keys);
	if (!keys)
		return -ENOMEM;
	for (i = 0; i < nr_keys && !err; i++) {
		set = older(mp_map__get(&ps->regions, keys[i]), keys[i], vpn, vpn + nr, before_ns,
			    false);
		for (; set && !err; set &= set - 1) {
			uint64_t from = keys[i] * REGION + __builtin_ctzll(set);

			err = move_one(ps, from, to + (from - vpn), now_ns);
		}
	}
	mp_mem_free(ps->regions.mem, keys);
	return err;
}

void mp_ledger__free_pfns(struct mp_ledger *l, uint64_t pfn, uint64_t nr, uint64_t now_ns,
			  bool *found)
{
	struct mp_ref ref;

	*found = false;
	for (; nr--; pfn++) {
		while (mp_pfns__pop(&l->pfns, pfn, &ref)) {
			struct mp_pages *ps = l->spaces[ref.space];
			struct region *r = mp_map__get(&ps->regions, ref.vpn / REGION);

			bury(ps, r, ref.vpn, now_ns);
			tidy(ps, now_ns);
			*found = true;
		}
	}
}

static void for_each(struct mp_pages *ps,
		     void (*fn)(struct mp_pages *ps, struct mp_page_rec *rec, uint64_t vpn))
{
	size_t i;

	for (i = 0; i < mp_map__room(&ps->regions); i++) {
		struct region *r = ps->regions.slots[i].val;
		uint64_t bits;

		for (bits = r ? r->live : 0; bits; bits &= bits - 1) {
			unsigned int j = __builtin_ctzll(bits);

			fn(ps, &r->rec[j], ps->regions.slots[i].key * REGION + j);
		}
	}
}

static void share_one(struct mp_pages *ps, struct mp_page_rec *rec, uint64_t vpn)
{
	(void)ps;
	(void)vpn;
	if (rec->state == MP_STATE_PRESENT)
		rec->state = MP_STATE_SHARED_COW;
}

void mp_pages__share(struct mp_pages *ps)
{
	for_each(ps, share_one);
	ps->forked_ns = ps->ledger->now_ns;
}

static void unshare_one(struct mp_pages *ps, struct mp_page_rec *rec, uint64_t vpn)
{
	(void)vpn;
	if (rec->state == MP_STATE_SHARED_COW && rec->pfn)
		unshare_last(ps->ledger, rec->pfn);
}

void mp_pages__unshare(struct mp_pages *ps)
{
	for_each(ps, unshare_one);
}

int mp_pages__copy(struct mp_pages *to, const struct mp_pages *from)
{
	struct mp_pages_iter it;
	const struct mp_page_rec *rec;
	uint64_t vpn;
	int err = mp_pages_iter__init(&it, from);

	if (err)
		return err;
	while (!err && (rec = mp_pages_iter__next(&it, &vpn)))
		err = mp_pages__set(to, vpn, rec);
	mp_pages_iter__fini(&it);
	to->shared_ns = from->shared_ns;
	to->forked_ns = from->forked_ns;
	return err;
}

static void close_one(struct mp_pages *ps, struct mp_page_rec *rec, uint64_t vpn)
{
	unindex(ps, vpn, rec);
}

static void forget_one(struct mp_pages *ps, struct mp_page_rec *rec, uint64_t vpn)
{
	mp_history__gone(ps->ledger->history, ps, vpn, rec);
}

void mp_pages__close(struct mp_pages *ps)
{
	if (ps->closed)
		return;
	for_each(ps, close_one);
	ps->ledger->mapped -= ps->nr_rss;
	ps->closed = true;
}

void mp_pages__clear(struct mp_pages *ps)
{
	struct mp_map empty = { .mem = ps->regions.mem };

	if (ps->ledger->history)
		for_each(ps, forget_one);
	if (!ps->closed) {
		for_each(ps, close_one);
		ps->ledger->mapped -= ps->nr_rss;
	}
	mp_pages__fini(ps);
	ps->regions = empty;
	ps->n = 0;
	ps->nr_rss = 0;
	ps->dead = 0;
	ps->shared_ns = 0;
	ps->forked_ns = 0;
	ps->unshared_ns = 0;
}
