"""Header and page bitmap of kdump-compressed files, plain or flattened.

Owns what is decided before libkdumpfile gets the file (is the header believable,
is it one part of several, is it incomplete), which pages the file holds, and the
search through their first bytes. Other reading is libkdumpfile's.

Why a search of its own: what is looked for stands at the beginning of a page,
and inflating 64 bytes of every page takes a quarter of the time of all 4096.

Facts: makedumpfile ``diskdump_mod.h`` (struct disk_dump_header, struct
kdump_sub_header, DUMP_DH_COMPRESSED_*) and ``makedumpfile.h`` (flattened files:
struct makedumpfile_header, struct makedumpfile_data_header, both big-endian);
QEMU ``include/sysemu/dump.h``.
"""

from __future__ import annotations

import os
import struct
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import drgn

from btfdbg.errors import DebugInfoError

SIGNATURE = b"KDUMP   "
FLATTENED = b"makedumpfile\0\0\0\0"
FLATTENED_HEADER = 4096
_BLOCK_HEADER = struct.Struct(">qq")
_MAX_BLOCKS = 1 << 27
_MAX_BITMAP = 1 << 31
_STATUS = 424
_INCOMPLETE = 0x8
_HEADER_SIZE = 464
_SUB_HEADER_SIZE = 104
_RUN_WINDOW = 1 << 16
# struct page_desc: offset, size, flags, page flags.
_DESC_SIZE = 24
_DESC_WINDOW = 4096 * _DESC_SIZE
_ZLIB, _LZO, _SNAPPY, _ZSTD = 0x1, 0x2, 0x4, 0x20
_PEEK = 64


@dataclass(frozen=True, slots=True)
class KdumpHeader:
    """
    What the header and sub-header say, held against the file's size.

    :ivar order: ``<`` or ``>``.
    :ivar block_size: Bytes of a page.
    :ivar bitmap: Offset of the bitmap of dumped pages in the (unflattened) file.
    :ivar bitmap_size: Bytes of it.
    :ivar descriptors: Offset of the table of page descriptors.
    :ivar max_pfn: First page frame number after the last.
    :ivar dump_level: makedumpfile's ``-d``; -1 where it is not known.
    :ivar split: Whether the file is one part of ``makedumpfile --split``.
    :ivar incomplete: Whether makedumpfile ran out of space.
    :ivar vmcoreinfo: Offset and bytes of the VMCOREINFO text, (0, 0) without one.
    """

    order: str
    block_size: int
    bitmap: int
    bitmap_size: int
    descriptors: int
    max_pfn: int
    dump_level: int
    split: bool
    incomplete: bool
    vmcoreinfo: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Blocks:
    """A flattened file's blocks by their place in the dump: offset, bytes, offset in the file."""

    starts: array[int]
    sizes: array[int]
    places: array[int]


