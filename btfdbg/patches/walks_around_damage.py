"""Walks of drgn's helpers that keep what they got on a damaged dump, and end.

Owns replacements for the few helpers that all others walk with: lists, hash lists, XArrays,
maple trees, red-black trees, tasks. Each gives what drgn's own gives where that works; where
it would fault or run in a circle, it goes on by another way (from the end of the list, past
the missing node), leaves a remark on the command that asked, and ends. ``install()`` puts
them in drgn's place; Programs without a Session are not concerned. Only btfdbg's own command
line calls it: for whoever imports btfdbg drgn stays as it is, and ``find_tasks()`` is there.

Why in the helpers' place: drgn's commands have no hook for where their tasks, modules or
mounts come from, and the walks are what all of them share.

Facts: ``include/linux/list.h``, ``include/linux/xarray.h`` (xa_is_node, xa_is_sibling),
``include/linux/rbtree_types.h``.
"""

from __future__ import annotations

import functools
import re
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import drgn
from drgn import FaultError, Object

from btfdbg.patches import bounds
from btfdbg.patches.replace import replace_in_drgn
from btfdbg.patches.tasks import find_tasks, task_count
from btfdbg.program.session import Session, find_session
from btfdbg.program.walks import MAX_REMEMBERED, is_node, remark, ring, xarray_entries
from btfdbg.vmcore.read_failures import unread

_MAX_DEPTH = 128
NOT_THERE = b"<not in the dump>"

_installed = False
_original: dict[str, Callable[..., Any]] = {}


def install() -> None:
    """Put the replacements in place, once; imports drgn's helpers."""
    global _installed
    if _installed:
        return
    _installed = True
    bounds.install()
    from drgn.helpers.linux import (
        block,
        fs,
        irq,
        list,
        mapletree,
        mm,
        net,
        pid,
        rbtree,
        stack,
        xarray,
    )

    replacements: dict[Callable[..., Any], Callable[..., Any]] = {}
    for module, name, replacement in (
        (list, "list_for_each", _list_for_each),
        (list, "list_for_each_reverse", _list_for_each_reverse),
        (list, "hlist_for_each", _hlist_for_each),
        (xarray, "xa_for_each", _xa_for_each),
        (rbtree, "rbtree_inorder_for_each", _rbtree_inorder_for_each),
        (mapletree, "mt_for_each", _mt_for_each),
        (pid, "for_each_task", _for_each_task),
        (pid, "find_task", _find_task),
        (fs, "for_each_mount", _for_each_mount),
        (fs, "for_each_file", _partial("for_each_file", "the files of a task")),
        (irq, "for_each_irq_desc", _partial("for_each_irq_desc", "the interrupts")),
        (block, "for_each_disk", _partial("for_each_disk", "the disks")),
        (mm, "for_each_vma", _partial("for_each_vma", "the memory areas of a task")),
        (net, "for_each_netdev", _partial("for_each_netdev", "the network devices")),
        (stack, "kernel_stack_trace", _kernel_stack_trace),
        (fs, "mount_src", _leaf("mount_src", NOT_THERE)),
        (fs, "mount_dst", _leaf("mount_dst", NOT_THERE)),
        (fs, "mount_fstype", _leaf("mount_fstype", NOT_THERE)),
        (fs, "d_path", _leaf("d_path", NOT_THERE)),
        (fs, "decode_file_type", _leaf("decode_file_type", "?")),
        (mm, "task_rss", _leaf("task_rss", mm.TaskRss(*[_UNKNOWN] * 4))),
        (mm, "task_vsize", _leaf("task_vsize", _UNKNOWN)),
        (net, "netdev_ipv4_addrs", _leaf("netdev_ipv4_addrs", [NOT_THERE.decode()])),
        (net, "netdev_ipv6_addrs", _leaf("netdev_ipv6_addrs", [NOT_THERE.decode()])),
    ):
        original = getattr(module, name)
        _original[name] = original
        # Documentation, signature and module too: completion and help read them.
        functools.update_wrapper(replacement, original)
        replacements[original] = replacement
    replace_in_drgn(replacements)


