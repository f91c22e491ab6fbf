// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * What sleeps and is never woken: one waiter for each kind of lock, all of
 * which cf_holder holds, a thread that waits for itself, and readers of
 * /dev/cf_wait, for whom nobody holds anything.
 */
#include <linux/bitops.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/percpu-rwsem.h>
#include <linux/rtmutex.h>
#include <linux/rwsem.h>
#include <linux/semaphore.h>
#include <linux/wait.h>
#include <linux/wait_bit.h>

#include "cf_fault.h"

/* Not static: a module's own globals must show up by name. */
DEFINE_MUTEX(cf_mutex);
DECLARE_RWSEM(cf_written);
DECLARE_RWSEM(cf_read);
DEFINE_RT_MUTEX(cf_rtmutex);
DEFINE_STATIC_PERCPU_RWSEM(cf_percpu);
struct semaphore cf_semaphore;
DECLARE_COMPLETION(cf_completion);
unsigned long cf_bits;
struct page *cf_page;
DECLARE_WAIT_QUEUE_HEAD(cf_queue);
int cf_never;
static DECLARE_COMPLETION(cf_held);

static int cf_hold_all(void *unused)
{
	mutex_lock(&cf_mutex);
	down_write(&cf_written);
	down_read(&cf_read);
	rt_mutex_lock(&cf_rtmutex);
	percpu_down_write(&cf_percpu);
	down(&cf_semaphore);
	set_bit(3, &cf_bits);
	lock_page(cf_page);
	complete(&cf_held);
	/* Interruptible: the holder itself is not among the blocked. */
	for (;;)
		msleep_interruptible(1000000);
	return 0;
}

static int cf_wait_mutex(void *unused)
{
	mutex_lock(&cf_mutex);
	return 0;
}

static int cf_wait_rwsem_to_read(void *unused)
{
	down_read(&cf_written);
	return 0;
}

static int cf_wait_rwsem_to_write(void *unused)
{
	down_write(&cf_read);
	return 0;
}

static int cf_wait_rtmutex(void *unused)
{
	rt_mutex_lock(&cf_rtmutex);
	return 0;
}

static int cf_wait_percpu_rwsem(void *unused)
{
	percpu_down_read(&cf_percpu);
	return 0;
}

static int cf_wait_semaphore(void *unused)
{
	down(&cf_semaphore);
	return 0;
}

static int cf_wait_completion(void *unused)
{
	wait_for_completion(&cf_completion);
	return 0;
}

static int cf_wait_bit(void *unused)
{
	return wait_on_bit_lock(&cf_bits, 3, TASK_UNINTERRUPTIBLE);
}

static int cf_wait_page(void *unused)
{
	lock_page(cf_page);
	return 0;
}

static int cf_lock_twice(void *unused)
{
	mutex_lock(&cf_left);
	/* Its own: it never comes. */
	mutex_lock(&cf_left);
	return 0;
}

struct cf_waiter {
	const char *name;
	int (*run)(void *);
};

static const struct cf_waiter cf_waiters[] = {
	{ "cf_w_mutex", cf_wait_mutex },
	{ "cf_w_rwsem_r", cf_wait_rwsem_to_read },
	{ "cf_w_rwsem_w", cf_wait_rwsem_to_write },
	{ "cf_w_rtmutex", cf_wait_rtmutex },
	{ "cf_w_percpu", cf_wait_percpu_rwsem },
	{ "cf_w_semaphore", cf_wait_semaphore },
	{ "cf_w_completion", cf_wait_completion },
	{ "cf_w_bit", cf_wait_bit },
	{ "cf_w_page", cf_wait_page },
};

static int cf_start_waiters(void)
{
	struct task_struct *task;
	int i;

	sema_init(&cf_semaphore, 1);
	cf_page = alloc_page(GFP_KERNEL);
	if (!cf_page)
		return -ENOMEM;
	task = kthread_run(cf_hold_all, NULL, "cf_holder");
	if (IS_ERR(task))
		return PTR_ERR(task);
	wait_for_completion(&cf_held);
	for (i = 0; i < ARRAY_SIZE(cf_waiters); i++) {
		task = kthread_run(cf_waiters[i].run, NULL, "%s", cf_waiters[i].name);
		if (IS_ERR(task))
			return PTR_ERR(task);
	}
	return 0;
}

static int cf_start_self(void)
{
	return PTR_ERR_OR_ZERO(kthread_run(cf_lock_twice, NULL, "cf_self"));
}

static ssize_t cf_wait_read(struct file *file, char __user *buffer, size_t size, loff_t *at)
{
	wait_event(cf_queue, READ_ONCE(cf_never));
	return 0;
}

static const struct file_operations cf_wait_operations = {
	.owner = THIS_MODULE,
	.read = cf_wait_read,
};

static struct miscdevice cf_wait_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "cf_wait",
	.fops = &cf_wait_operations,
};

int cf_wait_init(void)
{
	return misc_register(&cf_wait_device);
}

const struct cf_kind cf_wait_kinds[] = {
	{ "locks", cf_start_waiters },
	{ "self", cf_start_self },
	{}
};
