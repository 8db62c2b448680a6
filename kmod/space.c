// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Address spaces. Where a range is unmapped its counts go to `gone`: an mmu_notifier tells, before
 * anything else can be mapped there. Where it moves (mremap) its counts move with it.
 *
 * A new child must have the notifier before it can unmap anything: it waits for that on its way to
 * user space (task_work), while a worker hangs it in; the child itself might have a signal pending,
 * with which that fails. Its counts begin at the fork, so the faults before that are there too.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/hashtable.h>
#include <linux/kprobes.h>
#include <linux/rculist.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "compat.h"
#include "mallocpath.h"

static DEFINE_HASHTABLE(by_mm, 8); /* changed under the registry's lock */
static struct workqueue_struct *attach;
static atomic_t in_flight = ATOMIC_INIT(0); /* task_works that are still to run */
static DECLARE_WAIT_QUEUE_HEAD(none_in_flight);

/*
 * mremap(2) in flight, of all processes: its pages move, so the unmapping of the old place ends no
 * count. Many threads can be in it at a time: all but one wait for the lock of their address space.
 * As many as the kretprobe follows, and as many again whose counts are about to move.
 */
#define FOLLOWED 64
#define MOVES    (2 * FOLLOWED)
struct move {
	struct callback_head work;
	struct mp_space *space;
	unsigned long from, len, to;
};
static struct move moves[MOVES];
static struct task_struct *movers[MOVES]; /* only compared; NULL: free */
static atomic_long_t moves_lost;

struct mp_space *mp_space_find(struct mm_struct *mm)
{
	struct mp_space *space;

	hash_for_each_possible_rcu(by_mm, space, by_mm, (unsigned long)mm)
		if (space->mm == mm)
			return space;
	return NULL;
}

void mp_space_hash(struct mp_space *space)
{
	hash_add_rcu(by_mm, &space->by_mm, (unsigned long)space->mm);
}

void mp_space_unhash(struct mp_space *space)
{
	hash_del_rcu(&space->by_mm);
}

static void space_free(struct kref *ref)
{
	struct mp_space *space = container_of(ref, struct mp_space, ref);

	mp_space_put(space->before);
	mp_counts_reset(&space->counts);
	mmdrop(space->mm);
	put_pid(space->pid);
	mp_memory_uncharge(sizeof(*space));
	kfree_rcu(space, rcu);
}

/* May sleep */
void mp_space_put(struct mp_space *space)
{
	if (space)
		kref_put(&space->ref, space_free);
}

static int space_unmapped(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	struct mp_space *space = container_of(notifier, struct mp_space, notifier);
	bool moving = false;
	int i;

	if (range->event != MMU_NOTIFY_UNMAP)
		return 0;
	for (i = 0; i < MOVES; i++)
		moving |= READ_ONCE(movers[i]) == current && range->start >= moves[i].from &&
			  range->end <= moves[i].from + moves[i].len;
	if (!moving)
		mp_counts_gone(&space->counts, range->start, range->end,
			       mmu_notifier_range_blockable(range));
	return 0;
}

static const struct mmu_notifier_ops notifier_ops = {
	.invalidate_range_start = space_unmapped,
};

static void space_attach(struct work_struct *work);
static void space_wait(struct callback_head *head);

/* A space of @mm for the thread group @pid, in no table yet. NULL: no memory. */
struct mp_space *mp_space_new(struct mm_struct *mm, struct pid *pid, gfp_t gfp)
{
	struct mp_space *space;

	if (!mp_memory_charge(sizeof(*space)))
		return NULL;
	space = kzalloc(sizeof(*space), gfp | __GFP_NOWARN);
	if (!space) {
		mp_memory_uncharge(sizeof(*space));
		return NULL;
	}
	kref_init(&space->ref);
	mmgrab(mm);
	space->mm = mm;
	space->pid = get_pid(pid);
	mp_counts_init(&space->counts);
	space->notifier.ops = &notifier_ops;
	mutex_init(&space->attach_lock);
	init_task_work(&space->task_work, space_wait);
	INIT_WORK(&space->attach_work, space_attach);
	init_completion(&space->attach_done);
	raw_spin_lock_init(&space->flight_lock);
	return space;
}

/* Hangs the notifier into the address space. 0, -EINTR (a signal), -ENOMEM, -ESRCH (it is over) */
int mp_space_listen(struct mp_space *space)
{
	int err = -ESRCH;

	mutex_lock(&space->attach_lock);
	if (!space->dead && !space->attached && mmget_not_zero(space->mm)) {
		err = mmu_notifier_register(&space->notifier, space->mm);
		space->attached = !err;
		mmput(space->mm);
	}
	mutex_unlock(&space->attach_lock);
	return err;
}

void mp_space_unlisten(struct mp_space *space)
{
	mutex_lock(&space->attach_lock);
	space->dead = true;
	if (space->attached)
		mmu_notifier_unregister(&space->notifier, space->mm);
	space->attached = false;
	mutex_unlock(&space->attach_lock);
}

