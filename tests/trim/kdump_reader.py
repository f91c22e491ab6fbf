"""A second reader of kdump-compressed files, which the product's writer is held against.

Owes nothing to libkdumpfile and nothing to ``vmcore.kdumpfile``: header versions 1 to 6,
notes, both bitmaps, zlib and raw pages, plain or flattened.

Facts: as ``btfdbg/trim/kdump_writer.py``.
"""

from __future__ import annotations

import bisect
import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

from btfdbg.errors import DebugInfoError
from btfdbg.vmcore.kdumpfile import Uts

SIGNATURE = b"KDUMP   "
_FLATTENED_SIGNATURE = b"makedumpfile\0\0\0\0"
_FLATTENED_HEADER_SIZE = 4096
_MAX_FLATTENED_RECORDS = 1 << 24
_HEADER = "8si390s6xqq10I"
_SUB_HEADER = "QiiQQqQqQqQQQQ"
_PAGE_DESC = "qIIQ"
_PAGE_DESC_SIZE = 24
_UTS_FIELD = 65
_COMPRESSED_ZLIB = 0x1
_COMPRESSION_MASK = 0x1 | 0x2 | 0x4 | 0x20
_MAX_NOTES = 64 << 20
_MAX_PFN = 1 << 40
_MIN_BLOCK, _MAX_BLOCK = 4096, 1 << 18


class _Flattened:
    """Random access to a flattened file: its blocks carry the offset they belong at."""

    def __init__(self, f: BinaryIO, path: Path) -> None:
        self.f = f
        f.seek(0, os.SEEK_END)
        end = f.tell()
        records: list[tuple[int, int, int]] = []
        at = _FLATTENED_HEADER_SIZE
        while at + 16 <= end and len(records) < _MAX_FLATTENED_RECORDS:
            f.seek(at)
            offset, size = struct.unpack(">qq", f.read(16))
            if offset < 0 or size < 0:
                break  # the end marker is (-1, -1)
            records.append((offset, size, at + 16))
            at += 16 + size
        if not records:
            raise DebugInfoError(f"{path}: a flattened file without blocks", step="open")
        # Later blocks overwrite earlier ones; a stable sort keeps their order.
        records.sort(key=lambda r: r[0])
        self.records = records
        self.starts = [r[0] for r in records]

    def read(self, offset: int, size: int) -> bytes:
        out = bytearray()
        while size:
            i = bisect.bisect_right(self.starts, offset) - 1
            if i < 0:
                break
            start, length, at = self.records[i]
            if not start <= offset < start + length:
                break
            n = min(size, start + length - offset)
            self.f.seek(at + offset - start)
            piece = self.f.read(n)
            out += piece
            if len(piece) < n:
                break
            offset += n
            size -= n
        return bytes(out)


