// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/family.h"

#include <stddef.h>
#include <string.h>

#include "../bpf/event.h"

struct entry {
	const char *name;
	uint8_t fn;
	uint8_t flags;
};

/*
 * Names every allocator may have, the common ones first: the index is the rank. cfree is not among
 * them: where it is not free itself it calls free, which would tell the same block twice.
 */
static const struct entry standard[] = {
	{ "malloc", MP_FN_MALLOC, MP_FAMILY_MALLOC },
	{ "free", MP_FN_FREE, 0 },
	{ "calloc", MP_FN_CALLOC, 0 },
	{ "realloc", MP_FN_REALLOC, 0 },
	{ "memalign", MP_FN_MEMALIGN, 0 },
	{ "aligned_alloc", MP_FN_ALIGNED_ALLOC, 0 },
	{ "posix_memalign", MP_FN_POSIX_MEMALIGN, 0 },
	{ "reallocarray", MP_FN_REALLOCARRAY, MP_FAMILY_CALLER },
	{ "reallocf", MP_FN_REALLOC, 0 },
	{ "valloc", MP_FN_VALLOC, 0 },
	{ "pvalloc", MP_FN_PVALLOC, 0 },
	{ "vfree", MP_FN_FREE, 0 },
	{ "free_sized", MP_FN_FREE, 0 },
	{ "free_aligned_sized", MP_FN_FREE, 0 },
	{ "_aligned_malloc", MP_FN_MEMALIGN, 0 },
	{ "mmap", MP_FN_MMAP, MP_FAMILY_WRAPPER },
	{ "mmap64", MP_FN_MMAP, MP_FAMILY_WRAPPER },
	{ "mremap", MP_FN_MMAP, MP_FAMILY_WRAPPER },
	{ "sbrk", MP_FN_MMAP, MP_FAMILY_WRAPPER },
	{ "_Znwm", MP_FN_NEW, 0 },
	{ "_Znam", MP_FN_NEW, 0 },
	{ "_ZnwmRKSt9nothrow_t", MP_FN_NEW, 0 },
	{ "_ZnamRKSt9nothrow_t", MP_FN_NEW, 0 },
	{ "_ZnwmSt11align_val_t", MP_FN_NEW, 0 },
	{ "_ZnamSt11align_val_t", MP_FN_NEW, 0 },
	{ "_ZnwmSt11align_val_tRKSt9nothrow_t", MP_FN_NEW, 0 },
	{ "_ZnamSt11align_val_tRKSt9nothrow_t", MP_FN_NEW, 0 },
	{ "_Znwm12__hot_cold_t", MP_FN_NEW, 0 },
	{ "_Znam12__hot_cold_t", MP_FN_NEW, 0 },
	{ "_ZnwmRKSt9nothrow_t12__hot_cold_t", MP_FN_NEW, 0 },
	{ "_ZnamRKSt9nothrow_t12__hot_cold_t", MP_FN_NEW, 0 },
	{ "_ZnwmSt11align_val_t12__hot_cold_t", MP_FN_NEW, 0 },
	{ "_ZnamSt11align_val_t12__hot_cold_t", MP_FN_NEW, 0 },
	{ "_ZdlPv", MP_FN_DELETE, 0 },
	{ "_ZdaPv", MP_FN_DELETE, 0 },
	{ "_ZdlPvm", MP_FN_DELETE, 0 },
	{ "_ZdaPvm", MP_FN_DELETE, 0 },
	{ "_ZdlPvRKSt9nothrow_t", MP_FN_DELETE, 0 },
	{ "_ZdaPvRKSt9nothrow_t", MP_FN_DELETE, 0 },
	{ "_ZdlPvSt11align_val_t", MP_FN_DELETE, 0 },
	{ "_ZdaPvSt11align_val_t", MP_FN_DELETE, 0 },
	{ "_ZdlPvmSt11align_val_t", MP_FN_DELETE, 0 },
	{ "_ZdaPvmSt11align_val_t", MP_FN_DELETE, 0 },
	{ "_ZdlPvSt11align_val_tRKSt9nothrow_t", MP_FN_DELETE, 0 },
	{ "_ZdaPvSt11align_val_tRKSt9nothrow_t", MP_FN_DELETE, 0 },
	/* jemalloc: (size, flags), (ptr, size, flags), (ptr, flags), (ptr, size, flags) */
	{ "mallocx", MP_FN_NEW, 0 },
	{ "rallocx", MP_FN_REALLOC, 0 },
	{ "dallocx", MP_FN_DELETE, 0 },
	{ "sdallocx", MP_FN_DELETE, 0 },
	{ "xallocx", MP_FN_NONE, MP_FAMILY_UNFIT },    /* returns a size */
	{ "reallocarr", MP_FN_NONE, MP_FAMILY_UNFIT }, /* takes a pointer to the pointer */
	/* glibc's own second names, which others copy */
	{ "__libc_malloc", MP_FN_MALLOC, 0 },
	{ "__libc_calloc", MP_FN_CALLOC, 0 },
	{ "__libc_realloc", MP_FN_REALLOC, 0 },
	{ "__libc_reallocarray", MP_FN_REALLOCARRAY, 0 },
	{ "__libc_memalign", MP_FN_MEMALIGN, 0 },
	{ "__libc_valloc", MP_FN_VALLOC, 0 },
	{ "__libc_pvalloc", MP_FN_PVALLOC, 0 },
	{ "__libc_free", MP_FN_FREE, 0 },
	{ "__posix_memalign", MP_FN_POSIX_MEMALIGN, 0 },
};