def _place(obj: Object) -> int:
    """Where a structure is that was given by reference or by pointer."""
    place: int = obj.value_() if obj.address_ is None else obj.address_
    return place


# Lists


def _list_for_each(head: Object) -> Iterator[Object]:
    if find_session(head.prog_) is None:
        return _original["list_for_each"](head)  # type: ignore[no-any-return] # drgn's, untyped
    return ring(head, 0)


def _list_for_each_reverse(head: Object) -> Iterator[Object]:
    if find_session(head.prog_) is None:
        return _original["list_for_each_reverse"](head)  # type: ignore[no-any-return] # as above
    return ring(head, 1)


def _hlist_for_each(head: Object) -> Iterator[Object]:
    prog = head.prog_
    if find_session(prog) is None:
        yield from _original["hlist_for_each"](head)
        return
    node = head.first.read_()
    seen: set[int] = set()
    problem = ""
    while node:
        at = node.value_()
        if at in seen or len(seen) >= MAX_REMEMBERED:
            problem = "runs in a circle"
            break
        seen.add(at)
        try:
            following = node.next.read_()
        except FaultError:
            problem = "cannot be read further"
            break
        yield node
        node = following
    if problem:
        where = _place(head)
        what = "a hash list is damaged and may have lost entries"
        remark(prog, what, f"at {where:#x} it {problem} after {len(seen) - 1:,} entries")


# Trees


def _xa_for_each(xa: Object, *, advanced: bool = False) -> Iterator[tuple[int, Object]]:
    prog = xa.prog_
    own = _original["xa_for_each"]
    if find_session(prog) is None:
        yield from own(xa, advanced=advanced)
        return
    last = -1
    try:
        for index, entry in own(xa, advanced=advanced):
            last = index
            yield index, entry
        return
    except FaultError as e:
        if not hasattr(xa, "xa_head"):
            raise
        where = e.address
    count = lost = 0
    for index, address in xarray_entries(prog, xa.xa_head.value_()):
        if isinstance(address, FaultError):
            lost += 1
        elif index > last and (advanced or address != _ZERO_ENTRY):
            count += 1
            yield index, Object(prog, "void *", address)
    what = "nodes of a tree cannot be read; others were walked"
    remark(prog, what, f"at {where:#x}; {lost:,} lost, {count:,} entries more behind them")


# xa_mk_internal(257), XA_ZERO_ENTRY in include/linux/xarray.h.
_ZERO_ENTRY = 257 << 2 | 2


def _rbtree_inorder_for_each(root: Object) -> Iterator[Object]:
    prog = root.prog_
    if find_session(prog) is None:
        yield from _original["rbtree_inorder_for_each"](root)
        return
    lost = 0
    seen: set[int] = set()
    stack: list[tuple[Object, Object]] = []
    node = root.rb_node.read_()
    while True:
        while node:
            at = node.value_()
            try:
                if at in seen or len(stack) > _MAX_DEPTH:
                    lost += 1
                    break
                left, right = node.rb_left.read_(), node.rb_right.read_()
            except FaultError:
                lost += 1
                break
            if len(seen) < MAX_REMEMBERED:
                seen.add(at)
            stack.append((node, right))
            node = left
        if not stack:
            break
        here, node = stack.pop()
        yield here
    if lost:
        what = "nodes of a tree cannot be read; others were walked"
        remark(prog, what, f"{lost:,} of the tree at {_place(root):#x}")


def _mt_for_each(mt: Object, *, advanced: bool = False) -> Iterator[tuple[int, int, Object]]:
    prog = mt.prog_
    if find_session(prog) is None:
        yield from _original["mt_for_each"](mt, advanced=advanced)
        return
    from drgn.helpers.linux.mapletree import _mte_to_node, _ulong_max

    root = mt.ma_root.read_()
    entry = root.value_()
    if not is_node(entry):
        if entry:
            yield 0, 0, root
        return
    lost = 0
    seen: set[int] = set()
    # Level by level, as drgn does: all leaves are on one.
    todo = deque([(entry, 0, _ulong_max(prog))])
    while todo:
        entry, first, last = todo.popleft()
        place = entry & ~0xFF
        if place in seen or not place or len(seen) >= MAX_REMEMBERED:
            lost += 1
            continue
        seen.add(place)
        try:
            _, pivots, slots, end, leaf = _mte_to_node(prog, entry, last)
            entries = []
            for i in range(end + 1):
                upto = pivots[i].value_() if i < end else last
                entries.append((slots[i].read_(), first, upto))
                first = upto + 1
        except (FaultError, NotImplementedError, IndexError):
            lost += 1
            continue
        for slot, low, high in entries:
            value = slot.value_()
            if not leaf:
                todo.append((value, low, high))
            elif value and (advanced or value != _ZERO_ENTRY):
                yield low, high, slot
    if lost:
        what = "nodes of a tree cannot be read; others were walked"
        remark(prog, what, f"{lost:,} of the tree at {_place(mt):#x}")


