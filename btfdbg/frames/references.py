"""Which functions name an address: a search of the text without decoding it.

Owns finding the few functions that are worth an analysis when one variable is asked for. It may
name too many, and those whose reference is made in a way not known here it misses.

x86-64 names an address as a sign-extended 32-bit number, or as a distance from the end of the
instruction, which is a few bytes behind the distance. arm64 names the page (``adrp``), then adds
the rest; compilers also name a neighbour's page and add the distance between the two.

Facts: Intel SDM volume 2, 2.2.1.6 (RIP-relative addressing); Arm ARM C6.2 (ADRP: the immediate
is ``immhi:immlo`` pages); GCC's ``-fsection-anchors``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

Read = Callable[[int, int], bytes | None]
Variable = tuple[int, int]
"""Its address, and its bytes."""

_CHUNK = 1 << 20
_PAGE = 1 << 12
_WINDOW = 1 << 16
_OVERLAP = 16
# Bytes of an immediate between a distance and the end of its instruction.
BEHIND = (0, 1, 2, 4)
ADRP = 0x9000_0000
MASK_ADRP = 0x9F00_0000
_ANCHOR_PAGES = 1
_M32 = (1 << 32) - 1
_M64 = (1 << 64) - 1
_MAX_HITS = 1 << 14
_MAX_POINTERS = 256
_WORD = 8
REACH = 96 * 4  # bytes in which the rest of an address is looked for


def references(
    read: Read, ranges: Iterable[tuple[int, int]], machine: str, start: int, size: int
) -> Iterator[int]:
    """
    Addresses in the text at which an address within a variable may be named.

    :param read: Memory, None if any byte of it cannot be read.
    :param ranges: Start and end of the texts to look in, as :func:`present` gives them.
    :param start: The variable's address; ``size`` its bytes, at least one.
    """
    size = max(size, 1)
    search = _x86_64 if machine == "x86_64" else _aarch64
    hits = 0
    for at, data in _chunks(read, ranges):
        for hit in search(data, at, start, size):
            yield hit
            hits += 1
            if hits >= _MAX_HITS:
                return


def references_of(
    read: Read, ranges: Iterable[tuple[int, int]], machine: str, variables: Iterable[Variable]
) -> dict[Variable, list[int]]:
    """
    The same of several variables, each piece of the text being read once.

    Of a kdump file each reading is 0.1 s of decompression, and all variables of Debian's 6.12 ask
    for four of them (``btfdbg export-vmlinux``).

    :param variables: Address and bytes of each.
    """
    search = _x86_64 if machine == "x86_64" else _aarch64
    found: dict[Variable, list[int]] = {variable: [] for variable in variables}
    for at, data in _chunks(read, ranges) if found else ():
        for (start, size), hits in found.items():
            if len(hits) < _MAX_HITS:
                hits.extend(islice(search(data, at, start, max(size, 1)), _MAX_HITS - len(hits)))
    return found


def _chunks(read: Read, ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, bytes]]:
    """Address and bytes of one piece of text after another; they overlap a little."""
    for first, last in ranges:
        for at in range(first, last, _CHUNK):
            yield at, read(at, min(_CHUNK + _OVERLAP, last - at)) or b""


def pointers(read: Read, ranges: Iterable[tuple[int, int]], address: int) -> Iterator[int]:
    """Places of aligned words that are an address, in ranges as :func:`present` gives them."""
    pattern = address.to_bytes(_WORD, "little")
    hits = 0
    for first, last in ranges:
        for at in range(first & -_WORD, last, _CHUNK):
            data = read(at, min(_CHUNK, last - at)) or b""
            found = data.find(pattern)
            while found >= 0:
                if found % _WORD == 0:
                    yield at + found
                    hits += 1
                    if hits >= _MAX_POINTERS:
                        return
                found = data.find(pattern, found + 1)


def present(read: Read, ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The parts of some ranges that are in the dump, by pages."""
    found: list[tuple[int, int]] = []
    todo = [
        (at, min(at + _CHUNK, last)) for first, last in ranges for at in range(first, last, _CHUNK)
    ]
    todo.reverse()
    while todo:
        start, end = todo.pop()
        if read(start, end - start) is not None:
            if found and found[-1][1] == start:
                start = found.pop()[0]
            found.append((start, end))
            continue
        middle = (start + end) // 2 & -_PAGE
        if start < middle < end:
            todo += [(middle, end), (start, middle)]
    return found


