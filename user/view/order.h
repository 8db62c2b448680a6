/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which sites a view shows, and in which order. */
#ifndef MP_VIEW_ORDER_H
#define MP_VIEW_ORDER_H

#include "view/view.h"

/* What @site has of the metric. */
uint64_t mp_order_metric(const struct mp_site *site, enum mp_sort sort);
/* Faults of all kinds. */
uint64_t mp_order_faults(const uint64_t faults[MP_KIND_NR]);
/*
 * The sites that allocated or own something, largest first, then by id; ends with NULL. *@nr: how
 * many. The caller frees the array. NULL: no memory.
 */
const struct mp_site **mp_order_sites(const struct mp_report *r, enum mp_sort sort, size_t *nr);

#endif
