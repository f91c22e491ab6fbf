"""Pages of kdump-compressed files, decompressed here and carefully.

Owns page descriptors: whether the table of them is sound, reading single pages,
searching the beginnings of all. Whole and sound files are left to libkdumpfile,
which is much faster and keeps CPU registers; it crashes on damaged ones (a
page beyond the end of the file, for one), so those are read here.

Why the search is here too: what is looked for stands at the beginning of a
page, and inflating 64 bytes of every page takes a third of the time of all 4096.

Facts: makedumpfile ``diskdump_mod.h`` (struct page_desc, DUMP_DH_COMPRESSED_*).
"""

from __future__ import annotations

import struct
import zlib
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import accumulate
from operator import eq
from typing import TYPE_CHECKING

import drgn

from btfdbg.images.blocks import CorruptError, lzo1x, snappy
from btfdbg.vmcore.kdumpfile import Kdump

if TYPE_CHECKING:
    from zstandard import ZstdDecompressor

# struct page_desc: offset, size, flags, page flags.
_SIZE = 24
_WINDOW = 4096 * _SIZE
_ZLIB, _LZO, _SNAPPY, _ZSTD = 0x1, 0x2, 0x4, 0x20
_MOST_FLAGS = 0xFF  # DUMP_DH_COMPRESSED_* are below
_SAMPLE = 64  # descriptors
_PAGE = 4096
_PEEK = 64
_CHUNK = 4096
_STEP = 64  # bytes of the bitmap whose bits are counted at once
_KNOWN_CHUNKS = 64  # each is 128 MiB of memory
_CACHE_BYTES = 32 << 20
_READ_AHEAD = 1 << 20
# No page of text packs into so little.
_LEAST = 200
# Checking the descriptors of 16 GiB of dumped pages takes a quarter of a second.
_MAX_CHECKED = 1 << 22


Packed = tuple[int, bytes | memoryview]
"""A page in the file: flags of its descriptor, and its bytes as they are."""


