// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Bad accesses by what is accessed: members of all sizes and shapes of a
 * struct that a parameter points to.
 */
#include <linux/atomic.h>
#include <linux/errno.h>
#include <linux/string.h>

#include "cf_bad.h"

CF_OF_BOX(read1, return box->b1;)
CF_OF_BOX(read_s1, return box->s1;)
CF_OF_BOX(read_bool, return box->ok ? 3 : 5;)
CF_OF_BOX(read2, return box->b2;)
CF_OF_BOX(read_s2, return box->s2;)
CF_OF_BOX(read4, return box->b4;)
CF_OF_BOX(read_s4, return (s64)box->s4;)
CF_OF_BOX(read8, return box->b8;)
CF_OF_BOX(write1, box->b1 = 7; return 0;)
CF_OF_BOX(write2, box->b2 = 7; return 0;)
CF_OF_BOX(write4, box->b4 = 7; return 0;)
CF_OF_BOX(write8, box->b8 = 7; return 0;)
CF_OF_BOX(add4, box->b4 += 3; return 0;)
CF_OF_BOX(or2, box->b2 |= 0x10; return 0;)
CF_OF_BOX(compare, return box->s4 > 17 ? 4 : 6;)
CF_OF_BOX(nested, return box->in.total;)
CF_OF_BOX(deeper, return box->in.point.y;)
CF_OF_BOX(write_nested, box->in.port = 80; return 0;)
CF_OF_BOX(in_array, return box->ins[2].total;)
CF_OF_BOX(write_array, box->ins[3].count = 9; return 0;)
CF_OF_BOX(element, return box->words[5];)
CF_OF_BOX(grid, return box->grid[1][2];)
CF_OF_BOX(bits_low, return box->low;)
CF_OF_BOX(bits_mid, return box->mid;)
CF_OF_BOX(bits_write, box->high = 5; return 0;)
CF_OF_BOX(union_whole, return box->raw;)
CF_OF_BOX(union_half, return box->second;)
CF_OF_BOX(union_write, box->second = 4; return 0;)
CF_OF_BOX(count_users, atomic_inc(&box->users); return 0;)
CF_OF_BOX(count_bytes, atomic64_add(5, &box->bytes_seen); return 0;)
CF_OF_BOX(read_users, return atomic_read(&box->users);)
CF_OF_BOX(first_char, return box->name[0];)
CF_OF_BOX(last_char, return box->name[15];)
CF_OF_BOX(pair, return box->in.count + (u64)box->in.port * box->in.flag;)
CF_OF_BOX(two_members, box->list.next = NULL; box->list.prev = NULL; return 0;)

#define CF_INDEXED(_name, ...)							\
static cf_frame u64 cf_##_name(struct cf_box *box, unsigned int i)		\
{										\
	__VA_ARGS__								\
}										\
static cf_frame u64 cf_run_##_name(unsigned long bad)				\
{										\
	unsigned int i = 3;							\
	u64 sum;								\
										\
	OPTIMIZER_HIDE_VAR(i);							\
	sum = cf_##_name((struct cf_box *)bad, i);				\
	barrier();								\
	return sum;								\
}

CF_INDEXED(words_i, return box->words[i];)
CF_INDEXED(words_before, return box->words[i - 1];)
CF_INDEXED(shorts_i, box->shorts[i] = 1; return 0;)
CF_INDEXED(bytes_i, return box->bytes[i];)
CF_INDEXED(grid_i, return box->grid[1][i];)
CF_INDEXED(ins_i, return box->ins[i].total;)
CF_INDEXED(ins_port, box->ins[i].port = i; return 0;)
CF_INDEXED(table_i, return box->table[i]->b4;)

CF_OF_BOX(copy_out, struct cf_inner copy; memcpy(&copy, &box->in, sizeof(copy));
	  OPTIMIZER_HIDE_VAR(box); return copy.total + copy.count;)
CF_OF_BOX(assign, cf_new_box()->in = box->ins[1]; return 0;)
CF_OF_BOX(clear, memset(&box->words, 0, sizeof(box->words)); return 0;)
CF_OF_BOX(sum_words, u64 sum = 0; int i;
	  for (i = 0; i < 8; i++) sum += box->words[i] ^ sum << 3; return sum;)

