/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Part of event.h: why memory stays, and how much of it there may be. */
#ifndef MALLOCPATH_RETENTION_H
#define MALLOCPATH_RETENTION_H

/*
 * MP_EV_HEAP: where glibc's heap is in a process, or why that is not known: then no tier is told.
 * Thresholds in bytes, as they are at that time.
 */
struct mp_ev_heap {
	struct mp_ev h;
	__u64 main_arena; /* 0: not known, and @why tells which check failed */
	__u64 mmap_threshold;
	__u64 trim_threshold;
	__u32 fixed;  /* the program has set a threshold: a free() moves none */
	__u32 arenas; /* it has, the main one included; 0: not counted this time */
	char why[];   /* NUL terminated, padded to 8 */
};
_Static_assert(sizeof(struct mp_ev_heap) == 56, "wire format");

/*
 * MP_EV_THRESHOLD: the free() of a block that had a mapping of its own has raised the size from which
 * on blocks have one (mp_.mmap_threshold) and the one from which on the top of the heap is given back.
 */
struct mp_ev_threshold {
	struct mp_ev h;
	__u64 addr;   /* of the block */
	__u64 caller; /* return address of the free() */
	__u64 mmap_before, mmap_after;
	__u64 trim_before, trim_after;
	__u32 stack;
	__u32 pad;
};
_Static_assert(sizeof(struct mp_ev_threshold) == 80, "wire format");

/* MP_EV_NEW_HEAP: told at the thread's next allocator call at the latest. */
struct mp_ev_new_heap {
	struct mp_ev h;
	__u64 heap;
	__u64 arena;  /* that it belongs to */
	__u64 caller; /* of the allocator call that made it, or the system call itself (free) */
	__u32 stack;
	__u8 first; /* the arena begins in it: it is a new one */
	__u8 in_fn; /* enum mp_fn */
	__u8 pad[2];
};
_Static_assert(sizeof(struct mp_ev_new_heap) == 56, "wire format");

/* MP_EV_CGROUP: of the cgroup and those above it the one with the least limit. ~0: no limit, not known. */
struct mp_ev_cgroup {
	struct mp_ev h;
	__u64 limit_bytes;
	__u64 usage_bytes; /* of all processes in it and below, page cache included */
	__u64 peak_bytes;  /* the most it ever was */
	/* how often since it was made: */
	__u64 limit_hits; /* an allocation met the limit; mostly something could be reclaimed */
	__u64 ooms;       /* nothing could be; ~0 in version 1 */
	__u64 oom_kills;  /* a process in it was killed for that */
	__u32 version;    /* 1 or 2 */
	__u32 pad;
	char path[]; /* below the mount point, NUL terminated, padded to 8 */
};
_Static_assert(sizeof(struct mp_ev_cgroup) == 80, "wire format");

#endif /* MALLOCPATH_RETENTION_H */
