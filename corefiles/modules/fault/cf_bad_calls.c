// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Bad accesses in the kernel's own functions, given an object that is none.
 *
 * The member is the kernel's here: of the struct that the function was given.
 */
#include <linux/dcache.h>
#include <linux/device.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kobject.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/semaphore.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/timer.h>
#include <linux/workqueue.h>

#include "cf_bad.h"

CF_OF_BOX(label, return strlen(box->label);)

#define CF_GIVEN(_name, _type, ...)						\
static cf_frame u64 cf_run_##_name(unsigned long bad)				\
{										\
	struct _type *it = (struct _type *)bad;					\
										\
	OPTIMIZER_HIDE_VAR(it);							\
	__VA_ARGS__;								\
	barrier();								\
	return 1;								\
}

CF_GIVEN(lock, mutex, mutex_lock(it))
CF_GIVEN(try_lock, mutex, mutex_trylock(it))
CF_GIVEN(unlock, mutex, mutex_unlock(it))
CF_GIVEN(lock_spin, spinlock, spin_lock(it))
CF_GIVEN(complete, completion, complete(it))
CF_GIVEN(wake, wait_queue_head, wake_up(it))
CF_GIVEN(up_read, rw_semaphore, up_read(it))
CF_GIVEN(down_write, rw_semaphore, down_write(it))
CF_GIVEN(down, semaphore, down(it))
CF_GIVEN(put_file, file, fput(it))
CF_GIVEN(put_dentry, dentry, dput(it))
CF_GIVEN(grab_inode, inode, ihold(it))
CF_GIVEN(put_kobject, kobject, kobject_put(it))
CF_GIVEN(name_driver, device, (void)dev_driver_string(it))
CF_GIVEN(queue, work_struct, schedule_work(it))
CF_GIVEN(timer, timer_list, mod_timer(it, 5))
CF_GIVEN(wake_task, task_struct, wake_up_process(it))
CF_GIVEN(write_text, seq_file, seq_puts(it, "x"))
CF_GIVEN(erase, rb_node, rb_erase(it, &cf_new_box()->tree))

const struct cf_bad cf_bad_calls[] = {
	CF_BAD(label, cf_box, label, 0, "box", 0),
	CF_BAD_IN(lock, mutex, 0x28),
	CF_BAD_IN(try_lock, mutex, CF_FREED),
	CF_BAD_IN(unlock, mutex, CF_WILD),
	CF_BAD_IN(lock_spin, spinlock, 0),
	CF_BAD_IN(complete, completion, 0),
	CF_BAD_IN(wake, wait_queue_head, CF_USERS),
	CF_BAD_IN(up_read, rw_semaphore, CF_WILD),
	CF_BAD_IN(down_write, rw_semaphore, 0x28),
	CF_BAD_IN(down, semaphore, 0x28),
	CF_BAD_IN(put_file, file, 0),
	CF_BAD_IN(put_dentry, dentry, CF_FREED),
	CF_BAD_IN(grab_inode, inode, 0),
	CF_BAD_IN(put_kobject, kobject, CF_FREED),
	CF_BAD_IN(name_driver, device, 0),
	CF_BAD_IN(queue, work_struct, 0),
	CF_BAD_IN(timer, timer_list, CF_FREED),
	CF_BAD_IN(wake_task, task_struct, 0),
	CF_BAD_IN(write_text, seq_file, 0),
	CF_BAD_IN(erase, rb_node, 0x40),
	{}
};
