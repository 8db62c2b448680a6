// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The probe on handle_mm_fault(vma, address, flags, regs). Whoever calls it holds the mmap_lock or
 * the VMA's own lock until after it has returned, unless it says that it dropped the lock itself;
 * so what is looked at here cannot be unmapped under us, and the count is made before the range can
 * become something else.
 */
#include <linux/kprobes.h>
#include <linux/timekeeping.h>

#include "compat.h"
#include "mallocpath.h"

/* What the entry of a fault leaves for its return. No references: the return may never be told. */
struct entry {
	struct mm_struct *mm;
	unsigned long addr;
	u64 start_ns;
	unsigned int flags; /* enum fault_flag of the kernel */
	bool anonymous, shmem, hugetlb, private;
	bool present, swapped; /* what was there before */
};

static DEFINE_PER_CPU(u64, seen);
static DEFINE_MUTEX(watch_lock);
static atomic_t watchers;

/* A fault put off earlier by this thread began when it was first tried. */
static u64 retry_started(struct mp_space *space, const struct entry *entry)
{
	u64 start_ns = entry->start_ns;
	unsigned int i;

	if (!READ_ONCE(space->nr_retries))
		return start_ns;
	raw_spin_lock(&space->flight_lock);
	for (i = 0; i < MP_RETRIES; i++) {
		struct mp_retry *retry = &space->retries[i];

		if (retry->task != current)
			continue;
		if (retry->page == entry->addr >> PAGE_SHIFT)
			start_ns = retry->start_ns;
		retry->task = NULL;
		space->nr_retries--;
	}
	raw_spin_unlock(&space->flight_lock);
	return start_ns;
}

/* With more of them in flight than there are slots the oldest one's wait is not counted. */
static void retry_remember(struct mp_space *space, const struct entry *entry)
{
	u64 start_ns = retry_started(space, entry);
	struct mp_retry *retry;

	raw_spin_lock(&space->flight_lock);
	retry = &space->retries[space->next_retry++ % MP_RETRIES];
	space->nr_retries += !retry->task;
	retry->task = current;
	retry->page = entry->addr >> PAGE_SHIFT;
	retry->start_ns = start_ns;
	raw_spin_unlock(&space->flight_lock);
}

/* The words are the ledger's (user/model/faults.c): its tests compare the two. */
static enum mp_kind kind_of_anon(const struct entry *entry, const struct mp_mapped *now)
{
	if (now->flags & MP_PAGE_HUGE)
		return MP_KIND_THP;
	if (entry->swapped)
		return MP_KIND_SWAPIN;
	if (entry->present && entry->flags & FAULT_FLAG_WRITE)
		return MP_KIND_COW;
	if (!entry->anonymous)
		return MP_KIND_COW; /* a private copy of a file's page, made at the first touch */
	return now->order && now->order < HPAGE_PMD_ORDER ? MP_KIND_MTHP : MP_KIND_ANON;
}

static enum mp_kind kind_of(const struct entry *entry, vm_fault_t ret)
{
	enum mp_kind mapped_file = entry->shmem ? MP_KIND_SHMEM : MP_KIND_FILE;
	struct mp_mapped now;

	if (entry->hugetlb)
		return MP_KIND_FILE;
	/* Complete, but others may have unmapped it since: judged by what was asked for */
	if (ret & MP_FAULT_LOCK_DROPPED ||
	    !mp_peek(entry->mm, entry->anonymous, entry->addr, &now) || now.flags & MP_PAGE_SWAP) {
		if (entry->swapped)
			return MP_KIND_SWAPIN;
		if (entry->anonymous)
			return entry->present ? MP_KIND_COW : MP_KIND_ANON;
		return entry->private && entry->flags & FAULT_FLAG_WRITE ? MP_KIND_COW
									 : mapped_file;
	}
	if (now.flags & MP_PAGE_ZERO)
		return MP_KIND_ZERO;
	if (now.flags & MP_PAGE_ANON)
		return kind_of_anon(entry, &now);
	return mapped_file;
}

