/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What the files of the module share: its types, its globals and the rows of
 * what it can be asked for.
 */
#ifndef CF_FAULT_H
#define CF_FAULT_H

#include <linux/compiler.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>

enum cf_color { CF_RED = 1, CF_GREEN = 2, CF_BLUE = -4 };

struct cf_parts {
	u32 teeth : 5;
	s32 bias : 7;
	u32 sealed : 1;
};

union cf_measure {
	u64 raw;
	struct {
		u32 weight;
		u32 height;
	};
};

struct cf_widget {
	struct list_head node;
	int number;
	enum cf_color color;
	char name[16];
	union cf_measure measure;
	struct cf_parts parts[2];
	void (*act)(struct cf_widget *widget, int how);
	struct cf_widget *next_of_color[3];
	u8 tail_length;
	u8 tail[];
};

/* One thing that the module does when asked for it by name. */
struct cf_kind {
	const char *name;
	int (*run)(void);
};

/* A frame that stays one, under its own name. */
#define cf_frame noinline __noclone

extern struct list_head cf_widgets;
extern struct mutex cf_left;
extern struct mutex cf_right;

/* Each ends with a row without a name. */
extern const struct cf_kind cf_access_kinds[];
extern const struct cf_kind cf_stall_kinds[];
extern const struct cf_kind cf_wait_kinds[];
extern const struct cf_kind cf_bad_kinds[];

int cf_wait_init(void);

static inline struct cf_widget *cf_first_widget(void)
{
	return list_first_entry(&cf_widgets, struct cf_widget, node);
}

#endif
