// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/step_text.h"

#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "view/label.h"
#include "view/steps.h"
#include "view/syscall.h"
#include "view/units.h"
#include "view/views.h"

unsigned int mp_step_stage(const struct mp_ev *ev)
{
	switch (ev->type) {
	case MP_EV_ALLOC:
	case MP_EV_REALLOC_DONE:
		return MP_STEP_MALLOC;
	case MP_EV_FREE:
		return MP_STEP_FREE;
	case MP_EV_RANGE:
		return MP_STEP_GROW;
	case MP_EV_FAULT:
	case MP_EV_STALL:
		return MP_STEP_FAULT;
	case MP_EV_PAGES:
		/* those of a fault's folio were told with it; the rest are readings of /proc */
		switch (((const struct mp_ev_pages *)ev)->source) {
		case MP_SRC_POPULATE:
		case MP_SRC_MOVED:
		case MP_SRC_TOOL:
			return MP_STEP_PAGE;
		}
		return 0;
	case MP_EV_PAGE_FREE:
		return MP_STEP_PAGE;
	case MP_EV_THRESHOLD:
	case MP_EV_NEW_HEAP:
		return MP_STEP_HEAP;
	case MP_EV_FORK:
	case MP_EV_EXEC:
	case MP_EV_EXIT:
	case MP_EV_OOM:
		return MP_STEP_LIFE;
	case MP_EV_GAP:
		return MP_STEP_ALL;
	}
	return 0;
}

uint64_t mp_step_bytes(const struct mp_ev *ev, const struct mp_step *step)
{
	const struct mp_ev_range *range = (const void *)ev;

	switch (ev->type) {
	case MP_EV_ALLOC:
		return ((const struct mp_ev_alloc *)ev)->requested;
	case MP_EV_REALLOC_DONE:
		return ((const struct mp_ev_realloc_done *)ev)->a.requested;
	case MP_EV_FREE:
		return step->bytes;
	case MP_EV_RANGE:
		if (range->op != MP_OP_BRK)
			return range->len;
		return (uint64_t)range->ret > range->old ? range->ret - range->old
							 : range->old - range->ret;
	case MP_EV_FAULT:
		return MP_PAGE_SIZE << (((const struct mp_ev_fault *)ev)->order & 15);
	case MP_EV_PAGES:
		return (uint64_t)((const struct mp_ev_pages *)ev)->nr << MP_PAGE_SHIFT;
	case MP_EV_PAGE_FREE:
		return MP_PAGE_SIZE << (((const struct mp_ev_page_free *)ev)->order & 15);
	}
	return UINT64_MAX;
}

static struct mp_text size(uint64_t n, bool plain)
{
	return mp_units_bytes(mp_units_signed(n), plain);
}

/* "tcache", or "top?" where it is only what the arena looked like. */
static void print_tier(const struct mp_step *step, FILE *out)
{
	fprintf(out, " %s%s", mp_tier_name(step->tier), step->sure == MP_SURE_SNAPSHOT ? "?" : "");
}

static void print_result(uint64_t addr, const struct mp_step *step, FILE *out)
{
	if (!addr) {
		fputs(" = NULL", out);
		return;
	}
	fprintf(out, " = 0x%" PRIx64, addr);
	print_tier(step, out);
}

static void print_alloc(const struct mp_ev_alloc *ev, const struct mp_step *step, FILE *out)
{
	fprintf(out, "%s(%llu)", mp_fn_name(ev->fn), ev->requested);
	print_result(ev->addr, step, out);
}

static void print_realloc(const struct mp_ev_realloc_done *ev, const struct mp_step *step,
			  FILE *out)
{
	fprintf(out, "%s(0x%llx, %llu)", mp_fn_name(ev->a.fn), ev->old, ev->a.requested);
	print_result(ev->a.addr, step, out);
	if (step->block)
		fprintf(out, ", was %" PRIu64 " bytes", step->bytes);
}

static void print_free(const struct mp_ev_free *ev, const struct mp_step *step, bool plain,
		       FILE *out)
{
	fprintf(out, "%s(0x%llx)", mp_fn_name(ev->fn), ev->addr);
	if (step->block != ev->addr)
		fputs(" not known", out);
	else if (!step->owner)
		fputs(" from before", out);
	else
		fprintf(out, " %" PRIu64 " bytes, lived %s", step->bytes,
			mp_units_ns(mp_units_signed(ev->h.ts_ns - step->t_ns), plain).s);
}

