"""Tables of a text, looked up by address: exceptions and static branches.

Owns where the kernel and each module keep them, their form, and that numbers alone are made of
them until a row is asked for.

Facts: ``arch/x86/include/asm/extable.h`` and ``extable_fixup_types.h`` (entries of 12 bytes,
distances from their own fields; ``data`` since 5.17, Linux kernel commit 4b5305decc84
("x86/extable: Extend extable functionality"); before, ``handler``);
``arch/arm64/include/asm/asm-extable.h`` (8 bytes; ``type`` and ``data`` since 5.16, commit
d6e2cc564775); ``include/linux/jump_label.h`` (struct jump_entry, 16 bytes).
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import add
from typing import TYPE_CHECKING, Any

import drgn

from btfdbg.frames.code import Fixup
from btfdbg.frames.ir import Refusal

if TYPE_CHECKING:
    from btfdbg.frames.text_symbols import TextSymbols
    from btfdbg.program.session import Session

_MAX_TABLE = 16 << 20
_X86_REGISTERS = (
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
)  # fmt: skip


class Rows:
    """
    Rows of a table: the address that each is of, and what makes the row of a number.

    :ivar start: What the addresses count from: small numbers are sorted in half the time.
    """

    def __init__(self, start: int, keys: Sequence[int], row: Callable[[int], Any]) -> None:
        self.start = start
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
        self._start = 0 if rows is None else rows.start
        self._order = sorted(range(len(keys)), key=keys.__getitem__)
        self._keys = list(map(keys.__getitem__, self._order))
        self._row = int if rows is None else rows.row

    def between(self, start: int, end: int) -> dict[int, Any]:
        if self._problem:
            raise Refusal(self._problem)
        first = self._start
        low, high = bisect_left(self._keys, start - first), bisect_left(self._keys, end - first)
        return {first + self._keys[n]: self._row(self._order[n]) for n in range(low, high)}


def _targets(data: bytes, size: int) -> list[int]:
    """Where the first word of each entry, a distance from itself, leads to, from the first on."""
    whole = len(data) // size * size
    words = memoryview(data[:whole]).cast("i")[:: size // 4]
    return list(map(add, words, range(0, whole, size)))


def branch_rows(start: int, data: bytes, type_: drgn.Type) -> Rows:
    """Rows of ``struct jump_entry``: where a branch that is patched in leads."""
    if type_.size != 16:
        raise LookupError(type_.size)

    def target(number: int) -> int:
        at = 16 * number + 4
        return int(start + at + struct.unpack_from("<i", data, at)[0])

    return Rows(start, _targets(data, 16), target)


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

    return Rows(start, _targets(data, size), fixup)


class CodeTables:
    """The tables of one Program's text; each is read once."""

    def __init__(self, session: Session, symbols: TextSymbols) -> None:
        self._session = session
        self._symbols = symbols
        self._fixups: dict[str, SortedRows] = {}
        self._branches: dict[str, SortedRows] = {}

    def fixups(self, module: str, start: int, end: int) -> Mapping[int, Fixup]:
        """Entries of the exception table between two addresses."""
        if module not in self._fixups:
            rows = partial(fixup_rows, self._symbols.machine)
            self._fixups[module] = self._table(module, "ex_table", rows)
        return self._fixups[module].between(start, end)

    def branches(self, module: str, start: int, end: int) -> Mapping[int, int]:
        """Static branches between two addresses."""
        if module not in self._branches:
            self._branches[module] = self._table(module, "jump_table", branch_rows)
        return self._branches[module].between(start, end)

    def _table(
        self,
        module: str,
        which: str,
        rows: Callable[[int, bytes, drgn.Type], Rows],
    ) -> SortedRows:
        what = {"ex_table": "exception table", "jump_table": "table of static branches"}[which]
        name = "exception_table_entry" if which == "ex_table" else "jump_entry"
        where = self._where(module, which)
        if where is None or not where[1]:
            return SortedRows(Rows(0, (), int))  # a kernel without them has no type for them either
        try:
            type_ = self._session.prog.type(f"struct {name}")
            start, size = where
            if size < 0:
                size *= -(type_.size or 0)
            if not 0 <= size <= _MAX_TABLE:
                return SortedRows(None, f"the {what} is damaged")
            data = self._symbols.memory(start, size)
            if data is None:
                return SortedRows(None, f"the {what} is not in the dump")
            return SortedRows(rows(start, data, type_))
        except LookupError:
            return SortedRows(None, f"the form of the {what} is not known")

    def _where(self, module: str, which: str) -> tuple[int, int] | None:
        """Start, and size in bytes or minus the number of entries."""
        if module:
            text = self._symbols.module_texts()[module]
            return text.extable if which == "ex_table" else text.jumps
        place = self._session.between(f"__start___{which}", f"__stop___{which}")
        return None if place is None else (place[0], place[1] - place[0])
