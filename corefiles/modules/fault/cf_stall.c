// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * What keeps a CPU to itself until a watchdog notices.
 *
 * The kernel threads are bound to the last CPU, so that the first one goes on.
 */
#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/irqflags.h>
#include <linux/kthread.h>
#include <linux/preempt.h>
#include <linux/processor.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/workqueue.h>

#include "cf_fault.h"

/* Nobody ever sets it. */
int cf_enough;

static cf_frame void cf_spin(void)
{
	while (!READ_ONCE(cf_enough))
		cpu_relax();
}

static cf_frame int cf_spin_without_preemption(void *unused)
{
	preempt_disable();
	cf_spin();
	preempt_enable();
	return 0;
}

static cf_frame int cf_spin_without_interrupts(void *unused)
{
	unsigned long flags;

	local_irq_save(flags);
	cf_spin();
	local_irq_restore(flags);
	return 0;
}

static cf_frame int cf_read_forever(void *unused)
{
	rcu_read_lock();
	cf_spin();
	rcu_read_unlock();
	return 0;
}

static int cf_start(int (*run)(void *), const char *name)
{
	struct task_struct *task = kthread_create(run, NULL, "%s", name);

	if (IS_ERR(task))
		return PTR_ERR(task);
	kthread_bind(task, cpumask_last(cpu_online_mask));
	wake_up_process(task);
	return 0;
}

static int cf_soft_lockup(void)
{
	return cf_start(cf_spin_without_preemption, "cf_soft");
}

static int cf_hard_lockup(void)
{
	return cf_start(cf_spin_without_interrupts, "cf_hard");
}

static int cf_rcu_stall(void)
{
	return cf_start(cf_read_forever, "cf_rcu");
}

static cf_frame void cf_hog(struct work_struct *work)
{
	preempt_disable();
	cf_spin();
	preempt_enable();
}

static cf_frame void cf_patient(struct work_struct *work)
{
	pr_info("cf_fault: the patient work ran\n");
}

DECLARE_WORK(cf_hog_work, cf_hog);
DECLARE_WORK(cf_patient_work, cf_patient);

static int cf_work_stall(void)
{
	int cpu = cpumask_last(cpu_online_mask);

	schedule_work_on(cpu, &cf_hog_work);
	schedule_work_on(cpu, &cf_patient_work);
	return 0;
}

const struct cf_kind cf_stall_kinds[] = {
	{ "soft", cf_soft_lockup },
	{ "hard", cf_hard_lockup },
	{ "rcu", cf_rcu_stall },
	{ "work", cf_work_stall },
	{}
};
