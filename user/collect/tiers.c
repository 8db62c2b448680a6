// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/tiers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "collect/glibc.h"

#define SMALL_SIZES 64 /* of the thread cache, one a list; in later lists many share one */

struct told { /* MP_EV_HEAP with its text */
	struct mp_ev_heap ev;
	char why[sizeof(((struct mp_err *)0)->text)];
};
_Static_assert(sizeof(struct told) % 8 == 0, "wire format");

static struct mp_glibc_at kernel_view(const struct mp_glibc *g)
{
	const struct mp_glibc_layout *l = &g->at;
	struct mp_glibc_at at = {
		.main_arena = g->main_arena,
		.mp = g->mp,
		.heap_mask = g->heap_max_bytes - 1,
		.tcache_tp = g->tcache_tp,
		.thread_arena_tp = g->thread_arena_tp,
		.head = l->fastbins == MP_GLIBC_NONE ? l->top : l->fastbins,
		.top = l->top,
		.bins = l->bins,
		.entries = l->tcache_entries,
		.sizes = SMALL_SIZES,
		.larges = l->tcache_bins > SMALL_SIZES ? l->tcache_bins - SMALL_SIZES : 0,
		.fastbins = l->fastbins != MP_GLIBC_NONE,
		.mangled = l->fd_mangled,
		.counts_down = l->counts_down,
		.mmap_threshold = l->mp_mmap_threshold,
		.trim_threshold = l->mp_trim_threshold,
	};

	if (!l->hooked)
		at.sure = 1 << MP_FN_MALLOC | (l->calloc_tcache ? 1 << MP_FN_CALLOC : 0);
	return at;
}

static void read_thresholds(pid_t pid, const struct mp_glibc *g, struct mp_ev_heap *ev)
{
	uint32_t fixed = 0;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (pread(fd, &ev->mmap_threshold, 8, (off_t)(g->mp + g->at.mp_mmap_threshold)) != 8 ||
	    pread(fd, &ev->trim_threshold, 8, (off_t)(g->mp + g->at.mp_trim_threshold)) != 8 ||
	    pread(fd, &fixed, 4, (off_t)(g->mp + g->at.mp_no_dyn_threshold)) != 4)
		ev->mmap_threshold = ev->trim_threshold = 0;
	ev->fixed = fixed != 0;
	close(fd);
}

static void tell(struct told *t, mp_emit_fn emit, void *ctx)
{
	t->ev.h.size = (sizeof(t->ev) + strlen(t->why) + 1 + 7) & ~7;
	t->ev.h.ts_ns = mp_mono_ns();
	emit(ctx, &t->ev.h);
}

void mp_tiers_begin(struct mp_kernel *k, pid_t pid, const struct mp_providers *providers,
		    mp_emit_fn emit, void *ctx)
{
	struct told t = { .ev.h = { .type = MP_EV_HEAP, .tgid = pid } };
	struct mp_glibc_at at = { 0 };
	struct mp_err err = { 0 };
	struct mp_glibc g;
	int rc = mp_glibc_find_in(pid, providers, &g, &err);

	if (!rc) {
		at = kernel_view(&g);
		t.ev.main_arena = g.main_arena;
		t.ev.arenas = g.arenas;
		read_thresholds(pid, &g, &t.ev);
	}
	mp_kernel_glibc(k, pid, &at);
	if (rc == -ENOENT || rc == -ESRCH)
		return;
	if (rc)
		memcpy(t.why, err.text, sizeof(t.why) - 1);
	tell(&t, emit, ctx);
}

void mp_tiers_again(struct mp_kernel *k, pid_t pid, mp_emit_fn emit, void *ctx)
{
	struct told t = { .ev.h = { .type = MP_EV_HEAP, .tgid = pid } };
	struct mp_err err;
	struct mp_glibc g;

	/* a heap that changes while it is looked at can fail a check that says nothing */
	if (!mp_kernel_has_glibc(k, pid) || mp_glibc_find(pid, &g, &err))
		return;
	t.ev.main_arena = g.main_arena;
	read_thresholds(pid, &g, &t.ev);
	tell(&t, emit, ctx);
}
