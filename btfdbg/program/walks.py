"""Walks over the kernel's lists and XArrays that end and keep what they got.

Owns pure walkers: given a head they give nodes, go around damage from the other end, and
leave a remark on the Program's count of failed reads. Knows no helper of drgn's; what puts
them in drgn's place is ``patches``.

Facts: ``include/linux/list.h``, ``include/linux/xarray.h`` (xa_is_node, xa_is_sibling).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import drgn
from drgn import FaultError, Object

from btfdbg.vmcore.read_failures import unread

# Nodes that a walk around damage remembers at most.
MAX_REMEMBERED = 1 << 20
_MAX_SLOTS = 1 << 10
# xa_mk_sibling() of the largest slot, in include/linux/xarray.h.
_SIBLINGS = 64 << 2

UNREAD = "cannot be read further"
"""What a walk says where a node's memory cannot be read."""


def remark(prog: drgn.Program, what: str, detail: str = "") -> None:
    """Leave a remark for the command that reads this Program."""
    unread(prog).remark(what, detail)


def is_node(entry: int) -> bool:
    """xa_is_node(), which the root of a maple tree shares."""
    return entry & 3 == 2 and entry > 4096


def list_nodes(head: Object) -> Iterator[Object]:
    """
    The nodes of a list, walked around damage; a remark tells of any.

    :param head: ``struct list_head *``
    :raises drgn.FaultError: the head itself is missing.
    """
    return ring(head, 0)


def ring(head: Object, way: int) -> Iterator[Object]:
    """
    The nodes of a ring, without its head.

    A node is given when its own two words can be read and the one that led to it is its
    neighbour. Where that ends, the rest is taken from the other side, in the right order.

    :param way: 0 for next, 1 for prev.
    """
    prog = head.prog_
    head = head.read_()
    start = head.value_()
    node_type = head.next.type_.unqualified()
    read, pair_of, size = _pair_reader(prog)
    back = 1 - way
    # A node names its neighbours on both sides, and the one that led to it is one of them: no
    # node can come twice, and none needs to be remembered. Memory that changes is no dump's.
    previous, problem = start, ""
    at = pair_of(read(start, size))[way]
    count, mark, power = 0, 0, 64
    while at != start:
        try:
            pair = pair_of(read(at, size))
        except (FaultError, OverflowError):
            problem = UNREAD
            break
        if pair[back] != previous:
            problem = f"leads to {at:#x}, which is not of it"
            break
        if at == mark:
            problem = "runs in a circle"
            break
        yield Object(prog, node_type, at)
        count += 1
        if count == power:
            mark, power = at, 2 * power
        previous, at = at, pair[way]
    if not problem:
        return
    rest = _from_the_end(prog, start, back, previous)
    for address in reversed(rest):
        yield Object(prog, node_type, address)
    joined = bool(rest) and previous in (
        pair_of(read(rest[-1], size))[back],
        pair_of(read(start, size))[back],
    )
    where = f"at {start:#x} it {problem} after {count:,} entries"
    if joined:
        remark(prog, "a list is damaged and was walked from both ends", where)
    else:
        where += f", {len(rest):,} more from its other end"
        remark(prog, f"{broken('a list', problem)} and may have lost entries", where)


def broken(name: str, problem: str) -> str:
    """
    What is wrong with a list: a page that was left out of the dump is no damage.

    >>> broken("a list", UNREAD)
    'a list could not be read to its end'
    """
    return f"{name} could not be read to its end" if problem == UNREAD else f"{name} is damaged"


def closed_ring(prog: drgn.Program, link: int, limit: int) -> list[int]:
    """
    The nodes of a ring from one of them round to it again; its head is among them.

    Leaves no remark: what is asked may be no list at all.

    :param link: Address of a ``struct list_head``, of the head or of an entry.
    :param limit: Nodes that a ring may have.
    :raises ValueError: it does not close, is empty, or its links do not agree.
    :raises drgn.FaultError: a link leads to no memory.
    """
    read, pair_of, size = _pair_reader(prog)
    nodes = [link]
    first = pair_of(read(link, size))
    previous, at = link, first[0]
    while at != link:
        pair = pair_of(read(at, size))
        if len(nodes) >= limit or pair[1] != previous:
            raise ValueError(f"{link:#x} is in no list")
        nodes.append(at)
        previous, at = at, pair[0]
    if len(nodes) < 2 or first[1] != previous:
        raise ValueError(f"{link:#x} is in no list")
    return nodes


def _from_the_end(prog: drgn.Program, start: int, way: int, last: int) -> list[int]:
    """
    Nodes that a ring has when walked the other way.

    :param last: The last node of the first walk, which is where both meet.
    """
    read, pair_of, size = _pair_reader(prog)
    found: dict[int, None] = {}
    try:
        previous, at = start, pair_of(read(start, size))[way]
        while at not in (last, start) and at not in found and len(found) < MAX_REMEMBERED:
            pair = pair_of(read(at, size))
            if pair[1 - way] != previous:
                # The last good one may be named wrongly by its neighbour, no other.
                if pair[way] == last:
                    found[at] = None
                break
            found[at] = None
            previous, at = at, pair[way]
    except (FaultError, OverflowError):
        pass
    return list(found)


def _pair_reader(
    prog: drgn.Program,
) -> tuple[Callable[[int, int], bytes], Callable[[bytes], tuple[int, ...]], int]:
    """What reads memory, what makes two pointers of it, and their size in bytes."""
    platform = prog.platform
    assert platform is not None
    little = platform.flags & drgn.PlatformFlags.IS_LITTLE_ENDIAN
    wide = platform.flags & drgn.PlatformFlags.IS_64_BIT
    # Two at once take half the time of two reads.
    pair = struct.Struct(("<" if little else ">") + ("2Q" if wide else "2I"))
    return prog.read, pair.unpack, pair.size


def xarray_entries(prog: drgn.Program, head: int) -> Iterator[tuple[int, int | FaultError]]:
    """
    Index and entry of what is in an XArray; an error for a node that cannot be read.

    :param head: Its ``xa_head``.
    """
    todo = [(0, head)]
    seen: set[int] = set()
    while todo:
        index, entry = todo.pop()
        if not is_node(entry):
            if entry:
                yield index, entry
            continue
        if entry in seen:
            continue
        seen.add(entry)
        node = Object(prog, "struct xa_node *", entry - 2)
        try:
            shift = node.shift.value_()
            slots = node.slots.read_()
        except FaultError as e:
            yield index, e
            continue
        length = len(slots)
        if shift > 64 or not 0 < length <= _MAX_SLOTS:
            yield index, FaultError("no node of a tree", entry - 2)
            continue
        children = []
        for i in range(length):
            value = slots[i].value_()
            # A sibling stands for the entry before it.
            if value and not (value & 3 == 2 and value < _SIBLINGS):
                children.append((index + (i << shift), value))
        todo.extend(reversed(children))
