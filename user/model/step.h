/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the model knows of one event at a time, for who follows them as they come. */
#ifndef MP_MODEL_STEP_H
#define MP_MODEL_STEP_H

#include "model/model.h"

struct mp_step {
	uint32_t site;  /* who did it; 0: not known, or nobody */
	uint32_t owner; /* a fault: whose memory it is; a free: who had asked for the block */
	uint8_t tier, sure;
	uint8_t kind, by; /* of a fault */
	/* the live block at the event's address; @bytes of it were asked for. 0: none is known */
	uint64_t block, bytes, t_ns;
};

/*
 * To be asked before mp_model__apply() of the same event; sites are named by numbers of the model's own,
 * which stay. 0 or -ENOMEM.
 */
int mp_model__step(struct mp_model *m, const struct mp_ev *ev, struct mp_step *step);

#define MP_STEP_FRAMES 127 /* more are cut off */
struct mp_step_site {
	struct mp_site site; /* only @id, @frame and @end are set */
	struct mp_stack_frame frames[MP_STEP_FRAMES];
	struct mp_place places[MP_STEP_FRAMES];
};
/* The call stack of a @site that a step named. Holds until the next mp_model__apply(). */
void mp_model__step_site(const struct mp_model *m, uint32_t site, struct mp_step_site *out);

#endif