/* What the program before exec had is gone now, and is kept as that. */
static void space_inherit(struct mp_space *space, struct mp_space *before)
{
	mp_counts_gone(&before->counts, 0, TASK_SIZE_MAX, true);
	raw_spin_lock(&space->counts.lock);
	raw_spin_lock_nested(&before->counts.lock, SINGLE_DEPTH_NESTING);
	mp_sum_add(&space->counts.gone, &before->counts.gone);
	mp_sum_add(&space->counts.unplaced, &before->counts.unplaced);
	raw_spin_unlock(&before->counts.lock);
	raw_spin_unlock(&space->counts.lock);
}

/* A kernel thread has no signals pending, which would make the registration fail. */
static void space_attach(struct work_struct *work)
{
	struct mp_space *space = container_of(work, struct mp_space, attach_work);

	if (space->before) {
		space_inherit(space, space->before);
		mp_space_put(space->before);
		space->before = NULL;
	}
	if (mp_space_listen(space) == -ENOMEM)
		atomic_long_inc(&mp_children_lost);
	complete(&space->attach_done);
}

static void flight_over(void)
{
	if (atomic_dec_and_test(&in_flight))
		wake_up(&none_in_flight);
}

/* In the child's or exec's own context, before it is back in user space */
static void space_wait(struct callback_head *head)
{
	struct mp_space *space = container_of(head, struct mp_space, task_work);

	queue_work(attach, &space->attach_work);
	wait_for_completion(&space->attach_done);
	mp_space_put(space);
	flight_over();
}

/* Has @task wait for the notifier. Consumes no reference; if it is about to exit nothing happens. */
void mp_space_listen_soon(struct mp_space *space, struct task_struct *task)
{
	kref_get(&space->ref);
	atomic_inc(&in_flight);
	if (task_work_add(task, &space->task_work, TWA_RESUME)) {
		/* The reference that is left is the target's: this one is not the last. */
		kref_put(&space->ref, space_free);
		flight_over();
	}
}

/* --- mremap(2) */

static int mremap_entry(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	const struct pt_regs *user = (void *)regs_get_kernel_argument(regs, 0);
	unsigned long len = min(PAGE_ALIGN(user->si), PAGE_ALIGN(user->dx));
	bool watched;
	int i;

	rcu_read_lock();
	watched = current->mm && mp_space_find(current->mm);
	rcu_read_unlock();
	if (!watched || !len)
		return 1;
	for (i = 0; i < MOVES; i++) {
		if (READ_ONCE(movers[i]) || cmpxchg(&movers[i], NULL, current))
			continue;
		moves[i].from = user->di;
		moves[i].len = len;
		*(struct move **)ri->data = &moves[i];
		return 0;
	}
	atomic_long_inc(&moves_lost);
	return 1;
}
NOKPROBE_SYMBOL(mremap_entry);

static void move_done(struct move *move)
{
	smp_store_release(&movers[move - moves], NULL);
}

/* In the caller's own context before it is back in user space: it cannot see the counts late. */
static void move_counts(struct callback_head *head)
{
	struct move *move = container_of(head, struct move, work);
	struct mp_space *space = move->space;

	mp_counts_move(&space->counts, move->from, move->len, move->to);
	move_done(move);
	mp_space_put(space);
	flight_over();
}

static int mremap_return(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct move *move = *(struct move **)ri->data;
	unsigned long to = regs_return_value(regs);
	struct mp_space *space;

	rcu_read_lock();
	space = mp_space_find(current->mm);
	if (!space || IS_ERR_VALUE(to) || to == move->from || !kref_get_unless_zero(&space->ref)) {
		move_done(move);
		goto out;
	}
	move->space = space;
	move->to = to;
	init_task_work(&move->work, move_counts);
	atomic_inc(&in_flight);
	if (task_work_add(current, &move->work, TWA_RESUME)) {
		move_done(move);
		kref_put(&space->ref, space_free);
		flight_over();
	}
out:
	rcu_read_unlock();
	return 0;
}
NOKPROBE_SYMBOL(mremap_return);

static struct kretprobe mremap_probe = {
	.kp.symbol_name = MP_SYS_MREMAP,
	.entry_handler = mremap_entry,
	.handler = mremap_return,
	.data_size = sizeof(struct move *),
	.maxactive = FOLLOWED,
};

unsigned long mp_moves_missed(void)
{
	return atomic_long_read(&moves_lost) + READ_ONCE(mremap_probe.nmissed) +
	       READ_ONCE(mremap_probe.kp.nmissed);
}

int mp_space_init(void)
{
	int err;

	attach = alloc_workqueue("mallocpath_attach", WQ_UNBOUND | WQ_HIGHPRI, 0);
	if (!attach)
		return -ENOMEM;
	err = register_kretprobe(&mremap_probe);
	if (err) {
		pr_err("kretprobe on %s: error %d\n", MP_SYS_MREMAP, err);
		destroy_workqueue(attach);
	}
	return err;
}

void mp_space_stop(void)
{
	unregister_kretprobe(&mremap_probe);
}

void mp_space_exit(void)
{
	wait_event(none_in_flight, !atomic_read(&in_flight));
	/* Who said so may not have returned from our code yet: */
	synchronize_rcu_tasks();
	destroy_workqueue(attach);
	rcu_barrier();
}
