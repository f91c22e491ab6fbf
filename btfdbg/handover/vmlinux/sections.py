"""Which parts of the kernel's image are sections, and what could be read of them.

Owns the cut of the image along the linker's symbols, and the honesty about memory that is
not there: a part that could not be read is a section without contents (NOBITS), never
zeros in one that has them. The template of the per-CPU variables was freed after boot as
well; its section has what CPU 0's variables hold now, and the file's note says so. Code
that was freed after boot counts as unreadable: what lies there now is somebody else's.

Facts: include/asm-generic/vmlinux.lds.h (the symbols); crash wants a section that reaches
the last symbol, and per-CPU symbols in one whose name begins with ``.data``; drgn and crash
know a vmlinux by its ``.init.text``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby

from btfdbg.kallsyms.model import Memory, try_read
from btfdbg.lazy_dataclass import dataclass

PERCPU = ".data..percpu"
# ``_stext`` is VMCOREINFO's and kallsyms' also where CONFIG_KALLSYMS_ALL=n; on arm64 what is
# before it is the image's header, which is not mapped (arch/arm64/mm/mmu.c, map_kernel()).
TEXT_STARTS = ("_text", "_stext")
# Name, first symbol, symbol after it. What comes first is cut out of what comes later.
RANGES = (
    (".notes", "__start_notes", "__stop_notes"),
    (".BTF", "__start_BTF", "__stop_BTF"),
    (".orc_unwind_ip", "__start_orc_unwind_ip", "__stop_orc_unwind_ip"),
    (".orc_unwind", "__start_orc_unwind", "__stop_orc_unwind"),
    (".orc_lookup", "orc_lookup", "orc_lookup_end"),
    (".init.text", "_sinittext", "_einittext"),
    (PERCPU, "__per_cpu_start", "__per_cpu_end"),
    (".text", "_text", "_etext"),
    (".rodata", "__start_rodata", "__end_rodata"),
    (".data", "_sdata", "_edata"),
    (".bss", "__bss_start", "__bss_stop"),
)
FREED = frozenset((".init.text",))
CODE = frozenset((".text", ".init.text"))
WRITABLE = frozenset((PERCPU, ".data", ".bss", ".orc_lookup"))
REST = ".btfdbg.rest"

_CHUNK = 1 << 20
_PAGE = 4096
_MAX_IMAGE = 1 << 30
_MAX_PIECES = 8192


@dataclass(frozen=True, slots=True)
class Piece:
    """
    A part of the image that is one section.

    :ivar name: Of the section.
    :ivar base: Name of the part that it is of, ``.text`` for ``.text..2``.
    :ivar start: Address in memory.
    :ivar size: Bytes; of one with contents that are still to be read, 0.
    :ivar readable: Whether it has contents.
    """

    name: str
    base: str
    start: int
    size: int
    readable: bool


@dataclass(frozen=True, slots=True)
class Missing:
    """A range of memory that the file has no contents of, and why."""

    section: str
    address: int
    size: int
    why: str


def cut(address_of: Callable[[str], int | None], last: int) -> list[tuple[str, int, int]]:
    """
    Disjoint parts of the image by address: name, start and end.

    :param address_of: Address of a symbol of the linker script, if there is one.
    :param last: Highest address of any symbol.
    """
    taken: list[tuple[str, int, int]] = []
    for name, first, after in RANGES:
        start, end = address_of(first), address_of(after)
        if start is None and first in TEXT_STARTS:
            start = next(filter(None, map(address_of, TEXT_STARTS)), None)
        if start is None or end is None or not 0 < end - start <= _MAX_IMAGE:
            continue
        if name == PERCPU and start < _PAGE:
            continue  # offsets, which are no part of the image
        taken.extend((name, low, high) for low, high in _without(start, end, taken))
    if not taken:
        return []
    taken.sort(key=lambda part: part[1])
    start = taken[0][1]
    end = min(max(last + 1, taken[-1][2]), start + _MAX_IMAGE)
    rest = [(REST, low, high) for low, high in _without(start, end, taken)]
    return sorted(taken + rest, key=lambda part: part[1])


def _without(
    start: int, end: int, taken: Sequence[tuple[str, int, int]]
) -> Iterator[tuple[int, int]]:
    """What is left of a range."""
    for _, low, high in sorted(taken, key=lambda part: part[1]):
        if high <= start or low >= end:
            continue
        if low > start:
            yield start, low
        start = max(start, high)
    if start < end:
        yield start, end


# Address, bytes if they can be read, and how many.
_Block = tuple[int, "bytes | None", int]


class Contents:
    """
    The image's parts, read as they are asked for.

    :param read: Memory of the dump.
    :param percpu: What to add to a per-CPU variable's address to get CPU 0's.
    :ivar missing: What could not be read.
    """

    def __init__(self, read: Memory, percpu: int | None = None) -> None:
        self._read = read
        self._percpu = percpu
        self._counts: dict[str, int] = {}
        self.missing: list[Missing] = []

    def pieces(
        self, parts: Sequence[tuple[str, int, int]]
    ) -> Iterator[tuple[Piece, Iterable[bytes]]]:
        """
        Yield each piece with its bytes, in parts; none for one without contents.

        The bytes are read as they are taken, before the next piece: .text has 20 MB.
        """
        counts = self._counts
        total = 0
        for base, start, end in parts:
            if base in FREED:
                yield self._freed(base, start, end, counts)
                continue
            if base == PERCPU:
                now = self.percpu(start, end - start)
                yield Piece(_name(base, counts), base, start, end - start, bool(now)), (now,)
                continue
            if base in (REST, ".bss"):
                # Not of the file in a real vmlinux either: zeros at boot, or between parts.
                yield Piece(_name(base, counts), base, start, end - start, False), ()
                continue
            for lost, group in groupby(self._blocks(start, end), _is_lost):
                blocks = iter(group)
                total += 1
                low, first, size = next(blocks)
                if not lost and total < _MAX_PIECES:
                    yield Piece(_name(base, counts), base, low, 0, True), _bytes(first, blocks)
                    continue
                size = sum((more for *_, more in blocks), size)
                self.missing.append(Missing(base, low, size, "not in the dump"))
                yield Piece(_name(f"{base}..unreadable", counts), base, low, size, False), ()

    def name_used(self, name: str) -> None:
        """Give the next piece of a part another name: a section of this one is there."""
        _name(name, self._counts)

    def percpu(self, start: int, size: int) -> bytes:
        """
        CPU 0's variables in place of their template; a page that is not there is 0xa5.

        Debuggers take a per-CPU variable for one by its section's having contents.
        """
        if self._percpu is None:
            self.missing.append(Missing(PERCPU, start, size, "freed after boot"))
            return b""
        self.missing.append(Missing(PERCPU, start, size, "freed after boot; CPU 0's instead"))
        parts = []
        for at, data, length in self._blocks(start + self._percpu, start + self._percpu + size):
            if data is None:
                here = at - self._percpu
                self.missing.append(Missing(PERCPU, here, length, "not in the dump; filled: a5"))
            parts.append(data if data is not None else b"\xa5" * length)
        return b"".join(parts)

    def _freed(
        self, base: str, start: int, end: int, counts: dict[str, int]
    ) -> tuple[Piece, Sequence[bytes]]:
        self.missing.append(Missing(base, start, end - start, "freed after boot"))
        return Piece(_name(base, counts), base, start, end - start, False), ()

    def _blocks(self, start: int, end: int) -> Iterator[_Block]:
        """A part in blocks, in pages where it cannot be read as a whole."""
        at = start
        while at < end:
            size = min(_CHUNK - at % _CHUNK, end - at)
            data = try_read(self._read, at, size)
            if data is not None:
                yield at, data, size
                at += size
                continue
            stop = at + size
            while at < stop:
                page = min(_PAGE - at % _PAGE, stop - at)
                yield at, try_read(self._read, at, page), page
                at += page


def _is_lost(block: _Block) -> bool:
    return block[1] is None


def _bytes(first: bytes | None, blocks: Iterator[_Block]) -> Iterator[bytes]:
    yield first or b""
    for _, data, _ in blocks:
        yield data or b""


def _name(base: str, counts: dict[str, int]) -> str:
    count = counts[base] = counts.get(base, 0) + 1
    return base if count == 1 else f"{base}..{count}"


class Index:
    """Which section an address is in."""

    def __init__(self, starts: Sequence[tuple[int, int, int]]) -> None:
        """:param starts: Start, end and number of each section, in any order."""
        ordered = sorted(starts)
        self._starts = [start for start, _, _ in ordered]
        self._rest = [(end, number) for _, end, number in ordered]
        # Where the last one was that was asked for, and up to where: symbols come in order.
        self._low, self._high, self._number = 0, 0, 0

    def at(self, address: int) -> int:
        """Number of the section that holds an address; 0 if none does."""
        if self._low <= address < self._high:
            return self._number
        found = bisect_right(self._starts, address) - 1
        if found < 0:
            return 0
        end, number = self._rest[found]
        if address > end:
            return 0
        following = self._starts[found + 1] if found + 1 < len(self._starts) else end
        self._low, self._high, self._number = self._starts[found], min(end, following), number
        return number
