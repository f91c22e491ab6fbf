// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Bad accesses by where the pointer came from: globals, per-CPU variables,
 * other objects, results, lists and trees, and calls through what is not code.
 */
#include <linux/err.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/smp.h>

#include "cf_bad.h"

/* Not static: a module's own globals must show up by name. */
struct cf_box *cf_lost_box;
struct cf_box *cf_box_table[4];
struct cf_box cf_root_box;
DEFINE_PER_CPU(struct cf_box *, cf_cpu_box);
LIST_HEAD(cf_bad_list);
LIST_HEAD(cf_shared_list);

/* Lets a function of a sound box run, in which something is bad. */
#define CF_IN_BOX(_name, _spoil, ...)						\
static cf_frame u64 cf_##_name(struct cf_box *box)				\
{										\
	__VA_ARGS__								\
}										\
static cf_frame u64 cf_run_##_name(unsigned long bad)				\
{										\
	struct cf_box *box = cf_new_box();					\
	u64 sum;								\
										\
	_spoil;									\
	sum = cf_##_name(box);							\
	barrier();								\
	return sum;								\
}

static cf_frame int cf_note(struct cf_box *box, int how)
{
	return READ_ONCE(box->b4) + how;
}

static cf_frame struct cf_box *cf_find_box(struct cf_box *box)
{
	return READ_ONCE(box->peer);
}

static cf_frame int cf_note_node(struct cf_node *node, int how)
{
	return READ_ONCE(node->key) + how;
}

static __always_inline struct cf_node *cf_node_of(struct cf_box *box)
{
	return box->peer->node;
}

static __always_inline u64 cf_total_of(struct cf_node *node)
{
	return node->inner.total;
}

/* Pointers out of variables. */
static cf_frame u64 cf_of_global(int how)
{
	return READ_ONCE(cf_lost_box)->b8 + how;
}

static cf_frame void cf_lose(struct cf_box *box)
{
	WRITE_ONCE(cf_lost_box, box);
}

static cf_frame u64 cf_run_of_global(unsigned long bad)
{
	cf_lose((struct cf_box *)bad);
	return cf_of_global(2) + 1;
}

static cf_frame u64 cf_of_root(int how)
{
	return READ_ONCE(cf_root_box.peer)->b2 + how;
}

static cf_frame u64 cf_run_of_root(unsigned long bad)
{
	WRITE_ONCE(cf_root_box.peer, (struct cf_box *)bad);
	return cf_of_root(2) + cf_note(&cf_root_box, 1);
}

static cf_frame u64 cf_of_table(unsigned int i)
{
	return READ_ONCE(cf_box_table[2])->in.count + i;
}

static cf_frame u64 cf_run_of_table(unsigned long bad)
{
	WRITE_ONCE(cf_box_table[2], (struct cf_box *)bad);
	return cf_of_table(2) + 1;
}

static cf_frame u64 cf_of_table_i(unsigned int i)
{
	return READ_ONCE(cf_box_table[i])->in.count + i;
}

static cf_frame u64 cf_run_of_table_i(unsigned long bad)
{
	WRITE_ONCE(cf_box_table[1], (struct cf_box *)bad);
	return cf_of_table_i(1) + 1;
}

static cf_frame u64 cf_of_cpu(int how)
{
	return this_cpu_read(cf_cpu_box)->b8 + how;
}

static cf_frame u64 cf_run_of_cpu(unsigned long bad)
{
	int cpu;

	for_each_possible_cpu(cpu)
		per_cpu(cf_cpu_box, cpu) = (struct cf_box *)bad;
	return cf_of_cpu(2) + 1;
}

/* Pointers out of other objects. */
CF_IN_BOX(of_peer, box->peer = (void *)bad, return box->peer->b8;)
CF_IN_BOX(write_peer, box->peer = (void *)bad, box->peer->b1 = 4; return 0;)
CF_IN_BOX(of_peers_peer, box->peer = cf_new_box(); box->peer->peer = (void *)bad,
	  return box->peer->peer->s4;)
CF_IN_BOX(of_node, box->node = (void *)bad, return box->node->inner.total;)
CF_IN_BOX(of_either, box->either.as_node = (void *)bad, return box->either.as_node->key;)
CF_IN_BOX(of_twin, box->peer = (void *)bad, return box->peer->either.as_number;)
CF_IN_BOX(of_ops, box->ops = (void *)bad, return box->ops->stat(box, 5) + 2;)
CF_IN_BOX(inlined, box->peer = cf_new_box(); box->peer->node = (void *)bad,
	  return cf_total_of(cf_node_of(box));)
CF_IN_BOX(inlined_early, box->peer = (void *)bad, return cf_total_of(cf_node_of(box));)
CF_IN_BOX(of_table_member, box->table = cf_box_table; cf_box_table[3] = (void *)bad,
	  return box->table[3]->b4;)
CF_IN_BOX(private, box->private = (void *)bad, return ((struct cf_node *)box->private)->key;)

