/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Many kinds of bad access: their types, and the rows that say which member
 * each of them dies of.
 */
#ifndef CF_BAD_H
#define CF_BAD_H

#include <linux/completion.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>
#include <linux/stddef.h>
#include <linux/types.h>
#include <linux/wait.h>

#include "cf_fault.h"

struct cf_inner {
	u8 flag;
	u16 port;
	u32 count;
	u64 total;
	struct {
		s16 x;
		s16 y;
	} point;
};

struct cf_node {
	struct list_head link;
	struct hlist_node hash;
	struct rb_node rb;
	int key;
	struct cf_inner inner;
	struct cf_node *next;
	struct cf_node *left, *right;
};

struct cf_box;

struct cf_ops {
	int (*open)(struct cf_box *box);
	u64 (*stat)(struct cf_box *box, int how);
};

struct cf_box {
	u8 b1;
	s8 s1;
	bool ok;
	u16 b2;
	s16 s2;
	u32 b4;
	s32 s4;
	u64 b8;
	struct cf_inner in;
	struct cf_inner ins[4];
	u32 words[8];
	u16 shorts[8];
	u8 bytes[16];
	u64 grid[2][4];
	u32 low : 3, mid : 9, high : 20;
	union {
		u64 raw;
		struct {
			u32 first;
			u32 second;
		};
	};
	union {
		u64 as_number;
		struct cf_node *as_node;
	} either;
	struct cf_node *node;
	struct cf_box *peer;
	const struct cf_ops *ops;
	struct cf_box **table;
	void *private;
	struct list_head list;
	struct hlist_head heads[4];
	struct rb_root tree;
	struct mutex lock;
	spinlock_t spin;
	atomic_t users;
	atomic64_t bytes_seen;
	struct kref kref;
	struct completion done;
	wait_queue_head_t queue;
	char name[16];
	char *label;
};

/*
 * A row: what is accessed.
 *
 * The member's path is counted from the type that the source names, whatever
 * type the register's pointer has when it faults. The pointer is spelled as
 * the source has it; empty where there is more than one way to.
 */
struct cf_bad {
	const char *name;
	const char *type;
	const char *member;
	const char *pointer;
	u32 offset;
	/* 0: read, 1: written, or one of the below. */
	u32 how;
	/* What the pointer is: given to the function, or left somewhere for it. */
	unsigned long bad;
	u64 (*run)(unsigned long bad);
};

#define CF_BAD(_name, _type, _member, _how, _pointer, _bad)		\
	{									\
		.name = #_name, .type = #_type, .member = #_member,		\
		.pointer = _pointer, .offset = offsetof(struct _type, _member),	\
		.how = _how, .bad = _bad, .run = cf_run_##_name,	\
	}
/* A bit-field has no offset that C would tell. */
#define CF_BAD_BITS(_name, _type, _member, _how, _pointer, _bad)		\
	{									\
		.name = #_name, .type = #_type, .member = #_member,		\
		.pointer = _pointer, .offset = ~0U,				\
		.how = _how, .bad = _bad, .run = cf_run_##_name,	\
	}
/* What a kernel's function accesses first in an object: the offset is the machine's to tell. */
#define CF_BAD_IN(_name, _type, _bad)				\
	{									\
		.name = #_name, .type = #_type, .member = "",			\
		.pointer = "", .offset = ~0U + 0 * sizeof(struct _type),	\
		.how = CF_CHANGES, .bad = _bad, .run = cf_run_##_name,	\
	}
/* An indirect call: the member is the one that holds the pointer. */
#define CF_CALLS 2
/* Read, changed and written back: which of them faults is the machine's to say. */
#define CF_CHANGES 3

#define CF_FREED 0x6b6b6b6b6b6b6b6bUL
#define CF_WILD 0x5a5a00005a5a0000UL
#define CF_USERS 0x10000UL
#define CF_ERROR ((unsigned long)-ENOMEM)
#define CF_GONE 0xdead000000000100UL

/* A function of one box, and how to run it. */
#define CF_OF_BOX(_name, ...)							\
static cf_frame u64 cf_##_name(struct cf_box *box)				\
{										\
	__VA_ARGS__								\
}										\
static cf_frame u64 cf_run_##_name(unsigned long bad)				\
{										\
	u64 sum = cf_##_name((struct cf_box *)bad);				\
										\
	barrier();								\
	return sum;								\
}

struct cf_box *cf_new_box(void);
u64 cf_note_all(void);

/* Each ends with a row without a name. */
extern const struct cf_bad cf_bad_members[];
extern const struct cf_bad cf_bad_ways[];
extern const struct cf_bad cf_bad_calls[];

#endif
