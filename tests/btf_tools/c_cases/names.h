#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif

struct s {
	int a;
};

struct s___2 {
	struct s *p;
};

typedef struct s___2 s;

typedef struct s s___2;

enum e {
	s___3 = 1,
	v = 2,
};

enum e___2 {
	v___2 = -1,
	w = 3,
} __attribute__((mode(byte)));

enum big {
	x = 4294967296ULL,
};

enum small {
	y = -1LL,
};

union later;

union uses {
	union later *l;
	enum e___2 e;
	s___2 t;
};

enum fwd;

struct b;

struct a {
	struct b *b;
};

struct c;

struct b {
	struct a a;
	struct b *self;
	void (*f)(struct c *);
};

struct c {
	struct b b;
};

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

#endif /* __VMLINUX_H__ */
