/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which pages of which address spaces a physical page is mapped at: a radix of 64-entry leaves,
 * eight bytes a PFN, with the rare second and further mappings (after fork) kept beside it.
 */
#ifndef MP_MODEL_PFNS_H
#define MP_MODEL_PFNS_H

#include <stdbool.h>
#include <stdint.h>

#include "model/map.h"
#include "model/mem.h"

#define MP_VPN_BITS   45 /* of addresses below MP_ADDR_END */
#define MP_SPACES_MAX ((1U << 18) - 2)

/* One mapping: the address space's number and the virtual page number. */
struct mp_ref {
	uint32_t space;
	uint64_t vpn;
};

struct mp_pfns {
	struct mp_mem *mem;
	struct mp_map leaves; /* by pfn / 64 */
	struct mp_map extra;  /* by pfn: mappings after the first */
};

void mp_pfns__init(struct mp_pfns *ps, struct mp_mem *mem);
void mp_pfns__fini(struct mp_pfns *ps);
/* 0 or -ENOMEM */
int mp_pfns__add(struct mp_pfns *ps, uint64_t pfn, struct mp_ref ref);
/* Forgets that one mapping, if it is known. */
void mp_pfns__del(struct mp_pfns *ps, uint64_t pfn, struct mp_ref ref);
/* Takes out any one mapping of @pfn; false if there is none. */
bool mp_pfns__pop(struct mp_pfns *ps, uint64_t pfn, struct mp_ref *ref);
/* True if exactly one mapping of @pfn is known. */
bool mp_pfns__only(const struct mp_pfns *ps, uint64_t pfn, struct mp_ref *ref);
/* How many mappings of @pfn are known. */
size_t mp_pfns__nr(const struct mp_pfns *ps, uint64_t pfn);
/* For tests: is that mapping known, and how many are there in all? */
bool mp_pfns__has(const struct mp_pfns *ps, uint64_t pfn, struct mp_ref ref);
uint64_t mp_pfns__count(const struct mp_pfns *ps);

#endif
