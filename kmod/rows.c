// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The lines of PID/vmas, PID/latency and PID/pages. A reader walks from VMA to VMA by address and
 * holds nothing between two lines; the mmap_lock is held for STRETCH of page tables at most. So a
 * file is no snapshot of a running process, but each line is true of the range it names: one that
 * changed under the walk ends where it changed.
 */
#include <linux/file.h>
#include <linux/hugetlb.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/sched/mm.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "mallocpath.h"

#define STRETCH          256 /* mp_walk()'s budget: some 32 page tables, 64 MiB when all are there */
#define PAGES            512 /* entries that one page table can have */
#define NAME_MAX_SPECIAL 32

enum stage { STAGE_HEADER, STAGE_VMA, STAGE_GONE, STAGE_UNPLACED, STAGE_END };

/* One open file */
struct mp_rows {
	struct mp_target *target; /* a reference */
	struct mp_space *space;   /* a reference, renewed whenever reading starts over; or NULL */
	bool may_see_pfns;

	/* The record in hand and where it is in the file */
	loff_t at;
	enum stage stage;
	unsigned long start, end, flags; /* of the VMA; @end is where the next is looked for */
	const char *kind;
	struct file *file; /* a reference, or NULL */
	char name[NAME_MAX_SPECIAL];
	struct mp_sum sum, gap; /* gap: counted where no VMA is any more */
	struct mp_residency *residency;

	struct mp_mapped *pages; /* PID/pages: what the last walk found */
	unsigned int nr_pages, page, within;
};

static size_t residency_size(void)
{
	return sizeof(struct mp_residency) + nr_node_ids * sizeof(u64);
}

struct mp_rows *mp_rows_new(struct mp_target *target, bool may_see_pfns)
{
	struct mp_rows *rows = kzalloc(sizeof(*rows), GFP_KERNEL);

	if (!rows)
		return NULL;
	rows->residency = kzalloc(residency_size(), GFP_KERNEL);
	rows->pages = kvmalloc_array(PAGES, sizeof(*rows->pages), GFP_KERNEL);
	kref_get(&target->ref);
	rows->target = target;
	rows->may_see_pfns = may_see_pfns;
	if (rows->residency && rows->pages)
		return rows;
	mp_rows_free(rows);
	return NULL;
}

static void rows_forget_file(struct mp_rows *rows)
{
	if (rows->file)
		fput(rows->file);
	rows->file = NULL;
}

void mp_rows_free(struct mp_rows *rows)
{
	rows_forget_file(rows);
	mp_space_put(rows->space);
	mp_target_put(rows->target);
	kvfree(rows->pages);
	kfree(rows->residency);
	kfree(rows);
}

static void rows_rewind(struct mp_rows *rows)
{
	rows_forget_file(rows);
	mp_space_put(rows->space);
	rows->space = mp_target_space(rows->target);
	rows->at = 0;
	rows->stage = STAGE_HEADER;
	rows->start = 0;
	rows->end = 0;
	memset(&rows->gap, 0, sizeof(rows->gap));
	rows->nr_pages = 0;
	rows->page = 0;
	rows->within = 0;
}

/* --- the address space */

/* The space's mm with its users held and its mmap_lock read, NULL if it is over, or an error */
static struct mm_struct *mm_lock(struct mp_rows *rows)
{
	struct mm_struct *mm = rows->space ? rows->space->mm : NULL;

	if (!mm || !mmget_not_zero(mm))
		return NULL;
	if (!mmap_read_lock_killable(mm))
		return mm;
	mmput(mm);
	return ERR_PTR(-EINTR);
}

static void mm_unlock(struct mm_struct *mm)
{
	mmap_read_unlock(mm);
	mmput(mm);
}

static bool is_heap(const struct vm_area_struct *vma)
{
	return vma->vm_start <= vma->vm_mm->brk && vma->vm_end >= vma->vm_mm->start_brk;
}

static bool is_stack(const struct vm_area_struct *vma)
{
	return vma->vm_start <= vma->vm_mm->start_stack && vma->vm_end >= vma->vm_mm->start_stack;
}

