"""Which places in the text name any address of the kernel image, found in one pass.

Owns the table that many questions pay for: searching 24 MB of text for one variable takes 60 ms of
CPU, all places at once 4 s. It names the same places as ``references``, or more.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator

from btfdbg.frames.references import ADRP, BEHIND, MASK_ADRP, Read, adrp_page

_CHUNK = 1 << 20
_OVERLAP = 8
_PAGE_BITS = 12
_PLACE_BITS = 32
_M32 = (1 << 32) - 1
_M64 = (1 << 64) - 1
_MAX_ENTRIES = 1 << 22
# A kernel has 14 to 40 MB of text; what says that it has more is not gone through word by word.
_MAX_TEXT = 1 << 27


class ReferenceIndex:
    """
    Places that name addresses.

    :param read: memory, None if any byte of it cannot be read.
    :param ranges: start and end of the texts to look in.
    :param targets: the addresses that are asked for later, within 2 GiB of the texts. Calls make
        the text's own too many to be kept.
    """

    def __init__(
        self, read: Read, ranges: Iterable[tuple[int, int]], machine: str, targets: range
    ) -> None:
        texts = []
        total = 0
        for first, last in ranges:
            total += last - first
            if total <= _MAX_TEXT:
                texts.append((first, last))
        self._x86_64 = machine == "x86_64"
        self._base = min((first for first, _ in texts), default=0)
        # Distances from the end of the instruction, of which up to four bytes are behind.
        self._low = (targets.start - BEHIND[-1]) if self._x86_64 else targets.start >> _PAGE_BITS
        self._high = targets.stop if self._x86_64 else (targets.stop >> _PAGE_BITS) + 1
        collect = self._of_x86_64 if self._x86_64 else self._of_arm64
        found: list[int] = []
        for first, last in texts:
            if last - self._base > _M32:
                continue  # too far away for a place in 32 bits
            for at in range(first, last, _CHUNK):
                data = read(at, min(_CHUNK + _OVERLAP, last - at)) or b""
                found.extend(collect(data, at))
                if len(found) > _MAX_ENTRIES:
                    break
        found.sort()
        self._entries = array("Q", found)

    def places(self, start: int, size: int) -> Iterator[int]:
        """Places at which an address within a variable of ``size`` bytes may be named."""
        end = start + max(size, 1)
        if not self._x86_64:
            pages = (start >> _PAGE_BITS) - 1, (end - 1 >> _PAGE_BITS) + 1
            yield from (place for _, place in self._between(*pages))
            return
        for named, place in self._between(start - BEHIND[-1], end):
            if any(start <= named + behind < end for behind in BEHIND):
                yield place

    def _between(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        first = bisect_left(self._entries, max(low - self._low, 0) << _PLACE_BITS)
        limit = max(high - self._low, 0) << _PLACE_BITS
        for at in range(first, len(self._entries)):
            entry = self._entries[at]
            if entry >= limit:
                return
            yield (entry >> _PLACE_BITS) + self._low, (entry & _M32) + self._base

    def _of_x86_64(self, data: bytes, address: int) -> Iterator[int]:
        low, high, base = self._low, self._high, self._base
        # An absolute address is the sign-extension of 32 bits.
        absolute = low >= _M64 ^ _M32 >> 1
        shift = 1 << 64
        for start in range(4):
            place = address + start
            words = memoryview(data[start : start + (len(data) - start) // 4 * 4]).cast("i")
            for word in words:
                named = place + 4 + word
                if low <= named < high:
                    yield (named - low) << _PLACE_BITS | place - base
                elif absolute and low <= word + shift < high:
                    yield (word + shift - low) << _PLACE_BITS | place - base
                place += 4

    def _of_arm64(self, data: bytes, address: int) -> Iterator[int]:
        low, high, base = self._low, self._high, self._base
        place = address
        for word in memoryview(data[: len(data) // 4 * 4]).cast("I"):
            if word & MASK_ADRP == ADRP:
                page = adrp_page(word, place)
                if low <= page < high:
                    yield (page - low) << _PLACE_BITS | place - base
            place += 4