/* tcmalloc's names behind tc_, and mimalloc's behind mi_, beside the standard ones. */
static const struct entry tcmalloc[] = {
	{ "malloc_skip_new_handler", MP_FN_MALLOC, 0 },
	{ "new", MP_FN_NEW, 0 },
	{ "new_nothrow", MP_FN_NEW, 0 },
	{ "newarray", MP_FN_NEW, 0 },
	{ "newarray_nothrow", MP_FN_NEW, 0 },
	{ "new_aligned", MP_FN_NEW, 0 },
	{ "new_aligned_nothrow", MP_FN_NEW, 0 },
	{ "newarray_aligned", MP_FN_NEW, 0 },
	{ "newarray_aligned_nothrow", MP_FN_NEW, 0 },
	{ "delete", MP_FN_DELETE, 0 },
	{ "delete_nothrow", MP_FN_DELETE, 0 },
	{ "delete_sized", MP_FN_DELETE, 0 },
	{ "delete_aligned", MP_FN_DELETE, 0 },
	{ "delete_aligned_nothrow", MP_FN_DELETE, 0 },
	{ "delete_sized_aligned", MP_FN_DELETE, 0 },
	{ "deletearray", MP_FN_DELETE, 0 },
	{ "deletearray_nothrow", MP_FN_DELETE, 0 },
	{ "deletearray_sized", MP_FN_DELETE, 0 },
	{ "deletearray_aligned", MP_FN_DELETE, 0 },
	{ "deletearray_aligned_nothrow", MP_FN_DELETE, 0 },
	{ "deletearray_sized_aligned", MP_FN_DELETE, 0 },
};

