/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Part of event.h: memory that was asked for and refused. */
#ifndef MALLOCPATH_REFUSAL_H
#define MALLOCPATH_REFUSAL_H

enum mp_refusal_flag {
	MP_REFUSAL_IPC_LOCK = 1,  /* the limit on locked memory does not hold for it, */
	MP_REFUSAL_SYS_ADMIN = 2, /* and nothing is kept back from it for root */
	MP_REFUSAL_LOCKS = 4,     /* mlockall(MCL_FUTURE): what it maps is locked */
};

/*
 * MP_EV_REFUSAL, before the MP_EV_RANGE of the same call: brk, mmap, munmap, mremap, mprotect, mlock,
 * mlockall or shmat has failed (brk: has left the break below what was asked). With what the kernel
 * compares the call with, as it stands right after it. ~0: not known; of a limit: there is none.
 */
struct mp_ev_refusal {
	struct mp_ev_range r;
	__u64 total_pages, data_pages, locked_pages; /* of the address space */
	__u64 start_brk, end_brk;
	__u64 program_data_bytes; /* counted into what RLIMIT_DATA says of brk */
	__u64 limit_as, limit_data, limit_data_max, limit_memlock; /* bytes */
	__u64 committed_pages;                                     /* of the whole machine */
	__u32 mappings;
	__u32 flags; /* enum mp_refusal_flag */
};
_Static_assert(sizeof(struct mp_ev_refusal) == 192, "wire format");

/* MP_EV_SYSTEM: what the machine refuses by; read when a refusal is heard of, and told before it. */
struct mp_ev_system {
	struct mp_ev h;
	__u64 commit_limit_bytes; /* all of these ~0: not read */
	__u64 ram_bytes, swap_bytes;
	__u64 admin_reserve_bytes, user_reserve_bytes;
	__u32 overcommit; /* vm.overcommit_memory */
	__u32 max_mappings;
};
_Static_assert(sizeof(struct mp_ev_system) == 72, "wire format");

#endif /* MALLOCPATH_REFUSAL_H */
