#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif

/* enum color: the encoder wrote no signs: whether 0xffffffff is -1 is not known */
struct bits {
	int a: 1;
	unsigned int b: 3;
	char: 4;
	char c: 4;
	int d: 20;
	long: 32;
	long int e: 33;
	_Bool f: 1;
	char g;
};

struct holes_between {
	int a: 4;
	short int b;
	int c: 3;
};

enum color {
	RED = 0,
	BLUE = 4294967295,
};

struct enum_bits {
	enum color c: 2;
	char: 6;
	unsigned char d: 7;
};

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

#endif /* __VMLINUX_H__ */
