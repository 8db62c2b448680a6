// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which processes are watched, and in which address space each of them lives.
 *
 * A target is a thread group: it begins with a write to `track` or a fork of a tracked process, and
 * ends with a write of -PID or the exit of its last thread. A space is an address space: it begins
 * with its target or at an exec, and ends with its target or at the next exec. Tracepoints put them
 * into the tables, and take them out, at the very moment; whatever sleeps is left to a worker, which
 * makes and removes directories in order.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/hashtable.h>
#include <linux/rculist.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/tracepoint.h>

#include "compat.h"
#include "mallocpath.h"

static DEFINE_RAW_SPINLOCK(registry_lock);
static DEFINE_HASHTABLE(by_pid, 8); /* targets */
LIST_HEAD(mp_targets);
static unsigned int nr_targets;   /* registry_lock */
static LIST_HEAD(newborn);        /* targets without a directory: registry_lock */
static LIST_HEAD(dead_targets);   /* registry_lock */
static LIST_HEAD(dead_spaces);    /* registry_lock */
static LIST_HEAD(buried_targets); /* their directories are gone: registry_lock */
static LIST_HEAD(buried_spaces);  /* registry_lock */

static DEFINE_MUTEX(track_lock);                      /* one write to `track` at a time */
static struct workqueue_struct *chores, *slow_chores; /* both ordered */
atomic_long_t mp_children_lost;

static void do_chores(struct work_struct *work);
static DECLARE_WORK(chores_work, do_chores);
static void do_slow_chores(struct work_struct *work);
static DECLARE_WORK(slow_chores_work, do_slow_chores);

/* --- targets */

static void target_free(struct kref *ref)
{
	struct mp_target *target = container_of(ref, struct mp_target, ref);

	put_pid(target->pid);
	mp_memory_uncharge(sizeof(*target));
	kfree_rcu(target, rcu);
}

void mp_target_put(struct mp_target *target)
{
	if (target)
		kref_put(&target->ref, target_free);
}

static struct mp_target *target_new(struct pid *pid, gfp_t gfp)
{
	struct mp_target *target;

	if (!mp_memory_charge(sizeof(*target)))
		return NULL;
	target = kzalloc(sizeof(*target), gfp | __GFP_NOWARN);
	if (!target) {
		mp_memory_uncharge(sizeof(*target));
		return NULL;
	}
	kref_init(&target->ref);
	target->pid = get_pid(pid);
	target->nr = pid_nr(pid);
	target->since_ns = ktime_get_ns();
	return target;
}

static struct mp_target *target_find(struct pid *pid)
{
	struct mp_target *target;

	hash_for_each_possible_rcu(by_pid, target, by_pid, (unsigned long)pid)
		if (target->pid == pid)
			return target;
	return NULL;
}

struct mp_space *mp_target_space(struct mp_target *target)
{
	struct mp_space *space;

	rcu_read_lock();
	space = rcu_dereference(target->space);
	if (space && !kref_get_unless_zero(&space->ref))
		space = NULL;
	rcu_read_unlock();
	return space;
}

unsigned int mp_nr_targets(void)
{
	return READ_ONCE(nr_targets);
}

static struct mp_space *target_space_locked(struct mp_target *target)
{
	return rcu_dereference_protected(target->space, lockdep_is_held(&registry_lock));
}

/* registry_lock is held. Takes over the caller's references to both; @space may be NULL. */
static void target_insert(struct mp_target *target, struct mp_space *space)
{
	rcu_assign_pointer(target->space, space);
	if (space)
		mp_space_hash(space);
	hash_add_rcu(by_pid, &target->by_pid, (unsigned long)target->pid);
	list_add_tail_rcu(&target->list, &mp_targets);
	list_add_tail(&target->work_list, &newborn);
	WRITE_ONCE(nr_targets, nr_targets + 1);
}

/* registry_lock is held. */
static void space_bury(struct mp_space *space)
{
	mp_space_unhash(space);
	list_add_tail(&space->dead_list, &dead_spaces);
}

