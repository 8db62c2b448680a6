/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Call stacks as they are told: chunks of raw addresses, by id, each naming the one outside of it. */
#ifndef MP_MODEL_STACKS_H
#define MP_MODEL_STACKS_H

#include <stdbool.h>
#include <stdint.h>

#include "model/map.h"
#include "model/mem.h"

#include "../bpf/event.h"

/* Chunks of one stack: with MP_STACK_CHUNK addresses each, four times what the kernel side follows. */
#define MP_STACK_DEPTH 64

struct mp_chunk {
	uint32_t prev; /* id of the chunk outside of this one, 0: none */
	uint8_t nr, depth;
	uint8_t end; /* enum mp_stack_end, of the whole stack */
	uint64_t pc[MP_STACK_CHUNK];
};

struct mp_stacks {
	struct mp_map index; /* by id: index in @chunks plus 1 */
	struct mp_chunk *chunks;
	size_t n, cap;
};

void mp_stacks__init(struct mp_stacks *s, struct mp_mem *mem);
void mp_stacks__fini(struct mp_stacks *s);
/*
 * 0, -ENOMEM, or -EINVAL: it cannot be as told. The chunk outside must be known already, so that no
 * stack is a ring; what an id means never changes.
 */
int mp_stacks__add(struct mp_stacks *s, const struct mp_ev_stack *ev);
/* NULL: that id was never told. Holds until the next one is added. */
const struct mp_chunk *mp_stacks__get(const struct mp_stacks *s, uint32_t id);

#endif
