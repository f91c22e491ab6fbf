"""The kernel's bug table: file and line of every WARN and BUG, by the address of its trap.

Owns the reading of one table (the kernel's, or a module's) and which of its entries are
believed. Knows nothing of functions.

How an entry is laid out is in the dump's BTF. What BTF does not say is what its
displacements are relative to: their own field, or the entry. Both are tried on entries
of the table itself, and names of files decide.

Facts: include/asm-generic/bug.h (``struct bug_entry``), lib/bug.c; sections of
arch/*/include/asm/bug.h. ``file_disp`` is relative to its own field since Linux kernel
commit 69505e3d9a39 ("bug: Use normal relative pointers in 'struct bug_entry'") (in v5.19),
before to the entry. Without CONFIG_GENERIC_BUG_RELATIVE_POINTERS ``bug_addr`` and ``file``
are pointers. With CONFIG_DEBUG_BUGVERBOSE_DETAILED the name of the file stands behind
the condition, ``[cond] fs/inode.c``; ``format_disp``/``format`` (from 6.19 on) is what the
WARN prints.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterable

from drgn import Program, Type

from btfdbg.frames.sources.strings import MAX_PATH, Strings, file_of
from btfdbg.lazy_dataclass import dataclass

_PAGE = 4096
MAX_TABLE = 16 << 20
_TRIED = 48
_MAX_TEXT = 1024
_CODES = {1: "bB", 2: "hH", 4: "iI", 8: "qQ"}


@dataclass(frozen=True, slots=True)
class Bug:
    """
    One entry.

    :ivar address: of the trapping instruction.
    :ivar file: its ``__FILE__``: a header if it was inlined from there.
    :ivar line: 0 if the table has none.
    :ivar text: what it prints or which condition it tests, if the table says so.
    """

    address: int
    file: str
    line: int
    text: str = ""


class BugTable:
    """
    Entries by address; names are read when they are asked for.

    :ivar left_out: entries that lie in missing pages or point nowhere sensible.
    """

    def __init__(
        self,
        strings: Strings,
        layout: Layout,
        rows: list[tuple[int, int, int, int]],
        left_out: int,
    ) -> None:
        """:param rows: (address, place of the entry, file, line), by address."""
        self._strings = strings
        self._layout = layout
        self._rows = rows
        self._addresses = [row[0] for row in rows]
        self.left_out = left_out

    def __len__(self) -> int:
        return len(self._rows)

    def index(self, address: int) -> int:
        """Number of the first entry at or behind an address."""
        return bisect_left(self._addresses, address)

    def address(self, number: int) -> int:
        """Where the trap of an entry is."""
        return self._addresses[number]

    def file(self, number: int) -> str | None:
        """The file of an entry; None if it has no sensible name."""
        name = self._strings.at(self._rows[number][2])
        return file_of(_after_condition(name)[1])

    def at(self, address: int) -> Bug | None:
        """The entry whose trap is exactly there."""
        number = self.index(address)
        if number >= len(self._rows) or self._addresses[number] != address:
            return None
        file = self.file(number)
        if file is None:
            return None
        _, entry, name, line = self._rows[number]
        text = _after_condition(self._strings.at(name))[0]
        if not text:
            text = self._layout.format_text(self._strings, entry)
        return Bug(address, file, line, text)

    def files(self, start: int, end: int) -> list[str]:
        """Files of the entries from ``start`` to before ``end``, each once."""
        found: dict[str, None] = {}
        for number in range(self.index(start), self.index(end)):
            file = self.file(number)
            if file is not None:
                found[file] = None
        return list(found)


class Layout:
    """
    How the entries of this kernel are laid out, out of the type in its BTF.

    :raises LookupError: the kernel has no such type, or no file names in it.
    """

    def __init__(self, type_: Type, order: str) -> None:
        self.order = order
        self.size = type_.size or 0
        members = {m.name: m for m in type_.members or () if m.name}
        self.relative = "bug_addr_disp" in members
        suffix = "_disp" if self.relative else ""
        self._offsets: dict[str, int] = {}
        formats: list[tuple[int, int, str]] = []
        for name in (f"bug_addr{suffix}", f"file{suffix}", "line", f"format{suffix}"):
            member = members.get(name)
            if member is None:
                if name in ("line", f"format{suffix}"):
                    continue
                raise LookupError(f"struct bug_entry has no {name}")
            offset, size = member.bit_offset // 8, member.type.size or 0
            if size not in _CODES or offset + size > self.size:
                raise LookupError(f"struct bug_entry: {name} of {size} bytes at {offset}")
            self._offsets[name.removesuffix("_disp")] = offset
            if not name.startswith("format"):
                signed = self.relative and name != "line"
                formats.append((offset, size, _CODES[size][0 if signed else 1]))
        # In the order in which they lie; which is which is looked up by offset.
        formats.sort()
        text, at = order, 0
        for offset, size, code in formats:
            text += f"{offset - at}x{code}"
            at = offset + size
        self.entry = struct.Struct(f"{text}{self.size - at}x")
        self._order = [offset for offset, _, _ in formats]
        self.own_field = True

    def rows(self, start: int, data: bytes) -> Iterable[tuple[int, int, int, int]]:
        """(address, place of the entry, address of the file's name, line) of each entry."""
        bug, file = self._place("bug_addr"), self._place("file")
        line = self._place("line") if "line" in self._offsets else None
        file_base = self._offsets["file"] if self.own_field else 0
        mask = (1 << 64) - 1
        at = start
        for values in self.entry.iter_unpack(data):
            address, name = values[bug], values[file]
            if self.relative:
                address = (address + at) & mask
                name = (name + at + file_base) & mask
            yield address, at, name, values[line] if line is not None else 0
            at += self.size

    def _place(self, name: str) -> int:
        return self._order.index(self._offsets[name])

    def format_text(self, strings: Strings, entry: int) -> str:
        """What the entry's WARN prints, "" if this kernel does not say."""
        offset = self._offsets.get("format")
        if offset is None:
            return ""
        size = 4 if self.relative else 8
        data = strings.bytes_at(entry + offset, size)
        if data is None:
            return ""
        value = int.from_bytes(data, "little" if self.order == "<" else "big", signed=self.relative)
        if self.relative:
            value += entry + (offset if self.own_field else 0)
        text = strings.at(value & ((1 << 64) - 1), _MAX_TEXT)
        if not text or not text.isascii():
            return ""
        return text.decode("ascii").strip()


def read_table(
    prog: Program, strings: Strings, start: int, size: int, code: list[tuple[int, int]]
) -> BugTable | None:
    """
    Read a table.

    :param start: its address; ``size`` in bytes.
    :param code: (start, end) of where the traps may be.
    :return: None if its layout is not known or no entry of it has a file.
    """
    try:
        platform = prog.platform
        little = platform is None or bool(platform.flags & platform.flags.IS_LITTLE_ENDIAN)
        layout = Layout(prog.type("struct bug_entry"), "<" if little else ">")
    except (LookupError, struct.error):
        return None
    if not 0 < size <= MAX_TABLE or not layout.size:
        return None
    data, missing = _read(strings, start, size - size % layout.size)
    if layout.relative:
        layout.own_field = _names(strings, layout, start, data, True) >= _names(
            strings, layout, start, data, False
        )
    if not _names(strings, layout, start, data, layout.own_field):
        return None
    rows = [
        row
        for row in layout.rows(start, data)
        if any(low <= row[0] < high for low, high in code)
        and not any(low < row[1] + layout.size and row[1] < high for low, high in missing)
    ]
    rows.sort()
    return BugTable(strings, layout, rows, len(data) // layout.size - len(rows))


def _names(strings: Strings, layout: Layout, start: int, data: bytes, own_field: bool) -> int:
    """How many of some entries have the name of a file, whole, if it is read that way."""
    before, layout.own_field = layout.own_field, own_field
    found = 0
    count = len(data) // layout.size
    step = max(1, count // _TRIED)
    for row in list(layout.rows(start, data))[::step][:_TRIED]:
        name = strings.at(row[2])
        # What stands before it tells a name from the end of one.
        ahead = strings.bytes_at(row[2] - 1, 1) if row[2] else None
        if ahead == b"\0" and file_of(_after_condition(name)[1]) is not None:
            found += 1
    layout.own_field = before
    return found


def _read(strings: Strings, start: int, size: int) -> tuple[bytes, list[tuple[int, int]]]:
    """A table's bytes, zeros for pages that are missing, and where those are."""
    data = strings.bytes_at(start, size)
    if data is not None:
        return data, []
    parts, missing, at = [], [], start
    while at < start + size:
        step = min(_PAGE - at % _PAGE, start + size - at)
        part = strings.bytes_at(at, step)
        if part is None:
            missing.append((at, at + step))
        parts.append(part if part is not None else bytes(step))
        at += step
    return b"".join(parts), missing


def _after_condition(name: bytes | None) -> tuple[str, bytes | None]:
    """The condition and the file of ``[cond] file``; "" without a condition."""
    if name is None or not name.startswith(b"["):
        return "", name
    condition, found, file = name[1:].rpartition(b"] ")
    if not found or len(name) >= MAX_PATH or not condition.isascii():
        return "", name
    return condition.decode("ascii"), file
