"""What a kernel without data symbols shows in sysfs: variables that its directories lead to.

A directory of sysfs has its kobject, a kobject its type, and what it is part of points at the
variables of ``drivers/base``. drgn's helpers take their absence for a kernel without sysfs,
or give a ``struct kobject *`` for a device. Owns these derivations; each holds what it found
against another trace: the function that only this variable names, or the name in it.

Facts: ``fs/sysfs/dir.c`` (a directory's ``priv`` is its kobject), ``drivers/base/base.h``
(``struct subsys_private``), ``drivers/base/{bus,class,core}.c`` (``*_release()``),
``kernel/params.c``, ``mm/slub.c`` (``/sys/kernel/slab``; merged caches are links there),
``include/linux/proc_ns.h`` (PROC_IPC_INIT_INO), ``kernel/sched/core.c`` (init_task is in
root_task_group).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from drgn import FaultError, Object, container_of

from btfdbg.program import sysfs

if TYPE_CHECKING:
    from btfdbg.program.session import Session

_IPC_INIT_INO = 0xEFFFFFFF
_MAX_LOOKED_AT = 64
Rule = Callable[["Session"], "int | None"]


def _kobject(session: Session, node: Object) -> Object | None:
    """The kobject of a directory, if it is one and says so itself."""
    kobject = Object(session.prog, "struct kobject *", node.priv)
    try:
        return kobject if kobject and kobject.sd.value_() == node.value_() else None
    except FaultError:
        return None


def _kobject_of(session: Session, *path: str) -> Object | None:
    """The kobject of the directory at a path."""
    node = sysfs.directory(session, *path)
    return None if node is None else _kobject(session, node)


def _kobjects(session: Session, *path: str) -> Iterator[Object]:
    """Those of the directories in a directory; links and files have none."""
    root = sysfs.directory(session, *path)
    if root is None:
        return
    is_directory = int(session.prog.constant("KERNFS_DIR"))
    for node in sysfs.children(root):
        try:
            if node.flags.value_() & is_directory:
                kobject = _kobject(session, node)
                if kobject is not None:
                    yield kobject
        except FaultError:
            continue


def _ktype(release: str, *path: str) -> Rule:
    """A ``struct kobj_type`` whose release function is that one, of what is in a directory."""

    def rule(session: Session) -> int | None:
        functions = session.lookup_symbols(release)
        if len(functions) != 1:
            return None
        for kobject in itertools.islice(_kobjects(session, *path), _MAX_LOOKED_AT):
            ktype = kobject.ktype.read_()
            if ktype and ktype.release.value_() == functions[0].address:
                return int(ktype.value_())
        return None

    return rule


def _driver_ktype(session: Session) -> int | None:
    for bus in itertools.islice(_kobjects(session, "bus"), _MAX_LOOKED_AT):
        name = bus.name.string_().decode("ascii", "replace")
        found = _ktype("driver_release", "bus", name, "drivers")(session)
        if found is not None:
            return found
    return None


def _subsystem(member: str, *path: str) -> Rule:
    """A bus or class by its directory; it has the directory's name."""

    def rule(session: Session) -> int | None:
        kobject = _kobject_of(session, *path)
        if kobject is None:
            return None
        private = container_of(kobject, "struct subsys_private", "subsys.kobj")
        found = private.member_(member).read_()
        if not found or found.name.string_() != path[-1].encode():
            return None
        return int(found.value_())

    return rule


def _slab_caches(session: Session) -> int | None:
    """The one entry in the ring of slab caches that is none: those are all in sysfs."""
    caches = [
        container_of(kobject, "struct kmem_cache", "kobj")
        for kobject in _kobjects(session, "kernel", "slab")
    ]
    known = {cache.list.address_of_().value_() for cache in caches}
    if len(known) < 2:
        return None
    others: list[int] = []
    node = caches[0].list.address_of_()
    for _ in range(2 * len(known)):
        node = node.next.read_()
        if node.value_() == caches[0].list.address_of_().value_():
            return others[0] if len(others) == 1 else None
        if node.value_() not in known:
            others.append(int(node.value_()))
    return None


def _init_ipc_ns(session: Session) -> int | None:
    namespace = session.prog["init_task"].nsproxy.ipc_ns.read_()
    return int(namespace.value_()) if namespace.ns.inum.value_() == _IPC_INIT_INO else None


def _root_task_group(session: Session) -> int | None:
    group = session.prog["init_task"].sched_task_group.read_()
    return int(group.value_()) if group and not group.parent else None


RULES: dict[str, Rule] = {
    "block_class": _subsystem("class", "class", "block"),
    "bus_ktype": _ktype("bus_release", "bus"),
    "class_ktype": _ktype("class_release", "class"),
    "device_ktype": _ktype("device_release", "devices"),
    "driver_ktype": _driver_ktype,
    "init_ipc_ns": _init_ipc_ns,
    "memory_subsys": _subsystem("bus", "bus", "memory"),
    "module_ktype": _ktype("module_kobj_release", "module"),
    "root_task_group": _root_task_group,
    "slab_caches": _slab_caches,
}
"""Addresses of variables."""

_KSETS = {"bus_kset": ("bus",), "class_kset": ("class",), "slab_kset": ("kernel", "slab")}


def value(session: Session, name: str) -> Object | None:
    """
    Return a pointer that is known by its value, and not by where it is.

    :param name: ``sysfs_root_kn`` or one of a set of kobjects.
    :return: An object without an address; ``None`` if sysfs does not show it.
    """
    try:
        if name == "sysfs_root_kn":
            return sysfs.directory(session)
        kobject = _kobject_of(session, *_KSETS[name])
        return None if kobject is None else container_of(kobject, "struct kset", "kobj")
    except (FaultError, LookupError):
        return None
