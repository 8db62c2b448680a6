// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel does to pages on its own, whoever runs: taking them out to swap, moving them to other
 * frames (compaction, NUMA balancing, a folio that is split), making a huge page of small ones. After
 * each, the page table says what became of the range. Chosen and attached like the programs of
 * hooks.bpf.c; the tracepoint row has none of it.
 */
#include "range.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define HUGE_BYTES (512 * MP_PAGE_SIZE)
#define MOST_STEPS 16 /* tables of 64 entries that a folio of 512 pages can lie in, and some */

struct later {
	u64 mm, addr, pages;
};

/* By thread: what is under way, for probes that do not know it at the end. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, struct later);
} laters SEC(".maps");

static __always_inline struct mm_struct *mm_of(u64 vma)
{
	return BPF_CORE_READ((struct vm_area_struct *)vma, vm_mm);
}

static __always_inline u64 folio_pages(u64 folio)
{
	return 1ULL << mp_head_order(mp_head_page((struct page *)folio));
}

static __always_inline int read_again(const struct later *l)
{
	u32 *owner = bpf_map_lookup_elem(&spaces, &l->mm);
	struct walk_ctx w = {
		.mm = (struct mm_struct *)l->mm,
		.addr = l->addr & MP_PAGE_MASK,
		.source = MP_SRC_MOVED,
	};

	if (!owner)
		return 0;
	w.owner = *owner;
	w.end = w.addr + l->pages * MP_PAGE_SIZE;
	for (u32 i = 0; i < MOST_STEPS; i++)
		if (walk_step(i, &w))
			break;
	return 0;
}

/* The end of try_to_unmap_one() or remove_migration_pte(): (page or folio, vma, address, ...) on all. */
static __always_inline int moved(u64 folio, u64 vma, u64 addr)
{
	struct later l = { (u64)mm_of(vma), addr, folio_pages(folio) };

	return read_again(&l);
}

static __always_inline int note(u64 mm, u64 addr, u64 pages)
{
	u32 tid = (u32)bpf_get_current_pid_tgid();
	struct later l = { mm, addr, pages };

	if (bpf_map_lookup_elem(&spaces, &mm))
		bpf_map_update_elem(&laters, &tid, &l, BPF_ANY);
	return 0;
}

static __always_inline int noted(void)
{
	u32 tid = (u32)bpf_get_current_pid_tgid();
	struct later *l = bpf_map_lookup_elem(&laters, &tid), copy;

	if (!l)
		return 0;
	copy = *l;
	bpf_map_delete_elem(&laters, &tid);
	return read_again(&copy);
}

SEC("?fexit/try_to_unmap_one")
int mp_unmap_ret(u64 *ctx)
{
	return moved(mp_arg(ctx, 0), mp_arg(ctx, 1), mp_arg(ctx, 2));
}

SEC("?kprobe/try_to_unmap_one")
int mp_unmap_kent(struct mp_regs *r)
{
	return note((u64)mm_of(r->rsi), r->rdx, folio_pages(r->rdi));
}

SEC("?kretprobe/try_to_unmap_one")
int mp_unmap_kret(struct mp_regs *r)
{
	return noted();
}

SEC("?fexit/remove_migration_pte")
int mp_moved_ret(u64 *ctx)
{
	return moved(mp_arg(ctx, 0), mp_arg(ctx, 1), mp_arg(ctx, 2));
}

SEC("?kprobe/remove_migration_pte")
int mp_moved_kent(struct mp_regs *r)
{
	return note((u64)mm_of(r->rsi), r->rdx, folio_pages(r->rdi));
}

SEC("?kretprobe/remove_migration_pte")
int mp_moved_kret(struct mp_regs *r)
{
	return noted();
}

/*
 * collapse_huge_page() is inlined on 5.10. On all kernels it calls pmdp_collapse_flush(vma, address,
 * pmd) once it is decided, and ends with a tracepoint that does not tell the address. In between the
 * small pages are freed: their PFNs are to be let go before. (It returns a structure, which fentry does
 * not allow.)
 */
static __always_inline int collapse(u64 vma, u64 addr)
{
	struct walk_ctx w = { .addr = addr & ~(HUGE_BYTES - 1), .source = MP_SRC_MOVED };
	u64 mm = (u64)mm_of(vma);
	u32 *owner = bpf_map_lookup_elem(&spaces, &mm);
	struct mp_ev_pages *ev;

	if (!owner)
		return 0;
	w.owner = *owner;
	ev = begin_pages(&w, 512, 1);
	if (ev) {
		ev->entries[0] = MP_PAGE_MOVING;
		mp_send(ev);
	}
	return note(mm, w.addr, 512);
}

SEC("?kprobe/pmdp_collapse_flush")
int mp_huge_kent(struct mp_regs *r)
{
	return collapse(r->rdi, r->rsi);
}

SEC("?raw_tp/mm_collapse_huge_page")
int mp_collapsed(struct bpf_raw_tracepoint_args *ctx)
{
	return noted();
}
