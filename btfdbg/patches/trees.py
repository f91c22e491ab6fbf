"""XArrays, red-black trees and maple trees of drgn's helpers that go on around damage.

Owns what stands in the place of drgn's walks over trees: drgn's own, until it faults or comes
back to a node; then ours, which goes past what cannot be read, gives what drgn did not, leaves
a remark and ends.

Facts: ``include/linux/xarray.h`` (XA_ZERO_ENTRY), ``include/linux/rbtree_types.h``,
``include/linux/maple_tree.h``; drgn ``drgn/helpers/linux/mapletree.py`` (``_mte_to_node()``
is asked for each node, before what is in it).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Any

from drgn import FaultError, Object, Program

from btfdbg.patches.install import reach
from btfdbg.patches.revisit import Revisit
from btfdbg.program.session import find_session
from btfdbg.program.walks import MAX_REMEMBERED, is_node, remark, xarray_entries

# A balanced tree of 2**64 nodes.
_MAX_DEPTH = 128
# xa_mk_internal(257), XA_ZERO_ENTRY in include/linux/xarray.h.
_ZERO_ENTRY = 257 << 2 | 2
_WHAT = "nodes of a tree cannot be read; others were walked"


def xa_for_each(original: Callable[..., Any]) -> Callable[..., Any]:
    """(Index, entry) of an XArray."""

    def walk(xa: Object, *, advanced: bool = False) -> Iterator[tuple[int, Object]]:
        prog = xa.prog_
        if find_session(prog) is None:
            yield from original(xa, advanced=advanced)
            return
        last = -1
        try:
            for index, entry in original(xa, advanced=advanced):
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
        remark(prog, _WHAT, f"at {where:#x}; {lost:,} lost, {count:,} entries more behind them")

    return walk


def rbtree_inorder_for_each(original: Callable[..., Any]) -> Callable[..., Any]:
    """Nodes of a red-black tree, in order."""

    def walk(root: Object) -> Iterator[Object]:
        prog = root.prog_
        if find_session(prog) is None:
            yield from original(root)
            return
        was_there = Revisit()
        given = 0
        try:
            for node in original(root):
                if was_there(node.value_()):
                    break
                yield node
                given += 1
            else:
                return
        except (FaultError, RecursionError):
            pass
        # Both go in order: the first are those that drgn gave.
        lost = yield from _rbtree_rest(root, given)
        where = root.value_() if root.address_ is None else root.address_
        remark(prog, _WHAT, f"{lost:,} of the tree at {where:#x}")

    return walk


def _rbtree_rest(root: Object, given: int) -> Generator[Object, None, int]:
    """Nodes after those that were given; returns how many places could not be followed."""
    lost = count = 0
    seen: set[int] = set()
    stack: list[tuple[Object, Object]] = []
    node = root.rb_node.read_()
    while True:
        while node:
            at = node.value_()
            try:
                if at in seen or len(seen) >= MAX_REMEMBERED or len(stack) > _MAX_DEPTH:
                    lost += 1
                    break
                left, right = node.rb_left.read_(), node.rb_right.read_()
            except FaultError:
                lost += 1
                break
            seen.add(at)
            stack.append((node, right))
            node = left
        if not stack:
            return lost
        here, node = stack.pop()
        count += 1
        if count > given:
            yield here


# Nodes of the maple tree that is being walked; None while none is.
_nodes: set[int] | None = None


def mte_to_node(original: Callable[..., Any]) -> Callable[..., Any]:
    """A node of a maple tree; a second time in one walk it is an error."""

    def to_node(prog: Program, entry_value: int, max: int) -> Any:
        if _nodes is not None:
            place = entry_value & ~0xFF
            if place in _nodes or len(_nodes) >= MAX_REMEMBERED:
                raise FaultError("a tree runs in a circle", place)
            _nodes.add(place)
        return original(prog, entry_value, max)

    return to_node


def mt_for_each(original: Callable[..., Any]) -> Callable[..., Any]:
    """(First index, last index, entry) of a maple tree."""

    def walk(mt: Object, *, advanced: bool = False) -> Iterator[tuple[int, int, Object]]:
        global _nodes
        prog = mt.prog_
        if find_session(prog) is None:
            yield from original(mt, advanced=advanced)
            return
        own = original(mt, advanced=advanced)
        nodes: set[int] = set()
        end = -1
        while True:
            # Whoever takes the items may walk another tree in between.
            before, _nodes = _nodes, nodes
            try:
                found = next(own, None)
            except (FaultError, NotImplementedError, IndexError):
                break
            finally:
                _nodes = before
            if found is None:
                return
            end = found[1]
            yield found
        lost = yield from _maple_rest(mt, advanced, end)
        where = mt.value_() if mt.address_ is None else mt.address_
        remark(prog, _WHAT, f"{lost:,} of the tree at {where:#x}")

    return walk


def _maple_rest(
    mt: Object, advanced: bool, end: int
) -> Generator[tuple[int, int, Object], None, int]:
    """Entries behind an index; returns how many nodes could not be read."""
    to_node = reach("drgn.helpers.linux.mapletree", "_mte_to_node")
    ulong_max = reach("drgn.helpers.linux.mapletree", "_ulong_max")
    if to_node is None or ulong_max is None:
        return 1
    prog = mt.prog_
    lost = 0
    seen: set[int] = set()
    # Level by level, as drgn does: all leaves are on one.
    todo = deque([(mt.ma_root.value_(), 0, ulong_max(prog))])
    while todo:
        entry, first, last = todo.popleft()
        place = entry & ~0xFF
        if not is_node(entry) or place in seen or not place or len(seen) >= MAX_REMEMBERED:
            lost += 1
            continue
        seen.add(place)
        try:
            _, pivots, slots, count, leaf = to_node(prog, entry, last)
            entries = []
            for i in range(count + 1):
                upto = pivots[i].value_() if i < count else last
                entries.append((slots[i].read_(), first, upto))
                first = upto + 1
        except (FaultError, NotImplementedError, IndexError):
            lost += 1
            continue
        for slot, low, high in entries:
            value = slot.value_()
            if not leaf:
                todo.append((value, low, high))
            elif value and low > end and (advanced or value != _ZERO_ENTRY):
                yield low, high, slot
    return lost
