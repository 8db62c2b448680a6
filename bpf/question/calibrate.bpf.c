// SPDX-License-Identifier: GPL-2.0
/*
 * Questions asked before tracing begins: does a page-table walk from this base of the direct map
 * reach the loader's own page, and which struct page belongs to it. Run by test_run, in the loader's
 * own context, so "current" is the loader.
 */
#include "../walk.bpf.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct mp_question);
} question SEC(".maps");

static __always_inline struct mp_question *asked(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&question, &zero);
}

/* As mp_walk(), with a base that is a question and not yet a setting. */
static __always_inline u64 try_walk(struct mp_question *q, u64 pgd)
{
	u64 e = pgd - q->page_offset, at;
	int shift = q->levels == 5 ? 48 : 39;

	for (int i = 0; i < 5; i++) {
		at = q->page_offset + (e & PTE_PFN_MASK) + (q->addr >> shift & 511) * 8;
		if (bpf_probe_read_kernel(&e, 8, (void *)at) || !(e & PTE_PRESENT))
			return 0;
		if (shift == 12)
			return pte_pfn(e);
		if ((e & PTE_PSE) && shift <= 30)
			return 0;
		shift -= 9;
	}
	return 0;
}

SEC("raw_tp")
int mp_ask_walk(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct mp_question *q = asked();

	if (!q)
		return 0;
	q->pgd = (u64)BPF_CORE_READ(task, mm, pgd);
	q->pfn = try_walk(q, q->pgd);
	return 0;
}

SEC("raw_tp/mm_page_alloc")
int mp_ask_page(struct bpf_raw_tracepoint_args *ctx)
{
	struct mp_question *q = asked();

	if (!q || !q->tgid || q->tgid != mp_tgid() || ctx->args[1])
		return 0;
	q->page[q->nr_pages & (MP_QUESTION_PAGES - 1)] = ctx->args[0];
	q->nr_pages++;
	return 0;
}