static const char *advice_name(uint32_t advice)
{
	static const struct {
		uint32_t advice;
		const char *name;
	} names[] = {
		{ MADV_NORMAL, "NORMAL" },
		{ MADV_RANDOM, "RANDOM" },
		{ MADV_WILLNEED, "WILLNEED" },
		{ MADV_DONTNEED, "DONTNEED" },
		{ MADV_FREE, "FREE" },
		{ MADV_DONTFORK, "DONTFORK" },
		{ MADV_DOFORK, "DOFORK" },
		{ MADV_HUGEPAGE, "HUGEPAGE" },
		{ MADV_NOHUGEPAGE, "NOHUGEPAGE" },
		{ MADV_MERGEABLE, "MERGEABLE" },
		{ 20, "COLD" },
		{ 21, "PAGEOUT" },
		{ 22, "POPULATE_READ" },
		{ 23, "POPULATE_WRITE" },
		{ 24, "DONTNEED_LOCKED" },
		{ 25, "COLLAPSE" }, /* uapi/asm-generic/mman-common.h */
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].advice == advice)
			return names[i].name;
	return NULL;
}

static void print_advice(const struct mp_ev_range *ev, FILE *out)
{
	const char *name = advice_name(ev->prot);

	fprintf(out, "madvise(0x%llx, %llu, ", ev->addr, ev->len);
	if (name)
		fprintf(out, "MADV_%s)", name);
	else
		fprintf(out, "%" PRIu32 ")", ev->prot);
}

static void print_call(const struct mp_ev_range *ev, FILE *out)
{
	if (ev->op == MP_OP_MADVISE)
		print_advice(ev, out);
	else if (ev->op == MP_OP_MREMAP)
		fprintf(out, "mremap(0x%llx, %llu, %llu)", ev->old, ev->old_len, ev->len);
	else if (ev->op == MP_OP_MMAP)
		fprintf(out, "mmap(%llu%s)", ev->len,
			ev->flags & MAP_POPULATE ? ", MAP_POPULATE" : "");
	else if (ev->op == MP_OP_MPROTECT)
		fprintf(out, "mprotect(0x%llx, %llu, %c%c%c)", ev->addr, ev->len,
			ev->prot & PROT_READ ? 'r' : '-', ev->prot & PROT_WRITE ? 'w' : '-',
			ev->prot & PROT_EXEC ? 'x' : '-');
	else
		fprintf(out, "%s(0x%llx, %llu)", mp_op_name(ev->op), ev->addr, ev->len);
}

static void print_brk(const struct mp_ev_range *ev, bool plain, FILE *out)
{
	uint64_t after = ev->ret;

	fprintf(out, "brk(0x%llx) = 0x%" PRIx64, ev->addr, after);
	if (after == ev->old)
		fputs(ev->addr > after ? ", refused" : "", out);
	else
		fprintf(out, ", %c%s", after > ev->old ? '+' : '-',
			size(after > ev->old ? after - ev->old : ev->old - after, plain).s);
}

static void print_ret(const struct mp_ev_range *ev, FILE *out)
{
	const char *name = ev->ret < 0 && ev->ret > -4096 ? strerrorname_np(-(int)ev->ret) : NULL;

	if (name)
		fprintf(out, " = %s", name);
	else if (ev->op == MP_OP_MMAP || ev->op == MP_OP_MREMAP || ev->op == MP_OP_SHMAT)
		fprintf(out, " = 0x%llx", (unsigned long long)ev->ret);
	else
		fprintf(out, " = %lld", ev->ret);
}

static void print_range(const struct mp_ev_range *ev, bool plain, FILE *out)
{
	if (ev->op == MP_OP_BRK) {
		print_brk(ev, plain, out);
	} else {
		print_call(ev, out);
		print_ret(ev, out);
	}
	if (ev->hooked)
		fputs(ev->op == MP_OP_BRK ? " do_brk_flags" : " mmap_region", out);
	if (ev->in_fn && ev->in_fn != MP_FN_MMAP)
		fprintf(out, " in %s", mp_fn_name(ev->in_fn));
}

static void print_stage(const struct mp_ev_fault *ev, FILE *out)
{
	const char *how = ev->stage & MP_STAGE_PCP      ? "pcp"
			  : ev->stage & MP_STAGE_REFILL ? "refill"
			  : ev->stage & MP_STAGE_BUDDY  ? "buddy"
							: NULL;

	if (!(ev->flags & MP_FAULT_ALLOC))
		return;
	if (how)
		fprintf(out, " %s", how);
	if (ev->stage & MP_STAGE_SLOW)
		fputs(" slow path", out);
}

/* Where in whose block, or in no block. */
static void print_hit(const struct mp_ev_fault *ev, const struct mp_step *step, FILE *out)
{
	if (ev->flags & MP_FAULT_IN_ALLOC && ev->in_fn != MP_FN_MMAP)
		fprintf(out, ", inside %s", mp_fn_name(ev->in_fn));
	else if (step->block)
		fprintf(out, ", byte %" PRIu64 " of 0x%" PRIx64, (uint64_t)ev->addr - step->block,
			step->block);
}

