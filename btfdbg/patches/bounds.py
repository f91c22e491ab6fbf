"""Look before drgn goes where it would not end: down a tree, around the log, along a table.

Owns three checks, done before drgn's own code. A bounded descent in Python before
each lookup by index (tasks by number, entries of an IDR or XArray): drgn's own,
in C, goes on as long as what it reads is marked as a node, and nothing can stop
it there, neither Ctrl-C nor a timer. And the sizes of the ring of log records:
drgn makes a mask of as many bits as the dump says and counts from one record
number to another, whatever they are. And the size of the table of neighbours.

What drgn's core looks up by itself (``Program.thread()``) stays out of reach.

Facts: drgn ``libdrgn/linux_kernel_helpers.c``, ``linux_helper_xa_load()``, and
``drgn/helpers/linux/printk.py``; ``include/linux/xarray.h`` (xa_is_node), where
the shift of a node is smaller than that of the node above by what one level has;
``kernel/printk/printk_ringbuffer.h`` (_DEFINE_PRINTKRB), ``init/Kconfig``
(LOG_BUF_SHIFT, at most 25; ``log_buf_len=`` at most 2 GiB);
``net/core/neighbour.c`` (neigh_hash_alloc), where the table is one piece of memory.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import drgn
from drgn import FaultError, Object

from btfdbg.errors import DebugInfoError
from btfdbg.program.session import find_session
from btfdbg.program.walks import is_node

_LARGEST_SHIFT = 64
# A ring has a record for 32 bytes of text; the text of the largest has 2 GiB.
_MAX_RECORD_BITS = 26
_MAX_TEXT_BITS = 31
# The kernel gives at most 4 MiB in one piece, but with pages of 64 KiB 512 MiB, which would
# hold neighbours by the million.
_MAX_NEIGHBOUR_BITS = 20


def check_descent(tree: Object, index: int) -> None:
    """
    Descend an XArray to an index as drgn is going to.

    :param tree: ``struct xarray`` or a pointer to one.
    :raises drgn.FaultError: it would never end, or leaves memory.
    """
    entry = tree.xa_head.value_()
    above = _LARGEST_SHIFT
    while is_node(entry):
        node = Object(tree.prog_, "struct xa_node *", entry - 2)
        shift = node.shift.value_()
        slots = node.slots
        length = len(slots)
        if shift >= above or not length or length & length - 1:
            raise FaultError("a tree runs in a circle", entry - 2)
        above = shift
        entry = slots[index >> shift & length - 1].value_()


def check_log(ring: Object) -> None:
    """
    Hold the sizes of the ring of log records against each other.

    :param ring: ``struct printk_ringbuffer *``
    :raises DebugInfoError: they cannot be right.
    """
    records = ring.desc_ring
    bits = records.count_bits.value_()
    text_bits = ring.text_data_ring.size_bits.value_()
    head, tail = (int(getattr(records, n).counter) for n in ("head_id", "tail_id"))
    # A record's number has as many bits as a word, less two.
    word = 8 * drgn.sizeof(ring.prog_.type("unsigned long"))
    count = head - tail & (1 << word - 2) - 1
    if bits > _MAX_RECORD_BITS or text_bits > _MAX_TEXT_BITS:
        what = f"2**{bits} records in 2**{text_bits} bytes"
    elif count >= 1 << bits:
        what = f"records {tail:#x} to {head:#x}, where there is room for {1 << bits:,}"
    else:
        return
    raise DebugInfoError(
        f"the kernel's log is damaged: it has {what}",
        step="log",
        hint="its text may be there: rd __log_buf 4096",
    )


def neighbours(original: Callable[[Object], Any]) -> Callable[[Object], Any]:
    """Entries of a table of neighbours, if its size can be right."""

    def walk(table: Object) -> Any:
        if find_session(table.prog_) is not None:
            bits = table.hash_shift.value_()
            if bits > _MAX_NEIGHBOUR_BITS:
                raise DebugInfoError(
                    f"the table of neighbours at {table.value_():#x} is damaged: it has"
                    f" 2**{bits} buckets",
                    step="net",
                )
        return original(table)

    return walk


def printk_records(original: Callable[[drgn.Program, Object], Any]) -> Any:
    """Records of the log, if the sizes of its ring can be right."""

    def records(prog: drgn.Program, prb: Object) -> Any:
        if find_session(prog) is not None:
            check_log(prb)
        return original(prog, prb)

    return records


def _guarded(*path: str) -> Callable[[Callable[[Object, Any], Object]], Any]:
    """
    Make a lookup that descends in Python first.

    :param path: Members that lead from what is looked in to the XArray.
    """

    def make(original: Callable[[Object, Any], Object]) -> Any:
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

    return make


xa_load = _guarded()
idr_find = _guarded("idr_rt")
find_pid = find_task = _guarded("idr", "idr_rt")


def within_bitmap(original: Callable[[Object, int], Any]) -> Any:
    """Bits of a set of CPUs, no more than it has; drgn goes by ``nr_cpu_ids`` alone."""

    def bits(bitmap: Object, size: int) -> Any:
        length = bitmap.type_.length
        if length:
            size = min(size, length * 8 * drgn.sizeof(bitmap.type_.type))
        return original(bitmap, size)

    return bits
