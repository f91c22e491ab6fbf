"""``ipcs -M``: shared memory segments, each with its pages and its inode.

Facts: ``ipc/shm.c`` (struct shmid_kernel.shm_file); ``struct shmem_inode_info.swapped``;
``struct address_space.nrpages``.
"""

from __future__ import annotations

from typing import Any

import drgn
from drgn.commands import CommandError

from btfdbg.commands import tables
from btfdbg.commands.crash.call import Call, private


def segments(call: Call) -> None:
    """A row for each segment of the task's namespace, or of the one that is named."""
    from drgn.helpers.linux.ipc import for_each_sysv_shm
    from drgn.helpers.linux.user import kuid_val

    task = private("crash_get_context")(call.prog, getattr(call.args, "task", None))
    page = call.prog["PAGE_SIZE"].value_()
    rows: list[tuple[Any, ...]] = [(
        "SHMID_KERNEL", "KEY", "SHMID", "UID", "PERMS", "BYTES", "NATTCH", "ALLOCATED",
        "RESIDENT", "SWAPPED", "INODE",
    )]  # fmt: skip
    for segment in for_each_sysv_shm(task.nsproxy.ipc_ns):
        permissions = segment.shm_perm
        inode = segment.shm_file.f_inode.read_()
        rows.append((
            tables.hexadecimal(segment.value_()), f"{permissions.key.value_():08x}",
            permissions.id.value_(), kuid_val(permissions.uid),
            f"{permissions.mode.value_() & 0o777:o}", segment.shm_segsz.value_(),
            segment.shm_nattch.value_(), -(-segment.shm_segsz.value_() // page), *_pages(inode),
            tables.hexadecimal(inode.value_()),
        ))  # fmt: skip
    if len(rows) == 1:
        raise CommandError("-M: no shared memory segment in this namespace")
    tables.section(rows)


def _pages(inode: drgn.Object) -> tuple[Any, Any]:
    """Pages in memory and in swap; the latter is known of a tmpfs file only."""
    from drgn import container_of

    resident = inode.i_mapping.nrpages.value_()
    try:
        operations = inode.prog_.symbol("shmem_aops").address
    except LookupError:
        operations = None
    if operations is not None and inode.i_mapping.a_ops.value_() != operations:
        return resident, None  # huge pages
    info = container_of(inode, "struct shmem_inode_info", "vfs_inode")
    return resident, info.swapped.value_()
