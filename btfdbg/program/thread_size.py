"""How large a task's stack is, where neither BTF nor symbols say so; and whether it has one.

Owns the answer for drgn's ``THREAD_SIZE``, which it takes from ``union thread_union`` or from
the symbols around ``init_stack``. A kernel whose BTF lacks that union, and whose kallsyms has
no data symbols, still knows it: stacks are areas of vmalloc, each with a guard page.

Facts: ``alloc_thread_stack_node()`` in kernel/fork.c (``task_struct.stack_vm_area``);
``__get_vm_area_node()`` in mm/vmalloc.c (the guard page counts); ``STACK_END_MAGIC`` in
include/uapi/linux/magic.h, which ``set_task_stack_end_magic()`` writes to the stack's end.
``release_task_stack()`` in kernel/fork.c (the stack is given back before the parent has waited).
"""

from __future__ import annotations

import drgn
from drgn import Object, container_of

from btfdbg.btf import Btf, Kind

_MAGIC = 0x57AC6E9D
_WANTED = 3  # tasks that must agree
_MAX_LOOKED_AT = 64
_LARGEST = 1 << 20


def stack_freed(task: Object) -> bool:
    """
    Whether a task has ended and its stack was given back; its memory is another's then.

    :raises drgn.FaultError: the task cannot be read.
    """
    try:
        return not task.stack.value_()
    except AttributeError:
        return False


def is_unsaid(btf: Btf) -> bool:
    """Whether drgn has to be told: the kernel's BTF lacks ``union thread_union``."""
    return not btf.types_by_name("thread_union", Kind.UNION)


def thread_size(prog: drgn.Program) -> Object | None:
    """
    ``THREAD_SIZE`` in bytes, as an ``unsigned long`` without an address.

    :return: ``None`` where fewer than three tasks show it, or two differ.
    """
    found: list[int] = []
    try:
        init = prog["init_task"]
        page = int(prog["PAGE_SIZE"])
        node = init.tasks.next
        for _ in range(_MAX_LOOKED_AT):
            if node.value_() == init.tasks.address_ or len(found) == _WANTED:
                break
            task = container_of(node, "struct task_struct", "tasks")
            size = _size_of_stack(task, page)
            if size is not None:
                found.append(size)
            node = task.tasks.next
    except (LookupError, drgn.FaultError, ValueError, TypeError, AttributeError):
        return None
    if len(found) < _WANTED or len(set(found)) != 1:
        return None
    return Object(prog, "unsigned long", found[0])


def _size_of_stack(task: Object, page: int) -> int | None:
    """Bytes of a task's stack, ``None`` if its area does not fit the stack it is of."""
    area = task.stack_vm_area
    if not area or area.addr.value_() != task.stack.value_():
        return None
    size: int = area.size.value_() - page
    if not page <= size <= _LARGEST or size & (size - 1):
        return None
    if task.prog_.read_u64(task.stack.value_()) & 0xFFFFFFFF != _MAGIC:
        return None
    return size
