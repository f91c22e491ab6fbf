// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Lets each kind of bad access happen in a kernel thread of its own and keeps
 * the thread where it died, asleep inside the exception: one dump then holds
 * all of them, each with its registers.
 *
 * The kernel is caught where it would begin to tell of the oops. The threads
 * are called cf/NUMBER, the number being the row's over all tables.
 */
#include <linux/completion.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/kprobes.h>
#include <linux/kthread.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "cf_bad.h"

static DECLARE_COMPLETION(cf_next);

struct cf_box *cf_new_box(void)
{
	struct cf_box *box = kzalloc(sizeof(*box), GFP_KERNEL | __GFP_NOFAIL);

	INIT_LIST_HEAD(&box->list);
	mutex_init(&box->lock);
	spin_lock_init(&box->spin);
	init_completion(&box->done);
	init_waitqueue_head(&box->queue);
	return box;
}

/* In the place of the function that would print the oops; never returns. */
static noinline void cf_stay(void)
{
	/* Whatever lock the thread holds is its own object's. */
	preempt_count_set(0);
	local_irq_enable();
	complete(&cf_next);
	for (;;) {
		set_current_state(TASK_IDLE);
		schedule();
	}
}

static int cf_at_oops(struct kprobe *probe, struct pt_regs *regs)
{
	if (!(current->flags & PF_KTHREAD) || strncmp(current->comm, "cf/", 3))
		return 0;
	instruction_pointer_set(regs, (unsigned long)cf_stay);
	return 1;
}

/* With one, a probe by ftrace may change where the function goes on. */
static void cf_after(struct kprobe *probe, struct pt_regs *regs, unsigned long flags)
{
}

static struct kprobe cf_probes[] = {
#if defined(CONFIG_X86)
	{ .symbol_name = "page_fault_oops" },
	{ .symbol_name = "die_addr" },
	/* A bad pointer in rbp is a fault of the stack's segment. */
	{ .symbol_name = "die" },
#else
	{ .symbol_name = "die_kernel_fault" },
#endif
};

static int cf_bad_thread(void *arg)
{
	const struct cf_bad *row = arg;
	u64 sum = row->run(row->bad);

	pr_info("cf_fault: %s did not fault: %llx\n", row->name, sum);
	complete(&cf_next);
	return 0;
}

static int cf_run_bad(void)
{
	static const struct cf_bad *const tables[] = {
		cf_bad_members, cf_bad_ways, cf_bad_calls,
	};
	const struct cf_bad *row;
	int number = 0;
	int ret;
	int i;

	for (i = 0; i < ARRAY_SIZE(cf_probes); i++) {
		cf_probes[i].pre_handler = cf_at_oops;
		cf_probes[i].post_handler = cf_after;
		ret = register_kprobe(&cf_probes[i]);
		if (ret) {
			pr_info("cf_fault: %s: %d\n", cf_probes[i].symbol_name, ret);
			return ret;
		}
	}
	for (i = 0; i < ARRAY_SIZE(tables); i++) {
		for (row = tables[i]; row->name; row++) {
			kthread_run(cf_bad_thread, (void *)row, "cf/%d", number);
			if (!wait_for_completion_timeout(&cf_next, 2 * HZ))
				pr_info("cf_fault: %s did not stay\n", row->name);
			number++;
		}
	}
	return 0;
}

const struct cf_kind cf_bad_kinds[] = {
	{ "bad", cf_run_bad },
	{}
};
