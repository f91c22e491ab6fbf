"""``tree`` with crash's options: positions, a node as start, the nodes of a maple tree.

Owns the walks that know where they are; without these options drgn's own ``tree`` runs.

Facts: crash's ``help tree``; Linux ``include/linux/rbtree.h``, ``include/linux/xarray.h``
(xa_mk_node()), ``include/linux/maple_tree.h`` (MT_FLAGS_HEIGHT_MASK, maple_type).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import drgn
from drgn import Object
from drgn.commands import CommandError

from btfdbg.commands import display, output, values
from btfdbg.commands.crash import struct
from btfdbg.commands.crash.call import Call
from btfdbg.commands.crash.operands import one_place
from btfdbg.commands.crash.tree_roots import (
    belongs,
    check_maple_node,
    check_rb_root,
    check_root,
)
from btfdbg.lazy_dataclass import dataclass
from btfdbg.patches.install import reach
from btfdbg.program.per_cpu import is_per_cpu
from btfdbg.vmcore.read_failures import unread

_TYPES = ("rbtree", "radix", "xarray", "maple")
_MAX_HEIGHT = 32
_NODE_TAG = 2
_MAX_DEPTH = 31


@dataclass(frozen=True, slots=True)
class Found:
    """
    An entry of a tree.

    :ivar position: Where it hangs, as crash writes it; with ``index: N`` in front if it has one.
    """

    address: int
    position: str


def plain(call: Call) -> Any:
    """drgn's ``tree``, with an expression as start."""
    kind, text = call.args.start
    if kind == "sym":
        found = one_place(call.session, text)
        if found != text:
            call.args.start = ("addr", int(found, 16))
    # Of a per-CPU variable drgn's says that each CPU has its own.
    if not call.args.drgn and (call.args.start[0] == "addr" or not is_per_cpu(call.session, text)):
        kind = _kind(call.args.type)
        root = _given_root(call)
        first = _checked_root(call, kind, root)
        # drgn's walk goes wherever a pointer leads; where one leads astray ours stays.
        if kind == "rbtree" and _is_astray(call.prog, first):
            shown(call)
            return None
    return call.drgns()


def _given_root(call: Call) -> int:
    """Where the root is that the operand and ``-r`` name."""
    args = call.args
    start = values.address(call.session, str(_operand(args.start)))
    offset = 0 if args.root_offset is None else _offset(call, args.root_offset)
    return (start + offset) & values.MASK


def _checked_root(call: Call, kind: str, root: int) -> int:
    """
    The first node that a root leads to, tagged as it is.

    :raises CommandError: what is there is no root.
    """
    first = _root(call.prog, kind, root)
    if kind == "rbtree":
        check_rb_root(call.prog, first, root)
    else:
        check_root(call.prog, kind, root)
    return first


def _is_astray(prog: drgn.Program, first: int) -> bool:
    """Whether a red-black tree has nodes that belong to another or cannot be read."""
    count = unread(prog)
    before = count.remarked
    for _ in _rb(prog, first, False):
        pass
    return count.remarked > before


def shown(call: Call) -> None:
    """``-p`` and ``-N``."""
    args = call.args
    kind = _kind(args.type)
    if kind != "rbtree" and (args.node_offset is not None or args.linear):
        raise CommandError(f"-o and -l are for red-black trees, not for {kind}")
    start = _given_root(call)
    if call.has("-N"):
        if args.root_offset is not None:
            raise CommandError("-r and -N: the start is a root's or a node's, not both")
        root = start
    else:
        root = _checked_root(call, kind, start)
    entry = _entry(call)
    for found in _walk(call, kind, root):
        output.emit(("address", f"{found.address:x}"))
        if call.has("-p"):
            output.emit(("dim", f"  {found.position}"))
        if entry is not None:
            _show(call, entry, found.address)


def _operand(start: tuple[str, int | str]) -> int | str:
    return f"{start[1]:#x}" if start[0] == "addr" else start[1]


def _kind(name: str) -> str:
    found = [kind for kind in _TYPES if kind.startswith(name)]
    if len(found) != 1:
        raise CommandError(f"-t {name}: rbtree, radix, xarray or maple")
    return found[0]


