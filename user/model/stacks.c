// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/stacks.h"

#include <errno.h>
#include <string.h>

void mp_stacks__init(struct mp_stacks *s, struct mp_mem *mem)
{
	*s = (struct mp_stacks){ .index.mem = mem };
}

void mp_stacks__fini(struct mp_stacks *s)
{
	mp_mem_free(s->index.mem, s->chunks);
	mp_map__fini(&s->index);
	s->chunks = NULL;
	s->n = 0;
	s->cap = 0;
}

const struct mp_chunk *mp_stacks__get(const struct mp_stacks *s, uint32_t id)
{
	uintptr_t i = (uintptr_t)mp_map__get(&s->index, id);

	return i ? &s->chunks[i - 1] : NULL;
}

/* Fills @c from @ev, whose lengths were checked; false: it contradicts what is known. */
static bool read_chunk(const struct mp_stacks *s, const struct mp_ev_stack *ev, struct mp_chunk *c)
{
	const struct mp_chunk *prev = ev->prev ? mp_stacks__get(s, ev->prev) : NULL;

	*c = (struct mp_chunk){ .prev = ev->prev, .nr = ev->nr, .end = ev->end };
	memcpy(c->pc, ev->pc, ev->nr * sizeof(c->pc[0]));
	if (!ev->nr || !ev->prev != (ev->end != MP_STACK_GOES_ON))
		return false;
	if (!ev->prev)
		return true;
	if (!prev || prev->depth + 1 == MP_STACK_DEPTH)
		return false;
	c->depth = prev->depth + 1;
	c->end = prev->end;
	return true;
}

int mp_stacks__add(struct mp_stacks *s, const struct mp_ev_stack *ev)
{
	const struct mp_chunk *old = mp_stacks__get(s, ev->id);
	struct mp_chunk c;

	if (!read_chunk(s, ev, &c))
		return -EINVAL;
	if (old)
		return old->prev == c.prev && old->nr == c.nr && old->end == c.end &&
				       !memcmp(old->pc, c.pc, sizeof(c.pc))
			       ? 0
			       : -EINVAL;
	if (mp_mem_grow(s->index.mem, &s->chunks, &s->cap, s->n + 1, sizeof(*s->chunks)) ||
	    mp_map__put(&s->index, ev->id, (void *)(uintptr_t)(s->n + 1)))
		return -ENOMEM;
	s->chunks[s->n++] = c;
	return 0;
}