/* After calls: in saved registers, on the stack. */
CF_IN_BOX(after_call, box->peer = (void *)bad, struct cf_box *peer = box->peer;
	  int sum = cf_note(box, 3); return peer->b8 + sum;)
CF_IN_BOX(after_calls, box->peer = (void *)bad, u64 a = cf_note(box, 1); u64 b = cf_note(box, 2);
	  u64 c = cf_note(box, 3); u64 d = cf_note(box, 4); u64 e = cf_note(box, 5);
	  u64 f = cf_note(box, 6); u64 g = cf_note(box, 7);
	  return (a ^ b << 1 ^ c << 2) + (d ^ e << 3 ^ f << 4) * g + box->peer->in.total;)
CF_IN_BOX(result, box->peer = (void *)bad, return cf_find_box(box)->b2;)
CF_IN_BOX(result_kept, box->peer = (void *)bad, struct cf_box *found = cf_find_box(box);
	  int sum = cf_note(box, 3); return found->in.count + sum;)
CF_IN_BOX(result_written, box->peer = (void *)bad, cf_find_box(box)->ins[1].flag = 1; return 0;)
CF_IN_BOX(either_way, box->peer = (void *)bad,
	  struct cf_box *other = box->b4 > 7 ? box : box->peer; return other->s2;)

static cf_frame u64 cf_sixth(int a, int b, int c, int d, int e, struct cf_box *box)
{
	return box->in.port + a + b * c + d * e;
}

static cf_frame u64 cf_run_sixth(unsigned long bad)
{
	return cf_sixth(1, 2, 3, 4, 5, (struct cf_box *)bad) + 1;
}

static cf_frame u64 cf_tenth(int a, int b, int c, int d, int e, int f, int g, int h, int i,
			     struct cf_box *box)
{
	return box->b8 + a + b * c + d * e + f * g + h * i;
}

static cf_frame u64 cf_run_tenth(unsigned long bad)
{
	return cf_tenth(1, 2, 3, 4, 5, 6, 7, 8, 9, (struct cf_box *)bad) + 1;
}

static cf_frame u64 cf_keep(struct cf_box **where)
{
	return (*where)->s4;
}

static cf_frame u64 cf_run_keep(unsigned long bad)
{
	struct cf_box *box = (struct cf_box *)bad;
	u64 sum = cf_keep(&box);

	barrier();
	return sum;
}

/* Lists and trees. */
static cf_frame u64 cf_chain(struct cf_node *node)
{
	u64 sum = 0;

	while (node->key != 7) {
		sum += node->inner.count;
		node = node->next;
	}
	return sum;
}

static cf_frame u64 cf_run_chain(unsigned long bad)
{
	struct cf_node *node = kzalloc(sizeof(*node), GFP_KERNEL);

	node->next = (struct cf_node *)bad;
	return cf_chain(node) + 1;
}

static cf_frame u64 cf_descend(struct cf_node *node, int key)
{
	for (;;) {
		if (node->key == key)
			return node->inner.total;
		node = key < node->key ? node->left : node->right;
	}
}

static cf_frame u64 cf_run_descend(unsigned long bad)
{
	struct cf_node *node = kzalloc(sizeof(*node), GFP_KERNEL);

	node->left = node;
	node->right = (struct cf_node *)bad;
	return cf_descend(node, 3) + 1;
}

CF_IN_BOX(list_first, box->list.next = (void *)bad,
	  return list_first_entry(&box->list, struct cf_node, link)->key;)
CF_IN_BOX(list_walk, box->list.next = (void *)bad, struct cf_node *node; u64 sum = 0;
	  list_for_each_entry(node, &box->list, link) sum += node->inner.count; return sum;)
CF_IN_BOX(list_global, cf_bad_list.next = (void *)bad, struct cf_node *node; u64 sum = 0;
	  list_for_each_entry(node, &cf_bad_list, link) sum += node->key; return sum;)
CF_IN_BOX(list_noted, box->list.next = (void *)bad, struct cf_node *node; u64 sum = 0;
	  list_for_each_entry(node, &box->list, link)
		  if (node->inner.total > 3) sum += cf_note_node(node, 2); return sum;)
CF_IN_BOX(hash_noted, box->heads[2].first = (void *)bad, struct cf_node *node; u64 sum = 0;
	  hlist_for_each_entry(node, &box->heads[2], hash)
		  if (node->inner.total > 3) sum += cf_note_node(node, 1); return sum;)
CF_IN_BOX(tree_noted, box->tree.rb_node = (void *)bad,
	  struct cf_node *node = rb_entry(box->tree.rb_node, struct cf_node, rb);
	  if (node->inner.count > 3) return cf_note_node(node, 4); return 0;)

/* Walks the same list as the one below, and says what is in it. */
u64 cf_note_all(void)
{
	struct cf_node *node;
	u64 sum = 0;

	list_for_each_entry(node, &cf_shared_list, link)
		sum += cf_note_node(node, 3);
	return sum;
}

