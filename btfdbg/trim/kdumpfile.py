"""kdump-compressed files: a writer, and a reader that owes nothing to libkdumpfile.

Owns the file format (header version 6, zlib pages) and nothing else: which
pages go in is decided elsewhere. The reader exists for input that libkdumpfile
does not show (ELF notes, the bitmap of existing memory) and to check what was
written; it reads header versions 1 to 6 as far as those two need them.

Facts: makedumpfile ``diskdump_mod.h`` (``struct disk_dump_header``,
``struct kdump_sub_header``, ``struct page_desc``) and its ``IMPLEMENTATION``
file; for the flattened form ``makedumpfile.h`` (``struct
makedumpfile_data_header``). Every number is in the byte order of the machine
that wrote the file, those of the flattened form are big-endian.
"""

from __future__ import annotations

import bisect
import os
import struct
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from btfdbg.errors import DebugInfoError
from btfdbg.lazy_dataclass import dataclass

SIGNATURE = b"KDUMP   "
VERSION = 6
_FLATTENED_SIGNATURE = b"makedumpfile\0\0\0\0"
_FLATTENED_HEADER_SIZE = 4096
_MAX_FLATTENED_RECORDS = 1 << 24

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
class Uts:
    """``struct new_utsname`` of the header; at most 64 bytes each."""

    sysname: str = "Linux"
    nodename: str = ""
    release: str = ""
    version: str = ""
    machine: str = ""
    domainname: str = ""

    def pack(self) -> bytes:
        fields = (
            self.sysname,
            self.nodename,
            self.release,
            self.version,
            self.machine,
            self.domainname,
        )
        return b"".join(
            f.encode("utf-8", "replace")[: _UTS_FIELD - 1].ljust(_UTS_FIELD, b"\0") for f in fields
        )


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