def _offset(call: Call, text: str) -> int:
    name, dot, member = text.partition(".")
    try:
        return drgn.offsetof(struct._type(call, name), member) if dot else int(text, 0)
    except ValueError:
        raise CommandError(f"{text}: a number of bytes or STRUCT.MEMBER") from None


def _entry(call: Call) -> tuple[drgn.Type, tuple[str, ...]] | None:
    if call.args.struct is None:
        return None
    name, _, rest = call.args.struct.partition(".")
    type_ = struct._type(call, name)
    members = tuple(rest.split(",")) if rest else ()
    for path in members:
        drgn.offsetof(type_, path)
    return type_, members


def _show(call: Call, entry: tuple[drgn.Type, tuple[str, ...]], address: int) -> None:
    type_, members = entry
    base = call.args.integer_base or call.prog.config.get("crash_radix", 10)
    found = Object(call.prog, type_, address=address)
    if not members:
        output.emit(*display.highlight(display.format_object(found, 0, base, dereference=False)))
    for path in members:
        text = display.format_object(found.subobject_(path), 0, base, dereference=False)
        output.emit(f"  {path} = ", *display.highlight(text))


def _root(prog: drgn.Program, kind: str, address: int) -> int:
    """The first node that a root leads to, tagged as it is."""
    if kind == "rbtree":
        return int(Object(prog, "struct rb_root", address=address).rb_node.value_())
    if kind == "maple":
        return int(Object(prog, "struct maple_tree", address=address).ma_root.value_())
    for type_, member in (("struct xarray", "xa_head"), ("struct radix_tree_root", "rnode")):
        try:
            return int(Object(prog, type_, address=address).member_(member).value_())
        except LookupError:
            continue
    raise CommandError(f"this kernel has no {kind}")


def _walk(call: Call, kind: str, node: int) -> Iterator[Found]:
    if kind == "rbtree":
        text = call.args.node_offset
        offset = 0 if text is None else _offset(call, text)
        for address, path in _rb(call.prog, node, call.args.linear):
            yield Found((address - offset) & values.MASK, f"position: {path}")
    elif kind == "maple":
        leaves = (n for n in maple_nodes(call.prog, node) if n.entry is not None)
        for number, leaf in enumerate((n for n in leaves if n.entry), 1):
            assert leaf.entry is not None
            yield Found(leaf.entry, f"index: {number}  position: {leaf.path}")
    else:
        yield from _xarray(call.prog, node)


def _rb(prog: drgn.Program, root: int, linear: bool) -> Iterator[tuple[int, str]]:
    """(address of a node, path) of a red-black tree, parents first or from left to right."""
    seen: set[int] = set()
    stack: list[tuple[int, int, str, bool]] = [(root, 0, "root", False)]
    while stack:
        address, parent, path, expanded = stack.pop()
        if not address or (parent and not expanded and not belongs(prog, address, parent)):
            continue
        if expanded:
            yield address, path
            continue
        if address in seen or path.count("/") > 2 * _MAX_HEIGHT:
            raise CommandError(f"the tree is damaged: {address:x} is in it twice")
        seen.add(address)
        left_node, right_node = _children(prog, address)
        right = (right_node, address, f"{path}/r", False)
        left = (left_node, address, f"{path}/l", False)
        if linear:
            stack += [right, (address, parent, path, True), left]
        else:
            yield address, path
            stack += [right, left]


def _children(prog: drgn.Program, address: int) -> tuple[int, int]:
    """Children of a red-black tree's node; of one that cannot be read none, which is said."""
    node = Object(prog, "struct rb_node", address=address)
    try:
        return int(node.rb_left.value_()), int(node.rb_right.value_())
    except drgn.FaultError as e:
        count = unread(prog)
        count.note_fault(e)
        count.remark("nodes of a tree cannot be read; others were walked", f"{address:x}")
        return 0, 0