/* registry_lock is held. From here on nothing is counted for it; the rest is a chore. */
static void target_bury(struct mp_target *target)
{
	struct mp_space *space = target_space_locked(target);

	if (target->dead)
		return;
	target->dead = true;
	if (space)
		space_bury(space);
	hash_del_rcu(&target->by_pid);
	list_del_rcu(&target->list);
	list_move_tail(&target->work_list, &dead_targets);
	WRITE_ONCE(nr_targets, nr_targets - 1);
	queue_work(chores, &chores_work);
}

/* They may be buried meanwhile: each is taken from @born under the lock, as that does. */
static void publish(struct list_head *born)
{
	struct mp_target *target;

	for (;;) {
		raw_spin_lock(&registry_lock);
		target = list_first_entry_or_null(born, struct mp_target, work_list);
		if (target) {
			list_del_init(&target->work_list);
			kref_get(&target->ref);
		}
		raw_spin_unlock(&registry_lock);
		if (!target)
			return;
		target->dir = mp_debugfs_add(target);
		mp_target_put(target);
	}
}

static void free_spaces(struct list_head *dead)
{
	struct mp_space *space, *next;

	list_for_each_entry(space, dead, dead_list)
		mp_space_unlisten(space);
	/* Nobody who found one of them in the tables is still counting: */
	synchronize_rcu();
	list_for_each_entry_safe(space, next, dead, dead_list)
		mp_space_put(space);
}

/*
 * One at a time. Directories go first: then no reader is in them. Those who were born after the
 * lists were taken wait for the next turn, as their number may be that of someone who died by then.
 */
static void do_chores(struct work_struct *work)
{
	struct mp_target *target;
	LIST_HEAD(died);
	LIST_HEAD(born);
	LIST_HEAD(left);

	raw_spin_lock(&registry_lock);
	list_splice_init(&dead_targets, &died);
	list_splice_init(&newborn, &born);
	list_splice_init(&dead_spaces, &left);
	raw_spin_unlock(&registry_lock);
	list_for_each_entry(target, &died, work_list)
		mp_debugfs_remove(target->dir);
	publish(&born);
	raw_spin_lock(&registry_lock);
	list_splice_tail(&died, &buried_targets);
	list_splice_tail(&left, &buried_spaces);
	raw_spin_unlock(&registry_lock);
	queue_work(slow_chores, &slow_chores_work);
}

/* What waits for others to look away, some milliseconds for each: no writer to `track` waits here. */
static void do_slow_chores(struct work_struct *work)
{
	struct mp_target *target, *next;
	LIST_HEAD(targets);
	LIST_HEAD(spaces);

	raw_spin_lock(&registry_lock);
	list_splice_init(&buried_targets, &targets);
	list_splice_init(&buried_spaces, &spaces);
	raw_spin_unlock(&registry_lock);
	if (!list_empty(&spaces))
		free_spaces(&spaces);
	list_for_each_entry_safe(target, next, &targets, work_list) {
		mp_target_put(target);
		mp_watch_end();
	}
}

/* --- fork, exec, exit: probes of tracepoints, in the context of the task, preemption off */

/* @child is not running yet. @mm: NULL if it shares that of its parent. */
static bool follow(struct task_struct *child, struct mm_struct *mm)
{
	struct pid *pid = task_tgid(child);
	struct mp_target *target = target_new(pid, GFP_ATOMIC);
	struct mp_space *space = target && mm ? mp_space_new(mm, pid, GFP_ATOMIC) : NULL;

	if (!target || (mm && !space)) {
		mp_target_put(target);
		return false;
	}
	mp_watch_hold();
	if (space)
		mp_space_listen_soon(space, child);
	raw_spin_lock(&registry_lock);
	target_insert(target, space);
	raw_spin_unlock(&registry_lock);
	queue_work(chores, &chores_work);
	return true;
}