class KdumpPages:
    """Physical memory of a kdump file, as ``memory.PhysicalMemory`` wants it."""

    def __init__(self, kdump: Kdump) -> None:
        self.kdump = kdump
        h = kdump.header
        self._block = h.block_size
        self._desc = struct.Struct(h.order + "qIIQ")
        self._ranks: array[int] | None = None
        self._steps: OrderedDict[int, tuple[bytes, array[int]]] = OrderedDict()
        self._cache: OrderedDict[int, bytes] = OrderedDict()

    def _chunk(self, number: int) -> bytes:
        h = self.kdump.header
        at = number * _CHUNK
        return self.kdump.read(h.bitmap + at, min(_CHUNK, h.bitmap_size - at))

    def _before(self) -> array[int]:
        """How many pages were dumped before each chunk of the bitmap, and in all."""
        if self._ranks is None:
            h = self.kdump.header
            ranks = array("q", [0])
            for number in range(-(-min(h.bitmap_size, -(-h.max_pfn // 8)) // _CHUNK)):
                chunk = int.from_bytes(self._chunk(number), "little")
                ranks.append(ranks[-1] + chunk.bit_count())
            self._ranks = ranks
        return self._ranks

    def _counted(self, number: int) -> tuple[bytes, array[int]]:
        """A chunk of the bitmap, and how many pages were dumped before each step of it."""
        found = self._steps.get(number)
        if found is None:
            chunk = self._chunk(number)
            ranks = array("q", [self._before()[number]])
            for at in range(0, len(chunk), _STEP):
                step = int.from_bytes(chunk[at : at + _STEP], "little")
                ranks.append(ranks[-1] + step.bit_count())
            found = self._steps[number] = chunk, ranks
            if len(self._steps) > _KNOWN_CHUNKS:
                self._steps.popitem(last=False)
        return found

    @property
    def count(self) -> int:
        """Pages in the dump."""
        return self._before()[-1]

    def missing(self) -> int:
        """
        Bytes of memory whose pages lie beyond the end of the file, or cannot be right.

        Pages are written in order, so in doubt (many millions of them) the last
        ones tell.
        """
        kdump = self.kdump
        total = self.count
        end = kdump.end
        missing = 0
        for at in range(max(0, total - _MAX_CHECKED), total, _WINDOW // _SIZE):
            count = min(_WINDOW // _SIZE, total - at)
            table = kdump.read(kdump.header.descriptors + at * _SIZE, count * _SIZE)
            whole = len(table) // _SIZE
            missing += count - whole + self._wrong(table[: whole * _SIZE], end)
        return missing * self._block

    def nonsense(self) -> str:
        """
        Say why the table of descriptors cannot be where the header says, "" if it can.

        A file that was cut off has a sound table as far as it goes; a wrong header points to
        something else, or counts pages that are not there. Pages come after the table.
        """
        h = self.kdump.header
        table = self.kdump.read(h.descriptors, _SAMPLE * _SIZE)
        rows = list(self._desc.iter_unpack(table[: len(table) // _SIZE * _SIZE]))
        sound = [
            offset
            for offset, size, flags, _ in rows[: self.count]
            if offset > 0 and 0 < size <= 2 * self._block and flags <= _MOST_FLAGS
        ]
        if not self.count:
            return "it counts no page"
        if rows and not sound:
            return f"no page descriptors are at {h.descriptors:#x}"
        if sound and min(sound) < h.descriptors + self.count * _SIZE:
            return f"the descriptors of {self.count} pages would overlap the pages"
        return ""

    def _wrong(self, table: bytes, end: int) -> int:
        """How many descriptors are of no page, or of one beyond the end of the file."""
        most = 2 * self._block
        order = range(8) if self._desc.format[0] == ">" else range(7, -1, -1)
        offsets = (table[i::_SIZE] for i in order)
        sizes = (table[8 + i % 4 :: _SIZE] for i in order if i < 4)
        if _all_within(offsets, 8, end - most) and _all_within(sizes, 4, most):
            return 0
        count = len(table) // _SIZE
        if count > _SAMPLE:
            # Those of the last pages as a rule, which may end where the file does.
            half = count // 2 * _SIZE
            return self._wrong(table[:half], end) + self._wrong(table[half:], end)
        return sum(
            not (0 < offset <= end - size and 0 < size <= most)
            for offset, size, _, _ in self._desc.iter_unpack(table)
        )

    def _index(self, pfn: int) -> int | None:
        """Number of a page among those dumped, ``None`` if it was not."""
        number, bit = divmod(pfn, _CHUNK * 8)
        ranks = self._before()
        if not 0 <= pfn < self.kdump.header.max_pfn or number + 1 >= len(ranks):
            return None
        chunk, steps = self._counted(number)
        byte = bit // 8
        if len(chunk) <= byte or not chunk[byte] >> (bit % 8) & 1:
            return None
        step = byte // _STEP
        rest = int.from_bytes(chunk[step * _STEP : byte + 1], "little")
        return steps[step] + (rest & (1 << bit - step * _STEP * 8) - 1).bit_count()

    def __contains__(self, address: object) -> bool:
        return isinstance(address, int) and self._index(address // self._block) is not None

    @property
    def total(self) -> int:
        """See :class:`~btfdbg.vmcore.memory.PhysicalMemory`."""
        return self.count * self._block

    def read(self, address: int, size: int) -> bytes:
        """See :class:`~btfdbg.vmcore.memory.PhysicalMemory`."""
        parts = []
        while size > 0:
            within = address % self._block
            part = self._page(address)[within : within + size]
            parts.append(part)
            address += len(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _page(self, address: int) -> bytes:
        pfn = address // self._block
        page = self._cache.get(pfn)
        if page is not None:
            self._cache.move_to_end(pfn)
            return page
        index = self._index(pfn)
        if index is None:
            raise drgn.FaultError("physical page is not in the dump", address)
        raw = self.kdump.read(self.kdump.header.descriptors + index * _SIZE, _SIZE)
        if len(raw) < _SIZE:
            raise drgn.FaultError("physical page is missing: the file is truncated", address)
        offset, length, flags, _ = self._desc.unpack(raw)
        if offset <= 0 or not 0 < length <= 2 * self._block:
            raise drgn.FaultError("physical page has a damaged descriptor", address)
        data = self.kdump.read(offset, length)
        if len(data) < length:
            raise drgn.FaultError("physical page is missing: the file is truncated", address)
        try:
            page = _decompress(data, flags, self._block)
        except CorruptError as e:
            raise drgn.FaultError(f"physical page is damaged: {e}", address) from None
        self._cache[pfn] = page
        if len(self._cache) * self._block > _CACHE_BYTES:
            self._cache.popitem(last=False)
        return page

    def packed(self, address: int, size: int) -> list[Packed] | None:
        """
        The pages of a range as they are in the file.

        :param address: Physical; pages count as a whole.
        :return: ``None`` if some are not there, are no pages, or are packed in a way that
            takes long to unpack here.
        """
        first, last = address // self._block, (address + size - 1) // self._block
        index, end = self._index(first), self._index(last)
        if index is None or end is None or end - index != last - first:
            return None
        count = end - index + 1
        table = self.kdump.read(self.kdump.header.descriptors + index * _SIZE, count * _SIZE)
        if len(table) < count * _SIZE:
            return None
        offsets, lengths, flags, _ = zip(*self._desc.iter_unpack(table), strict=True)
        if min(offsets) <= 0 or not 0 < min(lengths) <= max(lengths) <= 2 * self._block:
            return None
        if any(kind & (_LZO | _SNAPPY) for kind in set(flags)):
            return None
        start, whole = offsets[0], sum(lengths)
        found: list[Packed] = []
        # Written one after the other, as a rule: to read each takes longer than to compare it.
        ends = accumulate(lengths, initial=start)
        joined = self.kdump.read(start, whole) if all(map(eq, offsets, ends)) else b""
        data = memoryview(joined)  # 2 MB of a kernel's BTF need no second copy
        for offset, length, kind in zip(offsets, lengths, flags, strict=True):
            at = offset - start
            page = data[at : at + length] if joined else memoryview(self.kdump.read(offset, length))
            if len(page) < length:
                return None
            found.append((kind, page))
        return found

    def unpacked(self, pages: Iterable[Packed]) -> bytes:
        """
        Pages that :meth:`packed` gave, one after the other.

        :raises drgn.FaultError: one is damaged.
        """
        try:
            return b"".join(_decompress(bytes(data), flags, self._block) for flags, data in pages)
        except CorruptError as e:
            raise drgn.FaultError(f"physical page is damaged: {e}", 0) from None

    def ranges(self) -> Iterator[tuple[int, int]]:
        """See :class:`~btfdbg.vmcore.memory.PhysicalMemory`."""
        for start, size in self.kdump.runs():
            yield start, start + size

    def search(self, pattern: bytes, progress: Callable[[int], None]) -> Iterator[int]:
        """See :class:`~btfdbg.vmcore.memory.PhysicalMemory`."""
        for address in self._peek(pattern, progress):
            try:
                if self.read(address, len(pattern)) == pattern:
                    yield address
            except drgn.FaultError:
                continue

    def _peek(self, pattern: bytes, progress: Callable[[int], None]) -> Iterator[int]:
        """
        Yield the physical addresses of a pattern within the first bytes of a page, or
        anywhere in it where pages are larger than 4 KiB.

        LZO and Snappy keep what was not seen before as it is, and a pattern at
        the beginning of a page was not: those pages are searched as they are,
        and a hit is of the page, not of an exact place in it.
        """
        kdump, block = self.kdump, self._block
        shared, previous, done = -1, -1, 0
        window, begin = b"", 0
        table, at, count = b"", kdump.header.descriptors, 0
        for start, size in kdump.runs():
            for page in range(start, start + size, block):
                if count == len(table):
                    progress(done)
                    table = kdump.read(at, _WINDOW)
                    table = table[: len(table) // _SIZE * _SIZE]
                    at += len(table)
                    count = 0
                    if not table:
                        return
                offset, length, flags, _ = self._desc.unpack_from(table, count)
                count += _SIZE
                done += block
                # All pages of zeros share one place in the file.
                if offset == previous:
                    shared = offset
                previous = offset
                if offset == shared or offset <= 0 or not _LEAST < length <= 2 * block:
                    continue
                packed = flags & (_LZO | _SNAPPY) and block == _PAGE
                # Pages lie one after the other: one read for many of them.
                if not begin <= offset <= begin + len(window) - length:
                    window, begin = kdump.read(offset, _READ_AHEAD), offset
                data = window[offset - begin : offset - begin + length]
                if packed:
                    data = data[: 2 * _PEEK]
                elif flags & (_LZO | _SNAPPY) and pattern not in data:
                    continue
                try:
                    # Of a larger page every 4 KiB may be a page of the kernel's.
                    first = _PEEK if block == _PAGE else 0
                    head = data if packed else _decompress(data, flags, block, first)
                except CorruptError:
                    continue
                i = head.find(pattern)
                while i >= 0:
                    yield from (page, page + 24) if packed else (page + i,)
                    i = -1 if packed else head.find(pattern, i + 1)


def _all_within(columns: Iterable[bytes], count: int, limit: int) -> bool:
    """
    Whether many unsigned numbers are all from 1 to a limit, without making any of them.

    Their columns of bytes are compared as a whole, as far as they decide: 0.2 M instructions for
    each 1,000 descriptors, where ``min()`` and ``max()`` of their numbers take 0.6 M.

    >>> _all_within((b"\0\1", b"\7\0"), 2, 256)  # 7 and 256
    True

    :param columns: The highest bytes of all numbers first.
    :param count: So many columns.
    """
    if limit < 1:
        return False
    limit = min(limit, (1 << 8 * count) - 1)
    same, zero = -1, -1  # 0xff where the bytes so far are the limit's, where all are 0
    for shift, column in zip(range(8 * count - 8, -8, -8), columns, strict=True):
        top = limit >> shift & 0xFF
        size = len(column)
        if not top and column == bytes(size):
            continue
        if same:
            undecided = column
            if same != -1:
                masked = int.from_bytes(column, "little") & same
                undecided = masked.to_bytes(size, "little")
            if undecided.translate(None, _BYTES[: top + 1]):
                return False
            same &= int.from_bytes(column.translate(_only(top)), "little")
        if zero:
            zero &= int.from_bytes(column.translate(_only(0)), "little")
        if not same and not zero:
            return True
    return not zero


_BYTES = bytes(range(256))


@cache
def _only(byte: int) -> bytes:
    """The table that translates one byte to 0xff and all others to 0."""
    return bytes(0xFF if other == byte else 0 for other in range(256))


def _decompress(data: bytes, flags: int, block: int, first: int = 0) -> bytes:
    """
    Decompress one page.

    :param first: Bytes of it that are wanted at most, if not all.
    :raises CorruptError: it is damaged.
    """
    if flags & _ZLIB:
        try:
            page = zlib.decompressobj().decompress(data, first or block)
        except zlib.error as e:
            raise CorruptError(str(e)) from None
    elif flags & _ZSTD:
        page = _unzstd(data, block)
    elif flags & _LZO:
        page = lzo1x(data, block)
    elif flags & _SNAPPY:
        page = snappy(data, block)
    else:
        page = data
    if not first and len(page) != block:
        raise CorruptError(f"it has {len(page)} bytes, expected {block}")
    return page[:first] if first else page


def _unzstd(data: bytes, block: int) -> bytes:
    try:
        return _zstd().decompress(data, block)
    except _zstd_error() as e:
        raise CorruptError(str(e)) from None


@cache
def _zstd() -> ZstdDecompressor:
    # Loading it takes longer than opening most dumps.
    import zstandard

    return zstandard.ZstdDecompressor()


@cache
def _zstd_error() -> type[Exception]:
    """The one exception of the zstd library."""
    import zstandard

    return zstandard.ZstdError
