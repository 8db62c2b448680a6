/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a process's glibc keeps its heap: found without debug information, by what its relocations,
 * its initialized data and the code of its malloc tell, and checked in the process. No version is
 * asked for. Addresses are the process's; whatever it holds is taken for hostile.
 */
#ifndef MP_COLLECT_GLIBC_H
#define MP_COLLECT_GLIBC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "collect/provider.h"

#define MP_GLIBC_NONE 0xffff /* such a member is not there */

struct mp_glibc_layout { /* offsets in bytes; names are those of malloc.c and arena.c */
	/* struct malloc_state; @bins is where bins[] begins: bin i's fd is at bins + (i - 1) * 16 */
	uint16_t next, top, last_remainder, bins, fastbins /* MP_GLIBC_NONE: none */, system_mem;
	/* struct tcache_perthread_struct; how many sizes it has */
	uint16_t tcache_counts, tcache_entries, tcache_bins;
	bool counts_down; /* counts are of free places, not of chunks */
	/* struct malloc_par; those before @mp_n_mmaps_max moved never */
	uint16_t mp_trim_threshold, mp_top_pad, mp_mmap_threshold, mp_hp_pagesize /* or NONE */;
	uint16_t mp_n_mmaps, mp_n_mmaps_max, mp_no_dyn_threshold, mp_mmapped_mem, mp_sbrk_base;
	uint16_t mp_tcache_bins;
	bool fd_mangled; /* links of thread cache and fastbins are xored with their place >> 12 */
	bool hooked;     /* a program can put its own before malloc (__malloc_hook) */
	bool calloc_tcache;        /* calloc takes from the thread cache */
	bool mmapped_size_less_16; /* an mmapped chunk's size is its mapping's minus 16 */
};

struct mp_glibc {
	uint64_t base; /* run-time address minus ELF address */
	uint64_t main_arena, mp;
	int64_t tcache_tp, thread_arena_tp; /* their places relative to the thread pointer */
	uint64_t heap_max_bytes;            /* size and alignment of the heaps of other arenas */
	uint32_t arenas;                    /* in the list of them, the main one included */
	bool started;                       /* the main arena had been set up when asked */
	struct mp_glibc_layout at;
};

/*
 * Fills *@out. 0; -ENOENT no glibc gives out blocks in the process; -EBADMSG with @err naming the
 * check that failed: nothing may be read by these offsets then; -ESRCH, -EACCES, -EPERM, -ENOMEM.
 */
int mp_glibc_find(pid_t pid, struct mp_glibc *out, struct mp_err *err);
/* The same where the providers of malloc are known. */
int mp_glibc_find_in(pid_t pid, const struct mp_providers *providers, struct mp_glibc *out,
		     struct mp_err *err);

#endif
