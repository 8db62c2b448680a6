/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What one step says, without when and by whom. */
#ifndef MP_VIEW_STEP_TEXT_H
#define MP_VIEW_STEP_TEXT_H

#include <stdio.h>

#include "model/step.h"

/* Bits of enum mp_step_kind; 0: this event is no step. */
unsigned int mp_step_stage(const struct mp_ev *ev);
/* Bytes it is about; UINT64_MAX: it has no size. */
uint64_t mp_step_bytes(const struct mp_ev *ev, const struct mp_step *step);
/* @plain: no units. */
void mp_step_print(const struct mp_ev *ev, const struct mp_step *step, bool plain, FILE *out);

#endif