static void on_fork(void *data, struct task_struct *parent, struct task_struct *child)
{
	bool tracked;

	if (!READ_ONCE(mp_track_children) || !READ_ONCE(nr_targets) ||
	    task_tgid(child) == task_tgid(parent) || !child->mm)
		return;
	rcu_read_lock();
	tracked = target_find(task_tgid(parent));
	rcu_read_unlock();
	if (tracked && !follow(child, child->mm == parent->mm ? NULL : child->mm))
		atomic_long_inc(&mp_children_lost);
}

/* registry_lock is held: from now on @target lives in @space. */
static void target_moves_in(struct mp_target *target, struct mp_space *space)
{
	struct mp_space *old = target_space_locked(target);

	if (old) {
		if (space) {
			kref_get(&old->ref);
			space->before = old;
		}
		space_bury(old);
		queue_work(chores, &chores_work);
	}
	rcu_assign_pointer(target->space, space);
	if (space)
		mp_space_hash(space);
}

static void on_exec(void *data, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	struct pid *pid = task_tgid(task);
	struct mp_target *target;
	struct mp_space *space;
	bool tracked;

	if (!READ_ONCE(nr_targets))
		return;
	rcu_read_lock();
	tracked = target_find(pid);
	rcu_read_unlock();
	if (!tracked)
		return;
	space = mp_space_new(task->mm, pid, GFP_ATOMIC);
	if (!space)
		atomic_long_inc(&mp_children_lost);
	else
		mp_space_listen_soon(space, task);
	raw_spin_lock(&registry_lock);
	target = target_find(pid);
	if (target && !mp_space_find(task->mm)) {
		target_moves_in(target, space);
		space = NULL;
	}
	raw_spin_unlock(&registry_lock);
	if (space) {
		/* Untracked meanwhile, or a write to `track` was as quick: it is in no table. */
		space->dead = true; /* what would attach it runs after us, in this very task */
		mp_space_put(space);
	}
}

static void MP_EXIT_PROBE(on_exit, task)
{
	struct mp_target *target;

	if (!READ_ONCE(nr_targets) || atomic_read(&task->signal->live))
		return;
	raw_spin_lock(&registry_lock);
	target = target_find(task_tgid(task));
	if (target)
		target_bury(target);
	raw_spin_unlock(&registry_lock);
}

/* --- writes to `track` */

/* The leader of thread group @nr in the caller's PID namespace; ESRCH: none, or without memory. */
static struct mm_struct *find_process(pid_t nr, struct pid **pid, struct task_struct **leader)
{
	struct mm_struct *mm = NULL;

	*pid = find_get_pid(nr);
	*leader = get_pid_task(*pid, PIDTYPE_TGID);
	if (*leader)
		mm = get_task_mm(*leader);
	return mm;
}

/* Whether @leader left @mm behind before we were in the tables, where exec and exit find us */
static bool came_too_late(struct task_struct *leader, struct mm_struct *mm)
{
	bool late;

	smp_mb(); /* our insertion, then their count of threads and their mm */
	task_lock(leader);
	late = leader->mm != mm;
	task_unlock(leader);
	return late || !atomic_read(&leader->signal->live);
}

/* Asked before the work is done, and once more under the lock. */
static bool is_tracked(struct pid *pid, struct mm_struct *mm)
{
	bool tracked;

	rcu_read_lock();
	tracked = target_find(pid) || mp_space_find(mm);
	rcu_read_unlock();
	return tracked;
}

static int track(struct pid *pid, struct task_struct *leader, struct mm_struct *mm)
{
	struct mp_target *target;
	struct mp_space *space;
	int err;

	if (is_tracked(pid, mm))
		return -EEXIST;
	target = target_new(pid, GFP_KERNEL);
	space = target ? mp_space_new(mm, pid, GFP_KERNEL) : NULL;
	err = -ENOSPC;
	if (!space)
		goto put;
	err = mp_space_listen(space);
	if (err)
		goto put;
	err = -EEXIST;
	raw_spin_lock(&registry_lock);
	if (!target_find(pid) && !mp_space_find(mm)) {
		target_insert(target, space);
		err = 0;
	}
	raw_spin_unlock(&registry_lock);
	if (err)
		goto unlisten;
	queue_work(chores, &chores_work);
	if (!came_too_late(leader, mm))
		return 0;
	mp_watch_hold(); /* the target ends its own, the caller still has one */
	raw_spin_lock(&registry_lock);
	target_bury(target);
	raw_spin_unlock(&registry_lock);
	return -EAGAIN;
unlisten:
	mp_space_unlisten(space);
put:
	mp_space_put(space);
	mp_target_put(target);
	return err;
}

