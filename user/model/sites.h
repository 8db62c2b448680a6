/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sites: call stacks interned to small ids, with the numbers that only ever add up. A stack is a path
 * in a tree of frames that hangs from why the stack ends; two stacks of the same places and the same
 * end are one site, whichever process they are seen in.
 */
#ifndef MP_MODEL_SITES_H
#define MP_MODEL_SITES_H

#include <stdbool.h>
#include <stdint.h>

#include "model/mem.h"
#include "model/model.h"
#include "model/places.h"

/* A frame and what lies outside of it. The first MP_STACK_END_MAX ones are ends, and no frames. */
struct mp_node {
	uint32_t outer; /* node; always a lower id */
	uint32_t place;
	uint32_t site; /* of the stack that begins here; 0: none was asked for */
};
#define MP_NODES_MAX (1U << 28)

struct mp_site_rec {
	/* what every block changes is together */
	uint64_t calls, frees, requested_bytes;
	uint64_t live_blocks, live_bytes;
	uint32_t node;
	uint8_t fn;
	bool mapping;
	uint64_t tiers[MP_TIER_NR];
	uint64_t failed;
	uint64_t mapped_bytes; /* of anonymous mappings made outside any allocator, that stand */
	uint64_t faults[MP_KIND_NR], faults_by[MP_BY_NR];
	uint64_t fault_ns, alloc_ns, timed_faults, majors;
	struct mp_stages stages;
	struct mp_waits waits;
	struct mp_give_back given_back;
};

struct mp_sites {
	struct mp_mem *mem;
	struct mp_places places;
	struct mp_node *nodes;
	size_t nr_nodes, cap_nodes;
	uint32_t *slots; /* nodes by outer and place; 0: free */
	size_t nr_slots;
	struct mp_site_rec *recs; /* recs[id]; recs[0] collects what nobody is known to own */
	size_t n, cap;            /* n counts recs[0] */
};

/* 0 or -ENOMEM */
int mp_sites__init(struct mp_sites *s, struct mp_mem *mem);
void mp_sites__fini(struct mp_sites *s);
/* Never fails for an id this gave out, or 0. The pointer holds until the next site is made. */
static inline struct mp_site_rec *mp_sites__rec(struct mp_sites *s, uint32_t id)
{
	return &s->recs[id];
}
/* Finds or makes the frame at @place that @outer (a node or an enum mp_stack_end) called. */
int mp_sites__frame(struct mp_sites *s, uint32_t outer, uint32_t place, uint32_t *node);
/* The site of the stack that begins with @node; an end has site 0. 0 or -ENOMEM. */
int mp_sites__of(struct mp_sites *s, uint32_t node, uint32_t *site);

#endif