def _x86_64(data: bytes, address: int, start: int, size: int) -> Iterator[int]:
    yield from _absolute(data, address, start, size)
    # A distance from a place is at least the one less the place, at most the other less it.
    least, most = start - address - 4 - BEHIND[-1], start + size - 1 - address - 4
    for window in range(0, len(data), _WINDOW):
        end = min(window + _WINDOW, len(data) - 4)
        # Distances from any place in the window to any in the variable.
        low = start - (address + end + 8)
        high = start + size - (address + window + 4)
        if low < -(1 << 31) or high >= 1 << 31:
            continue
        for upper in range(low >> 16, (high >> 16) + 1):
            pattern = (upper & 0xFFFF).to_bytes(2, "little")
            # From which places of the window the distance has that half: all are gone through
            # once, where it changes twice.
            first = max(window, least - (upper + 1 << 16) + 1)
            stop = min(end, most - (upper << 16)) + 4
            at = data.find(pattern, first + 2, stop)
            while at >= 0:
                place = at - 2
                distance = int.from_bytes(data[place : place + 4], "little", signed=True)
                named = address + place + 4 + distance
                if any(start <= named + n < start + size for n in BEHIND):
                    yield address + place
                at = data.find(pattern, at + 1, stop)


def _absolute(data: bytes, address: int, start: int, size: int) -> Iterator[int]:
    if start < (_M64 ^ _M32 >> 1):
        return  # not the sign-extension of 32 bits
    low = start & _M32
    for upper in range(low >> 16, ((low + size - 1) >> 16) + 1):
        pattern = (upper & 0xFFFF).to_bytes(2, "little")
        at = data.find(pattern, 2)
        while at >= 0:
            if low <= int.from_bytes(data[at - 2 : at + 2], "little") < low + size:
                yield address + at - 2
            at = data.find(pattern, at + 1)


def _aarch64(data: bytes, address: int, start: int, size: int) -> Iterator[int]:
    pages = range((start >> 12) - _ANCHOR_PAGES, ((start + size - 1) >> 12) + 1)
    skew = -address % _PAGE
    for base in range(skew - _PAGE if skew else 0, len(data), _PAGE):
        here = (address + base) >> 12
        for page in pages:
            distance = page - here
            if not -(1 << 20) <= distance < 1 << 20:
                continue
            high, low = (distance & 0x1F_FFFF) >> 2, distance & 3
            word = ADRP | low << 29 | high << 5
            pattern = (word >> 8).to_bytes(3, "little")
            stop = min(base + _PAGE, len(data))
            at = data.find(pattern, max(base, 0), stop)
            while at >= 0:
                aligned = at and (address + at - 1) % 4 == 0
                if aligned and data[at - 1] >> 5 == high & 7:
                    register = data[at - 1] & 31
                    if _adds_up(data[at + 3 : at + 3 + REACH], register, page << 12, start, size):
                        yield address + at - 1
                at = data.find(pattern, at + 1, stop)


def adrp_page(word: int, at: int) -> int:
    """The number of the page whose address the ``adrp`` at an address makes."""
    pages = (word >> 5 & 0x7FFFF) << 2 | word >> 29 & 3
    return (at >> 12) + pages - ((pages & 1 << 20) << 1)


def _adds_up(code: bytes, register: int, page: int, start: int, size: int) -> bool:
    """Whether what follows an ``adrp`` adds what makes a page an address in the variable."""
    known = {register: page}
    for word in memoryview(code[: len(code) // 4 * 4]).cast("I"):
        base = known.get(word >> 5 & 31)
        if base is None:
            continue
        if word & 0xFF80_0000 == 0x9100_0000:  # add, 64 bits, immediate
            offset = (word >> 10 & 0xFFF) << (12 if word >> 22 & 1 else 0)
            known[word & 31] = base + offset
        elif word & 0x3B00_0000 == 0x3900_0000:  # load or store, unsigned offset
            scale = 4 if word & 0x0480_0000 == 0x0480_0000 and not word >> 30 else word >> 30
            offset = (word >> 10 & 0xFFF) << scale
        elif word & 0x3A00_0000 == 0x2800_0000:  # of a pair
            count = (word >> 15 & 0x7F) - (word >> 14 & 0x80)
            offset = count << (3 if word >> 31 else 2)
        elif word & 0x3B20_0C00 == 0x3800_0000:  # unscaled
            offset = (word >> 12 & 0x1FF) - (word >> 11 & 0x200)
        elif word & 0x3B20_0400 == 0x3800_0400:  # with write-back, before or after
            moved = (word >> 12 & 0x1FF) - (word >> 11 & 0x200)
            known[word >> 5 & 31] = base + moved
            offset = moved if word >> 11 & 1 else 0
        elif word & 0x3F00_0000 == 0x0800_0000:  # exclusive, acquire, release
            offset = 0
        else:
            continue
        if start <= base + offset < start + size:
            return True
    return False