class Kdump:
    """A kdump-compressed file, opened for its header only."""

    def __init__(self, path: Path) -> None:
        """:raises DebugInfoError: the header is damaged or cut off."""
        self.path = path
        with path.open("rb") as f:
            self.size = f.seek(0, os.SEEK_END)
            f.seek(0)
            self.flattened = f.read(len(FLATTENED)) == FLATTENED
            self._blocks: _Blocks | None = None
            self.header = self._header(f)

    def vmcoreinfo(self) -> bytes | None:
        """The VMCOREINFO text in the file, ``None`` without one."""
        where, size = self.header.vmcoreinfo
        if not size:
            return None
        with self.path.open("rb") as f:
            text = self._read(f, where, size)
        return text if b"OSRELEASE=" in text else None

    def _damaged(self, what: str) -> DebugInfoError:
        return DebugInfoError(
            f"{self.path}: the kdump header is damaged: {what}",
            step="open",
            hint="take the dump again, or copy it again if it was whole",
        )

    def _header(self, f: BinaryIO) -> KdumpHeader:
        raw = self._read(f, 0, _HEADER_SIZE)
        if len(raw) < _HEADER_SIZE or not raw.startswith(SIGNATURE):
            raise DebugInfoError(f"{self.path} is truncated inside its kdump header", step="open")
        (version,) = struct.unpack_from("<i", raw, 8)
        order = "<" if 0 <= version < 1 << 16 else ">"
        (version,) = struct.unpack_from(order + "i", raw, 8)
        status, block, sub_blocks, bitmap_blocks, max_pfn = struct.unpack_from(
            order + "iiiII", raw, _STATUS
        )
        if block < 4096 or block > 1 << 16 or block & (block - 1):
            raise self._damaged(f"its pages have {block} bytes")
        if not 0 < sub_blocks <= 1 << 16:
            raise self._damaged(f"its sub-header has {sub_blocks} blocks")
        sub = self._read(f, block, _SUB_HEADER_SIZE)
        level, split, where, vmcoreinfo = -1, 0, 0, 0
        if len(sub) == _SUB_HEADER_SIZE:
            if version >= 1:
                (level,) = struct.unpack_from(order + "i", sub, 8)
            if version >= 2:
                (split,) = struct.unpack_from(order + "i", sub, 12)
            if version >= 3:
                where, vmcoreinfo = struct.unpack_from(order + "QQ", sub, 32)
                if vmcoreinfo and (vmcoreinfo > 1 << 20 or where + vmcoreinfo > 1 << 62):
                    raise self._damaged(f"its VMCOREINFO has {vmcoreinfo} bytes at {where:#x}")
                if not self.flattened and where + vmcoreinfo > self.size:
                    raise DebugInfoError(
                        f"{self.path} is truncated before its VMCOREINFO at {where:#x}",
                        step="open",
                    )
            if version >= 6:
                (max_pfn,) = struct.unpack_from(order + "Q", sub, 96)
        bitmap = (1 + sub_blocks) * block
        whole = bitmap_blocks * block
        if whole > _MAX_BITMAP or (not self.flattened and bitmap + whole > self.size):
            raise self._damaged(
                f"its page bitmap has {whole} bytes at {bitmap:#x}, the file {self.size}"
            )
        end = bitmap + whole
        # Two bitmaps, unless they would not hold max_pfn pages each: the first
        # says which pages are memory, the second which of them were dumped.
        half = whole // 2
        if half * 8 < max_pfn <= whole * 8:
            half = whole
        else:
            bitmap += whole - half
        if max_pfn > whole * 8:
            raise self._damaged(f"{max_pfn} pages do not fit its bitmap of {whole} bytes")
        return KdumpHeader(
            order,
            block,
            bitmap,
            half,
            end,
            max_pfn,
            level,
            split != 0,
            bool(status & _INCOMPLETE),
            (where, vmcoreinfo) if where and vmcoreinfo else (0, 0),
        )

    def _index(self, f: BinaryIO) -> _Blocks:
        """Where the blocks of a flattened file belong."""
        if self._blocks is None:
            starts, sizes, places = array("q"), array("q"), array("q")
            at = FLATTENED_HEADER
            while len(starts) < _MAX_BLOCKS:
                f.seek(at)
                raw = f.read(_BLOCK_HEADER.size)
                if len(raw) < _BLOCK_HEADER.size:
                    break
                offset, size = _BLOCK_HEADER.unpack(raw)
                if offset < 0 or size <= 0 or offset + size >= 1 << 62:
                    break
                at += _BLOCK_HEADER.size
                starts.append(offset)
                sizes.append(size)
                places.append(at)
                at += size
            if any(starts[i] > starts[i + 1] for i in range(len(starts) - 1)):
                order = sorted(range(len(starts)), key=starts.__getitem__)
                starts, sizes, places = (
                    array("q", (a[i] for i in order)) for a in (starts, sizes, places)
                )
            self._blocks = _Blocks(starts, sizes, places)
        return self._blocks

    def _read(self, f: BinaryIO, offset: int, size: int) -> bytes:
        """Read from the dump itself, short at its end; flattened blocks are put together."""
        if not self.flattened:
            f.seek(offset)
            return f.read(size)
        if self._blocks is None:
            # The header comes first: no need to walk through a file of gigabytes.
            early = self._first_blocks(f, offset, size)
            if early is not None:
                return early
        blocks = self._index(f)
        out = bytearray()
        while len(out) < size:
            at = offset + len(out)
            i = bisect_right(blocks.starts, at) - 1
            if i < 0:
                break
            start, length, where = blocks.starts[i], blocks.sizes[i], blocks.places[i]
            if at >= start + length:
                if i + 1 >= len(blocks.starts):
                    break
                # A hole reads as zeros, as in the file that -R writes.
                out += bytes(min(size - len(out), blocks.starts[i + 1] - at))
                continue
            f.seek(where + at - start)
            data = f.read(min(size - len(out), start + length - at))
            if not data:
                break
            out += data
        return bytes(out)

    def _first_blocks(self, f: BinaryIO, offset: int, size: int) -> bytes | None:
        at = FLATTENED_HEADER
        for _ in range(64):
            f.seek(at)
            raw = f.read(_BLOCK_HEADER.size)
            if len(raw) < _BLOCK_HEADER.size:
                return None
            start, length = _BLOCK_HEADER.unpack(raw)
            if start < 0 or length <= 0:
                return None
            at += _BLOCK_HEADER.size
            if start <= offset and offset + size <= start + length:
                f.seek(at + offset - start)
                return f.read(size)
            at += length
        return None

    def runs(self) -> Iterator[tuple[int, int]]:
        """Yield the physical ranges (address, bytes) whose pages the file holds."""
        h = self.header
        first = None
        pfn = 0
        with self.path.open("rb") as f:
            for at in range(0, h.bitmap_size, _RUN_WINDOW):
                data = self._read(f, h.bitmap + at, min(_RUN_WINDOW, h.bitmap_size - at))
                if not data:
                    break
                for byte in data:
                    if byte == 0xFF and first is not None:
                        pfn += 8
                        continue
                    if byte == 0 and first is None:
                        pfn += 8
                        continue
                    for bit in range(8):
                        if byte >> bit & 1:
                            if first is None:
                                first = pfn
                        elif first is not None:
                            yield first * h.block_size, (pfn - first) * h.block_size
                            first = None
                        pfn += 1
                    if pfn >= h.max_pfn:
                        break
        if first is not None:
            yield first * h.block_size, (min(pfn, h.max_pfn) - first) * h.block_size

    def holds(self, physical: int) -> bool | None:
        """Whether the page at a physical address was dumped; ``None`` beyond the bitmap."""
        h = self.header
        pfn = physical // h.block_size
        if pfn >= h.max_pfn:
            return None
        with self.path.open("rb") as f:
            byte = self._read(f, h.bitmap + pfn // 8, 1)
        return bool(byte and byte[0] >> (pfn % 8) & 1)

    def is_truncated(self, physical: int) -> bool:
        """Whether the file ends before the page at a physical address, which it should hold."""
        h = self.header
        index = 0
        for start, size in self.runs():
            if start <= physical < start + size:
                index += (physical - start) // h.block_size
                break
            index += size // h.block_size
        with self.path.open("rb") as f:
            raw = self._read(f, h.descriptors + index * _DESC_SIZE, _DESC_SIZE)
            if len(raw) < _DESC_SIZE:
                return True
            offset, length, _, _ = struct.unpack(h.order + "qIIQ", raw)
            if offset < 0 or length > 2 * h.block_size:
                return False
            data: bytes = self._read(f, offset, length)
            return bool(len(data) < length)

    def peek(self, pattern: bytes, progress: Callable[[int], None]) -> Iterator[int]:
        """
        Yield the physical addresses of a pattern within the first bytes of a page.

        LZO and Snappy keep what was not seen before as it is, and a pattern at
        the beginning of a page was not: those pages are searched as they are,
        and a hit is of the page, not of an exact place in it.
        """
        # Loading it takes longer than opening most dumps.
        import zstandard

        h = self.header
        desc = struct.Struct(h.order + "qIIQ")
        unzstd = zstandard.ZstdDecompressor()
        shared, previous, done = -1, -1, 0
        table, at, count = b"", h.descriptors, 0
        with self.path.open("rb", buffering=0) as f:
            for start, size in self.runs():
                for page in range(start, start + size, h.block_size):
                    if count == len(table):
                        progress(done)
                        table = self._read(f, at, _DESC_WINDOW)
                        table = table[: len(table) // _DESC_SIZE * _DESC_SIZE]
                        at += len(table)
                        count = 0
                        if not table:
                            return
                    offset, length, flags, _ = desc.unpack_from(table, count)
                    count += _DESC_SIZE
                    done += h.block_size
                    # All pages of zeros share one place in the file.
                    if offset == previous:
                        shared = offset
                    previous = offset
                    if offset == shared or offset <= 0 or not 0 < length <= 2 * h.block_size:
                        continue
                    try:
                        head = self._head(f, offset, length, flags, unzstd.decompress)
                    except (zlib.error, zstandard.ZstdError):
                        continue
                    i = head.find(pattern)
                    if i >= 0:
                        yield from (page, page + 24) if flags & (_LZO | _SNAPPY) else (page + i,)

    def _head(
        self,
        f: BinaryIO,
        offset: int,
        size: int,
        flags: int,
        unzstd: Callable[[bytes, int], bytes],
    ) -> bytes:
        """The first bytes of a page; of an LZO or Snappy page before decompression."""
        if flags & _ZLIB:
            return zlib.decompressobj().decompress(self._read(f, offset, size), _PEEK)
        if flags & _ZSTD:
            return unzstd(self._read(f, offset, size), self.header.block_size)[:_PEEK]
        return self._read(f, offset, min(size, 2 * _PEEK))


class KdumpMemory:
    """Physical memory of a kdump file, through a Program that opened it."""

    def __init__(self, prog: drgn.Program, kdump: Kdump) -> None:
        self._prog = prog
        self.kdump = kdump

    def read(self, address: int, size: int) -> bytes:
        """See :class:`btfdbg.debuginfo.vmcore.memory.PhysicalMemory`."""
        data: bytes = self._prog.read(address, size, physical=True)
        return data

    def __contains__(self, address: object) -> bool:
        return isinstance(address, int) and address >= 0 and self.kdump.holds(address) is True

    @property
    def total(self) -> int:
        """See :class:`btfdbg.debuginfo.vmcore.memory.PhysicalMemory`."""
        return sum(size for _, size in self.kdump.runs())

    def search(self, pattern: bytes, progress: Callable[[int], None]) -> Iterator[int]:
        """See :class:`btfdbg.debuginfo.vmcore.memory.PhysicalMemory`."""
        for address in self.kdump.peek(pattern, progress):
            try:
                if self.read(address, len(pattern)) == pattern:
                    yield address
            except drgn.FaultError:
                continue
