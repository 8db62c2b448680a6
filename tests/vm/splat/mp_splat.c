// SPDX-License-Identifier: GPL-2.0-only
/*
 * Misbehaves on purpose, as its parameter says: tests load it into a VM to see that a splat in the
 * kernel's log fails the run. Loading with how=nothing must not.
 */
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/delay.h>

static char *how = "nothing";
module_param(how, charp, 0400);

static int *volatile nowhere;
static DEFINE_SPINLOCK(lock);

static void corrupt_list(void)
{
	struct list_head one, two;
	LIST_HEAD(head);

	list_add(&one, &head);
	list_add(&two, &one);
	one.next = &head;
	list_del(&two);
}

static int __init mp_splat_init(void)
{
	pr_info("mp_splat: %s\n", how);
	if (!strcmp(how, "warn"))
		WARN(1, "mp_splat: on purpose\n");
	else if (!strcmp(how, "bug"))
		BUG();
	else if (!strcmp(how, "oops"))
		*nowhere = 1;
	else if (!strcmp(how, "list"))
		corrupt_list();
	else if (!strcmp(how, "atomic")) {
		spin_lock(&lock);
		msleep(20);
		spin_unlock(&lock);
	}
	return 0;
}

static void __exit mp_splat_exit(void)
{
}

module_init(mp_splat_init);
module_exit(mp_splat_exit);
MODULE_DESCRIPTION("misbehaves on purpose, for a test");
MODULE_LICENSE("GPL");
