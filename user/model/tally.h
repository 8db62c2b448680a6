/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Faults by kind, counted by page, so that a VMA's numbers outlive its merges and splits. */
#ifndef MP_MODEL_TALLY_H
#define MP_MODEL_TALLY_H

#include <stdint.h>

#include "model/map.h"
#include "model/mem.h"
#include "model/model.h"

struct mp_tally {
	struct mp_map regions;
};

void mp_tally__init(struct mp_tally *t, struct mp_mem *mem);
void mp_tally__fini(struct mp_tally *t);
/* 0 or -ENOMEM */
int mp_tally__count(struct mp_tally *t, uint64_t vpn, enum mp_kind kind);
/* Forgets [vpn, vpn + nr). */
void mp_tally__cut(struct mp_tally *t, uint64_t vpn, uint64_t nr);
/* Adds what was counted in [vpn, vpn + nr) to @faults. */
void mp_tally__sum(const struct mp_tally *t, uint64_t vpn, uint64_t nr,
		   uint64_t faults[MP_KIND_NR]);

#endif
