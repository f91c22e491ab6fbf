"""Code that is of one object file, shown by calls of functions that no other file can name.

Owns one fact: a static function is called by its own object file alone, and the linker puts
the text of an object file together. So whatever lies between a call and the static function
that it leads to is of that file. Knows no file's name.

What would show the same without being so is left out: calls that the kernel wrote into
itself (static calls, those that ``pv_ops`` names), functions that ThinLTO made reachable
from other files (``.llvm.``), and whatever spans a border between parts of the text that
the linker fills one after the other (the ``.cold`` part of a function is in another one), or
two source files of the bug table.

Facts: Intel SDM volume 2, CALL and JMP (E8, E9: a distance from the end of the
instruction); Arm ARM C6.2, BL and B (words, from the instruction itself);
include/linux/static_call_types.h (``struct static_call_site``: distances from their own
fields); arch/x86/include/asm/paravirt_types.h (``pv_ops``);
include/asm-generic/vmlinux.lds.h (the parts of ``.text``). nm's letter of a local symbol is
lower case.
"""

from __future__ import annotations

import re
import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Container, Iterator, Sequence
from operator import add
from typing import Protocol

from btfdbg.frames.sources.bugtable import BugTable
from btfdbg.frames.sources.model import Function
from btfdbg.frames.sources.strings import is_source
from btfdbg.lazy_pattern import pattern

_CHUNK = 1 << 16
_REACH = 1 << 17
"""How far a call may lead, in bytes: the text of a large object file."""
_MAX_OBJECT = 1 << 19
_PAGE = 4096
_COLD = ".cold"
_OVERLAP = 8
# Distances below _REACH, either way: all but 17 bits (arm64: 15, of words) are the sign's.
# What begins with one certain byte is looked for fast, in 1/10 of the instructions.
_FAR = rb"(?=..(?:[\x00\x01]\x00|[\xfe\xff]\xff))"
_X86_64 = pattern(rb"\xe8" + _FAR, re.S), pattern(rb"\xe9" + _FAR, re.S)
_AARCH64 = pattern(rb"(?=.(?:[\x00-\x7f]\x00[\x14\x94]|[\x80-\xff]\xff[\x17\x97]))", re.S)

Range = tuple[int, int]
"""First address, and the one behind the last."""


class Code(Protocol):
    """The functions in question and the bug table that covers them."""

    @property
    def bugs(self) -> BugTable | None: ...
    def at(self, address: int) -> Function | None: ...
    def is_static(self, function: Function) -> bool:
        """Whether every symbol at the start of a function that ``at`` gave is local."""


