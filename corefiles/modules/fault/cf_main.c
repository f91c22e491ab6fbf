// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A module that dies on request, with types of its own.
 *
 * What it holds (list of widgets, per-CPU counters, two mutexes) is stated in
 * the manifest too, so that a debugger's view of it can be checked.
 * echo null|bug|deadlock|... > /sys/module/cf_fault/parameters/trigger
 */
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "cf_fault.h"

/* Not static: a module's own globals must show up by name. */
LIST_HEAD(cf_widgets);
DEFINE_MUTEX(cf_left);
DEFINE_MUTEX(cf_right);
DEFINE_PER_CPU(u64, cf_hits);
struct cf_widget *cf_victim;

static noinline void cf_act(struct cf_widget *widget, int how)
{
	widget->number += how;
}

static noinline int cf_level3(struct cf_widget *widget, int depth)
{
	this_cpu_inc(cf_hits);
	/* cf_victim is NULL: this is the fault. */
	cf_victim->number = widget->number + depth;
	barrier();
	return cf_victim->number;
}

static noinline int cf_level2(struct cf_widget *widget, int depth)
{
	int sum = cf_level3(widget, depth + 1);

	barrier();
	return sum + widget->number;
}

static noinline int cf_level1(int depth)
{
	struct cf_widget *widget = list_first_entry(&cf_widgets, struct cf_widget, node);
	int sum = cf_level2(widget, depth + 1);

	barrier();
	return sum + depth;
}

static noinline int cf_bug(const char *why)
{
	struct cf_widget *widget = list_last_entry(&cf_widgets, struct cf_widget, node);

	BUG_ON(widget->number != 0 && why);
	return widget->number;
}

static int cf_take(struct mutex *first, struct mutex *second)
{
	mutex_lock(first);
	msleep(500);
	mutex_lock(second);
	mutex_unlock(second);
	mutex_unlock(first);
	return 0;
}

static int cf_ab(void *unused)
{
	return cf_take(&cf_left, &cf_right);
}

static int cf_ba(void *unused)
{
	return cf_take(&cf_right, &cf_left);
}

static noinline int cf_run(const char *name)
{
	static const struct cf_kind *const tables[] = {
		cf_access_kinds, cf_stall_kinds, cf_wait_kinds, cf_bad_kinds,
	};
	const struct cf_kind *kind;
	int ret;
	int i;

	for (i = 0; i < ARRAY_SIZE(tables); i++) {
		for (kind = tables[i]; kind->name; kind++) {
			if (sysfs_streq(name, kind->name)) {
				ret = kind->run();
				barrier();
				return ret;
			}
		}
	}
	return -EINVAL;
}

static int cf_trigger(const char *value, const struct kernel_param *param)
{
	int ret;

	if (sysfs_streq(value, "null")) {
		ret = cf_level1(0);
	} else if (sysfs_streq(value, "bug")) {
		ret = cf_bug(value);
	} else if (sysfs_streq(value, "deadlock")) {
		ret = PTR_ERR_OR_ZERO(kthread_run(cf_ab, NULL, "cf_ab"));
		if (!ret)
			ret = PTR_ERR_OR_ZERO(kthread_run(cf_ba, NULL, "cf_ba"));
	} else {
		ret = cf_run(value);
	}
	barrier();
	return ret;
}

static const struct kernel_param_ops cf_trigger_ops = { .set = cf_trigger };
module_param_cb(trigger, &cf_trigger_ops, NULL, 0200);
MODULE_PARM_DESC(trigger, "null, bug, deadlock, or a name of the tables of kinds");

static int __init cf_add(int number, enum cf_color color, const char *name, u32 weight)
{
	struct cf_widget *widget = kzalloc(sizeof(*widget) + 8, GFP_KERNEL);
	int i;

	if (!widget)
		return -ENOMEM;
	widget->number = number;
	widget->color = color;
	strscpy(widget->name, name, sizeof(widget->name));
	widget->measure.weight = weight;
	widget->measure.height = weight + 1;
	widget->parts[0].teeth = 21;
	widget->parts[0].bias = -5;
	widget->parts[1].sealed = 1;
	widget->act = cf_act;
	widget->tail_length = 8;
	for (i = 0; i < 8; i++)
		widget->tail[i] = 0xa0 + i;
	list_add_tail(&widget->node, &cf_widgets);
	return 0;
}

static int __init cf_init(void)
{
	return cf_add(7, CF_RED, "anvil", 1234) ?:
	       cf_add(-3, CF_GREEN, "bolt", 17) ?:
	       cf_add(2000000000, CF_BLUE, "cog", 1) ?:
	       cf_wait_init();
}
module_init(cf_init);

/* No exit: a corefile's module is never unloaded. */
MODULE_DESCRIPTION("Dies on request, for crash dumps");
MODULE_LICENSE("Dual BSD/GPL");
