"""``for_each_mount()`` where the tree of mounts is damaged: what the superblocks know.

Owns the second way to mounts: every superblock has a list of where it is mounted.

Facts: ``fs/mount.h`` (mnt_instance, mnt_next_for_sb, mnt_ns), ``include/linux/fs.h``
(s_mounts).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import drgn
from drgn import FaultError, Object

from btfdbg.patches.missing import program_of
from btfdbg.program.session import find_session
from btfdbg.program.walks import remark
from btfdbg.vmcore.read_failures import unread


def for_each_mount(original: Callable[..., Any]) -> Callable[..., Any]:
    """The tree of a namespace; where it is damaged, then what the superblocks know of it."""

    def walk(*args: Any, **kwargs: Any) -> Iterator[Object]:
        prog, ns = program_of(args)
        if find_session(prog) is None or kwargs:
            yield from original(*args, **kwargs)
            return
        seen = set()
        lost = True
        before = unread(prog).remarked
        try:
            for mount in original(*args):
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

    return walk


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
