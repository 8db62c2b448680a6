// SPDX-License-Identifier: GPL-2.0-or-later
/* From the addresses of a process to places, and from the stacks it is told of to sites. */
#include <errno.h>
#include <string.h>

#include "model/inside.h"

/* Stacks whose site is kept at hand: about 24 MiB; beyond, it begins anew. */
#define RESOLVED_MAX (1U << 20)

/* What is kept of a chunk: its innermost frame, why its stack ends, its site (0: not asked for). */
#define RESOLVED(node, end, site) ((uint64_t)(site) << 32 | (uint64_t)(end) << 28 | (node))
#define NODE_OF(resolved)         ((uint32_t)(resolved) & (MP_NODES_MAX - 1))
#define END_OF(resolved)          ((uint32_t)(resolved) >> 28)
#define SITE_OF(resolved)         ((uint32_t)((resolved) >> 32))
_Static_assert(MP_NODES_MAX == 1U << 28 && MP_STACK_END_MAX <= 16, "packing of RESOLVED");
_Static_assert(sizeof(void *) == 8, "RESOLVED is kept in place of a pointer");

bool mp_place_in(const struct mp_process *p, uint64_t addr, struct mp_place_key *key,
		 struct mp_place *place)
{
	const struct mp_vma_rec *vma = mp_ranges__vma(&p->ranges, addr);

	if (!vma || !vma->ino || (vma->kind != MP_VMA_FILE && vma->kind != MP_VMA_SHMEM))
		return false;
	place->object = vma->name;
	place->offset = addr - vma->span.start + vma->offset;
	place->ino = vma->ino;
	place->dev_major = vma->dev_major;
	place->dev_minor = vma->dev_minor;
	key->space = MP_PLACE_FILE | (uint64_t)vma->dev_major << 32 | vma->dev_minor;
	key->ino = vma->ino;
	key->at = place->offset;
	return true;
}

static int find_place(struct mp_model *m, struct mp_process *p, uint64_t addr, uint8_t what,
		      uint32_t *id)
{
	struct mp_place_key key = { .space = p->image, .at = addr };
	struct mp_place place = {
		.addr = addr, .offset = addr, .object = "", .tgid = p->tgid, .what = what
	};
	bool found = mp_place_in(p, addr, &key, &place);
	const struct mp_vma_rec *vma = found ? NULL : mp_ranges__vma(&p->ranges, addr);

	if (vma && vma->kind == MP_VMA_SPECIAL) {
		place.object = vma->name;
		place.offset = addr - vma->span.start + vma->offset;
	}
	return mp_places__intern(&m->sites.places, &key, &place, !found, id);
}

/* NULL: no memory. */
static struct mp_place_cached *place_at(struct mp_model *m, struct mp_process *p, uint64_t addr,
					uint8_t what)
{
	struct mp_place_cached *c;

	c = &m->place_cache[(addr ^ addr >> 13 ^ p->maps * 0x9e3779b1) & (MP_PLACE_CACHE - 1)];
	if (c->maps == p->maps && c->addr == addr && c->what == what)
		return c;
	c->maps = 0;
	if (find_place(m, p, addr, what, &c->place))
		return NULL;
	c->maps = p->maps;
	c->addr = addr;
	c->what = what;
	c->site = 0;
	return c;
}

int mp_site_at(struct mp_model *m, struct mp_process *p, uint64_t addr, uint8_t what,
	       uint32_t *site)
{
	struct mp_place_cached *c;
	uint32_t node;

	*site = 0;
	if (!addr)
		return 0;
	c = place_at(m, p, addr, what);
	if (!c)
		return -ENOMEM;
	if (!c->site && (mp_sites__frame(&m->sites, MP_STACK_GOES_ON, c->place, &node) ||
			 mp_sites__of(&m->sites, node, &c->site)))
		return -ENOMEM;
	*site = c->site;
	return 0;
}

/* Generations of 2^32 apart share a key; no stream lives to see it. */
static uint64_t key_of(const struct mp_process *p, uint32_t id)
{
	return p->maps << 32 | id;
}

static int keep(struct mp_model *m, const struct mp_process *p, uint32_t id, uint64_t resolved)
{
	if (m->resolved.n >= RESOLVED_MAX)
		mp_map__fini(&m->resolved);
	return mp_map__put(&m->resolved, key_of(p, id), (void *)(uintptr_t)resolved);
}

static uint64_t kept(const struct mp_model *m, const struct mp_process *p, uint32_t id)
{
	return (uintptr_t)mp_map__get(&m->resolved, key_of(p, id));
}

/* Hangs the frames of @chunk below @node, which becomes the innermost. */
static int add_frames(struct mp_model *m, struct mp_process *p, const struct mp_chunk *chunk,
		      uint32_t *node)
{
	struct mp_place_cached *c;
	uint8_t what;
	int i;

	for (i = 0; i < chunk->nr; i++) {
		what = chunk->pc[i] & MP_STACK_EXACT ? MP_PLACE_EXACT : MP_PLACE_RETURN;
		c = place_at(m, p, chunk->pc[i] & ~MP_STACK_EXACT, what);
		if (!c || mp_sites__frame(&m->sites, *node, c->place, node))
			return -ENOMEM;
	}
	return 0;
}

