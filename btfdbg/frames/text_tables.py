"""Tables of a text, as rows that are looked up by address: exceptions and static branches.

Owns their form, and that numbers alone are made of them until a row is asked for.

Facts: ``include/asm/extable.h`` of x86 and arm64 (entries of 12 or 8 bytes, distances from
their own fields), ``include/linux/jump_label.h`` (entries of 16).
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Callable, Sequence
from operator import add
from typing import Any

import drgn

from btfdbg.frames.flow import Fixup
from btfdbg.frames.ir import Refusal

_X86_REGISTERS = (
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
)  # fmt: skip


class Rows:
    """Rows of a table: the address that each is of, and what makes the row of a number."""

    def __init__(self, keys: Sequence[int], row: Callable[[int], Any]) -> None:
        self.keys = keys
        self.row = row


class SortedRows:
    """
    Rows by address; raises what is wrong with the table when it is asked.

    Numbers only until then: some ten thousand pairs would make Python look for garbage.
    """

    def __init__(self, rows: Rows | None, problem: str = "") -> None:
        self._problem = problem
        keys = () if rows is None else rows.keys
        self._order = sorted(range(len(keys)), key=keys.__getitem__)
        self._keys = sorted(keys)
        self._row = int if rows is None else rows.row

    def between(self, start: int, end: int) -> dict[int, Any]:
        if self._problem:
            raise Refusal(self._problem)
        low, high = bisect_left(self._keys, start), bisect_left(self._keys, end)
        return {self._keys[n]: self._row(self._order[n]) for n in range(low, high)}


def _targets(start: int, data: bytes, size: int) -> list[int]:
    """Address that the first word of each entry, a distance from itself, leads to."""
    whole = len(data) // size * size
    words = memoryview(data[:whole]).cast("i")[:: size // 4]
    return list(map(add, words, range(start, start + whole, size)))


def branch_rows(start: int, data: bytes, type_: drgn.Type) -> Rows:
    """Rows of ``struct jump_entry``: where a branch that is patched in leads."""
    if type_.size != 16:
        raise LookupError(type_.size)

    def target(number: int) -> int:
        at = 16 * number + 4
        return int(start + at + struct.unpack_from("<i", data, at)[0])

    return Rows(_targets(start, data, 16), target)


def fixup_rows(machine: str, start: int, data: bytes, type_: drgn.Type) -> Rows:
    """Rows of ``struct exception_table_entry``: where an instruction that faults goes on."""
    size = type_.size or 0
    x86 = machine == "x86_64"
    has_data = type_.has_member("data")
    if size not in (8, 12):
        raise LookupError(size)

    def fixup(number: int) -> Fixup:
        at = number * size
        registers: tuple[str, ...] = ()
        if x86:
            registers = ("rax", "rcx", "rdx")
            if has_data:
                registers += (_X86_REGISTERS[data[at + 9] & 0xF],)
        elif size == 12:
            word = struct.unpack_from("<H", data, at + 10)[0]
            registers = tuple(f"x{n}" for n in (word & 31, word >> 5 & 31) if n < 31)
        here = start + at + 4
        return Fixup(here + struct.unpack_from("<i", data, at + 4)[0], registers)

    return Rows(_targets(start, data, size), fixup)
