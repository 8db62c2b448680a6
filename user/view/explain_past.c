// SPDX-License-Identifier: GPL-2.0-or-later
/* What happened at the page's address, line by line; the kernel's functions are those of mm/. */
#include <inttypes.h>
#include <stdio.h>

#include "view/explain_page.h"

static const char *const sentences[MP_PAST_NR] = {
	[MP_PAST_FAULT] = "a touch brought it",
	[MP_PAST_POPULATE] = "a system call filled it in",
	[MP_PAST_SEEDED] = "it was there when tracing began",
	[MP_PAST_RECONCILED] = "found so when pagemap was read: no event told",
	[MP_PAST_TOOL] = "copied for a probe of ours",
	[MP_PAST_FORK] = "fork() copied the entry, not the page",
	[MP_PAST_MREMAP_IN] = "mremap() moved it here",
	[MP_PAST_COLLAPSE] = "joined into a huge page (collapse_huge_page())",
	[MP_PAST_MIGRATE] = "moved to another frame (remove_migration_pte())",
	[MP_PAST_SPLIT] = "its folio was taken apart, the frame stayed",
	[MP_PAST_SWAP_OUT] = "reclaim wrote it to swap (try_to_unmap())",
	[MP_PAST_MADV_FREE] = "MADV_FREE: the kernel may take it from now on",
	[MP_PAST_MUNMAP] = "munmap() gave it back",
	[MP_PAST_CHUNK] = "the allocator unmapped the mapping it was in",
	[MP_PAST_BRK] = "brk() lowered the break below it",
	[MP_PAST_TRIM] = "the allocator gave it back and kept the address",
	[MP_PAST_MADV_DONTNEED] = "madvise() dropped it",
	[MP_PAST_RECLAIM] = "reclaim took it, as MADV_FREE allowed",
	[MP_PAST_MREMAP] = "mremap() took it away from here",
	[MP_PAST_MMAP] = "something else was mapped over it",
	[MP_PAST_EXEC] = "execve() replaced the address space",
	[MP_PAST_EXIT] = "the process ended",
	[MP_PAST_OOM] = "the out-of-memory killer ended the process",
	[MP_PAST_UNSEEN] = "found to be gone when pagemap was read: no event told",
	[MP_PAST_UNKNOWN] = "its frame was freed, and nobody told why",
};

static void tell(struct mp_explain *e, const struct mp_past *past)
{
	const char *call = past->fn ? mp_fn_name(past->fn) : NULL;
	char kind[24] = "", other[40] = "", frame[40] = "";

	if (past->kind != MP_KIND_NONE)
		snprintf(kind, sizeof(kind), " (%s)", mp_kind_name(past->kind));
	if (past->other)
		snprintf(other, sizeof(other), "%s 0x%" PRIx64,
			 past->what == MP_PAST_MREMAP ? " to" : " from", past->other);
	if (past->pfn)
		snprintf(frame, sizeof(frame), ", frame 0x%" PRIx64, past->pfn);
	mp_prose_line(&e->prose, "    %10s  %s%s%s%s", mp_explain_since(e, past->t_ns).s,
		      sentences[past->what], kind, other, frame);
	if (past->site)
		mp_prose_line(&e->prose, "                at %s%s%s%s",
			      mp_explain_label(e, past->site).s, call ? ", inside " : "",
			      call ? call : "", call ? "()" : "");
}

void mp_explain_past(struct mp_explain *e, const struct mp_page *pg)
{
	/* its coming is told already */
	if (pg->nr_past < 2 && pg->state != MP_STATE_GONE)
		return;
	mp_prose_line(&e->prose, "%s", "");
	mp_prose_say(&e->prose, "What happened at this address, and when after the trace began%s:",
		     pg->past_cut ? " (what was before is not kept)" : "");
	mp_prose_end(&e->prose);
	for (uint32_t i = 0; i < pg->nr_past; i++)
		tell(e, &pg->past[i]);
}
