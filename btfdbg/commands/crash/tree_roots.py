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
from contextlib import contextmanager

import drgn
from drgn import Object
from drgn.commands import CommandError

from btfdbg.lazy_dataclass import dataclass
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
    what, leads = f"{root:x} is no root of a red-black tree", f"it points to {node:x}"
    with _readable(prog, what, leads):
        word = None if node % _WORD else prog.read_word(node)
    if word != _BLACK:
        why = "is not aligned" if word is None else f"is no black node without a parent ({word:x})"
        raise CommandError(f"{what}: {leads}, which {why}")


@contextmanager
def _readable(prog: drgn.Program, what: str, leads: str) -> Iterator[None]:
    """
    Refuse a root whose first node cannot be read.

    :param what: Says that it is none.
    :param leads: Says where its first node would be.
    """
    try:
        yield
    except drgn.FaultError as e:
        unread(prog).note_fault(e)
        raise CommandError(f"{what}, or it is damaged: {leads}, which cannot be read") from None


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
    what, leads = f"{root:x} is no maple tree", f"its first node would be {first:x}"
    with _readable(prog, what, leads):
        parent = prog.read_word(first)
    if parent & ~_MAPLE_ROOT != root & ~_MAPLE_ROOT or not parent & _MAPLE_ROOT:
        raise CommandError(f"{what}: {leads}, which is not its own ({parent:x})")


def check_maple_node(prog: drgn.Program, node: int, said: int, parent: int) -> None:
    """A remark if a node of a maple tree names another parent than the one it hangs from."""
    if said != parent:
        unread(prog).remark(_DOUBT, f"{node:x} hangs from {parent:x}")


@dataclass(frozen=True, slots=True)
class _Array:
    """
    Names of an array's types and members, newest first in :data:`_ARRAYS`.

    :ivar back: The member of a node that names its array.
    :ivar tag: The two low bits of an entry that is a node.
    """

    type: str
    flags: str
    head: str
    node: str
    back: str
    tag: int


_ARRAYS = (
    _Array("struct xarray", "xa_flags", "xa_head", "struct xa_node", "array", _NODE),
    _Array("struct radix_tree_root", "gfp_mask", "rnode", "struct radix_tree_node", "root", 1),
)


def _check_xarray(prog: drgn.Program, root: int) -> None:
    for names in _ARRAYS:
        try:
            array = Object(prog, names.type, address=root)
            given, entry = int(array.member_(names.flags)), int(array.member_(names.head))
        except LookupError:
            continue
        if given & ~_XA_FLAGS:
            raise CommandError(f"{root:x} is no array: its flags would be {given:x}")
        if entry & 3 == names.tag and entry > _LOWEST_NODE:
            _check_nodes(prog, names, root, entry & ~3)
        return


def _check_nodes(prog: drgn.Program, names: _Array, root: int, first: int) -> None:
    what, leads = f"{root:x} is no array", f"its first node would be {first:x}"
    with _readable(prog, what, leads):
        node = Object(prog, names.node, address=first).read_()
        said, parent = int(node.member_(names.back)), int(node.parent)
    if said != root or parent:
        raise CommandError(f"{what}: {leads}, which is another's ({said:x})")
    for place, above, owner in _below(prog, names, first):
        if owner != (root, above):
            unread(prog).remark(_DOUBT, f"{place:x} hangs from {above:x}")


def _below(
    prog: drgn.Program, names: _Array, first: int
) -> Iterator[tuple[int, int, tuple[int, int]]]:
    """(Node, what it hangs from, (array, parent) that it names) of the nodes below a first one."""
    seen = {first}
    todo = [first]
    while todo and len(seen) < _MAX_NODES:
        above = todo.pop()
        node = Object(prog, names.node, address=above)
        try:
            if not int(node.shift):
                continue
            slots = [int(slot) for slot in node.slots.read_()]
        except drgn.FaultError:
            continue  # the walk says so
        for entry in slots:
            place = entry & ~3
            if entry & 3 != names.tag or entry <= _LOWEST_NODE or place in seen:
                continue
            seen.add(place)
            below = Object(prog, names.node, address=place)
            try:
                yield place, above, (int(below.member_(names.back)), int(below.parent))
            except drgn.FaultError:
                continue
            todo.append(place)