/* The words are those of the reports (user/model/names.c). */
static void describe(struct mp_rows *rows, struct vm_area_struct *vma)
{
	const char *name = vma->vm_ops && vma->vm_ops->name ? vma->vm_ops->name(vma) : NULL;

	rows_forget_file(rows);
	if (vma->vm_file)
		rows->file = get_file(vma->vm_file);
	rows->flags = vma->vm_flags;
	if (is_vm_hugetlb_page(vma))
		rows->kind = "hugetlb";
	else if (vma->vm_flags & (VM_PFNMAP | VM_MIXEDMAP) || (name && !vma->vm_file))
		rows->kind = "special";
	else if (vma->vm_file)
		rows->kind = mp_vma_is_shmem(vma) ? "shmem" : "file";
	else if (is_heap(vma))
		rows->kind = "heap";
	else
		rows->kind = is_stack(vma) ? "stack" : "anon";
	if (!name && !vma->vm_file)
		name = is_heap(vma) ? "[heap]" : is_stack(vma) ? "[stack]" : "-";
	strscpy(rows->name, name ?: "-", sizeof(rows->name));
}

/* Takes the next VMA in hand, under mmap_lock. NULL: there are no more. */
static struct vm_area_struct *next_vma(struct mp_rows *rows, struct mm_struct *mm)
{
	struct vm_area_struct *vma = find_vma(mm, rows->end);

	if (!vma)
		return NULL;
	rows->start = max(rows->end, vma->vm_start);
	mp_counts_sum(&rows->space->counts, rows->end, rows->start, &rows->gap);
	rows->end = vma->vm_end;
	describe(rows, vma);
	return vma;
}

/* The VMA at @addr if it still is the one in hand */
static struct vm_area_struct *same_vma(struct mp_rows *rows, struct mm_struct *mm,
				       unsigned long addr)
{
	struct vm_area_struct *vma = find_vma(mm, addr);

	if (!vma || vma->vm_start > addr || vma->vm_flags != rows->flags ||
	    vma->vm_file != rows->file)
		return NULL;
	return vma;
}

/* Adds up what is mapped in the VMA in hand; the mmap_lock is let go between stretches. */
static int walk_vma(struct mp_rows *rows, struct mm_struct *mm, struct vm_area_struct *vma)
{
	unsigned long pos = rows->start;

	memset(rows->residency, 0, residency_size());
	for (;;) {
		pos = mp_walk(vma, pos, rows->end, STRETCH, mp_residency_visit, rows->residency);
		if (pos >= rows->end)
			return 0;
		mmap_read_unlock(mm);
		cond_resched();
		if (mmap_read_lock_killable(mm))
			return -EINTR;
		vma = same_vma(rows, mm, pos);
		if (!vma) {
			rows->end = pos;
			return 0;
		}
		rows->end = min(rows->end, vma->vm_end);
	}
}

/* The next VMA's row; 1, 0 if there are no more, or an error */
static int vma_row(struct mp_rows *rows, bool walk)
{
	struct mm_struct *mm = mm_lock(rows);
	struct vm_area_struct *vma;
	int err = 0;

	if (IS_ERR_OR_NULL(mm))
		return PTR_ERR_OR_ZERO(mm);
	vma = next_vma(rows, mm);
	if (vma && walk)
		err = walk_vma(rows, mm, vma);
	if (err)
		mmput(mm); /* the lock is not held */
	else
		mm_unlock(mm);
	if (err || !vma)
		return err;
	memset(&rows->sum, 0, sizeof(rows->sum));
	mp_counts_sum(&rows->space->counts, rows->start, rows->end, &rows->sum);
	return 1;
}

/* What does not lie in any VMA: @gone and what the walk passed by, or that without an address */
static void row_beside(struct mp_rows *rows)
{
	struct mp_counts *counts = rows->space ? &rows->space->counts : NULL;
	bool gone = rows->stage == STAGE_GONE;

	rows_forget_file(rows);
	rows->kind = gone ? "gone" : "unplaced";
	memset(&rows->sum, 0, sizeof(rows->sum));
	if (!counts)
		return;
	if (gone) {
		mp_counts_sum(counts, rows->end, TASK_SIZE_MAX, &rows->gap);
		mp_sum_add(&rows->sum, &rows->gap);
	}
	raw_spin_lock(&counts->lock);
	mp_sum_add(&rows->sum, gone ? &counts->gone : &counts->unplaced);
	raw_spin_unlock(&counts->lock);
}

/* One row on. 1, 0 at the end, or an error */
static int rows_step(struct mp_rows *rows, bool walk)
{
	int err;

	if (rows->stage == STAGE_HEADER)
		rows->stage = STAGE_VMA;
	if (rows->stage == STAGE_VMA) {
		err = vma_row(rows, walk);
		if (err)
			return err;
	}
	if (rows->stage == STAGE_END)
		return 0;
	rows->stage++;
	if (rows->stage == STAGE_END)
		return 0;
	row_beside(rows);
	return 1;
}

