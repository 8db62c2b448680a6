/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Part of event.h: what a fault has to wait for where memory is short. */
#ifndef MALLOCPATH_WAITS_H
#define MALLOCPATH_WAITS_H

/* What of a fault's waiting is seen here at all (MP_EV_STALL). */
enum mp_wait_told {
	MP_WAIT_RECLAIM = 1, /* reclaim, kswapd's waking, and whom the lack of memory kills */
	MP_WAIT_COMPACT = 2,
};

/* Why there was no memory for a fault. */
enum mp_unmet {
	MP_UNMET_UNKNOWN = 1,
	MP_UNMET_MACHINE = 2,
	MP_UNMET_CGROUP = 3, /* what it was given could not be charged: a cgroup was at its limit */
};

/*
 * MP_EV_STALL: what a fault had to wait for. After the FAULT of the same thread that it is about; with
 * @unmet there is none, for it ended without a page, or it is not over and before the OOM of who is to
 * be killed for it. Waking kswapd takes no time itself.
 */
struct mp_ev_stall {
	struct mp_ev h;
	__u64 addr; /* these four as in mp_ev_fault */
	__u64 caller;
	__u32 stack;
	__u32 flags;
	__u64 reclaim_ns, memcg_ns, compact_ns;
	__u32 reclaims;       /* of the machine's memory, by the fault itself */
	__u32 memcg_reclaims; /* of a cgroup's at its limit */
	__u32 compactions;
	__u32 wakes; /* of kswapd */
	__u8 in_fn;
	__u8 unmet; /* enum mp_unmet, 0: it got what it wanted */
	__u8 pad[6];
};
_Static_assert(sizeof(struct mp_ev_stall) == 96, "wire format");

#endif
