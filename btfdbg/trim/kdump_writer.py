"""Writes kdump-compressed files.

Owns the file format (header version 6, zlib pages) and nothing else: which
pages go in is decided elsewhere. ``vmcore.kdumpfile`` reads such files.

Facts: makedumpfile ``diskdump_mod.h`` (``struct disk_dump_header``,
``struct kdump_sub_header``, ``struct page_desc``) and its ``IMPLEMENTATION``
file; for the flattened form ``makedumpfile.h`` (``struct
makedumpfile_data_header``). Every number is in the byte order of the machine
that wrote the file, those of the flattened form are big-endian.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from btfdbg.lazy_dataclass import dataclass
from btfdbg.vmcore.kdumpfile import Uts

SIGNATURE = b"KDUMP   "
VERSION = 6

# struct disk_dump_header of a 64-bit machine: signature, version, new_utsname
# (six fields of 65 bytes), padding, timeval, eight words, two ints.
_HEADER = "8si390s6xqq10I"
# struct kdump_sub_header, version 6.
_SUB_HEADER = "QiiQQqQqQqQQQQ"
_PAGE_DESC = "qIIQ"
_PAGE_DESC_SIZE = 24
_UTS_FIELD = 65

_COMPRESSED_ZLIB = 0x1
_COMPRESSION_MASK = 0x1 | 0x2 | 0x4 | 0x20

_MAX_NOTES = 64 << 20
_MAX_PFN = 1 << 40
_MIN_BLOCK, _MAX_BLOCK = 4096, 1 << 18


@dataclass(frozen=True, slots=True)
class Description:
    """
    All of a kdump-compressed file but its pages.

    :ivar byteorder: ``"little"`` or ``"big"``.
    :ivar page_size: Bytes; also the block size.
    :ivar max_pfn: One past the last page frame of the machine's memory.
    :ivar existing: Bitmap of the page frames that are memory, least significant
        bit first; ``None`` if that is not known.
    :ivar notes: ELF notes, VMCOREINFO and NT_PRSTATUS among them.
    :ivar vmcoreinfo: VMCOREINFO's text, as it stands in ``notes``.
    :ivar timestamp: Of the dump, in seconds.
    :ivar phys_base: x86-64's ``phys_base``, elsewhere 0.
    :ivar dump_level: makedumpfile's ``-d``: 31 says that user data, page cache
        and free pages are left out.
    """

    byteorder: str
    page_size: int
    max_pfn: int
    existing: bytes | None
    notes: bytes
    vmcoreinfo: bytes
    uts: Uts
    cpus: int
    timestamp: int = 0
    phys_base: int = 0
    dump_level: int = 31


def write(
    path: Path,
    description: Description,
    pfns: Iterable[int],
    read_page: Callable[[int], bytes],
    level: int = 9,
) -> int:
    """
    Write a kdump-compressed file.

    :param pfns: Page frames to hold.
    :param read_page: Returns the bytes of a page frame, exactly one page.
    :param level: zlib's.
    :return: Size of the file in bytes.
    :raises OSError: it cannot be written.
    """
    with path.open("wb") as f:
        return _Writer(f, description, sorted(set(pfns))).write(read_page, level)


class _Writer:
    def __init__(self, f: BinaryIO, description: Description, pfns: list[int]) -> None:
        self.f = f
        self.d = description
        self.pfns = pfns
        self.order = "<" if description.byteorder == "little" else ">"
        self.block = description.page_size
        self.max_pfn = max(description.max_pfn, pfns[-1] + 1 if pfns else 0)

    def write(self, read_page: Callable[[int], bytes], level: int) -> int:
        block, d = self.block, self.d
        note_offset = block + struct.calcsize(self.order + _SUB_HEADER)
        sub_blocks = _blocks(note_offset + len(d.notes), block) - 1
        bitmap_bytes = _blocks((self.max_pfn + 7) // 8, block) * block
        bitmap_blocks = 2 * bitmap_bytes // block
        bitmap_offset = (1 + sub_blocks) * block
        self._header(sub_blocks, bitmap_blocks)
        self._sub_header(note_offset)
        self._bitmaps(bitmap_offset, bitmap_bytes)
        end = self._pages(bitmap_offset + 2 * bitmap_bytes, read_page, level)
        self.f.truncate(end)
        return end

    def _header(self, sub_blocks: int, bitmap_blocks: int) -> None:
        max_pfn_32 = min(self.max_pfn, 0xFFFFFFFF)
        written = min(len(self.pfns), 0xFFFFFFFF)
        words = (
            _COMPRESSED_ZLIB,
            self.block,
            sub_blocks,
            bitmap_blocks,
            max_pfn_32,
            max_pfn_32,  # total_ram_blocks
            0,  # device_blocks
            written,
            0,  # current_cpu
            self.d.cpus,
        )
        self.f.write(
            struct.pack(
                self.order + _HEADER,
                SIGNATURE,
                VERSION,
                self.d.uts.pack(),
                self.d.timestamp,
                0,
                *words,
            )
        )

    def _sub_header(self, note_offset: int) -> None:
        d = self.d
        text = d.notes.find(d.vmcoreinfo) if d.vmcoreinfo else -1
        fields = (
            d.phys_base & (1 << 64) - 1,
            d.dump_level,
            0,  # split
            0,
            0,
            note_offset + text if text >= 0 else 0,
            len(d.vmcoreinfo) if text >= 0 else 0,
            note_offset,
            len(d.notes),
            0,  # eraseinfo
            0,
            0,  # start_pfn_64, of split dumps
            0,
            self.max_pfn,
        )
        self.f.seek(self.block)
        self.f.write(struct.pack(self.order + _SUB_HEADER, *fields))
        self.f.write(d.notes)

    def _bitmaps(self, offset: int, size: int) -> None:
        dumped = bytearray(size)
        for pfn in self.pfns:
            dumped[pfn >> 3] |= 1 << (pfn & 7)
        # What is in the file exists, whatever the source's bitmap says.
        existing = bytearray(dumped)
        if self.d.existing is not None:
            given = int.from_bytes(self.d.existing[:size], "little")
            existing[:] = (given | int.from_bytes(dumped, "little")).to_bytes(size, "little")
        self.f.seek(offset)
        for bitmap in (existing, dumped):
            self._write_sparse(bitmap)

    def _write_sparse(self, data: bytearray) -> None:
        zero = bytes(self.block)
        for i in range(0, len(data), self.block):
            piece = data[i : i + self.block]
            if piece == zero:
                self.f.seek(self.block, os.SEEK_CUR)
            else:
                self.f.write(piece)

    def _pages(self, desc_offset: int, read_page: Callable[[int], bytes], level: int) -> int:
        at = desc_offset + _PAGE_DESC_SIZE * len(self.pfns)
        self.f.seek(at)
        descriptors = bytearray()
        zero = bytes(self.block)
        zero_desc = b""
        for pfn in self.pfns:
            page = read_page(pfn)
            if len(page) != self.block:
                raise ValueError(f"page frame {pfn:#x}: {len(page)} bytes, expected {self.block}")
            # All zero pages share one copy, as makedumpfile does it.
            if page == zero and zero_desc:
                descriptors += zero_desc
                continue
            data, flags = zlib.compress(page, level), _COMPRESSED_ZLIB
            if len(data) >= self.block:
                data, flags = page, 0
            self.f.write(data)
            desc = struct.pack(self.order + _PAGE_DESC, at, len(data), flags, 0)
            descriptors += desc
            if page == zero:
                zero_desc = desc
            at += len(data)
        self.f.seek(desc_offset)
        self.f.write(descriptors)
        return at


def _blocks(size: int, block: int) -> int:
    return (size + block - 1) // block