class KdumpReader:
    """
    Header, notes, bitmaps and zlib or raw pages of a kdump-compressed file.

    :raises DebugInfoError: it is none, or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._f = path.open("rb")
        try:
            self._open()
        except BaseException:
            self._f.close()
            raise

    def _open(self) -> None:
        self._flattened = (
            _Flattened(self._f, self.path) if self._f.read(16) == _FLATTENED_SIGNATURE else None
        )
        head = self._read(0, _MIN_BLOCK)
        if len(head) < 464 or not head.startswith(SIGNATURE):
            raise DebugInfoError(f"{self.path} is not a kdump-compressed file", step="open")
        version = struct.unpack_from("<i", head, 8)[0]
        self.byteorder = "little" if 0 < version < 256 else "big"
        self._order = "<" if self.byteorder == "little" else ">"
        fields = struct.unpack_from(self._order + _HEADER, head)
        self.version: int = fields[1]
        uts = [fields[2][i : i + _UTS_FIELD].split(b"\0")[0] for i in range(0, 390, _UTS_FIELD)]
        self.uts = Uts(*(u.decode("utf-8", "replace") for u in uts))
        self.timestamp: int = fields[3]
        _, self.page_size, sub_blocks, bitmap_blocks, max_pfn, *_, self.cpus = fields[5:]
        if not _MIN_BLOCK <= self.page_size <= _MAX_BLOCK or self.page_size & (self.page_size - 1):
            raise DebugInfoError(
                f"{self.path}: a block size of {self.page_size} bytes is not believable",
                step="open",
            )
        sub = self._read(self.page_size, struct.calcsize(self._order + _SUB_HEADER))
        sub = sub.ljust(struct.calcsize(self._order + _SUB_HEADER), b"\0")
        self._sub = struct.unpack(self._order + _SUB_HEADER, sub)
        self.phys_base, self.dump_level = self._sub[0], self._sub[1]
        self.max_pfn: int = self._sub[13] if self.version >= 6 else max_pfn
        if self.max_pfn > _MAX_PFN or (self.max_pfn + 7) // 8 > bitmap_blocks * self.page_size:
            raise DebugInfoError(
                f"{self.path}: {self.max_pfn} page frames do not fit "
                f"in a bitmap of {bitmap_blocks} blocks",
                step="open",
            )
        self._bitmap_offset = (1 + sub_blocks) * self.page_size
        self._bitmap_bytes = bitmap_blocks * self.page_size // 2
        self._desc_offset = self._bitmap_offset + 2 * self._bitmap_bytes
        self._ranks: dict[int, int] | None = None

    def _read(self, offset: int, size: int) -> bytes:
        if self._flattened is not None:
            return self._flattened.read(offset, size)
        self._f.seek(offset)
        return self._f.read(size)

    def close(self) -> None:
        """Close the file."""
        self._f.close()

    def __enter__(self) -> KdumpReader:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def notes(self) -> bytes:
        """ELF notes; empty before header version 4."""
        return self._blob(self._sub[7], self._sub[8]) if self.version >= 4 else b""

    def vmcoreinfo(self) -> bytes:
        """Text of VMCOREINFO; empty before header version 3, or if the file has none."""
        return self._blob(self._sub[5], self._sub[6]) if self.version >= 3 else b""

    def _blob(self, offset: int, size: int) -> bytes:
        if not size:
            return b""
        if offset <= 0 or size > _MAX_NOTES:
            raise DebugInfoError(
                f"{self.path}: notes of {size} bytes at {offset:#x} are not believable",
                step="open",
            )
        data = self._read(offset, size)
        if len(data) < size:
            raise DebugInfoError(f"{self.path} is truncated inside its notes", step="open")
        return data

    def existing(self) -> bytes:
        """Bitmap of the page frames that are memory."""
        return self._bitmap(0)

    def dumped(self) -> bytes:
        """Bitmap of the page frames that are in the file."""
        return self._bitmap(1)

    def _bitmap(self, which: int) -> bytes:
        size = (self.max_pfn + 7) // 8
        data = self._read(self._bitmap_offset + which * self._bitmap_bytes, size)
        if len(data) < size:
            raise DebugInfoError(f"{self.path} is truncated inside its bitmaps", step="open")
        return data

    def pfns(self) -> list[int]:
        """Page frames in the file, ascending."""
        bitmap = self.dumped()
        return [
            (i << 3) + bit for i, byte in enumerate(bitmap) if byte for bit in range(8)
            if byte >> bit & 1
        ]  # fmt: skip

    def page(self, pfn: int) -> bytes:
        """
        Return one page.

        :raises KeyError: the file does not hold it.
        :raises DebugInfoError: its data is damaged or compressed otherwise than with zlib.
        """
        if self._ranks is None:
            self._ranks = {p: i for i, p in enumerate(self.pfns())}
        raw = self._read(self._desc_offset + self._ranks[pfn] * _PAGE_DESC_SIZE, _PAGE_DESC_SIZE)
        where = f"{self.path}: page frame {pfn:#x}"
        if len(raw) < _PAGE_DESC_SIZE:
            raise DebugInfoError(f"{where}: its descriptor is not in the file", step="open")
        offset, size, flags, _ = struct.unpack(self._order + _PAGE_DESC, raw)
        if offset <= 0 or size > self.page_size:
            raise DebugInfoError(f"{where}: {size} bytes at {offset:#x}", step="open")
        data = self._read(offset, size)
        compression = flags & _COMPRESSION_MASK
        if compression == _COMPRESSED_ZLIB:
            try:
                data = zlib.decompressobj().decompress(data, self.page_size)
            except zlib.error as e:
                raise DebugInfoError(f"{where}: {e}", step="open") from e
        elif compression:
            raise DebugInfoError(f"{where}: compression {flags:#x} is not read here", step="open")
        if len(data) != self.page_size:
            raise DebugInfoError(f"{where}: {len(data)} bytes", step="open")
        return data
