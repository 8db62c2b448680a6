// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/module.h>
#include <linux/moduleparam.h>

#include "mallocpath.h"

bool mp_track_children;
module_param_named(track_children, mp_track_children, bool, 0644);
MODULE_PARM_DESC(track_children, "also track what a tracked process forks (default N)");

unsigned long mp_memory_limit = 64UL << 20;
module_param_named(memory_limit, mp_memory_limit, ulong, 0444);
MODULE_PARM_DESC(memory_limit,
		 "bytes that counts may take, all processes together (default 64 MiB)");

int mp_max_active = 4096;
module_param_named(max_active, mp_max_active, int, 0444);
MODULE_PARM_DESC(max_active, "faults that can be in flight at a time (default 4096)");

static int __init mallocpath_init(void)
{
	int err;

	if (mp_max_active < 1)
		return -EINVAL;
	mp_pool_init();
	err = mp_fault_init();
	if (err)
		return err;
	err = mp_space_init();
	if (err)
		goto fault;
	err = mp_track_init();
	if (err)
		goto space;
	err = mp_debugfs_init();
	if (err)
		goto track;
	return 0;
track:
	mp_track_exit();
space:
	mp_space_stop();
	mp_space_exit();
fault:
	mp_fault_exit();
	return err;
}

/*
 * An open file holds the module, so nobody reads or writes one here. What may still come is forks,
 * execs, exits and faults: each source is shut and waited for before what it uses goes.
 */
static void __exit mallocpath_exit(void)
{
	mp_debugfs_stop();
	mp_space_stop();
	mp_track_exit();
	mp_space_exit();
	mp_fault_exit();
	mp_debugfs_exit();
}

module_init(mallocpath_init);
module_exit(mallocpath_exit);

MODULE_DESCRIPTION("What page faults did to each mapping of a process, and what is mapped there");
MODULE_AUTHOR("The mallocpath maintainers");
MODULE_LICENSE("GPL");
MODULE_VERSION(MP_VERSION);