/* --- PID/pages */

static void collect(void *ctx, const struct mp_mapped *mapped)
{
	struct mp_rows *rows = ctx;

	if (!(mapped->flags & MP_PAGE_SWAP) && !WARN_ON_ONCE(rows->nr_pages == PAGES))
		rows->pages[rows->nr_pages++] = *mapped;
}

/* Fills the list from the next page table that maps something. 1, 0 at the end, or an error */
static int pages_refill(struct mp_rows *rows)
{
	struct vm_area_struct *vma;
	struct mm_struct *mm;
	int tables;

	rows->nr_pages = 0;
	rows->page = 0;
	for (;;) {
		mm = mm_lock(rows);
		if (IS_ERR_OR_NULL(mm))
			return PTR_ERR_OR_ZERO(mm);
		for (tables = 0; tables < STRETCH && !rows->nr_pages; tables++) {
			vma = find_vma(mm, rows->end);
			if (!vma)
				break;
			rows->end = mp_walk(vma, max(rows->end, vma->vm_start), vma->vm_end, 1,
					    collect, rows);
		}
		mm_unlock(mm);
		if (rows->nr_pages || !vma)
			return !!rows->nr_pages;
		cond_resched();
	}
}

static int pages_step(struct mp_rows *rows)
{
	rows->stage = STAGE_VMA;
	if (rows->page < rows->nr_pages && ++rows->within < rows->pages[rows->page].nr)
		return 1;
	rows->within = 0;
	if (rows->page < rows->nr_pages && ++rows->page < rows->nr_pages)
		return 1;
	return pages_refill(rows);
}

/* --- seq_file: record 0 is the header; one that did not fit is asked for again */

static void *seek(struct seq_file *seq, loff_t pos, int (*step)(struct mp_rows *rows))
{
	struct mp_rows *rows = seq->private;

	if (!pos || pos < rows->at)
		rows_rewind(rows);
	while (rows->at < pos) {
		int more = step(rows);

		if (more <= 0)
			return more ? ERR_PTR(more) : NULL;
		rows->at++;
		if (!(rows->at & 4095) && fatal_signal_pending(current))
			return ERR_PTR(-EINTR);
		cond_resched();
	}
	return rows;
}

static void stop(struct seq_file *seq, void *v)
{
}

static int step_vmas(struct mp_rows *rows)
{
	return rows_step(rows, true);
}

static int step_latency(struct mp_rows *rows)
{
	return rows_step(rows, false);
}

#define ROWS_SEQ(name, step)                                                 \
	static void *name##_start(struct seq_file *seq, loff_t *pos)         \
	{                                                                    \
		return seek(seq, *pos, step);                                \
	}                                                                    \
	static void *name##_next(struct seq_file *seq, void *v, loff_t *pos) \
	{                                                                    \
		return seek(seq, ++*pos, step);                              \
	}                                                                    \
	const struct seq_operations mp_##name##_seq = {                      \
		.start = name##_start,                                       \
		.next = name##_next,                                         \
		.stop = stop,                                                \
		.show = name##_show,                                         \
	}

/* --- lines */

static void show_name(struct seq_file *seq, struct mp_rows *rows)
{
	seq_putc(seq, ' ');
	if (rows->stage == STAGE_VMA && rows->file)
		seq_file_path(seq, rows->file, " \t\n\\");
	else
		seq_puts(seq, rows->stage == STAGE_VMA ? rows->name : "-");
	seq_putc(seq, '\n');
}

static void show_range(struct seq_file *seq, struct mp_rows *rows)
{
	if (rows->stage == STAGE_VMA)
		seq_printf(seq, "%#lx %#lx %c%c%c%c %s", rows->start, rows->end,
			   rows->flags & VM_READ ? 'r' : '-', rows->flags & VM_WRITE ? 'w' : '-',
			   rows->flags & VM_EXEC ? 'x' : '-', rows->flags & VM_MAYSHARE ? 's' : 'p',
			   rows->kind);
	else
		seq_printf(seq, "- - ---- %s", rows->kind);
}

static void show_ns(struct seq_file *seq, u64 ns)
{
	if (ns)
		seq_printf(seq, " %llu", ns);
	else
		seq_puts(seq, " -");
}

