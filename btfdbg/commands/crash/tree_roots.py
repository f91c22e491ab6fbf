"""Whether what ``tree`` is to walk is a tree: what its root and its nodes say of themselves.

Owns the checks. A wrong address gives a walk over whatever lies there; each kind of tree keeps
what tells: a node of a red-black tree names its parent, one of an XArray its array, one of a
maple tree its parent or, the first, the tree.

Facts: ``include/linux/rbtree_types.h`` (rb_node is aligned, __rb_parent_color), ``lib/rbtree.c``
(the root is black and has no parent); ``include/linux/xarray.h`` (xa_node.parent, .array,
xa_flags: allocation flags and three marks above them), ``include/linux/radix-tree.h`` (before
01959dfe771c, "xarray: Define struct xa_node", in v4.20: .root); ``include/linux/maple_tree.h``
(ma_flags, MT_FLAGS_HEIGHT_MASK), ``lib/maple_tree.c`` (MA_ROOT_PARENT, mte_parent()).
"""

from __future__ import annotations

from collections.abc import Iterator

import drgn
from drgn import Object
from drgn.commands import CommandError

from btfdbg.vmcore.read_failures import unread

_BLACK = 1
_COLOR = 3
_WORD = 8
_NODE = 2  # the two low bits of an entry that is a node
_LOWEST_NODE = 4096
# Three marks lie above the bits of allocation flags, of which there never were more than 27.
_XA_FLAGS = (1 << 30) - 1
# MT_FLAGS_ALLOC_RANGE, _USE_RCU, _HEIGHT_MASK, _LOCK_MASK, _ALLOC_WRAPPED.
_MAPLE_FLAGS = 1 | 2 | 0x7C | 0x300 | 0x800
_MAPLE_ROOT = 1
_MAPLE_NODE = ~255
_MAX_NODES = 1 << 16
_OTHERS = "nodes of a tree do not belong to what they hang from; they were not followed"
_DOUBT = "nodes of a tree do not belong to what they hang from: it is damaged, or no tree"


def check_rb_root(prog: drgn.Program, node: int, root: int) -> None:
    """
    Refuse what is no root of a red-black tree.

    :param node: What it points to.
    :raises CommandError: the first node is no black node without a parent.
    """
    if not node:
        return
    try:
        word = None if node % _WORD else prog.read_word(node)
    except drgn.FaultError as e:
        unread(prog).note_fault(e)
        raise CommandError(
            f"{root:x} is no root of a red-black tree, or it is damaged: it points to {node:x}, "
            "which cannot be read"
        ) from None
    if word != _BLACK:
        why = "is not aligned" if word is None else f"is no black node without a parent ({word:x})"
        raise CommandError(
            f"{root:x} is no root of a red-black tree: it points to {node:x}, which {why}"
        )


def belongs(prog: drgn.Program, node: int, parent: int) -> bool:
    """Whether a red-black tree's node that can be read names its parent; a remark if not."""
    try:
        word = None if node % _WORD else prog.read_word(node)
        # Two red nodes never follow each other: nodes of a list, with pointers back, look so.
        reds = word is not None and not (word | prog.read_word(parent)) & _BLACK
    except drgn.FaultError:
        return True  # it cannot be asked; who follows it says that it cannot be read
    if word is not None and word & ~_COLOR == parent and not reds:
        return True
    unread(prog).remark(_OTHERS, f"{node:x} hangs from {parent:x}")
    return False


def check_root(prog: drgn.Program, kind: str, root: int) -> None:
    """
    Refuse what is no root of an XArray, radix or maple tree; remark on nodes within.

    :raises CommandError: its flags are none, or its first node is another's.
    """
    if kind == "maple":
        _check_maple(Object(prog, "struct maple_tree", address=root))
    else:
        _check_xarray(prog, root)


def _check_maple(tree: Object) -> None:
    prog, root = tree.prog_, int(tree.address_ or 0)
    flags, entry = int(tree.ma_flags), int(tree.ma_root)
    if flags & ~_MAPLE_FLAGS:
        raise CommandError(f"{root:x} is no maple tree: its flags would be {flags:x}")
    if entry & 3 != _NODE or entry <= _LOWEST_NODE:
        return
    first = entry & _MAPLE_NODE
    try:
        parent = prog.read_word(first)
    except drgn.FaultError as e:
        unread(prog).note_fault(e)
        raise CommandError(
            f"{root:x} is no maple tree, or it is damaged: its first node would be {first:x}, "
            "which cannot be read"
        ) from None
    if parent & ~_MAPLE_ROOT != root & ~_MAPLE_ROOT or not parent & _MAPLE_ROOT:
        raise CommandError(
            f"{root:x} is no maple tree: its first node would be {first:x}, which is not its own"
            f" ({parent:x})"
        )


def check_maple_node(prog: drgn.Program, node: int, said: int, parent: int) -> None:
    """A remark if a node of a maple tree names another parent than the one it hangs from."""
    if said != parent:
        unread(prog).remark(_DOUBT, f"{node:x} hangs from {parent:x}")


def _check_xarray(prog: drgn.Program, root: int) -> None:
    for type_, flags, head, back in (
        ("struct xarray", "xa_flags", "xa_head", "array"),
        ("struct radix_tree_root", "gfp_mask", "rnode", "root"),
    ):
        try:
            array = Object(prog, type_, address=root)
            given, entry = int(array.member_(flags)), int(array.member_(head))
        except LookupError:
            continue
        tag = _NODE if back == "array" else 1
        node_type = "struct xa_node" if back == "array" else "struct radix_tree_node"
        if given & ~_XA_FLAGS:
            raise CommandError(f"{root:x} is no array: its flags would be {given:x}")
        if entry & 3 == tag and entry > _LOWEST_NODE:
            _check_nodes(prog, node_type, back, root, entry & ~3)
        return


def _check_nodes(prog: drgn.Program, type_: str, back: str, root: int, first: int) -> None:
    tag = _NODE if back == "array" else 1
    try:
        node = Object(prog, type_, address=first).read_()
        said, parent = int(node.member_(back)), int(node.parent)
    except drgn.FaultError as e:
        unread(prog).note_fault(e)
        raise CommandError(
            f"{root:x} is no array, or it is damaged: its first node would be {first:x}, "
            "which cannot be read"
        ) from None
    if said != root or parent:
        raise CommandError(
            f"{root:x} is no array: its first node would be {first:x}, which is another's"
            f" ({said:x})"
        )
    for place, above, owner in _below(prog, type_, back, first, tag):
        if owner != (root, above):
            unread(prog).remark(_DOUBT, f"{place:x} hangs from {above:x}")


def _below(
    prog: drgn.Program, type_: str, back: str, first: int, tag: int
) -> Iterator[tuple[int, int, tuple[int, int]]]:
    """(Node, what it hangs from, (array, parent) that it names) of the nodes below a first one."""
    seen = {first}
    todo = [first]
    while todo and len(seen) < _MAX_NODES:
        above = todo.pop()
        node = Object(prog, type_, address=above)
        try:
            if not int(node.shift):
                continue
            slots = [int(slot) for slot in node.slots.read_()]
        except drgn.FaultError:
            continue  # the walk says so
        for entry in slots:
            place = entry & ~3
            if entry & 3 != tag or entry <= _LOWEST_NODE or place in seen:
                continue
            seen.add(place)
            below = Object(prog, type_, address=place)
            try:
                yield place, above, (int(below.member_(back)), int(below.parent))
            except drgn.FaultError:
                continue
            todo.append(place)
