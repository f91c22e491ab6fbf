// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * What a kernel dies of at once: bad pointers, bad arithmetic, broken lists.
 *
 * Each kind runs in the task that asked for it, at least two frames deep. The
 * innermost frame of ours is the guilty function.
 */
#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/mm_types.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "cf_fault.h"

struct cf_order {
	struct list_head node;
	refcount_t users;
	u32 number;
};

/* Not static: a module's own globals must show up by name. */
LIST_HEAD(cf_orders);
struct cf_widget *cf_stale;
struct cf_order *cf_order_in_hand;
const int cf_prices[4] = { 3, 5, 8, 13 };

/* Reads a member through whatever it is given. */
static cf_frame int cf_weigh(struct cf_widget *widget)
{
	return widget->measure.height;
}

static cf_frame int cf_weigh_wild(void)
{
	struct cf_widget *widget = cf_first_widget();
	int sum;

	/* Not canonical on x86-64, outside both halves on arm64. */
	widget->next_of_color[2] = (struct cf_widget *)0x5a5a00005a5a0000;
	sum = cf_weigh(widget->next_of_color[2]);
	barrier();
	return sum;
}

static cf_frame int cf_weigh_users(void)
{
	/* Never mapped: the first page of what a user may map. */
	struct cf_widget *widget = (struct cf_widget *)0x10000;
	int sum;

	OPTIMIZER_HIDE_VAR(widget);
	sum = cf_weigh(widget);
	barrier();
	return sum;
}

static cf_frame int cf_read_stale(struct cf_widget *widget)
{
	return widget->next_of_color[1]->number;
}

static cf_frame int cf_use_after_free(void)
{
	struct cf_widget *widget = kzalloc(sizeof(*widget), GFP_KERNEL);
	int sum;

	if (!widget)
		return -ENOMEM;
	widget->next_of_color[1] = cf_first_widget();
	WRITE_ONCE(cf_stale, widget);
	kfree(widget);
	sum = cf_read_stale(READ_ONCE(cf_stale));
	barrier();
	return sum;
}

static cf_frame int cf_share(struct cf_widget *widget, int among)
{
	return widget->number / among;
}

static cf_frame int cf_divide(void)
{
	struct cf_widget *widget = cf_first_widget();
	int sum = cf_share(widget, widget->parts[1].teeth);

	barrier();
	return sum;
}

static cf_frame int cf_illegal(int number)
{
#if defined(CONFIG_X86)
	/*
	 * Known to objtool, which an opcode of nobody's confuses, but not to a
	 * processor that is no hypervisor.
	 */
	asm volatile("vmxoff");
#else
	asm volatile(".long 0");
#endif
	return number;
}

static cf_frame int cf_invalid_opcode(void)
{
	int sum = cf_illegal(cf_first_widget()->number);

	barrier();
	return sum;
}

static cf_frame int cf_call_null(void)
{
	struct cf_widget *widget = cf_first_widget();

	WRITE_ONCE(widget->act, NULL);
	READ_ONCE(widget->act)(widget, 1);
	barrier();
	return widget->number;
}

static cf_frame int cf_call_data(void)
{
	struct cf_widget *widget = cf_first_widget();

	WRITE_ONCE(widget->act, (void (*)(struct cf_widget *, int))widget->tail);
	READ_ONCE(widget->act)(widget, 1);
	barrier();
	return widget->number;
}

static cf_frame int cf_set_price(int *price, int value)
{
	*price = value;
	return value;
}

static cf_frame int cf_write_constant(void)
{
	int *price = (int *)&cf_prices[2];
	int sum;

	OPTIMIZER_HIDE_VAR(price);
	sum = cf_set_price(price, 21);
	barrier();
	return sum;
}

static cf_frame int cf_warn(void)
{
	struct cf_widget *widget = cf_first_widget();

	WARN(widget->number != 0, "widget %s has number %d\n", widget->name, widget->number);
	barrier();
	return 0;
}

static cf_frame struct cf_order *cf_new_order(u32 number)
{
	struct cf_order *order = kzalloc(sizeof(*order), GFP_KERNEL);

	if (!order)
		return NULL;
	order->number = number;
	refcount_set(&order->users, 1);
	list_add_tail(&order->node, &cf_orders);
	return order;
}

static cf_frame int cf_drop_order(struct cf_order *order)
{
	list_del(&order->node);
	return order->number;
}

static cf_frame int cf_corrupt_list(void)
{
	struct cf_order *first = cf_new_order(1);
	struct cf_order *second = cf_new_order(2);
	struct cf_order *third = cf_new_order(3);
	int sum;

	if (!first || !second || !third)
		return -ENOMEM;
	WRITE_ONCE(cf_order_in_hand, second);
	/* The first forgets the second, which still believes to come after it. */
	first->node.next = &third->node;
	sum = cf_drop_order(second);
	barrier();
	return sum;
}

static cf_frame int cf_get_order(struct cf_order *order)
{
	refcount_inc(&order->users);
	return order->number;
}

static cf_frame int cf_overuse(void)
{
	struct cf_order *order = cf_new_order(4);
	int sum;

	if (!order)
		return -ENOMEM;
	WRITE_ONCE(cf_order_in_hand, order);
	if (!refcount_dec_and_test(&order->users))
		return -EINVAL;
	sum = cf_get_order(order);
	barrier();
	return sum;
}

static cf_frame int cf_recurse(struct cf_widget *widget, int depth)
{
	char scratch[200];
	int sum;

	if (depth < 0)
		return 0;
	scratch[0] = depth;
	barrier_data(scratch);
	sum = cf_recurse(widget, depth + 1);
	barrier_data(scratch);
	return sum + scratch[0] + widget->number;
}

static cf_frame int cf_overflow_stack(void)
{
	int sum = cf_recurse(cf_first_widget(), 1);

	barrier();
	return sum;
}

const struct cf_kind cf_access_kinds[] = {
	{ "wild", cf_weigh_wild },
	{ "user", cf_weigh_users },
	{ "stale", cf_use_after_free },
	{ "divide", cf_divide },
	{ "opcode", cf_invalid_opcode },
	{ "callnull", cf_call_null },
	{ "calldata", cf_call_data },
	{ "constant", cf_write_constant },
	{ "warn", cf_warn },
	{ "list", cf_corrupt_list },
	{ "refcount", cf_overuse },
	{ "stack", cf_overflow_stack },
	{}
};