static void show_residency(struct seq_file *seq, struct mp_rows *rows)
{
	const struct mp_residency *r = rows->residency;
	const u64 columns[] = { r->present, r->anon, r->thp,       r->mthp,
				r->swap,    r->zero, r->huge_zero, r->hugetlb };
	bool known = rows->stage == STAGE_VMA;
	unsigned int i;
	int nid;

	for (i = 0; i < ARRAY_SIZE(columns); i++)
		if (known)
			seq_printf(seq, " %llu", columns[i]);
		else
			seq_puts(seq, " -");
	for_each_online_node(nid)
		if (known)
			seq_printf(seq, " %llu", r->node[nid]);
		else
			seq_puts(seq, " -");
}

static void vmas_header(struct seq_file *seq)
{
	int i;

	seq_puts(seq, "start end perms kind");
	for (i = 0; i < MP_KIND_NR; i++)
		seq_printf(seq, " f_%s", mp_kind_names[i]);
	seq_puts(seq, " minor major foreign first_ns last_ns present anon thp mthp swap zero");
	seq_puts(seq, " huge_zero hugetlb");
	for_each_online_node(i)
		seq_printf(seq, " node%d", i);
	seq_puts(seq, " name\n");
}

static int vmas_show(struct seq_file *seq, void *v)
{
	struct mp_rows *rows = v;
	int i;

	if (rows->stage == STAGE_HEADER) {
		vmas_header(seq);
		return 0;
	}
	show_range(seq, rows);
	for (i = 0; i < MP_KIND_NR; i++)
		seq_printf(seq, " %llu", rows->sum.kind[i]);
	seq_printf(seq, " %llu %llu %llu", rows->sum.minor, rows->sum.major, rows->sum.foreign);
	show_ns(seq, rows->sum.first_ns);
	show_ns(seq, rows->sum.last_ns);
	show_residency(seq, rows);
	show_name(seq, rows);
	return 0;
}

ROWS_SEQ(vmas, step_vmas);

static void latency_header(struct seq_file *seq)
{
	int i;

	seq_puts(seq, "start end perms kind fault count");
	for (i = 0; i < MP_BUCKETS - 1; i++)
		seq_printf(seq, " lt_%llu", 1ULL << (i + MP_BUCKET_SHIFT));
	seq_puts(seq, " more name\n");
}

static int latency_show(struct seq_file *seq, void *v)
{
	struct mp_rows *rows = v;
	int kind, i;

	if (rows->stage == STAGE_HEADER) {
		latency_header(seq);
		return 0;
	}
	for (kind = 0; kind < MP_KIND_NR; kind++) {
		if (!rows->sum.kind[kind])
			continue;
		show_range(seq, rows);
		seq_printf(seq, " %s %llu", mp_kind_names[kind], rows->sum.kind[kind]);
		for (i = 0; i < MP_BUCKETS; i++)
			seq_printf(seq, " %llu", rows->sum.latency[kind][i]);
		show_name(seq, rows);
	}
	return 0;
}

ROWS_SEQ(latency, step_latency);

static void show_page_flags(struct seq_file *seq, unsigned int flags)
{
	static const struct {
		unsigned int flag;
		const char *name;
	} names[] = {
		{ MP_PAGE_HUGE, ",huge" },   { MP_PAGE_MOVING, ",moving" },
		{ MP_PAGE_WRITE, ",write" }, { MP_PAGE_DIRTY, ",dirty" },
		{ MP_PAGE_YOUNG, ",young" },
	};
	const char *what = "file";
	unsigned int i;

	if (flags & MP_PAGE_ZERO)
		what = "zero";
	else if (flags & MP_PAGE_HUGETLB)
		what = "hugetlb";
	else if (flags & MP_PAGE_ANON)
		what = "anon";
	else if (flags & MP_PAGE_SHMEM)
		what = "shmem";
	seq_printf(seq, " %s", what);
	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (flags & names[i].flag)
			seq_puts(seq, names[i].name);
	seq_putc(seq, '\n');
}

static int pages_show(struct seq_file *seq, void *v)
{
	const struct mp_rows *rows = v;
	const struct mp_mapped *m = &rows->pages[rows->page];

	if (rows->stage == STAGE_HEADER) {
		seq_puts(seq, "addr pfn order node flags\n");
		return 0;
	}
	seq_printf(seq, "%#lx", m->addr + rows->within * PAGE_SIZE);
	if (rows->may_see_pfns)
		seq_printf(seq, " %lu", m->pfn + rows->within);
	else
		seq_puts(seq, " -");
	seq_printf(seq, " %u %d", m->order, m->nid);
	show_page_flags(seq, m->flags);
	return 0;
}

ROWS_SEQ(pages, pages_step);