static int track_once(pid_t nr)
{
	struct task_struct *leader = NULL;
	struct mm_struct *mm;
	struct pid *pid;
	int err = -ESRCH;

	mm = find_process(nr, &pid, &leader);
	if (mm) {
		err = track(pid, leader, mm);
		mmput(mm);
	}
	if (leader)
		put_task_struct(leader);
	put_pid(pid);
	return err;
}

int mp_track_pid(pid_t nr)
{
	int err;

	if (mutex_lock_killable(&track_lock))
		return -EINTR;
	err = mp_watch_begin();
	if (err)
		goto unlock;
	do {
		err = track_once(nr);
	} while (err == -EAGAIN);
	if (err)
		mp_watch_end();
	else
		flush_work(&chores_work); /* its directory is there when the write returns */
unlock:
	mutex_unlock(&track_lock);
	return err;
}

int mp_untrack_pid(pid_t nr)
{
	struct mp_target *target;
	struct pid *pid = find_get_pid(nr);

	raw_spin_lock(&registry_lock);
	target = pid ? target_find(pid) : NULL;
	if (target)
		target_bury(target);
	raw_spin_unlock(&registry_lock);
	put_pid(pid);
	if (!target)
		return -ESRCH;
	flush_work(&chores_work);
	return 0;
}

/* --- coming and going */

static struct hook {
	const char *name;
	void *probe;
	struct tracepoint *tp;
} hooks[] = {
	{ "sched_process_fork", on_fork },
	{ "sched_process_exec", on_exec },
	{ "sched_process_exit", on_exit },
};

/* These tracepoints are not exported by name. */
static void find_hook(struct tracepoint *tp, void *priv)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(hooks); i++)
		if (!strcmp(tp->name, hooks[i].name))
			hooks[i].tp = tp;
}

static void unhook(unsigned int nr)
{
	while (nr--)
		tracepoint_probe_unregister(hooks[nr].tp, hooks[nr].probe, NULL);
	tracepoint_synchronize_unregister();
}

static int hook_all(void)
{
	unsigned int i;
	int err;

	for_each_kernel_tracepoint(find_hook, NULL);
	for (i = 0; i < ARRAY_SIZE(hooks); i++) {
		err = -ENOENT;
		if (hooks[i].tp)
			err = tracepoint_probe_register(hooks[i].tp, hooks[i].probe, NULL);
		if (err) {
			pr_err("tracepoint %s: error %d\n", hooks[i].name, err);
			unhook(i);
			return err;
		}
	}
	return 0;
}

int mp_track_init(void)
{
	int err;

	chores = alloc_ordered_workqueue("mallocpath", 0);
	if (!chores)
		return -ENOMEM;
	err = -ENOMEM;
	slow_chores = alloc_ordered_workqueue("mallocpath_slow", 0);
	if (!slow_chores)
		goto destroy;
	err = hook_all();
	if (!err)
		return 0;
	destroy_workqueue(slow_chores);
destroy:
	destroy_workqueue(chores);
	return err;
}

void mp_track_exit(void)
{
	struct mp_target *target, *next;

	unhook(ARRAY_SIZE(hooks));
	raw_spin_lock(&registry_lock);
	list_for_each_entry_safe(target, next, &mp_targets, list)
		target_bury(target);
	raw_spin_unlock(&registry_lock);
	flush_work(&chores_work);
	flush_work(&slow_chores_work);
	destroy_workqueue(slow_chores);
	destroy_workqueue(chores);
}