def _xarray(prog: drgn.Program, entry: int) -> Iterator[Found]:
    from drgn.helpers.linux.xarray import xa_for_each

    try:
        node_type = prog.type("struct xa_node *")
        array = prog.type("struct xarray")
        tag, member = _NODE_TAG, "xa_head"
    except LookupError:
        node_type = prog.type("struct radix_tree_node *")
        array = prog.type("struct radix_tree_root")
        tag, member = 1, "rnode"
    if entry > 4096 and not entry & 3:
        entry |= tag  # a node's address as it is, not as it stands in a root
    root = Object(prog, array, {member: entry})
    levels: list[int] = []
    chunk = 6
    if entry & 3 == tag and entry > 4096:
        node = Object(prog, node_type, entry & ~3)
        chunk = max(len(node.slots).bit_length() - 1, 1)
        shift = int(node.shift.value_())
        if shift > 64:
            raise CommandError(f"{entry & ~3:x} is no node: its shift is {shift}")
        levels = list(range(shift, -1, -chunk))
    for index, found in xa_for_each(root):
        slots = [str(index >> shift & ((1 << chunk) - 1)) for shift in levels]
        path = "/".join(("root", *slots))
        yield Found(int(found.value_()), f"index: {index}  position: {path}")


@dataclass(frozen=True, slots=True)
class MapleNode:
    """
    A node of a maple tree, or (``entry`` is not None) what a slot of a leaf holds.

    :ivar first: First index that it is about; ``last`` the last, inclusive.
    """

    address: int
    path: str
    depth: int
    first: int
    last: int
    type: int = 0
    parent: int = 0
    entry: int | None = None


def maple_nodes(prog: drgn.Program, root: int) -> Iterator[MapleNode]:
    """Nodes and entries of a maple tree, parents first, in the order of the index."""
    to_node = reach("drgn.helpers.linux.mapletree", "_mte_to_node")
    if to_node is None:
        raise CommandError("this drgn does not show the nodes of maple trees")
    limit = (1 << 64) - 1
    if root & 3 != 2 or root <= 4096:
        if root:
            yield MapleNode(0, "root", 0, 0, 0, entry=root)
        return
    seen: set[int] = set()
    stack: list[tuple[int, int, str, int, int, int]] = [(root, 0, "root", 0, 0, limit)]
    while stack:
        value, above, path, depth, first, last = stack.pop()
        if value in seen or depth > _MAX_DEPTH:
            raise CommandError(f"the tree is damaged: {value & ~255:x} is in it twice")
        seen.add(value)
        node, pivots, slots, end, leaf = to_node(prog, value, last)
        parent = int(node.parent.value_()) & ~255
        if above:
            check_maple_node(prog, int(node.value_()), parent, above)
        yield MapleNode(
            int(node.value_()), path, depth, first, last, value >> 3 & 15, parent
        )  # fmt: skip
        below = []
        for slot in range(end + 1):
            upto = last if slot == end else int(pivots[slot].value_())
            held = int(slots[slot].value_())
            name = f"{path}/{slot}"
            if leaf:
                yield MapleNode(0, name, depth + 1, first, upto, entry=held)
            elif held:
                below.append((held, int(node.value_()), name, depth + 1, first, upto))
            first = upto + 1
        stack += reversed(below)


def nodes(call: Call) -> None:
    """``-v``: every node of a maple tree and what it holds."""
    kind = _kind(call.args.type)
    if kind != "maple":
        raise CommandError(f"-v is for maple trees; tree -t maple ... -v, not -t {kind}")
    start = _given_root(call)
    if call.has("-N"):
        root = start
    else:
        root = _checked_root(call, kind, start)
        tree = Object(call.prog, "struct maple_tree", address=start)
        flags = int(tree.ma_flags.value_())
        output.emit(
            f"maple_tree({tree.address_:x}) flags {flags:X}, height {flags >> 2 & 31}"
            f" root {root:#x}"
        )
        output.emit("")
    for node in maple_nodes(call.prog, root):
        span = f"{node.first}-{node.last}" if node.first != node.last else f"{node.first}"
        indent = "  " * node.depth
        if node.entry is not None:
            output.emit(f"{indent}{span}: {node.entry:#x}")
        else:
            output.emit(
                f"{indent}{span}: node {node.address:#x} depth {node.depth} type {node.type}"
                f" parent {node.parent:#x}"
            )
