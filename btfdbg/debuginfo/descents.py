"""Look before drgn descends an XArray in C: a node that is its own child never ends.

Owns a bounded descent in Python, done before each lookup by index (tasks by
number, entries of an IDR or XArray). drgn's own goes on as long as what it reads
is marked as a node, and nothing can stop it there: neither Ctrl-C nor a timer.
``install()`` puts it before drgn's lookups; Programs without a Session are not
concerned. What drgn's core looks up by itself (``Program.thread()``) stays out
of reach.

Facts: drgn ``libdrgn/linux_kernel_helpers.c``, ``linux_helper_xa_load()``;
``include/linux/xarray.h`` (xa_is_node), where the shift of a node is smaller
than that of the node above by what one level has.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from drgn import FaultError, Object

from btfdbg.debuginfo.session import find_session

_LARGEST_SHIFT = 64


def check_descent(tree: Object, index: int) -> None:
    """
    Descend an XArray to an index as drgn is going to.

    :param tree: ``struct xarray`` or a pointer to one.
    :raises drgn.FaultError: it would never end, or leaves memory.
    """
    entry = tree.xa_head.value_()
    above = _LARGEST_SHIFT
    while entry & 3 == 2 and entry > 4096:
        node = Object(tree.prog_, "struct xa_node *", entry - 2)
        shift = node.shift.value_()
        slots = node.slots
        length = len(slots)
        if shift >= above or not length or length & length - 1:
            raise FaultError("a tree runs in a circle", entry - 2)
        above = shift
        entry = slots[index >> shift & length - 1].value_()


def _guarded(original: Callable[[Object, Any], Object], path: tuple[str, ...]) -> Any:
    def lookup(tree: Object, index: Any) -> Object:
        if find_session(tree.prog_) is not None:
            number = operator.index(index)
            try:
                found = tree
                for member in path:
                    if member == "idr_rt" and hasattr(found, "idr_base"):
                        number -= found.idr_base.value_()
                    found = found.member_(member)
                if number >= 0:
                    check_descent(found, number)
            except (AttributeError, LookupError):
                pass  # a kernel with other trees, of which drgn knows
        return original(tree, index)

    return lookup


def install() -> None:
    """Put the check before drgn's lookups; call it once."""
    from drgn.helpers.linux import idr, pid, xarray

    modules: tuple[tuple[Any, str, tuple[str, ...]], ...] = (
        (xarray, "_linux_helper_xa_load", ()),
        (idr, "_linux_helper_idr_find", ("idr_rt",)),
        (pid, "_linux_helper_find_pid", ("idr", "idr_rt")),
        (pid, "_linux_helper_find_task", ("idr", "idr_rt")),
    )
    for module, name, path in modules:
        setattr(module, name, _guarded(getattr(module, name), path))
