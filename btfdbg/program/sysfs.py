"""The directories of sysfs in a dump: what the kernel shows there has an address.

Owns the walk over kernfs nodes. Knows nothing of what the files mean, but for those of
``/sys/kernel/btf``.

Facts: ``include/linux/kobject.h``, ``fs/kernfs/dir.c`` (a directory's children are
an rbtree), ``kernel/bpf/btf.c`` (the files of ``/sys/kernel/btf`` carry the module's
``struct btf``).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from drgn import Object

if TYPE_CHECKING:
    from btfdbg.program.session import Session

MAX_CHILDREN = 1 << 14
_MAX_NAME = 256


def sysfs_btfs(session: Session) -> Iterator[Object]:
    """Each module's ``struct btf *``, by its file in ``/sys/kernel/btf``."""
    root = directory(session, "kernel", "btf")
    if root is None:
        return
    prog = session.prog
    for file in children(root):
        attribute = Object(prog, "struct bin_attribute *", file.priv)
        if attribute.private:
            btf = Object(prog, "struct btf *", attribute.private)
            if btf.name.string_()[:_MAX_NAME] == file.name.string_()[:_MAX_NAME]:
                yield btf


def directory(session: Session, *path: str) -> Object | None:
    """
    A directory of sysfs (``struct kernfs_node *``), from its root, which ``kernel_kobj`` leads to.

    :param path: the names from the root on.
    :return: ``None`` if there is none, or two of a name.
    """
    anchor = session.lookup_symbols("kernel_kobj")
    if len(anchor) != 1:
        return None
    kobject = Object(session.prog, "struct kobject *", address=anchor[0].address)
    node = _parent(kobject.sd.read_())
    for name in path:
        found = [c for c in children(node) if c.name.string_()[:_MAX_NAME] == name.encode()]
        if len(found) != 1:
            return None
        node = found[0]
    return node


def _parent(node: Object) -> Object:
    # Linux kernel commit 633488947ef6 ("kernfs: Use RCU to access
    # kernfs_node::parent.") (in v6.15).
    try:
        return node.member_("__parent").read_()
    except LookupError:
        return node.parent.read_()


def children(node: Object) -> Iterator[Object]:
    """The entries of a directory: ``struct kernfs_node *``, of a damaged one only the first."""
    from drgn.helpers.linux.rbtree import rbtree_inorder_for_each_entry

    entries = rbtree_inorder_for_each_entry(
        "struct kernfs_node", node.dir.children.address_of_(), "rb"
    )
    return itertools.islice(entries, MAX_CHILDREN)
