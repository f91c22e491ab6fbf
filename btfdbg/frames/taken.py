"""Functions whose address somebody has: in a table of the data, or put there by an instruction.

Owns one search of a kernel's data and text, without decoding. A compiler keeps what such a
function is passed as its source says: it does not see who calls it. LLVM changes the parameters
of others (``DeadArgumentElimination``, ``ArgumentPromotion``: both ask ``hasAddressTaken()``).

x86-64's instructions for it are ``lea reg, [rip + n]``, ``mov reg, n`` and ``mov [mem], n`` with a
sign-extended number. That some other bytes look so and name just where a function starts is not
to be expected: of ten million bytes some ten look so, and one in 100,000 of those names a start.
arm64's pairs of instructions are not looked for.

Facts: Intel SDM volume 2, 2.2.1.6 and 2.1 (ModR/M).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from btfdbg.frames.references import Read

_CHUNK = 1 << 20
_OVERLAP = 16
_WORD = 8
_M64 = (1 << 64) - 1
_LEA = re.compile(rb"[\x48\x4c]\x8d[\x05\x0d\x15\x1d\x25\x2d\x35\x3d]", re.DOTALL)
# mov r64, imm32; mov qword [reg], [reg + 8 bits], [reg + 32 bits], those with an index.
_MOV = re.compile(
    rb"[\x48\x49]\xc7(?:[\xc0-\xc7]|[\x00-\x03\x06\x07]|[\x40-\x43\x45-\x47].|\x04.|\x05.{4}|\x44.."
    rb"|[\x80-\x83\x85-\x87].{4}|\x84.{5})",
    re.DOTALL,
)


def in_data(read: Read, ranges: Iterable[tuple[int, int]], start: int, end: int) -> set[int]:
    """
    Aligned words of data that lie in a range.

    :param read: Memory, None if any byte of it cannot be read.
    :param ranges: Start and end of the data.
    """
    found: set[int] = set()
    for data, _ in _chunks(read, ranges, 0):
        words = memoryview(data[: len(data) & -_WORD]).cast("Q")
        found.update(w for w in words if start <= w < end)
    return found


def in_text(read: Read, ranges: Iterable[tuple[int, int]], start: int, end: int) -> set[int]:
    """Addresses in a range that instructions of x86-64 make, to keep them or to pass them on."""
    found: set[int] = set()
    for data, address in _chunks(read, ranges, _OVERLAP):
        for hit in _LEA.finditer(data):
            at = hit.end()
            distance = int.from_bytes(data[at : at + 4], "little", signed=True)
            found.add(address + at + 4 + distance & _M64)
        for hit in _MOV.finditer(data):
            at = hit.end()
            found.add(int.from_bytes(data[at : at + 4], "little", signed=True) & _M64)
    return {a for a in found if start <= a < end}


def _chunks(
    read: Read, ranges: Iterable[tuple[int, int]], overlap: int
) -> Iterator[tuple[bytes, int]]:
    for first, last in ranges:
        for at in range(first & -_WORD, last, _CHUNK):
            data = read(at, min(_CHUNK + overlap, last - at))
            if data is not None:
                yield data, at
                continue
            for page in range(at, min(at + _CHUNK, last), 1 << 12):
                part = read(page, min((1 << 12) + overlap, last - page))
                if part is None:
                    part = read(page, min(1 << 12, last - page))
                if part is not None:
                    yield part, page
