/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages of an allocator's memory that were given back to the kernel while their addresses stay its own,
 * a bit a page: when one is touched again, that is a fault that keeping it would have spared.
 */
#ifndef MP_MODEL_RETURNED_H
#define MP_MODEL_RETURNED_H

#include <stdint.h>

#include "model/map.h"
#include "model/mem.h"

struct mp_returned {
	struct mp_map words; /* by vpn / 64; the value is the set, never empty */
};

void mp_returned__init(struct mp_returned *r, struct mp_mem *mem);
void mp_returned__fini(struct mp_returned *r);
/* Adds the pages @set of the 64 from @vpn on, which is a multiple of that. 0 or -ENOMEM. */
int mp_returned__add(struct mp_returned *r, uint64_t vpn, uint64_t set);
/* Takes out what is known of [vpn, vpn + nr): how many pages that were. */
uint64_t mp_returned__take(struct mp_returned *r, uint64_t vpn, uint64_t nr);

#endif