CF_IN_BOX(list_shared, cf_shared_list.next = (void *)bad, struct cf_node *node; u64 sum = 0;
	  list_for_each_entry(node, &cf_shared_list, link) sum += node->inner.port; return sum;)
CF_IN_BOX(list_entry_prev, box->list.prev = (void *)bad,
	  return list_last_entry(&box->list, struct cf_box, list)->b8;)
CF_IN_BOX(hash_walk, box->heads[1].first = (void *)bad, struct cf_node *node; u64 sum = 0;
	  hlist_for_each_entry(node, &box->heads[1], hash) sum += node->key; return sum;)
CF_IN_BOX(tree_root, box->tree.rb_node = (void *)bad,
	  return rb_entry(box->tree.rb_node, struct cf_node, rb)->key;)

/* Calls through what is no code. */
CF_IN_BOX(call_stat, struct cf_ops *ops = kzalloc(sizeof(*ops), GFP_KERNEL);
	  ops->stat = (void *)bad; box->ops = ops, return box->ops->stat(box, 3) + 1;)
CF_IN_BOX(call_open, struct cf_ops *ops = kzalloc(sizeof(*ops), GFP_KERNEL);
	  ops->open = (void *)bad; box->ops = ops, return box->ops->open(box) ? 4 : 6;)

const struct cf_bad cf_bad_ways[] = {
	CF_BAD(of_global, cf_box, b8, 0, "cf_lost_box", 0),
	CF_BAD(of_root, cf_box, b2, 0, "cf_root_box.peer", CF_FREED),
	CF_BAD(of_table, cf_box, in.count, 0, "cf_box_table[2]", 0),
	CF_BAD(of_table_i, cf_box, in.count, 0, "", 0),
	CF_BAD(of_cpu, cf_box, b8, 0, "this_cpu(cf_cpu_box)", 0),
	CF_BAD(of_peer, cf_box, b8, 0, "box->peer", 0),
	CF_BAD(write_peer, cf_box, b1, 1, "box->peer", CF_FREED),
	CF_BAD(of_peers_peer, cf_box, s4, 0, "box->peer->peer", CF_WILD),
	CF_BAD(of_node, cf_node, inner.total, 0, "box->node", 0),
	CF_BAD(of_either, cf_node, key, 0, "", CF_FREED),
	CF_BAD(of_twin, cf_box, either.as_number, 0, "box->peer", 0),
	CF_BAD(of_ops, cf_ops, stat, 0, "box->ops", 0),
	CF_BAD(inlined, cf_node, inner.total, 0, "box->peer->node", CF_USERS),
	CF_BAD(inlined_early, cf_box, node, 0, "box->peer", 0),
	CF_BAD(of_table_member, cf_box, b4, 0, "", CF_GONE),
	CF_BAD(private, cf_node, key, 0, "box->private", 0),
	CF_BAD(after_call, cf_box, b8, 0, "box->peer", 0),
	CF_BAD(after_calls, cf_box, in.total, 0, "box->peer", CF_FREED),
	CF_BAD(result, cf_box, b2, 0, "cf_find_box()", 0),
	CF_BAD(result_kept, cf_box, in.count, 0, "cf_find_box()", CF_ERROR),
	CF_BAD(result_written, cf_box, ins[1].flag, 1, "cf_find_box()", 0),
	CF_BAD(either_way, cf_box, s2, 0, "", 0),
	CF_BAD(sixth, cf_box, in.port, 0, "box", 0),
	CF_BAD(tenth, cf_box, b8, 0, "box", CF_WILD),
	CF_BAD(keep, cf_box, s4, 0, "*where", 0),
	CF_BAD(chain, cf_node, key, 0, "", 0),
	CF_BAD(descend, cf_node, key, 0, "", CF_FREED),
	CF_BAD(list_first, cf_node, key, 0, "", 0),
	CF_BAD(list_walk, cf_node, inner.count, 0, "", CF_FREED),
	CF_BAD(list_global, cf_node, key, 0, "", CF_GONE),
	CF_BAD(list_noted, cf_node, inner.total, 0, "", CF_GONE),
	CF_BAD(hash_noted, cf_node, inner.total, 0, "", CF_FREED),
	CF_BAD(tree_noted, cf_node, inner.count, 0, "", 0),
	CF_BAD(list_shared, cf_node, inner.port, 0, "", CF_FREED),
	CF_BAD(list_entry_prev, cf_box, b8, 0, "", 0x1000),
	CF_BAD(hash_walk, cf_node, key, 0, "", CF_FREED),
	CF_BAD(tree_root, cf_node, key, 0, "", 0),
	CF_BAD(call_stat, cf_ops, stat, CF_CALLS, "box->ops->stat", 0),
	CF_BAD(call_open, cf_ops, open, CF_CALLS, "box->ops->open", CF_USERS),
	{}
};
