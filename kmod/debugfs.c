// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The files. All are made by debugfs_create_file(), whose wrapper keeps removal and use apart: once
 * debugfs_remove() is back no operation is running, later ones get EIO, and an open file holds the
 * module.
 */
#include <linux/capability.h>
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/utsname.h>

#include "mallocpath.h"

static struct dentry *root, *track_file;

/*
 * File modes tell root by its number, which a user namespace can map to its own root: the
 * capability is asked for in the initial one.
 */
static int may_open(void)
{
	return capable(CAP_SYS_PTRACE) ? 0 : -EPERM;
}

/* --- track */

static int track_show(struct seq_file *seq, void *unused)
{
	struct mp_target *target;

	seq_puts(seq, "pid tracked_since_ns\n");
	rcu_read_lock();
	list_for_each_entry_rcu(target, &mp_targets, list)
		seq_printf(seq, "%d %llu\n", target->nr, target->since_ns);
	rcu_read_unlock();
	return 0;
}

static int track_open(struct inode *inode, struct file *file)
{
	return may_open() ?: single_open(file, track_show, NULL);
}

/* One PID or -PID, and no more than a newline after it */
static ssize_t track_write(struct file *file, const char __user *user, size_t len, loff_t *pos)
{
	char text[16];
	int nr, err;

	if (*pos || !len || len >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, user, len))
		return -EFAULT;
	text[len] = 0;
	if (strlen(text) != len || text[0] == '+')
		return -EINVAL;
	err = kstrtoint(text, 10, &nr);
	if (err || !nr || nr == INT_MIN)
		return -EINVAL;
	err = nr > 0 ? mp_track_pid(nr) : mp_untrack_pid(-nr);
	return err ?: len;
}

static const struct file_operations track_fops = {
	.owner = THIS_MODULE,
	.open = track_open,
	.read = seq_read,
	.write = track_write,
	.llseek = seq_lseek,
	.release = single_release,
};

/* --- status */

static int status_show(struct seq_file *seq, void *unused)
{
	seq_puts(seq, "name value\n");
	seq_printf(seq, "version %s\n", MP_VERSION);
	seq_printf(seq, "kernel %s\n", init_utsname()->release);
	seq_printf(seq, "targets %u\n", mp_nr_targets());
	seq_printf(seq, "track_children %d\n", mp_track_children);
	seq_printf(seq, "faults_seen %llu\n", mp_faults_seen());
	seq_printf(seq, "faults_missed %lu\n", mp_faults_missed());
	seq_printf(seq, "faults_unplaced %lu\n", mp_faults_unplaced());
	seq_printf(seq, "moves_missed %lu\n", mp_moves_missed());
	seq_printf(seq, "children_lost %ld\n", atomic_long_read(&mp_children_lost));
	seq_printf(seq, "memory_bytes %zu\n", mp_memory_used());
	seq_printf(seq, "memory_limit_bytes %lu\n", mp_memory_limit);
	seq_printf(seq, "table %s\n", mp_memory_full() ? "full" : "ok");
	return 0;
}

static int status_open(struct inode *inode, struct file *file)
{
	return may_open() ?: single_open(file, status_show, NULL);
}

static const struct file_operations status_fops = {
	.owner = THIS_MODULE,
	.open = status_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = single_release,
};

/* --- PID/ */

static int rows_open(struct inode *inode, struct file *file, const struct seq_operations *ops)
{
	struct mp_rows *rows;
	int err = may_open();

	if (err)
		return err;
	rows = mp_rows_new(inode->i_private, capable(CAP_SYS_ADMIN));
	if (!rows)
		return -ENOMEM;
	err = seq_open(file, ops);
	if (err) {
		mp_rows_free(rows);
		return err;
	}
	((struct seq_file *)file->private_data)->private = rows;
	return 0;
}

static int rows_release(struct inode *inode, struct file *file)
{
	mp_rows_free(((struct seq_file *)file->private_data)->private);
	return seq_release(inode, file);
}

#define ROWS_FILE(name)                                                \
	static int name##_open(struct inode *inode, struct file *file) \
	{                                                              \
		return rows_open(inode, file, &mp_##name##_seq);       \
	}                                                              \
	static const struct file_operations name##_fops = {            \
		.owner = THIS_MODULE,                                  \
		.open = name##_open,                                   \
		.read = seq_read,                                      \
		.llseek = seq_lseek,                                   \
		.release = rows_release,                               \
	}

ROWS_FILE(vmas);
ROWS_FILE(latency);
ROWS_FILE(pages);

static int reset_open(struct inode *inode, struct file *file)
{
	int err = may_open();

	file->private_data = inode->i_private; /* lives while the wrapper lets us be called */
	return err ?: nonseekable_open(inode, file);
}

/* "1" sets all counts of the process to zero. */
static ssize_t reset_write(struct file *file, const char __user *user, size_t len, loff_t *pos)
{
	struct mp_space *space;
	char text[4];
	bool yes;

	if (!len || len >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, user, len))
		return -EFAULT;
	text[len] = 0;
	if (strlen(text) != len || kstrtobool(text, &yes) || text[0] != '1')
		return -EINVAL;
	space = mp_target_space(file->private_data);
	if (space)
		mp_counts_reset(&space->counts);
	mp_space_put(space);
	return len;
}

static const struct file_operations reset_fops = {
	.owner = THIS_MODULE,
	.open = reset_open,
	.write = reset_write,
};

struct dentry *mp_debugfs_add(struct mp_target *target)
{
	struct dentry *dir;
	char name[16];

	snprintf(name, sizeof(name), "%d", target->nr);
	dir = debugfs_create_dir(name, root);
	if (IS_ERR(dir))
		return NULL;
	debugfs_create_file("vmas", 0400, dir, target, &vmas_fops);
	debugfs_create_file("latency", 0400, dir, target, &latency_fops);
	debugfs_create_file("pages", 0400, dir, target, &pages_fops);
	debugfs_create_file("reset", 0200, dir, target, &reset_fops);
	return dir;
}

void mp_debugfs_remove(struct dentry *dir)
{
	debugfs_remove(dir);
}

int mp_debugfs_init(void)
{
	root = debugfs_create_dir("mallocpath", NULL);
	if (IS_ERR(root))
		return PTR_ERR(root);
	track_file = debugfs_create_file("track", 0600, root, NULL, &track_fops);
	debugfs_create_file("status", 0400, root, NULL, &status_fops);
	return 0;
}

void mp_debugfs_stop(void)
{
	debugfs_remove(track_file);
}

void mp_debugfs_exit(void)
{
	debugfs_remove(root);
}
