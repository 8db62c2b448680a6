// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/model.h"

#define NAME(table, i)                                                                   \
	((unsigned int)(i) < sizeof(table) / sizeof(*(table)) && (table)[i] ? (table)[i] \
									    : "unknown")

const char *mp_kind_name(int kind)
{
	static const char *const names[MP_KIND_NR] = {
		[MP_KIND_ANON] = "anon", [MP_KIND_THP] = "thp",     [MP_KIND_MTHP] = "mthp",
		[MP_KIND_ZERO] = "zero", [MP_KIND_COW] = "cow",     [MP_KIND_SWAPIN] = "swapin",
		[MP_KIND_FILE] = "file", [MP_KIND_SHMEM] = "shmem",
	};

	return NAME(names, kind);
}

const char *mp_by_name(int by)
{
	static const char *const names[MP_BY_NR] = {
		[MP_BY_USER] = "user",
		[MP_BY_KERNEL] = "kernel",
		[MP_BY_GUP] = "gup",
	};

	return NAME(names, by);
}

const char *mp_state_name(int state)
{
	static const char *const names[] = {
		[MP_STATE_PRESENT] = "present", [MP_STATE_ZERO] = "zero",
		[MP_STATE_SWAPPED] = "swapped", [MP_STATE_SHARED_COW] = "shared_cow",
		[MP_STATE_GONE] = "gone",
	};

	return NAME(names, state);
}

const char *mp_past_name(int what)
{
	static const char *const names[MP_PAST_NR] = {
		[MP_PAST_FAULT] = "fault",
		[MP_PAST_POPULATE] = "populate",
		[MP_PAST_SEEDED] = "seeded",
		[MP_PAST_RECONCILED] = "reconciled",
		[MP_PAST_TOOL] = "tool",
		[MP_PAST_FORK] = "fork",
		[MP_PAST_MREMAP_IN] = "mremap_in",
		[MP_PAST_COLLAPSE] = "collapse",
		[MP_PAST_MIGRATE] = "migrate",
		[MP_PAST_SPLIT] = "split",
		[MP_PAST_SWAP_OUT] = "swap_out",
		[MP_PAST_MADV_FREE] = "madv_free",
		[MP_PAST_MUNMAP] = "munmap",
		[MP_PAST_CHUNK] = "chunk",
		[MP_PAST_BRK] = "brk",
		[MP_PAST_TRIM] = "trim",
		[MP_PAST_MADV_DONTNEED] = "madv_dontneed",
		[MP_PAST_RECLAIM] = "reclaim",
		[MP_PAST_MREMAP] = "mremap",
		[MP_PAST_MMAP] = "mmap",
		[MP_PAST_EXEC] = "exec",
		[MP_PAST_EXIT] = "exit",
		[MP_PAST_OOM] = "oom_kill",
		[MP_PAST_UNSEEN] = "unseen",
		[MP_PAST_UNKNOWN] = "unknown",
	};

	return NAME(names, what);
}

const char *mp_tier_name(int tier)
{
	static const char *const names[MP_TIER_NR] = {
		[MP_TIER_UNKNOWN] = "unknown", [MP_TIER_TCACHE] = "tcache",
		[MP_TIER_FASTBIN] = "fastbin", [MP_TIER_UNSORTED] = "unsorted",
		[MP_TIER_SMALL] = "small",     [MP_TIER_LARGE] = "large",
		[MP_TIER_TOP] = "top",         [MP_TIER_BRK] = "brk",
		[MP_TIER_HEAP] = "heap",       [MP_TIER_MMAP] = "mmap",
		[MP_TIER_INPLACE] = "inplace", [MP_TIER_OTHER] = "other",
		[MP_TIER_BINS] = "bins",
	};

	return NAME(names, tier);
}

const char *mp_sure_name(int sure)
{
	static const char *const names[MP_SURE_NR] = {
		[MP_SURE_NOT] = "unknown",
		[MP_SURE_SNAPSHOT] = "snapshot",
		[MP_SURE_CERTAIN] = "certain",
	};

	return NAME(names, sure);
}

const char *mp_source_name(int source)
{
	static const char *const names[] = {
		[MP_SRC_FAULT] = "fault",      [MP_SRC_POPULATE] = "populate",
		[MP_SRC_SEEDED] = "seeded",    [MP_SRC_RECONCILED] = "reconciled",
		[MP_SRC_CHECK] = "reconciled", [MP_SRC_TOOL] = "tool",
		[MP_SRC_MOVED] = "moved",
	};

	return NAME(names, source);
}

const char *mp_at_name(int at)
{
	static const char *const names[] = {
		[MP_AT_NOW] = "now", [MP_AT_EXIT] = "exit", [MP_AT_PEAK] = "peak",
		[MP_AT_OOM] = "oom", [MP_AT_EXEC] = "exec",
	};

	return NAME(names, at);
}

const char *mp_allocator_name(int kind)
{
	static const char *const names[] = {
		[MP_ALLOC_OTHER] = "other",       [MP_ALLOC_GLIBC] = "glibc",
		[MP_ALLOC_JEMALLOC] = "jemalloc", [MP_ALLOC_TCMALLOC] = "tcmalloc",
		[MP_ALLOC_MIMALLOC] = "mimalloc", [MP_ALLOC_MUSL] = "musl",
	};

	return NAME(names, kind);
}

const char *mp_fn_name(int fn)
{
	static const char *const names[MP_FN_MAX] = {
		[MP_FN_NONE] = "none",
		[MP_FN_MALLOC] = "malloc",
		[MP_FN_CALLOC] = "calloc",
		[MP_FN_REALLOC] = "realloc",
		[MP_FN_REALLOCARRAY] = "reallocarray",
		[MP_FN_MEMALIGN] = "memalign",
		[MP_FN_ALIGNED_ALLOC] = "aligned_alloc",
		[MP_FN_POSIX_MEMALIGN] = "posix_memalign",
		[MP_FN_VALLOC] = "valloc",
		[MP_FN_PVALLOC] = "pvalloc",
		[MP_FN_NEW] = "new",
		[MP_FN_FREE] = "free",
		[MP_FN_DELETE] = "delete",
		[MP_FN_MMAP] = "mmap",
	};

	return NAME(names, fn);
}

const char *mp_vma_kind_name(int kind)
{
	static const char *const names[] = {
		[MP_VMA_ANON] = "anon",       [MP_VMA_HEAP] = "heap",
		[MP_VMA_STACK] = "stack",     [MP_VMA_FILE] = "file",
		[MP_VMA_SHMEM] = "shmem",     [MP_VMA_SPECIAL] = "special",
		[MP_VMA_HUGETLB] = "hugetlb",
	};

	return NAME(names, kind);
}

const char *mp_stack_end_name(int end)
{
	static const char *const names[MP_STACK_END_MAX] = {
		[MP_STACK_GOES_ON] = "caller_only",
		[MP_STACK_WHOLE] = "whole",
		[MP_STACK_DEEP] = "deep",
		[MP_STACK_READ] = "read",
		[MP_STACK_NO_LAYOUT] = "no_layout",
		[MP_STACK_NO_TEXT] = "no_text",
		[MP_STACK_NO_TABLE] = "no_table",
		[MP_STACK_NO_RULE] = "no_rule",
		[MP_STACK_UNSUPPORTED] = "unsupported",
		[MP_STACK_NO_FRAME] = "no_frame",
	};

	return NAME(names, end);
}