static const struct entry mimalloc[] = {
	{ "malloc_small", MP_FN_MALLOC, 0 },
	{ "zalloc_small", MP_FN_MALLOC, 0 },
	{ "zalloc", MP_FN_MALLOC, 0 },
	{ "mallocn", MP_FN_CALLOC, 0 },
	{ "reallocn", MP_FN_REALLOCARRAY, 0 },
	{ "rezalloc", MP_FN_REALLOC, 0 },
	{ "recalloc", MP_FN_REALLOCARRAY, 0 },
	{ "free_size", MP_FN_FREE, 0 },
	{ "free_size_aligned", MP_FN_FREE, 0 },
	{ "free_aligned", MP_FN_FREE, 0 },
	{ "new", MP_FN_NEW, 0 },
	{ "new_n", MP_FN_CALLOC, 0 },
	{ "new_nothrow", MP_FN_NEW, 0 },
	{ "new_aligned", MP_FN_NEW, 0 },
	{ "new_aligned_nothrow", MP_FN_NEW, 0 },
	{ "new_realloc", MP_FN_REALLOC, 0 },
	{ "new_reallocn", MP_FN_REALLOCARRAY, 0 },
	/* (size, alignment), (size, alignment, offset), (count, size, alignment), (ptr, size, ...) */
	{ "malloc_aligned", MP_FN_NEW, 0 },
	{ "malloc_aligned_at", MP_FN_NEW, 0 },
	{ "zalloc_aligned", MP_FN_NEW, 0 },
	{ "zalloc_aligned_at", MP_FN_NEW, 0 },
	{ "calloc_aligned", MP_FN_CALLOC, 0 },
	{ "calloc_aligned_at", MP_FN_CALLOC, 0 },
	{ "realloc_aligned", MP_FN_REALLOC, 0 },
	{ "realloc_aligned_at", MP_FN_REALLOC, 0 },
	{ "rezalloc_aligned", MP_FN_REALLOC, 0 },
	{ "rezalloc_aligned_at", MP_FN_REALLOC, 0 },
	{ "recalloc_aligned", MP_FN_REALLOCARRAY, 0 },
	{ "recalloc_aligned_at", MP_FN_REALLOCARRAY, 0 },
	{ "heap_malloc", MP_FN_NONE, MP_FAMILY_UNFIT }, /* all mi_heap_*: the heap comes first */
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* je_: jemalloc's own prefix where it does not replace malloc; _rjem_: inside Rust programs. */
static const struct prefix {
	const char *text;
	uint8_t malloc_flags; /* instead of MP_FAMILY_MALLOC */
	const struct entry *more;
	size_t nr_more;
} prefixes[] = {
	{ "tc_", 0, tcmalloc, COUNT(tcmalloc) },
	{ "mi_", MP_FAMILY_PRIVATE, mimalloc, COUNT(mimalloc) },
	{ "je_", MP_FAMILY_PRIVATE, NULL, 0 },
	{ "_rjem_", MP_FAMILY_PRIVATE, NULL, 0 },
};

static uint8_t count_args(uint8_t fn)
{
	switch (fn) {
	case MP_FN_CALLOC:
	case MP_FN_REALLOC:
	case MP_FN_MEMALIGN:
	case MP_FN_ALIGNED_ALLOC:
		return 2;
	case MP_FN_REALLOCARRAY:
	case MP_FN_POSIX_MEMALIGN:
		return 3;
	case MP_FN_NONE:
	case MP_FN_MMAP:
		return 0;
	default:
		return 1;
	}
}

static bool look_up(const char *name, const struct entry *list, size_t nr, uint16_t rank,
		    struct mp_family *out)
{
	for (size_t i = 0; i < nr; i++) {
		/* the second letter already tells most of the 10^5 names of a table apart */
		if (name[0] != list[i].name[0] || name[1] != list[i].name[1] ||
		    strcmp(name, list[i].name))
			continue;
		out->fn = list[i].fn;
		out->flags = list[i].flags;
		out->rank = (uint16_t)(rank + i);
		out->nr_args = count_args(out->fn);
		return true;
	}
	return false;
}

bool mp_family_find(const char *name, struct mp_family *out)
{
	if (!name[0] || !strchr("_acdfjmprstvx", name[0]))
		return false;
	if (look_up(name, standard, COUNT(standard), 0, out))
		return true;
	for (size_t i = 0; i < COUNT(prefixes); i++) {
		const struct prefix *p = &prefixes[i];
		size_t len = strlen(p->text);

		if (strncmp(name, p->text, len))
			continue;
		if (look_up(name + len, standard, COUNT(standard), 1000, out)) {
			if (out->flags & MP_FAMILY_WRAPPER)
				return false;
			if (out->flags & MP_FAMILY_MALLOC)
				out->flags = p->malloc_flags;
			return true;
		}
		return p->nr_more && look_up(name + len, p->more, p->nr_more, 2000, out);
	}
	return false;
}
