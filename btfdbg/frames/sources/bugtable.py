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
import sys
from bisect import bisect_left
from collections.abc import Sequence
from itertools import compress, islice
from operator import add, gt

from drgn import Program, Type

from btfdbg.frames.sources.strings import MAX_PATH, Strings, file_of
from btfdbg.lazy_dataclass import dataclass

_PAGE = 4096
MAX_TABLE = 16 << 20
_TRIED = 24
_MAX_TEXT = 1024
_CODES = {1: "bB", 2: "hH", 4: "iI", 8: "qQ"}
_MASK = (1 << 64) - 1


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
    Entries by address; what they say is read when it is asked for.

    :ivar left_out: entries that lie in missing pages or point nowhere sensible.
    """

    def __init__(
        self,
        strings: Strings,
        layout: Layout,
        start: int,
        data: bytes,
        traps: list[int],
        numbers: list[int],
    ) -> None:
        """
        :param start: where ``data``, the table, lies.
        :param traps: where the traps are, ascending, see :meth:`Layout.traps`; ``numbers`` has
            their entries'.
        """
        self._strings = strings
        self._layout = layout
        self._start = start
        self._data = data
        # Two lists of numbers: of pairs there are so many that Python would look for garbage.
        self._base = layout.base(start)
        self._traps = traps
        self._numbers = numbers
        self.left_out = len(data) // layout.size - len(numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def index(self, address: int) -> int:
        """Number of the first entry at or behind an address."""
        return bisect_left(self._traps, address - self._base)

    def address(self, number: int) -> int:
        """Where the trap of an entry is."""
        return self._base + self._traps[number]

    def file(self, number: int) -> str | None:
        """The file of an entry; None if it has no sensible name."""
        return file_of(_after_condition(self._strings.at(self._row(number)[0]))[1])

    def _row(self, number: int) -> tuple[int, int]:
        """Address of the file's name, and line."""
        offset = self._numbers[number] * self._layout.size
        entry = self._data[offset : offset + self._layout.size]
        return self._layout.row(self._start + offset, entry)

    def at(self, address: int) -> Bug | None:
        """The entry whose trap is exactly there."""
        number = self.index(address)
        if number >= len(self._traps) or self.address(number) != address:
            return None
        file = self.file(number)
        if file is None:
            return None
        entry = self._start + self._numbers[number] * self._layout.size
        name, line = self._row(number)
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
        self._sizes: dict[str, int] = {}
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
            self._sizes[name.removesuffix("_disp")] = size
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

    def base(self, start: int) -> int:
        """What :meth:`traps` counts from: small numbers are compared in half the time."""
        return start if self.relative else 0

    def traps(self, data: bytes) -> list[int]:
        """Where the trap of each entry of a table is, which has no part of an entry."""
        size, offset = self.size, self._offsets["bug_addr"]
        width = self._sizes["bug_addr"]
        code = _CODES[width][0 if self.relative else 1]
        native = self.order == ("<" if sys.byteorder == "little" else ">")
        if native and not size % width and not offset % width:
            words: memoryview[int] = memoryview(data).cast(code)  # type: ignore[call-overload]
            values = words[offset // width :: size // width].tolist()
        else:
            column = struct.Struct(f"{self.order}{offset}x{code}{size - offset - width}x")
            values = [value for (value,) in column.iter_unpack(data)]
        if not self.relative:
            return values
        return list(map(add, values, range(0, len(data), size)))

    def row(self, at: int, entry: bytes) -> tuple[int, int]:
        """Address of the file's name, and line, of an entry."""
        values = self.entry.unpack(entry)
        name = values[self._place("file")]
        if self.relative:
            name = name + at + (self._offsets["file"] if self.own_field else 0) & _MASK
        return name, values[self._place("line")] if "line" in self._offsets else 0

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
    names = _names(strings, layout, start, data, True)
    # Where all that were tried have one, no other way can have more.
    if layout.relative and names < len(_tried(data, layout)):
        others = _names(strings, layout, start, data, False)
        layout.own_field, names = names >= others, max(names, others)
    if not names:
        return None
    traps = layout.traps(data)
    order: Sequence[int] = range(len(traps))
    if any(map(gt, traps, islice(traps, 1, None))):
        order = sorted(order, key=traps.__getitem__)
        traps.sort()
    base = layout.base(start)
    found: list[int] = []
    numbers: list[int] = []
    for low, high in sorted(code):
        # A distance that leads past the end of all addresses is in no code either.
        part = slice(bisect_left(traps, low - base), bisect_left(traps, high - base))
        found += traps[part]
        numbers += order[part]
    if missing:
        there = bytearray(b"\1") * len(traps)
        for low, high in missing:
            first, last = (low - start) // layout.size, (high - 1 - start) // layout.size
            there[first : last + 1] = bytes(min(last + 1, len(traps)) - first)
        whole = list(map(there.__getitem__, numbers))
        found, numbers = list(compress(found, whole)), list(compress(numbers, whole))
    return BugTable(strings, layout, start, data, found, numbers)


def _tried(data: bytes, layout: Layout) -> range:
    """Numbers of the entries whose names are looked at."""
    count = len(data) // layout.size
    return range(0, count, max(1, count // _TRIED))


def _names(strings: Strings, layout: Layout, start: int, data: bytes, own_field: bool) -> int:
    """How many of some entries have the name of a file, whole, if it is read that way."""
    before, layout.own_field = layout.own_field, own_field
    found = 0
    for number in _tried(data, layout):
        at = number * layout.size
        place, _ = layout.row(start + at, data[at : at + layout.size])
        name = strings.at(place)
        # What stands before it tells a name from the end of one.
        ahead = strings.bytes_at(place - 1, 1) if place else None
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