static void print_fault(const struct mp_ev_fault *ev, const struct mp_step *step, bool plain,
			FILE *out)
{
	char by[48] = "";

	fprintf(out, "fault 0x%llx %s %s %s", ev->addr,
		ev->flags & MP_FAULT_WRITE ? "write" : "read", mp_kind_name(step->kind),
		size(MP_PAGE_SIZE << (ev->order & 15), plain).s);
	if (ev->flags & (MP_FAULT_PRESENT | MP_FAULT_ALLOC))
		fprintf(out, " pfn 0x%llx", ev->pfn);
	if (ev->node)
		fprintf(out, " node %u", ev->node);
	print_stage(ev, out);
	if (ev->flags & MP_FAULT_TIMED)
		fprintf(out, " %s", mp_units_ns(ev->fault_ns, plain).s);
	if (ev->flags & MP_FAULT_GUP)
		fputs(" by get_user_pages", out);
	if (ev->flags & MP_FAULT_KERNEL && ev->syscall >= 0) {
		mp_syscall_name(ev->syscall, by, sizeof(by));
		fprintf(out, " by %s", by);
	}
	print_hit(ev, step, out);
}

static void print_stall(const struct mp_ev_stall *ev, bool plain, FILE *out)
{
	struct mp_waits w = { 0 };
	char text[300];

	mp_waits_count(&w, ev);
	mp_waits_say(text, sizeof(text), &w, plain);
	fprintf(out, "memory was short at 0x%llx: %s", ev->addr, text);
}

static void print_pages(const struct mp_ev_pages *ev, FILE *out)
{
	static const char *const what[] = { [MP_SRC_POPULATE] = "found after the system call",
					    [MP_SRC_MOVED] = "swapped, moved or joined",
					    [MP_SRC_TOOL] = "copied for a probe" };
	unsigned long long first = ev->entries[0];

	fprintf(out, "pages 0x%llx %" PRIu32 " %s", ev->addr, ev->nr, what[ev->source]);
	if (ev->nr && first & MP_PAGE_PRESENT)
		fprintf(out, " pfn 0x%llx", first & MP_PAGE_PFN);
}

static void print_life(const struct mp_ev *ev, FILE *out)
{
	const struct mp_ev_exit *end = (const void *)ev;
	char comm[17] = "", safe[80];

	switch (ev->type) {
	case MP_EV_FORK:
		fprintf(out, "fork = %" PRIu32 "%s", ((const struct mp_ev_fork *)ev)->child,
			((const struct mp_ev_fork *)ev)->followed ? "" : ", not followed");
		return;
	case MP_EV_EXEC:
		memcpy(comm, ((const struct mp_ev_exec *)ev)->comm, 16);
		mp_label_safe(safe, sizeof(safe), comm);
		fprintf(out, "exec %s", safe);
		return;
	case MP_EV_OOM:
		fputs("out of memory: chosen to be killed", out);
		return;
	}
	if (WIFSIGNALED(end->code))
		fprintf(out, "exit by signal %d", WTERMSIG(end->code));
	else
		fprintf(out, "exit %d", WEXITSTATUS(end->code));
}

static void print_heap(const struct mp_ev *ev, bool plain, FILE *out)
{
	const struct mp_ev_threshold *raise = (const void *)ev;
	const struct mp_ev_new_heap *heap = (const void *)ev;

	if (ev->type == MP_EV_NEW_HEAP)
		fprintf(out, "%s 0x%llx", heap->first ? "arena" : "one more heap of arena",
			heap->arena);
	else
		fprintf(out, "free(0x%llx) raises mmap_threshold to %s, trim_threshold to %s",
			raise->addr, size(raise->mmap_after, plain).s,
			size(raise->trim_after, plain).s);
}

static void print_gap(const struct mp_ev_gap *ev, FILE *out)
{
	fprintf(out, "%llu events were lost here", ev->count);
}

void mp_step_print(const struct mp_ev *ev, const struct mp_step *step, bool plain, FILE *out)
{
	const struct mp_ev_page_free *gone = (const void *)ev;

	switch (ev->type) {
	case MP_EV_ALLOC:
		print_alloc((const void *)ev, step, out);
		return;
	case MP_EV_REALLOC_DONE:
		print_realloc((const void *)ev, step, out);
		return;
	case MP_EV_FREE:
		print_free((const void *)ev, step, plain, out);
		return;
	case MP_EV_RANGE:
		print_range((const void *)ev, plain, out);
		return;
	case MP_EV_FAULT:
		print_fault((const void *)ev, step, plain, out);
		return;
	case MP_EV_STALL:
		print_stall((const void *)ev, plain, out);
		return;
	case MP_EV_PAGES:
		print_pages((const void *)ev, out);
		return;
	case MP_EV_PAGE_FREE:
		fprintf(out, "pages of pfn 0x%llx order %" PRIu32 " are free again", gone->pfn,
			gone->order);
		return;
	case MP_EV_THRESHOLD:
	case MP_EV_NEW_HEAP:
		print_heap(ev, plain, out);
		return;
	case MP_EV_GAP:
		print_gap((const void *)ev, out);
		return;
	}
	print_life(ev, out);
}