# Tasks


def _target(args: tuple[Any, ...]) -> tuple[drgn.Program, Object | None]:
    """The Program that a helper was called for, and the object if it was given one."""
    if args and isinstance(args[0], Object):
        return args[0].prog_, args[0]
    if args and isinstance(args[0], drgn.Program):
        return args[0], args[1] if len(args) > 1 and isinstance(args[1], Object) else None
    return drgn.get_default_prog(), None


def _session_of(args: tuple[Any, ...]) -> Session | None:
    """The Session whose initial pid namespace is asked for."""
    prog, ns = _target(args)
    session = find_session(prog)
    if session is None or ns is None:
        return session
    initial: bool = ns.value_() == prog["init_pid_ns"].address_
    return session if initial else None


def _for_each_task(*args: Any, **kwargs: Any) -> Iterator[Object]:
    own = _original["for_each_task"]
    session = _session_of(args)
    if session is None:
        yield from own(*args, **kwargs)
        return
    prog = session.prog
    count, seen = 0, set()
    problem = ""
    try:
        for task in own(*args, **kwargs):
            seen.add(task.value_())
            # Idle tasks are not in the kernel's count.
            count += bool(task.pid)
            yield task
    except FaultError as e:
        problem = f"the pid table is damaged at {e.address:#x}"
    expected = task_count(prog)
    if not problem and (expected is None or count >= expected):
        return
    tasks = find_tasks(session)
    others = [task for task in tasks.tasks if task.value_() not in seen]
    yield from others
    if problem:
        remark(prog, f"{problem}; by other ways there are {tasks}")
    elif others or (expected is not None and count < expected):
        text = f"the pid table names {count:,} tasks of the {expected:,} that the kernel counted"
        remark(prog, f"{text}; {len(others):,} more were found by other ways")


def _find_task(*args: Any, **kwargs: Any) -> Object:
    own = _original["find_task"]
    try:
        return own(*args, **kwargs)
    except FaultError:
        session = _session_of(args)
        pid = kwargs.get("pid", args[-1] if args else None)
        if session is None or pid is None:
            raise
        tasks = find_tasks(session)
        for task in tasks.tasks:
            if task.pid.value_() == int(pid):
                return task
        if tasks.complete:
            return drgn.NULL(session.prog, "struct task_struct *")
        raise


# Mounts


def _for_each_mount(*args: Any, **kwargs: Any) -> Iterator[Object]:
    """The tree of a namespace, then what the superblocks know of it."""
    own = _original["for_each_mount"]
    prog, ns = _target(args)
    if find_session(prog) is None or kwargs:
        yield from own(*args, **kwargs)
        return
    seen = set()
    lost = True
    before = unread(prog).remarked
    try:
        for mount in own(*args):
            seen.add(mount.value_())
            yield mount
        lost = unread(prog).remarked > before
    except FaultError:
        pass
    if not lost:
        return
    if ns is None:
        ns = prog["init_task"].nsproxy.mnt_ns
    count = 0
    for mount in _mounts_of_superblocks(prog):
        try:
            here = mount.mnt_ns == ns and mount.value_() not in seen
        except FaultError:
            continue
        if here:
            seen.add(mount.value_())
            count += 1
            yield mount
    expected = _mount_count(ns)
    of = f" of {expected:,}" if expected is not None else ""
    remark(prog, f"{len(seen):,}{of} mounts were found, {count:,} of them by their superblocks")


