/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A timeline in Perfetto's trace format (protos/perfetto/trace/trace.proto of that project): a track for
 * each thread with its system calls, faults and page allocations as slices, what faults waited for, and
 * memory over time as counters. It follows events, as view/steps.h does: a report does not have
 * each of them.
 */
#ifndef MP_VIEW_PERFETTO_H
#define MP_VIEW_PERFETTO_H

#include <stdio.h>

#include "model/model.h"
#include "view/view.h"

struct mp_perfetto;
/* All that is given outlives it; @sym may be NULL. NULL: no memory. */
struct mp_perfetto *mp_perfetto__new(struct mp_model *m, struct mp_symbols *sym,
				     const struct mp_view_opts *opts, FILE *out);
void mp_perfetto__free(struct mp_perfetto *p);
/* To be told of each event before the model is. 0 or -errno. */
int mp_perfetto__put(struct mp_perfetto *p, const struct mp_ev *ev);
/* The counters, from the report after the last event. 0 or -errno. */
int mp_perfetto__end(struct mp_perfetto *p, const struct mp_report *r);

#endif
