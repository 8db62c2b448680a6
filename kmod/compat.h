/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What differs between the kernels this module builds on, 5.10 to 7.2. The only file of the tree
 * that may name a kernel version; each entry says since when the other way holds.
 */
#ifndef MP_KMOD_COMPAT_H
#define MP_KMOD_COMPAT_H

#include <linux/hugetlb.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/swap.h>
#include <linux/swapops.h>
#include <linux/version.h>

#ifndef CONFIG_X86_64
#error "only x86-64 is supported: the system call's name and its arguments are x86's"
#endif
#if !defined(CONFIG_DEBUG_FS) || !defined(CONFIG_KRETPROBES) || !defined(CONFIG_MMU_NOTIFIER) || \
	!defined(CONFIG_TRACEPOINTS)
#error "this kernel lacks one of DEBUG_FS, KRETPROBES, MMU_NOTIFIER, TRACEPOINTS"
#endif
#ifdef CONFIG_PREEMPT_RT
#error "a probe that finds no room takes a page from a list under locks that sleep here"
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
#include <linux/leafops.h>
#endif

/* mremap(2) of 64-bit programs; its arguments come in the caller's struct pt_regs. */
#define MP_SYS_MREMAP "__x64_sys_mremap"

/* 6.0: a fault can be complete with the lock already dropped; before, there was no such answer. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 0, 0)
#define MP_FAULT_LOCK_DROPPED (VM_FAULT_COMPLETED)
#else
#define MP_FAULT_LOCK_DROPPED 0
#endif

/* 5.18: folios; the order of what @page is a part of, and whose it is. */
static inline unsigned int mp_page_order(struct page *page)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 18, 0)
	return folio_order(page_folio(page));
#else
	return compound_order(compound_head(page));
#endif
}

/* Of a page that is not anonymous: whether it is shared memory's, not a file's. */
static inline bool mp_page_is_shmem(struct page *page)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 18, 0)
	return folio_test_swapbacked(page_folio(page));
#else
	return PageSwapBacked(compound_head(page));
#endif
}

enum mp_entry { /* what an entry that is not present stands for */
		MP_ENTRY_NONE,
		MP_ENTRY_SWAP,
		MP_ENTRY_MOVING, /* its page is being migrated: resident, but not mapped at this moment */
};

/* 6.19: leaf entries of all levels got one type; 5.19: PFNs in entries carry flags above them. */
static inline enum mp_entry mp_pte_entry(pte_t pte, unsigned long *pfn)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
	softleaf_t entry = softleaf_from_pte(pte);

	if (softleaf_is_swap(entry))
		return MP_ENTRY_SWAP;
	if (!softleaf_is_migration(entry) && !softleaf_is_device_private(entry))
		return MP_ENTRY_NONE;
	*pfn = softleaf_to_pfn(entry);
	return MP_ENTRY_MOVING;
#else
	swp_entry_t entry;

	if (pte_none(pte))
		return MP_ENTRY_NONE;
	entry = pte_to_swp_entry(pte);
	if (!non_swap_entry(entry))
		return MP_ENTRY_SWAP;
	if (!is_migration_entry(entry) && !is_device_private_entry(entry))
		return MP_ENTRY_NONE;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 19, 0)
	*pfn = swp_offset_pfn(entry);
#else
	*pfn = swp_offset(entry);
#endif
	return MP_ENTRY_MOVING;
#endif
}

/* The same for a huge page; there is no swap at this level. */
static inline enum mp_entry mp_pmd_entry(pmd_t pmd, unsigned long *pfn)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
	if (!pmd_is_migration_entry(pmd))
		return MP_ENTRY_NONE;
	*pfn = softleaf_to_pfn(softleaf_from_pmd(pmd));
#else
	if (!is_pmd_migration_entry(pmd))
		return MP_ENTRY_NONE;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 19, 0)
	*pfn = swp_offset_pfn(pmd_to_swp_entry(pmd));
#else
	*pfn = swp_offset(pmd_to_swp_entry(pmd));
#endif
#endif
	return MP_ENTRY_MOVING;
}

/* 6.17: memory of devices is no longer told apart in the entry. It is in nobody's Rss. */
static inline bool mp_pmd_is_device(pmd_t pmd)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
	return pmd_special(pmd);
#else
	return pmd_devmap(pmd);
#endif
}

/* 6.16: the tracepoint sched_process_exit also tells whether this was the last thread. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 16, 0)
#define MP_EXIT_PROBE(name, task) name(void *data, struct task_struct *task, bool group_dead)
#else
#define MP_EXIT_PROBE(name, task) name(void *data, struct task_struct *task)
#endif

#endif
