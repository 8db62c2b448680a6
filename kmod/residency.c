// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is mapped. The kernel's own walker is not for modules, so the tables are read here, under
 * the same locks: mmap_lock for reading, RCU (tables of pages go by RCU where they go without the
 * mmap_lock), and the lock of each table, after which the entry above it is looked at once more.
 * What counts as resident is what fs/proc/task_mmu.c counts as Rss.
 */
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/pagemap.h>

#include "compat.h"
#include "mallocpath.h"

#define COST_OF_TABLE 8 /* of a budget, next to 1 for an empty stretch */

/* shm_mnt, memfd, /dev/shm and shared anonymous memory: all are tmpfs */
bool mp_vma_is_shmem(struct vm_area_struct *vma)
{
	return vma->vm_file && file_inode(vma->vm_file)->i_sb->s_magic == TMPFS_MAGIC;
}

/* --- what an entry says */

static void page_says(struct mp_mapped *m, struct page *page)
{
	if (PageAnon(page))
		m->flags |= MP_PAGE_ANON;
	else if (mp_page_is_shmem(page))
		m->flags |= MP_PAGE_SHMEM;
	m->order = mp_page_order(page);
	m->nid = page_to_nid(page);
}

static bool pte_says(struct mp_mapped *m, pte_t pte)
{
	if (pte_none(pte))
		return false;
	m->nr = 1;
	m->order = 0;
	m->nid = -1;
	m->pfn = 0;
	m->flags = 0;
	if (!pte_present(pte)) {
		switch (mp_pte_entry(pte, &m->pfn)) {
		case MP_ENTRY_SWAP:
			m->flags = MP_PAGE_SWAP;
			return true;
		case MP_ENTRY_MOVING:
			m->flags = MP_PAGE_MOVING;
			page_says(m, pfn_to_page(m->pfn));
			return true;
		default:
			return false;
		}
	}
	m->pfn = pte_pfn(pte);
	m->flags = (pte_write(pte) ? MP_PAGE_WRITE : 0) | (pte_dirty(pte) ? MP_PAGE_DIRTY : 0) |
		   (pte_young(pte) ? MP_PAGE_YOUNG : 0);
	if (is_zero_pfn(m->pfn)) {
		m->flags |= MP_PAGE_ZERO;
		m->nid = page_to_nid(pfn_to_page(m->pfn));
		return true;
	}
	if (pte_special(pte))
		return false; /* a device's, or a PFN without a page: in nobody's Rss */
	page_says(m, pfn_to_page(m->pfn));
	return true;
}

/* @m->addr: the page within the huge one that is asked for. */
static bool pmd_says(struct mp_mapped *m, bool anonymous, pmd_t pmd)
{
	struct page *page;

	m->flags = MP_PAGE_HUGE;
	if (!pmd_present(pmd)) {
		if (mp_pmd_entry(pmd, &m->pfn) != MP_ENTRY_MOVING)
			return false;
		m->flags |= MP_PAGE_MOVING;
	} else {
		m->pfn = pmd_pfn(pmd);
		m->flags |= (pmd_write(pmd) ? MP_PAGE_WRITE : 0) |
			    (pmd_dirty(pmd) ? MP_PAGE_DIRTY : 0) |
			    (pmd_young(pmd) ? MP_PAGE_YOUNG : 0);
		/* The huge zero page may be marked as special too: it is asked for below */
		if (!anonymous && mp_pmd_is_device(pmd))
			return false;
	}
	page = pfn_to_page(m->pfn);
	page_says(m, page);
	m->pfn += (m->addr & ~PMD_MASK) >> PAGE_SHIFT;
	if (anonymous && !(m->flags & MP_PAGE_ANON))
		m->flags = (m->flags & ~MP_PAGE_SHMEM) | MP_PAGE_ZERO;
	return true;
}

/* --- down the tables */

/*
 * The entry of the third level for @addr, or NULL if there is none; *@next is the end of what that
 * holds for. A leaf above it (hugetlb of 1 GiB, devices) comes back in *@leaf.
 */
static pmd_t *pmd_of(struct mm_struct *mm, unsigned long addr, unsigned long end,
		     unsigned long *next, pud_t *leaf)
{
	pgd_t *pgd = pgd_offset(mm, addr);
	p4d_t *p4d;
	pud_t *pud, val;

	*leaf = __pud(0);
	*next = pgd_addr_end(addr, end);
	if (pgd_none(*pgd) || pgd_bad(*pgd))
		return NULL;
	p4d = p4d_offset(pgd, addr);
	*next = p4d_addr_end(addr, end);
	if (p4d_none(*p4d) || p4d_bad(*p4d))
		return NULL;
	pud = pud_offset(p4d, addr);
	*next = pud_addr_end(addr, end);
	val = READ_ONCE(*pud);
	if (!pud_present(val))
		return NULL;
	if (pud_leaf(val)) {
		*leaf = val;
		return NULL;
	}
	*next = pmd_addr_end(addr, end);
	return pmd_offset(pud, addr);
}

static void walk_table(pte_t *pte, struct mp_mapped *m, unsigned long end, mp_visit_t visit,
		       void *ctx)
{
	for (; m->addr < end; m->addr += PAGE_SIZE, pte++)
		if (pte_says(m, ptep_get(pte)))
			visit(ctx, m);
}

static void walk_huge(struct vm_area_struct *vma, pmd_t pmd, struct mp_mapped *m, unsigned long end,
		      mp_visit_t visit, void *ctx)
{
	if (!pmd_says(m, vma_is_anonymous(vma), pmd))
		return;
	m->nr = (end - m->addr) >> PAGE_SHIFT;
	visit(ctx, m);
}