static int fault_entry(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct vm_area_struct *vma = (void *)regs_get_kernel_argument(regs, 0);
	struct entry *entry = (void *)ri->data;
	struct mm_struct *mm = vma->vm_mm;
	struct mp_mapped before;
	bool watched;

	rcu_read_lock();
	watched = mp_space_find(mm);
	rcu_read_unlock();
	if (!watched)
		return 1;
	entry->mm = mm;
	entry->addr = regs_get_kernel_argument(regs, 1);
	entry->flags = regs_get_kernel_argument(regs, 2);
	entry->anonymous = vma_is_anonymous(vma);
	entry->shmem = mp_vma_is_shmem(vma);
	entry->hugetlb = is_vm_hugetlb_page(vma);
	entry->private = !(vma->vm_flags & VM_SHARED);
	entry->present = false;
	entry->swapped = false;
	if (!entry->hugetlb && mp_peek(mm, entry->anonymous, entry->addr, &before)) {
		entry->swapped = before.flags & MP_PAGE_SWAP;
		entry->present = !entry->swapped;
	}
	entry->start_ns = ktime_get_mono_fast_ns();
	return 0;
}
NOKPROBE_SYMBOL(fault_entry);

/*
 * Counts what mm_account_fault() counts in min_flt or maj_flt of the task: not a fault that failed,
 * nor one that is to be tried again; it is major if the page had to be read, or if it was tried
 * before because of that. The rule is the same on all kernels.
 */
static void fault_count(struct mp_space *space, const struct entry *entry, vm_fault_t ret, u64 now)
{
	struct mp_fault fault = {
		.addr = entry->addr,
		.kind = kind_of(entry, ret),
		.major = ret & VM_FAULT_MAJOR || entry->flags & FAULT_FLAG_TRIED,
		.foreign = task_tgid(current) != space->pid,
		.now_ns = now,
		.took_ns = now - retry_started(space, entry),
	};

	this_cpu_inc(seen);
	mp_counts_add(&space->counts, &fault);
}

static int fault_return(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	const struct entry *entry = (void *)ri->data;
	vm_fault_t ret = (__force vm_fault_t)(unsigned int)regs_return_value(regs);
	u64 now = ktime_get_mono_fast_ns();
	struct mp_space *space;

	rcu_read_lock();
	space = mp_space_find(entry->mm);
	if (!space || ret & VM_FAULT_ERROR)
		goto out;
	if (ret & VM_FAULT_RETRY)
		retry_remember(space, entry);
	else
		fault_count(space, entry, ret, now);
out:
	rcu_read_unlock();
	return 0;
}
NOKPROBE_SYMBOL(fault_return);

static struct kretprobe probe = {
	.kp.symbol_name = "handle_mm_fault",
	.kp.flags = KPROBE_FLAG_DISABLED, /* until the first process is tracked */
	.entry_handler = fault_entry,
	.handler = fault_return,
	.data_size = sizeof(struct entry),
};

int mp_watch_begin(void)
{
	int err = 0;

	mutex_lock(&watch_lock);
	if (!atomic_read(&watchers)) {
		err = mp_pool_fill() ? enable_kretprobe(&probe) : -ENOSPC;
		if (err)
			mp_pool_drain();
	}
	if (!err)
		atomic_inc(&watchers);
	mutex_unlock(&watch_lock);
	return err;
}

void mp_watch_hold(void)
{
	atomic_inc(&watchers);
}

void mp_watch_end(void)
{
	mutex_lock(&watch_lock);
	if (atomic_dec_and_test(&watchers)) {
		disable_kretprobe(&probe);
		mp_pool_drain();
	}
	mutex_unlock(&watch_lock);
}

u64 mp_faults_seen(void)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(*per_cpu_ptr(&seen, cpu));
	return sum;
}

/* Of any process: without a free instance there is no telling whose fault it is. */
unsigned long mp_faults_missed(void)
{
	return READ_ONCE(probe.nmissed) + READ_ONCE(probe.kp.nmissed);
}

int mp_fault_init(void)
{
	probe.maxactive = mp_max_active;
	return register_kretprobe(&probe);
}

void mp_fault_exit(void)
{
	unregister_kretprobe(&probe);
}
