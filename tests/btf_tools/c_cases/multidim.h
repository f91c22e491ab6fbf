#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif

typedef int matrix[2][3];

struct s {
	int grid[2][3];
	int (*p)[2][3];
	int (* (*handlers[4])(int(*)[2][3], int (* const rows)[2][3]))[2][3];
	int c[3];
	int __attribute__((btf_type_tag("user"))) *user;
	int end[2][3];
};

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

#endif /* __VMLINUX_H__ */
