#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif

typedef int num;

typedef const num *const_num;

typedef char name_t[16];

struct object;

typedef int (*callback)(struct object *, const char *, ...);

struct object {
	int x;
	const char * const text;
	volatile int * restrict v;
	int (*open)(struct object *, int);
	void (*close)(void);
	char *(*names)[8];
	int (*handlers[2])(struct object *);
	struct object **children;
	num grid[6];
	struct {
		int in_anonymous;
		union {
			int one;
			float two;
		};
	};
	struct {
		int in_named;
	} named;
	struct {
		int in_named;
	} array[2];
	enum {
		FIRST = 0,
		SECOND = 1,
	} kind;
	unsigned char flexible[0];
};

typedef void (* (*nested)(int, callback))(void);

typedef int matrix[12];

typedef int (*row)[4];

typedef callback table[2];

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

#endif /* __VMLINUX_H__ */
