/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which pages a process has now, from /proc/PID/pagemap: the anonymous, zero and swapped pages of
 * its private mappings. Shared mappings and hugetlb are no part of it.
 */
#ifndef MP_COLLECT_PAGEMAP_H
#define MP_COLLECT_PAGEMAP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "collect/emit.h"

/*
 * Emits MP_EV_PAGES with @source. Copied pages that hold an address of @tool (ascending; addresses
 * of our probes) are told with source MP_SRC_TOOL first, and again among the rest. With
 * MP_SRC_CHECK the absent pages of every private mapping are told too.
 * 0, what @emit returned, or -errno with @err: -ESRCH (ended), -EPERM (no PFNs shown: exit 3).
 */
int mp_pagemap_read(pid_t pid, enum mp_source source, const uint64_t *tool, size_t nr_tool,
		    mp_emit_fn emit, void *ctx, struct mp_err *err);

/* PFN of our own present page at @addr. 0, -ENOENT (not present), -EPERM (not shown), -errno. */
int mp_pagemap_self(const void *addr, uint64_t *pfn);
/* PFN of the machine's zero page. 0 or -errno as above. */
int mp_pagemap_zero_pfn(uint64_t *pfn);

/* For tests: 0 forbids the PAGEMAP_SCAN ioctl, so that plain reads do all. Returns what it was. */
int mp_pagemap_use_scan(int use);

#endif