def _mount_count(ns: Object) -> int | None:
    """How many mounts the kernel counted in a namespace."""
    # Linux kernel commit 2eea9ce4310d ("mounts: keep list of mounts in an rbtree") (in v6.8)
    # gave the old name to the tree.
    for member in ("nr_mounts", "mounts"):
        try:
            return int(ns.member_(member).value_())
        except (LookupError, FaultError, TypeError):
            continue
    return None


def _mounts_of_superblocks(prog: drgn.Program) -> Iterator[Object]:
    from drgn.helpers.linux.list import list_for_each_entry

    blocks = prog["super_blocks"].address_of_()
    for block in list_for_each_entry("struct super_block", blocks, "s_list"):
        try:
            first = block.s_mounts
            if first.type_.kind is drgn.TypeKind.STRUCT:
                yield from list_for_each_entry("struct mount", first.address_of_(), "mnt_instance")
                continue
            # A chain instead of a ring (in v6.18).
            seen: set[int] = set()
            mount = first.read_()
            while mount and mount.value_() not in seen:
                seen.add(mount.value_())
                following = mount.mnt_next_for_sb.read_()
                yield mount
                mount = following
        except (FaultError, LookupError):
            continue


# Walks that end where they cannot go on, and what is only shown


def _partial(name: str, what: str) -> Callable[..., Any]:
    """A walk that ends where memory is missing, with a remark."""

    def partial(*args: Any, **kwargs: Any) -> Iterator[Any]:
        prog = _target(args)[0]
        if find_session(prog) is None:
            yield from _original[name](*args, **kwargs)
            return
        count = 0
        try:
            for found in _original[name](*args, **kwargs):
                item = found[-1] if isinstance(found, tuple) else found
                if isinstance(item, Object) and not _readable(item):
                    if item:
                        remark(prog, f"not all of {what} can be read", f"{item.value_():#x}")
                    continue
                count += 1
                yield found
        except FaultError as e:
            remark(prog, f"not all of {what} can be reached", f"{e.address:#x} after {count:,}")

    return partial


def _readable(pointer: Object) -> bool:
    """Whether all that a pointer points to can be read."""
    kind = pointer.type_.kind
    target = pointer.type_.type if kind is drgn.TypeKind.POINTER else None
    if target is None or target.kind is not drgn.TypeKind.STRUCT or not target.is_complete():
        return True
    try:
        pointer.prog_.read(pointer.value_(), drgn.sizeof(target))
    except (FaultError, OverflowError):
        return False
    return True


def _kernel_stack_trace(*args: Any, **kwargs: Any) -> Any:
    """A stack without frames, and a remark, for a task whose registers are lost."""
    from drgn.helpers.linux.stack import LinuxKernelStack

    try:
        return _original["kernel_stack_trace"](*args, **kwargs)
    except (FaultError, ValueError) as e:
        prog = _target(args)[0]
        lost = isinstance(e, FaultError) or "were not saved" in str(e)
        if find_session(prog) is None or not lost:
            raise
        why = f"{e.address:#x} cannot be read" if isinstance(e, FaultError) else str(e)
        remark(prog, "tasks without a stack here", why)
        return LinuxKernelStack(prog, [])


def _leaf(name: str, unknown: Any) -> Callable[..., Any]:
    """A helper whose result is shown and nothing else: ``unknown`` for what is not there."""

    def leaf(*args: Any, **kwargs: Any) -> Any:
        try:
            return _original[name](*args, **kwargs)
        except FaultError:
            prog = next((a.prog_ for a in args if isinstance(a, Object)), None)
            if prog is None or find_session(prog) is None:
                raise
            return unknown

    return leaf


class _Unknown:
    """A number that is not known; what is computed from it is not known either."""

    def _same(self, other: object) -> _Unknown:
        return self

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _same
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = _same

    def __str__(self) -> str:
        return "?"

    def __format__(self, spec: str) -> str:
        layout = _LAYOUT.match(spec)
        return format("?", layout[0] if layout else "")


_LAYOUT = re.compile(r"(?:.?[<>^])?\d*")
_UNKNOWN: Any = _Unknown()
