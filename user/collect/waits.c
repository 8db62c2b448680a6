// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/waits.h"

#include "collect/kernel.h"
#include "mallocpath.skel.h"

bool mp_waits_attach(struct mallocpath_bpf *skel, int (*keep)(void *ctx, struct bpf_link *link),
		     void *ctx)
{
	struct bpf_program *progs[] = {
		skel->progs.mp_reclaim,   skel->progs.mp_reclaimed, skel->progs.mp_memcg,
		skel->progs.mp_memcg_end, skel->progs.mp_kswapd,    skel->progs.mp_wanting,
	};
	bool all = true;

	for (size_t i = 0; i < sizeof(progs) / sizeof(progs[0]); i++)
		all &= !keep(ctx, bpf_program__attach(progs[i]));
	return all;
}

uint16_t mp_waits_told(const struct mp_kernel *k)
{
	return (k->reclaim && k->victims ? MP_WAIT_RECLAIM : 0) |
	       (k->rows.hook[MP_HOOK_COMPACT].attached ? MP_WAIT_COMPACT : 0);
}