class Links:
    """
    What belongs together in one region.

    :param read: memory, None if any byte of it is missing.
    :param machine: as ``uname -m`` prints it.
    :param borders: addresses at which one part of the text ends, ascending.
    :param written: addresses of calls that the kernel itself wrote.
    :param patched: addresses of functions to which it may have written a call anywhere.
    :param freed: the text of start-up, whose memory has been used for other things.
    """

    def __init__(
        self,
        code: Code,
        read: Callable[[int, int], bytes | None],
        machine: str,
        borders: Sequence[int] = (),
        written: Container[int] = frozenset(),
        patched: frozenset[int] = frozenset(),
        freed: Range = (0, 0),
    ) -> None:
        self._code = code
        self._read = read
        self._targets = {"x86_64": _x86_64, "aarch64": _aarch64}.get(machine)
        self._borders = borders
        self._written = written
        self._patched = patched
        self._freed = freed
        self._chunks: dict[tuple[int, int, int], list[Range]] = {}
        self._found: list[Range] = []

    def around(self, function: Function) -> Range | None:
        """
        Return the code that is shown to be of one object file with a function.

        :return: from the start of its first function to the end of its last; None if
            nothing is shown, or what is shown contradicts the bug table.
        """
        if self._targets is None or not function.size:
            return None
        start, end = function.address, function.address + function.size
        number = bisect_right(self._found, (start, 1 << 64)) - 1
        if number >= 0 and self._found[number][1] >= end:
            return self._found[number]
        part = self._part(start, end)
        while end - start <= _MAX_OBJECT:
            near = [
                (low, high)
                for low, high in self._near(start - _REACH, end + _REACH, part)
                if low < end and high > start
            ]
            low = min((low for low, _ in near), default=start)
            high = max((high for _, high in near), default=end)
            if (min(low, start), max(high, end)) == (start, end):
                break
            start, end = min(low, start), max(high, end)
            if not self._is_one_file(start, end):
                return None
        else:
            return None
        if (start, end) == (function.address, function.address + function.size):
            return None
        self._found.insert(bisect_left(self._found, (start, end)), (start, end))
        return start, end

    def _part(self, start: int, end: int) -> Range:
        """
        The part of the text around some code, from border to border.

        No link spans a border: what reaches the code is in its part, which for entries is some
        pages where calls could come from a hundred.
        """
        number = bisect_right(self._borders, start) - 1
        behind = bisect_left(self._borders, end)
        return (
            self._borders[number] if number >= 0 else 0,
            self._borders[behind] if behind < len(self._borders) else 1 << 64,
        )

    def _near(self, start: int, end: int, part: Range) -> Iterator[Range]:
        start, end = max(start, part[0], 0), min(end, part[1])
        for chunk in range(start & -_CHUNK, end, _CHUNK):
            key = (chunk, *part)
            found = self._chunks.get(key)
            if found is None:
                found = self._chunks[key] = _joined(self._links(chunk, part))
            yield from found

    def _links(self, chunk: int, part: Range) -> Iterator[Range]:
        """What the calls in one piece of memory show, those that are in one part."""
        if self._targets is None:
            return
        first = max(chunk, part[0] & -_PAGE)
        last = min(chunk + _CHUNK, -(-part[1] // _PAGE) * _PAGE)
        size = last - first + _OVERLAP
        data = self._read(first, size)
        if data is None:
            data = b"".join(
                self._read(at, _PAGE) or bytes(_PAGE) for at in range(first, first + size, _PAGE)
            )
        low, high = max(first, part[0]), min(last, part[1])
        calls: dict[int, list[int]] = {}
        for at, target in self._targets(data[:size], first):
            if low <= at < high and not self._freed[0] <= at < self._freed[1]:
                calls.setdefault(target, []).append(at)
        for target, places in calls.items():
            callee = self._code.at(target)
            if callee is None or callee.address != target or target in self._patched:
                continue
            if ".llvm." in callee.name or not self._code.is_static(callee):
                continue
            # The farthest first: it shows what the others do, unless it is left out.
            for side in (
                sorted(place for place in places if place < target),
                sorted((place for place in places if place >= target), reverse=True),
            ):
                for place in side:
                    link = None if place in self._written else self._link(place, callee)
                    if link is not None:
                        yield link
                        break

    def _link(self, place: int, callee: Function) -> Range | None:
        caller = self._code.at(place)
        if caller is None or caller.address == callee.address:
            return None
        if (_COLD in caller.name) != (_COLD in callee.name):
            return None
        start = min(caller.address, callee.address)
        end = max(caller.address + caller.size, callee.address + callee.size)
        if bisect_right(self._borders, start) != bisect_left(self._borders, end):
            return None
        return (start, end) if self._is_one_file(start, end) else None

    def _is_one_file(self, start: int, end: int) -> bool:
        bugs = self._code.bugs
        if bugs is None:
            return True
        return sum(map(is_source, bugs.files(start, end))) <= 1


class StaticCalls(Container[int]):
    """
    Addresses of the calls in a table of ``struct static_call_site``.

    Found when the first is asked for: a stack's functions are rarely called so.
    """

    def __init__(self, data: bytes, start: int, order: str) -> None:
        """:param start: where the table lies; ``order`` as in :mod:`struct`."""
        self._table = data, start, order
        self._found: frozenset[int] | None = None

    def __contains__(self, address: object) -> bool:
        data, start, order = self._table
        if self._found is None:
            self._found = static_calls(data, order)
        return isinstance(address, int) and address - start in self._found


def static_calls(data: bytes, order: str) -> frozenset[int]:
    """Distances from a table of ``struct static_call_site`` to the calls in it."""
    words = _words(data, order, "i")[::2]
    # Small numbers: a range of addresses is gone through as slowly as Python's own code.
    return frozenset(map(add, words, range(0, 8 * len(words), 8)))


def pointers(data: bytes, order: str) -> frozenset[int]:
    """The words of 8 bytes in some data."""
    return frozenset(_words(data, order, "Q"))


def _words(data: bytes, order: str, code: str) -> array[int]:
    """Words of a table whose entries are 8 bytes each."""
    words = array(code, data[: len(data) // 8 * 8])
    if order != ("<" if sys.byteorder == "little" else ">"):
        words.byteswap()
    return words


def _x86_64(data: bytes, address: int) -> Iterator[tuple[int, int]]:
    """Place and target of what may be calls and jumps; a few are parts of other instructions."""
    for opcode in _X86_64:
        for match in opcode.finditer(data):
            at = match.start()
            if at < _CHUNK:
                distance = int.from_bytes(data[at + 1 : at + 5], "little", signed=True)
                yield address + at, address + at + 5 + distance


def _aarch64(data: bytes, address: int) -> Iterator[tuple[int, int]]:
    words = array("I", data[:_CHUNK])
    for match in _AARCH64.finditer(data, 0, _CHUNK):
        at = match.start()
        if at % 4 == 0 and at < _CHUNK:
            distance = words[at // 4] & 0x3FF_FFFF
            yield address + at, address + at + 4 * (distance - ((distance & 0x200_0000) << 1))


def _joined(links: Iterator[Range]) -> list[Range]:
    """Ranges that share code, made one."""
    found: list[Range] = []
    for start, end in sorted(links):
        if found and start < found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found