static void walk_pmd(struct vm_area_struct *vma, pmd_t *pmd, unsigned long addr, unsigned long end,
		     mp_visit_t visit, void *ctx)
{
	struct mp_mapped m = { .addr = addr };
	spinlock_t *ptl;
	pmd_t val;

again:
	val = READ_ONCE(*pmd);
	if (pmd_none(val))
		return;
	if (pmd_present(val) && !pmd_leaf(val)) {
		rcu_read_lock();
		val = READ_ONCE(*pmd);
		if (pmd_none(val) || !pmd_present(val) || pmd_leaf(val)) {
			rcu_read_unlock();
			goto again;
		}
		ptl = pte_lockptr(vma->vm_mm, &val);
		spin_lock(ptl);
		if (!pmd_same(val, READ_ONCE(*pmd))) {
			spin_unlock(ptl);
			rcu_read_unlock();
			goto again;
		}
		walk_table(pte_offset_kernel(&val, addr), &m, end, visit, ctx);
		spin_unlock(ptl);
		rcu_read_unlock();
		return;
	}
	ptl = pmd_lock(vma->vm_mm, pmd);
	val = READ_ONCE(*pmd);
	if (pmd_present(val) && !pmd_leaf(val)) {
		spin_unlock(ptl);
		goto again;
	}
	if (!pmd_none(val))
		walk_huge(vma, val, &m, end, visit, ctx);
	spin_unlock(ptl);
}

/* Huge pages of hugetlbfs lie whole in one entry of the third or second level. */
static void walk_hugetlb(unsigned long addr, unsigned long end, unsigned long first_pfn,
			 unsigned long size, mp_visit_t visit, void *ctx)
{
	struct page *page = pfn_to_page(first_pfn);
	struct mp_mapped m = {
		.addr = addr,
		.pfn = first_pfn + ((addr & (size - 1)) >> PAGE_SHIFT),
		.nr = (end - addr) >> PAGE_SHIFT,
		.order = ilog2(size) - PAGE_SHIFT,
		.flags = MP_PAGE_HUGE | MP_PAGE_HUGETLB,
		.nid = page_to_nid(page),
	};

	visit(ctx, &m);
}

static void walk_one(struct vm_area_struct *vma, pmd_t *pmd, pud_t leaf, unsigned long addr,
		     unsigned long end, mp_visit_t visit, void *ctx)
{
	if (!is_vm_hugetlb_page(vma)) {
		if (pmd)
			walk_pmd(vma, pmd, addr, end, visit, ctx);
	} else if (pmd) {
		pmd_t val = READ_ONCE(*pmd);

		if (pmd_present(val) && pmd_leaf(val))
			walk_hugetlb(addr, end, pmd_pfn(val), PMD_SIZE, visit, ctx);
	} else if (!pud_none(leaf)) {
		walk_hugetlb(addr, end, pud_pfn(leaf), PUD_SIZE, visit, ctx);
	}
}

unsigned long mp_walk(struct vm_area_struct *vma, unsigned long start, unsigned long end,
		      int budget, mp_visit_t visit, void *ctx)
{
	struct address_space *shared = NULL;
	unsigned long addr = start, next;

	/* Tables of hugetlbfs may be shared between processes; that ends only under this lock. */
	if (is_vm_hugetlb_page(vma)) {
		shared = vma->vm_file->f_mapping;
		i_mmap_lock_read(shared);
	}
	for (; addr < end && budget > 0; addr = next) {
		pud_t leaf;
		pmd_t *pmd = pmd_of(vma->vm_mm, addr, end, &next, &leaf);

		budget -= pmd ? COST_OF_TABLE : 1;
		walk_one(vma, pmd, leaf, addr, next, visit, ctx);
	}
	if (shared)
		i_mmap_unlock_read(shared);
	return addr;
}

bool mp_peek(struct mm_struct *mm, bool anonymous, unsigned long addr, struct mp_mapped *m)
{
	unsigned long next;
	pud_t leaf;
	pmd_t *pmd, val;

	addr &= PAGE_MASK;
	m->addr = addr;
	pmd = pmd_of(mm, addr, addr + PAGE_SIZE, &next, &leaf);
	if (!pmd)
		return false;
	val = READ_ONCE(*pmd);
	if (pmd_none(val))
		return false;
	if (!pmd_present(val) || pmd_leaf(val))
		return pmd_says(m, anonymous, val);
	return pte_says(m, ptep_get(pte_offset_kernel(&val, addr)));
}

void mp_residency_visit(void *ctx, const struct mp_mapped *m)
{
	struct mp_residency *r = ctx;
	bool anon = m->flags & MP_PAGE_ANON;

	if (m->flags & MP_PAGE_SWAP) {
		r->swap += m->nr;
	} else if (m->flags & MP_PAGE_ZERO) {
		if (m->flags & MP_PAGE_HUGE)
			r->huge_zero += m->nr;
		else
			r->zero += m->nr;
	} else if (m->flags & MP_PAGE_HUGETLB) {
		r->hugetlb += m->nr;
	} else {
		r->present += m->nr;
		r->anon += anon ? m->nr : 0;
		if (anon && m->flags & MP_PAGE_HUGE)
			r->thp += m->nr;
		else if (anon && m->order)
			r->mthp += m->nr;
		if (m->nid >= 0)
			r->node[m->nid] += m->nr;
	}
}