const struct cf_bad cf_bad_members[] = {
	CF_BAD(read1, cf_box, b1, 0, "box", 0),
	CF_BAD(read_s1, cf_box, s1, 0, "box", CF_FREED),
	CF_BAD(read_bool, cf_box, ok, 0, "box", 0),
	CF_BAD(read2, cf_box, b2, 0, "box", CF_WILD),
	CF_BAD(read_s2, cf_box, s2, 0, "box", CF_USERS),
	CF_BAD(read4, cf_box, b4, 0, "box", 0x18),
	CF_BAD(read_s4, cf_box, s4, 0, "box", CF_ERROR),
	CF_BAD(read8, cf_box, b8, 0, "box", 0),
	CF_BAD(write1, cf_box, b1, 1, "box", CF_FREED),
	CF_BAD(write2, cf_box, b2, 1, "box", 0),
	CF_BAD(write4, cf_box, b4, 1, "box", CF_WILD),
	CF_BAD(write8, cf_box, b8, 1, "box", CF_USERS),
	CF_BAD(add4, cf_box, b4, CF_CHANGES, "box", 0),
	CF_BAD(or2, cf_box, b2, CF_CHANGES, "box", CF_GONE),
	CF_BAD(compare, cf_box, s4, 0, "box", 0),
	CF_BAD(nested, cf_box, in.total, 0, "box", 0),
	CF_BAD(deeper, cf_box, in.point.y, 0, "box", CF_FREED),
	CF_BAD(write_nested, cf_box, in.port, 1, "box", 0x100),
	CF_BAD(in_array, cf_box, ins[2].total, 0, "box", 0),
	CF_BAD(write_array, cf_box, ins[3].count, 1, "box", CF_WILD),
	CF_BAD(element, cf_box, words[5], 0, "box", 0),
	CF_BAD(grid, cf_box, grid[1][2], 0, "box", CF_USERS),
	CF_BAD_BITS(bits_low, cf_box, low, 0, "box", 0),
	CF_BAD_BITS(bits_mid, cf_box, mid, 0, "box", CF_FREED),
	CF_BAD_BITS(bits_write, cf_box, high, CF_CHANGES, "box", 0),
	CF_BAD(union_whole, cf_box, raw, 0, "box", 0),
	CF_BAD(union_half, cf_box, second, 0, "box", CF_ERROR),
	CF_BAD(union_write, cf_box, second, 1, "box", 0),
	CF_BAD(count_users, cf_box, users, CF_CHANGES, "box", 0),
	CF_BAD(count_bytes, cf_box, bytes_seen, CF_CHANGES, "box", CF_FREED),
	CF_BAD(read_users, cf_box, users, 0, "box", CF_USERS),
	CF_BAD(first_char, cf_box, name[0], 0, "box", 0),
	CF_BAD(last_char, cf_box, name[15], 0, "box", 0),
	CF_BAD(pair, cf_box, in, 0, "box", 0),
	CF_BAD(two_members, cf_box, list, 1, "box", 0),
	CF_BAD(words_i, cf_box, words[3], 0, "box", 0),
	CF_BAD(words_before, cf_box, words[2], 0, "box", 0),
	CF_BAD(shorts_i, cf_box, shorts[3], 1, "box", CF_FREED),
	CF_BAD(bytes_i, cf_box, bytes[3], 0, "box", CF_WILD),
	CF_BAD(grid_i, cf_box, grid[1][3], 0, "box", 0),
	CF_BAD(ins_i, cf_box, ins[3].total, 0, "box", CF_USERS),
	CF_BAD(ins_port, cf_box, ins[3].port, 1, "box", 0),
	CF_BAD(table_i, cf_box, table, 0, "box", 0),
	CF_BAD(copy_out, cf_box, in, 0, "box", 0),
	CF_BAD(assign, cf_box, ins[1], 0, "box", CF_FREED),
	CF_BAD(clear, cf_box, words, 1, "box", 0),
	CF_BAD(sum_words, cf_box, words[0], 0, "box", 0),
	{}
};
