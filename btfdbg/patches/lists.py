"""Lists and hash lists of drgn's helpers that go on around damage, and end.

Owns what stands in the place of drgn's walks over lists. A ring (``struct list_head``) is
walked by ``program.walks``, healthy or not: only a node's two pointers held against each
other tell a wrong pointer, which drgn would follow, show what it leads to, or never end. It
reads both pointers at once and takes 1.4x of drgn's time per node. A hash list is drgn's own
until that faults or comes back to a node.

Facts: ``include/linux/list.h``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from drgn import FaultError, Object

from btfdbg.patches.revisit import Revisit
from btfdbg.program.session import find_session
from btfdbg.program.walks import UNREAD, broken, remark, ring

Walk = Callable[[Object], Iterator[Object]]


def list_for_each(original: Walk) -> Walk:
    """Nodes of a ring, from both ends where it is damaged."""

    def walk(head: Object) -> Iterator[Object]:
        return original(head) if find_session(head.prog_) is None else ring(head, 0)

    return walk


def list_for_each_reverse(original: Walk) -> Walk:
    """As :func:`list_for_each`, backwards."""

    def walk(head: Object) -> Iterator[Object]:
        return original(head) if find_session(head.prog_) is None else ring(head, 1)

    return walk


def hlist_for_each(original: Walk) -> Walk:
    """Nodes of a hash list, up to where it cannot be read or comes back."""

    def walk(head: Object) -> Iterator[Object]:
        if find_session(head.prog_) is None:
            yield from original(head)
            return
        was_there = Revisit()
        count = 0
        held: Object | None = None
        try:
            for node in original(head):
                # drgn has read on from the one before: that is a node, this may be a wild pointer.
                if held is not None:
                    yield held
                    count += 1
                held = node
                if was_there(node.value_()):
                    problem = "runs in a circle"
                    break
            else:
                if held is not None:
                    yield held
                return
        except FaultError:
            problem = UNREAD
        where = head.value_() if head.address_ is None else head.address_
        what = f"{broken('a hash list', problem)} and may have lost entries"
        remark(head.prog_, what, f"at {where:#x} it {problem} after {count:,} entries")

    return walk
