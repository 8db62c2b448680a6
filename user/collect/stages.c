// SPDX-License-Identifier: GPL-2.0-or-later
/* The table of stages: what is hooked here, how, and what is not seen with it. */
#include <stdio.h>
#include <string.h>

#include "collect/kernel.h"

#define STAGES       24
#define SYSCALL_HOOK "brk, mmap, munmap, mremap, madvise, mprotect, mlock, shmat"

static const struct mp_stage stages_tracepoint[] = {
	{ "fault", "handle_mm_fault", "perf event", "PAGE_FAULTS_MIN and _MAJ, page-table walk",
	  "get_user_pages by another process (ptrace, process_vm_writev)", MP_HIT_HANDLE_MM_FAULT },
	{ "anonymous page", "do_anonymous_page", "perf event", "the entry that the fault has set",
	  "what the fault tried before", MP_HIT_ANONYMOUS },
	{ "page allocation", "__alloc_pages", "tracepoint",
	  "mm_page_alloc and _zone_locked, matched by PFN", "the time inside the page allocator",
	  MP_HIT_ALLOC_PAGES },
	{ "heap growth", "do_brk_flags", "tracepoint", "sys_enter_brk, sys_exit_brk",
	  "the inside of the call: merges, refusals by reason", MP_HIT_BRK },
	{ "mapping", "mmap_region", "tracepoint", "sys_enter_mmap, sys_exit_mmap",
	  "the moment under the lock: a range is gone at the call's exit", MP_HIT_MMAP },
	{ "slow path", "get_page_from_freelist", "-", "-",
	  "whether the page allocator's first try failed", MP_HIT_NONE },
	{ "compaction", "try_to_compact_pages", "-", "-", "what faults spend on it", MP_HIT_NONE },
	{ "fault start", "", "tracepoint", "page_fault_user, page_fault_kernel",
	  "faults by get_user_pages (populate, mlock, ptrace) have no start", MP_HIT_NONE },
	{ "kernel-filled range", "", "tracepoint", "sys_exit_*, page-table walk",
	  "the fault time of these pages", MP_HIT_NONE },
	{ "later life", "", "pagemap", "read back at a report",
	  "migration, swap and collapse are found only so", MP_HIT_NONE },
	{ 0 },
};

static const struct mp_stage stages_later[] = {
	{ "system calls", "", "tracepoint", SYSCALL_HOOK, "", MP_HIT_NONE },
	{ "page freed", "", "tracepoint", "mm_page_free, one byte a physical page", "",
	  MP_HIT_NONE },
	{ "processes", "", "tracepoint", "task_newtask, sched_process_exec/exit/free", "",
	  MP_HIT_NONE },
	{ 0 },
};

static const struct mp_stage reclaim = {
	"reclaim",    "",
	"tracepoint", "mm_vmscan_direct_reclaim, _memcg_reclaim, _wakeup_kswapd",
	"",           MP_HIT_NONE
};
static const struct mp_stage no_reclaim = { "reclaim",
					    "",
					    "-",
					    "its tracepoints cannot be hooked here",
					    "what faults wait for where memory is short",
					    MP_HIT_NONE };

static const struct mp_stage out_of_memory = {
	"out of memory", "", "tracepoint", "mark_victim; the cgroup's limit and events", "",
	MP_HIT_NONE
};
static const struct mp_stage no_out_of_memory = {
	"out of memory",
	"",
	"-",
	"mark_victim cannot be hooked here",
	"the instant a process is chosen to be killed: it is reported as of its exit, when the kernel "
	"may have taken its pages",
	MP_HIT_NONE
};

static size_t copy_stages(struct mp_stage *to, const struct mp_stage *from)
{
	size_t n = 0;

	while (from[n].stage) {
		to[n] = from[n];
		n++;
	}
	return n;
}

static const char *gap_of(const struct mp_hook *h, int i)
{
	if (!h->attached && i >= MP_HOOK_UNMAP)
		return "found only when pagemap is read back at a report";
	if (!h->attached)
		return i == MP_HOOK_FREELIST  ? "whether the page allocator's first try failed"
		       : i == MP_HOOK_COMPACT ? "what faults spend on it"
					      : "told from the page table and the tracepoints";
	if (i == MP_HOOK_ANONYMOUS && strcmp(h->function, h->wanted))
		return "do_anonymous_page itself: it is inlined on this kernel";
	return "";
}

/* The hooks under the names this kernel has for them. */
static size_t hook_stages(const struct mp_kernel *k, struct mp_stage *to)
{
	static const char *const names[MP_HOOKS] = {
		[MP_HOOK_FAULT] = "fault",
		[MP_HOOK_ANONYMOUS] = "anonymous page",
		[MP_HOOK_ALLOC_PAGES] = "page allocation",
		[MP_HOOK_BRK] = "heap growth",
		[MP_HOOK_MMAP] = "mapping",
		[MP_HOOK_FREELIST] = "slow path",
		[MP_HOOK_COMPACT] = "compaction",
		[MP_HOOK_UNMAP] = "swapped out",
		[MP_HOOK_MIGRATED] = "migrated",
		[MP_HOOK_COLLAPSE] = "collapsed",
	};

	for (int i = 0; i < MP_HOOKS; i++) {
		const struct mp_hook *h = &k->rows.hook[i];

		to[i] = (struct mp_stage){ .stage = names[i],
					   .wanted = h->wanted,
					   .how = h->attached ? mp_row_name(k->rows.row) : "-",
					   .hook = h->attached ? h->function
							       : "cannot be hooked here",
					   .gap = gap_of(h, i),
					   .hit = h->hit };
	}
	to[MP_HOOKS] = (struct mp_stage){ "later life",
					  "",
					  "pagemap",
					  "read back at a report",
					  "what KSM and swapoff do is found only so",
					  MP_HIT_NONE };
	return MP_HOOKS + 1;
}

const struct mp_stage *mp_kernel_stages(const struct mp_kernel *k)
{
	static struct mp_stage all[STAGES];
	size_t n = k->rows.row == MP_ROW_TRACEPOINT ? copy_stages(all, stages_tracepoint)
						    : hook_stages(k, all);

	n += copy_stages(all + n, stages_later);
	all[n++] = k->reclaim ? reclaim : no_reclaim;
	all[n++] = k->victims ? out_of_memory : no_out_of_memory;
	all[n] = (struct mp_stage){
		"allocator", "", "uprobe", "one link a function", "slower to attach and to detach",
		MP_HIT_NONE
	};
	if (k->multi)
		all[n] = (struct mp_stage){
			"allocator", "",
			"uprobe",    "uprobe.multi links, one a program and object",
			"",          MP_HIT_NONE
		};
	if (k->session)
		all[n].hook = "uprobe.session links, which spare the return of a known hit";
	all[n + 1] = (struct mp_stage){ 0 };
	return all;
}
