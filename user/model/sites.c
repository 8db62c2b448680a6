// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/sites.h"

#include <errno.h>
#include <string.h>

#define FIRST_SLOTS 256

int mp_sites__init(struct mp_sites *s, struct mp_mem *mem)
{
	*s = (struct mp_sites){ .mem = mem };
	if (mp_places__init(&s->places, mem) ||
	    mp_mem_grow(mem, &s->nodes, &s->cap_nodes, MP_STACK_END_MAX, sizeof(*s->nodes)) ||
	    mp_mem_grow(mem, &s->recs, &s->cap, 1, sizeof(*s->recs)))
		return -ENOMEM;
	memset(s->nodes, 0, MP_STACK_END_MAX * sizeof(*s->nodes));
	s->nr_nodes = MP_STACK_END_MAX;
	memset(&s->recs[0], 0, sizeof(s->recs[0]));
	s->n = 1;
	return 0;
}

void mp_sites__fini(struct mp_sites *s)
{
	struct mp_mem *mem = s->mem;

	mp_places__fini(&s->places);
	mp_mem_free(mem, s->nodes);
	mp_mem_free(mem, s->slots);
	mp_mem_free(mem, s->recs);
	*s = (struct mp_sites){ .mem = mem };
}

static uint32_t *slot_of(const struct mp_sites *s, uint32_t outer, uint32_t place)
{
	uint64_t h = ((uint64_t)outer << 32 | place) * 0x9e3779b97f4a7c15ULL; /* as mp_map_hash() */
	size_t i = (h ^ h >> 32) & (s->nr_slots - 1);

	for (; s->slots[i]; i = (i + 1) & (s->nr_slots - 1))
		if (s->nodes[s->slots[i]].outer == outer && s->nodes[s->slots[i]].place == place)
			break;
	return &s->slots[i];
}

static int make_room(struct mp_sites *s)
{
	size_t nr = s->nr_slots ? s->nr_slots * 2 : FIRST_SLOTS, i;
	uint32_t *old = s->slots;

	if (s->nr_nodes * 4 < s->nr_slots * 3)
		return 0;
	s->slots = mp_mem_zalloc(s->mem, nr * sizeof(*s->slots));
	if (!s->slots) {
		s->slots = old;
		return -ENOMEM;
	}
	s->nr_slots = nr;
	for (i = MP_STACK_END_MAX; i < s->nr_nodes; i++)
		*slot_of(s, s->nodes[i].outer, s->nodes[i].place) = i;
	mp_mem_free(s->mem, old);
	return 0;
}

int mp_sites__frame(struct mp_sites *s, uint32_t outer, uint32_t place, uint32_t *node)
{
	uint32_t *slot;

	if (make_room(s))
		return -ENOMEM;
	slot = slot_of(s, outer, place);
	if (!*slot) {
		if (s->nr_nodes == MP_NODES_MAX || mp_mem_grow(s->mem, &s->nodes, &s->cap_nodes,
							       s->nr_nodes + 1, sizeof(*s->nodes)))
			return -ENOMEM;
		s->nodes[s->nr_nodes] = (struct mp_node){ .outer = outer, .place = place };
		*slot = s->nr_nodes++;
	}
	*node = *slot;
	return 0;
}

int mp_sites__of(struct mp_sites *s, uint32_t node, uint32_t *site)
{
	*site = s->nodes[node].site;
	if (*site || node < MP_STACK_END_MAX)
		return 0;
	if (s->n >= UINT32_MAX ||
	    mp_mem_grow(s->mem, &s->recs, &s->cap, s->n + 1, sizeof(*s->recs)))
		return -ENOMEM;
	s->recs[s->n] = (struct mp_site_rec){ .node = node };
	s->nodes[node].site = s->n;
	*site = s->n++;
	return 0;
}
