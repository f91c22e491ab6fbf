#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif

struct inner {
	char a;
	long: 0;
};

struct natural {
	char a;
	int b;
	short int c;
	long int d;
};

struct aligned_end {
	int x;
	long: 64;
	long: 64;
	long: 64;
	long: 64;
	long: 64;
	long: 64;
	long: 64;
};

struct aligned_member {
	char a;
	long: 64;
	int b;
	long: 64;
};

union wide {
	char c;
	long int l;
	int i[5];
};

struct empty {};

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

#endif /* __VMLINUX_H__ */
