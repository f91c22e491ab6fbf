#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif

struct plain {
	int a;
	char b;
};

struct tight {
	char a;
	int b;
	struct plain c;
	short int d;
} __attribute__((packed));

struct holds_tight {
	char a;
	struct tight b;
	int c;
};

struct packed_by_size {
	int a;
	char b;
} __attribute__((packed));

struct packed_bits {
	char a;
	int b: 20;
	int c: 20;
	long int d;
} __attribute__((packed));

union half {
	char bytes[3];
	short int s;
} __attribute__((packed));

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

#endif /* __VMLINUX_H__ */
