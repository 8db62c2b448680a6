/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory that a process asked for and was refused, and why. */
#ifndef MP_MODEL_REFUSALS_H
#define MP_MODEL_REFUSALS_H

#include "model/model.h"

#define MP_REFUSALS_MAX 1024 /* rows; what is alike but for its site goes to no site beyond */
#define MP_REFUSED_MAX  256 /* threads in a call that was refused; beyond, the oldest is forgotten */

/* The last refusal inside an allocator call that has not returned. */
struct mp_refused {
	uint32_t tid, stack;
	uint64_t caller;
	int error;
	uint8_t why;
	int64_t limit;
};

struct mp_refusals_rec {
	struct mp_refusal *rows; /* sites are the model's */
	size_t nr_rows, cap_rows;
	struct mp_refused *open;
	size_t nr_open, cap_open;
};

#endif
