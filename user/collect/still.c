// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/still.h"

#include <errno.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "collect/heap.h"
#include "collect/pagemap.h"
#include "collect/procfs.h"
#include "collect/target.h"

static int tell_host(mp_emit_fn emit, void *ctx)
{
	struct utsname u;
	struct mp_ev_host ev = {
		.h = { .type = MP_EV_HOST, .size = sizeof(ev), .ts_ns = mp_mono_ns() },
		.page_size = (uint32_t)sysconf(_SC_PAGESIZE),
		.page_source = MP_PS_PAGEMAP,
		.alloc_probes = MP_PROBES_NONE,
	};

	mp_pagemap_zero_pfn((uint64_t *)&ev.zero_pfn); /* 0 if it is not told */
	uname(&u);
	snprintf(ev.release, sizeof(ev.release), "%.63s", u.release);
	return emit(ctx, &ev.h);
}

static int tell_instant(pid_t pid, mp_emit_fn emit, void *ctx)
{
	struct mp_ev_instant ev = {
		.h = { .type = MP_EV_INSTANT,
		       .size = sizeof(ev),
		       .ts_ns = mp_mono_ns(),
		       .tgid = pid },
		.at = MP_AT_NOW,
	};

	return emit(ctx, &ev.h);
}

int mp_still_read(pid_t pid, mp_emit_fn emit, void *ctx, struct mp_err *no_heap, struct mp_err *err)
{
	int rc = mp_target_readable(pid, err);

	no_heap->exit = 0;
	if (rc)
		return rc;
	rc = tell_host(emit, ctx);
	if (!rc && mp_target_proc(pid, false, emit, ctx))
		return mp_target_ended(pid, err);
	if (!rc)
		rc = mp_procfs_maps(pid, true, emit, ctx, err);
	if (!rc)
		rc = mp_pagemap_read(pid, MP_SRC_SEEDED, NULL, 0, emit, ctx, err);
	if (!rc)
		rc = mp_heap_xray(pid, NULL, emit, ctx, no_heap);
	if (rc == -ENOENT || rc == -EBADMSG)
		rc = 0;
	else if (rc && no_heap->exit)
		*err = *no_heap;
	return rc ? rc : tell_instant(pid, emit, ctx);
}