/* 0 in *@resolved: such a stack was never told. */
static int resolve(struct mp_model *m, struct mp_process *p, uint32_t stack, uint64_t *resolved)
{
	const struct mp_chunk *c = mp_stacks__get(&m->stacks, stack);
	uint32_t ids[MP_STACK_DEPTH], n = 0, id = stack, node;
	uint8_t end = c ? c->end : 0;

	*resolved = 0;
	if (!c)
		return 0;
	for (node = end; c; c = mp_stacks__get(&m->stacks, id)) {
		*resolved = kept(m, p, id);
		if (*resolved) {
			node = NODE_OF(*resolved);
			break;
		}
		ids[n++] = id;
		id = c->prev;
	}
	while (n--) {
		if (add_frames(m, p, mp_stacks__get(&m->stacks, ids[n]), &node))
			return -ENOMEM;
		*resolved = RESOLVED(node, end, 0);
		if (keep(m, p, ids[n], *resolved))
			return -ENOMEM;
	}
	return 0;
}

/* As resolve(); the event that names the stack is counted by how the stack ends. */
static int look_up(struct mp_model *m, struct mp_process *p, uint32_t stack, uint64_t *resolved)
{
	*resolved = kept(m, p, stack);
	if (!*resolved && resolve(m, p, stack, resolved))
		return -ENOMEM;
	if (*resolved)
		m->loss.stack_ends[END_OF(*resolved)]++;
	else
		m->stacks_unknown++;
	return 0;
}

int mp_process_site(struct mp_model *m, struct mp_process *p, uint32_t stack, uint64_t addr,
		    uint8_t what, uint32_t *site)
{
	uint64_t resolved = 0;

	if (stack && look_up(m, p, stack, &resolved))
		return -ENOMEM;
	if (!resolved) {
		m->loss.stack_ends[MP_STACK_GOES_ON] += !!addr;
		return mp_site_at(m, p, addr, what, site);
	}
	*site = SITE_OF(resolved);
	if (*site)
		return 0;
	if (mp_sites__of(&m->sites, NODE_OF(resolved), site))
		return -ENOMEM;
	return keep(m, p, stack, RESOLVED(NODE_OF(resolved), END_OF(resolved), *site));
}

/* The outermost frame that a call from @place is under way in, or 0. */
static uint32_t frame_from(const struct mp_sites *s, uint32_t node, uint32_t place)
{
	uint32_t found = 0;

	for (; node >= MP_STACK_END_MAX; node = s->nodes[node].outer)
		if (s->nodes[node].place == place)
			found = node;
	return found;
}

int mp_site_of_caller(struct mp_model *m, struct mp_process *p, uint32_t stack, uint64_t caller,
		      uint32_t *site)
{
	struct mp_place_cached *c;
	uint64_t resolved = 0;
	uint32_t node = 0;

	if (stack && look_up(m, p, stack, &resolved))
		return -ENOMEM;
	if (resolved && caller) {
		c = place_at(m, p, caller, MP_PLACE_RETURN);
		if (!c)
			return -ENOMEM;
		node = frame_from(&m->sites, NODE_OF(resolved), c->place);
	}
	if (node)
		return mp_sites__of(&m->sites, node, site);
	m->loss.stack_ends[MP_STACK_GOES_ON] += !resolved && caller;
	return mp_site_at(m, p, caller, MP_PLACE_RETURN, site);
}

int mp_site_inside(struct mp_model *m, struct mp_process *p, uint32_t stack, uint64_t caller,
		   uint32_t *site)
{
	uint64_t resolved = stack ? kept(m, p, stack) : 0;
	struct mp_place_cached *c;
	uint32_t node;

	*site = 0;
	if (!stack || !caller || (!resolved && resolve(m, p, stack, &resolved)))
		return stack && caller ? -ENOMEM : 0;
	c = place_at(m, p, caller, MP_PLACE_RETURN);
	if (!c)
		return -ENOMEM;
	node = resolved ? frame_from(&m->sites, NODE_OF(resolved), c->place) : 0;
	return node ? mp_sites__of(&m->sites, node, site) : 0;
}

int mp_site_of_syscall(struct mp_model *m, struct mp_process *p, const struct mp_ev_fault *ev,
		       uint32_t *site)
{
	struct mp_place_key key = { .space = MP_PLACE_KERNEL, .at = ev->syscall };
	struct mp_place place = {
		.offset = ev->syscall, .object = "", .tgid = p->tgid, .what = MP_PLACE_SYSCALL
	};
	struct mp_place_cached *c;
	uint64_t resolved = 0;
	uint32_t node, kernel;

	if (ev->stack && look_up(m, p, ev->stack, &resolved))
		return -ENOMEM;
	node = NODE_OF(resolved);
	if (!resolved) {
		m->loss.stack_ends[MP_STACK_GOES_ON]++;
		c = place_at(m, p, ev->ip, MP_PLACE_EXACT);
		if (!c || mp_sites__frame(&m->sites, MP_STACK_GOES_ON, c->place, &node))
			return -ENOMEM;
	}
	if (mp_places__intern(&m->sites.places, &key, &place, false, &kernel) ||
	    mp_sites__frame(&m->sites, node, kernel, &node))
		return -ENOMEM;
	return mp_sites__of(&m->sites, node, site);
}
