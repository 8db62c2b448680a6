/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Answers that were given, each string once. */
#ifndef MP_SYMBOL_KEPT_H
#define MP_SYMBOL_KEPT_H

#include "symbol/symbol.h"
#include "symbol/wire.h"

struct mp_kept_key {
	uint64_t where; /* file offset, or address */
	uint32_t object;
	bool is_return;
};

struct mp_kept_answer {
	struct mp_kept_key key;
	size_t nr;
	struct mp_symbol frames[];
};

struct mp_kept {
	void *answers, *texts; /* tsearch(3) trees */
	size_t nr;
};

/* NULL: it was not asked before. */
const struct mp_kept_answer *mp_kept_find(struct mp_kept *k, const struct mp_kept_key *key);
/*
 * Keeps the answer @m, of the reader or (@told) of somebody who has had it from here. NULL: no memory, too many answers, or @m is not what a reader says.
 */
const struct mp_kept_answer *mp_kept_add(struct mp_kept *k, const struct mp_kept_key *key,
					 const struct mp_wire *m, bool told);
void mp_kept_clear(struct mp_kept *k);

#endif
