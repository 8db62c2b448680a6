// SPDX-License-Identifier: GPL-2.0-or-later
/* All pages of an address space, and whether they are kept as they should be. */
#include <errno.h>

#include "model/pages_inside.h"

int mp_pages_iter__init(struct mp_pages_iter *it, const struct mp_pages *ps)
{
	*it = (struct mp_pages_iter){ .ps = ps, .nr_keys = ps->regions.n };
	it->keys = mp_map__keys(&ps->regions);
	return it->keys ? 0 : -ENOMEM;
}

const struct mp_page_rec *mp_pages_iter__next(struct mp_pages_iter *it, uint64_t *vpn)
{
	for (; it->key < it->nr_keys; it->key++, it->i = 0) {
		const struct region *r = mp_map__get(&it->ps->regions, it->keys[it->key]);

		while (it->i < REGION) {
			*vpn = it->keys[it->key] * REGION + it->i++;
			if (held(r, *vpn))
				return held(r, *vpn);
		}
	}
	return NULL;
}

void mp_pages_iter__fini(struct mp_pages_iter *it)
{
	mp_mem_free(it->ps->regions.mem, it->keys);
}

bool mp_ledger__sound(const struct mp_ledger *l)
{
	uint64_t in_index = 0, stand = 0;
	size_t s, i;

	for (s = 0; s < l->nr; s++) {
		const struct mp_pages *ps = l->spaces[s];
		uint64_t n = 0, rss = 0, dead = 0, vpn;

		for (i = 0; i < mp_map__room(&ps->regions); i++) {
			const struct region *r = ps->regions.slots[i].val;

			dead += r && !r->live;
			for (vpn = ps->regions.slots[i].key * REGION; r; vpn++) {
				const struct mp_page_rec *rec = held(r, vpn);

				n += !!rec;
				stand += rec && !ps->closed && mapped(rec);
				rss += rec && mapped(rec);
				if (rec && indexed(ps, rec)) {
					in_index++;
					if (!mp_pfns__has(&l->pfns, rec->pfn, ref_of(ps, vpn)))
						return false;
				}
				if (vpn % REGION == REGION - 1)
					break;
			}
		}
		if (n != ps->n || rss != ps->nr_rss || dead != ps->dead)
			return false;
	}
	return stand == l->mapped && in_index == mp_pfns__count(&l->pfns);
}
