"""Header and page bitmap of kdump-compressed files, plain or flattened.

Owns what is decided before anybody decompresses a page: is the header
believable, is it one part of several, is it incomplete, which pages are there.

Facts: makedumpfile ``diskdump_mod.h`` (struct disk_dump_header, struct
kdump_sub_header, DUMP_DH_COMPRESSED_*); QEMU ``include/sysemu/dump.h``.
"""

from __future__ import annotations

import os
import struct
import weakref
from collections.abc import Iterator

from btfdbg.errors import DebugInfoError
from btfdbg.lazy_dataclass import dataclass
from btfdbg.vmcore import flattened
from btfdbg.vmcore.elfcore import Note, parse_notes
from btfdbg.vmcore.flattened import FlattenedFile

SIGNATURE = b"KDUMP   "
_MAX_BITMAP = 1 << 31
_OF_TEXT = b"OSRELEASE="
_MAX_VMCOREINFO = 1 << 20
_MAX_NOTES = 64 << 20
_MAX_PFN = 1 << 52
UTS_FIELD = 65
UTS_SIZE = 6 * UTS_FIELD
_UTS = 12
_TIMESTAMP = 408
_STATUS = 424
_INCOMPLETE = 0x8
_HEADER_SIZE = 464
_SUB_HEADER_SIZE = 104
_RUN_WINDOW = 1 << 16


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
        """The structure's bytes, each field cut to what it holds and ended by a NUL."""
        fields = (
            self.sysname,
            self.nodename,
            self.release,
            self.version,
            self.machine,
            self.domainname,
        )
        return b"".join(
            f.encode("utf-8", "replace")[: UTS_FIELD - 1].ljust(UTS_FIELD, b"\0") for f in fields
        )

    @classmethod
    def unpack(cls, data: bytes) -> Uts:
        """The fields out of the structure's 390 bytes."""
        fields = (data[i : i + UTS_FIELD].split(b"\0")[0] for i in range(0, UTS_SIZE, UTS_FIELD))
        return cls(*(field.decode("utf-8", "replace") for field in fields))


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
    :ivar notes: Offset and bytes of the ELF notes, (0, 0) without any.
    :ivar existing: Offset of the bitmap of page frames that are memory; that of dumped
        pages where the file has only one.
    :ivar uts: What the kernel calls itself.
    :ivar timestamp: Of the dump, in seconds.
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
    notes: tuple[int, int]
    existing: int
    uts: Uts
    timestamp: int


class Kdump:
    """
    A kdump-compressed file, opened for its header and its bitmap.

    :ivar size: Of the file as it is, in bytes.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """:raises DebugInfoError: the header is damaged or cut off."""
        self.path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._fd)
        self.size = os.lseek(self._fd, 0, os.SEEK_END)
        is_flattened = os.pread(self._fd, len(flattened.MAGIC), 0) == flattened.MAGIC
        self.flattened = FlattenedFile(self._fd, self.size) if is_flattened else None
        self.header = self._header()

    def read(self, offset: int, size: int) -> bytes:
        """Read from the dump itself, short at its end; flattened blocks are put together."""
        if self.flattened is not None:
            return self.flattened.read(offset, size)
        return os.pread(self._fd, size, offset) if 0 <= offset < self.size else b""

    @property
    def end(self) -> int:
        """Size of the dump itself, in bytes."""
        return self.size if self.flattened is None else self.flattened.end

    def vmcoreinfo(self) -> bytes | None:
        """
        The VMCOREINFO text in the file, ``None`` without one.

        It is a note as well as a place of its own, which may be damaged.
        """
        where, size = self.header.vmcoreinfo
        text = self.read(where, size) if size else b""
        if text.startswith(_OF_TEXT):
            return text
        noted = [note.desc for note in self.notes() if note.name == "VMCOREINFO"]
        return next((text for text in (*noted, text) if _OF_TEXT in text), None)

    def notes(self) -> tuple[Note, ...]:
        """The ELF notes in the file; CPU registers are among them."""
        where, size = self.header.notes
        return tuple(parse_notes(self.read(where, size), self.header.order)) if size else ()

    def existing(self) -> bytes:
        """
        Bitmap of the page frames that are memory, the least significant bit first.

        :raises DebugInfoError: it is not all in the file.
        """
        size = (self.header.max_pfn + 7) // 8
        data = self.read(self.header.existing, size)
        if len(data) < size:
            raise DebugInfoError(f"{self.path} is truncated inside its bitmaps", step="open")
        return data

    def damaged(self, what: str) -> DebugInfoError:
        """The error of a header that cannot be right; ``what`` of it."""
        return DebugInfoError(
            f"{self.path}: the kdump header is damaged: {what}",
            step="open",
            hint="take the dump again, or copy it again if it was whole",
        )

    def _inside(self, what: str, where: int, size: int, most: int) -> None:
        """:raises DebugInfoError: a part of the dump is not believable or not in the file."""
        if not size:
            return
        if size > most or where > 1 << 62:
            raise self.damaged(f"its {what} has {size} bytes at {where:#x}")
        # libkdumpfile is killed (SIGBUS) by what a flattened file's blocks do not reach.
        if where + size > self.end:
            raise DebugInfoError(
                f"{self.path} is truncated before the end of its {what} at {where + size:#x}",
                step="open",
                hint="copy it again, or was the disk full when it was written?",
            )

    def _header(self) -> KdumpHeader:
        raw = self.read(0, _HEADER_SIZE)
        if len(raw) < _HEADER_SIZE or not raw.startswith(SIGNATURE):
            raise DebugInfoError(f"{self.path} is truncated inside its kdump header", step="open")
        (version,) = struct.unpack_from("<i", raw, 8)
        order = "<" if 0 <= version < 1 << 16 else ">"
        (version,) = struct.unpack_from(order + "i", raw, 8)
        status, block, sub_blocks, bitmap_blocks, max_pfn = struct.unpack_from(
            order + "iiiII", raw, _STATUS
        )
        if block < 4096 or block > 1 << 16 or block & (block - 1):
            raise self.damaged(f"its pages have {block} bytes")
        if not 0 < sub_blocks <= 1 << 16:
            raise self.damaged(f"its sub-header has {sub_blocks} blocks")
        sub = self.read(block, _SUB_HEADER_SIZE)
        level, split, where, vmcoreinfo = -1, 0, 0, 0
        notes = (0, 0)
        if len(sub) == _SUB_HEADER_SIZE:
            if version >= 1:
                (level,) = struct.unpack_from(order + "i", sub, 8)
            if version >= 2:
                (split,) = struct.unpack_from(order + "i", sub, 12)
                if split not in (0, 1):
                    raise self.damaged(f"its mark of a part of several is {split}")
            # libkdumpfile believes these and crashes on what is not in the file.
            if version >= 3:
                where, vmcoreinfo = struct.unpack_from(order + "QQ", sub, 32)
                self._inside("VMCOREINFO", where, vmcoreinfo, _MAX_VMCOREINFO)
            for least, what, at in ((4, "notes", 48), (5, "erase info", 64)):
                if version >= least:
                    start, size = struct.unpack_from(order + "QQ", sub, at)
                    self._inside(what, start, size, _MAX_NOTES)
                    if what == "notes" and start:
                        notes = start, size
            if version >= 6:
                (max_pfn,) = struct.unpack_from(order + "Q", sub, 96)
        (timestamp,) = struct.unpack_from(order + "q", raw, _TIMESTAMP)
        existing = bitmap = (1 + sub_blocks) * block
        whole = bitmap_blocks * block
        self._inside("page bitmap", bitmap, whole, _MAX_BITMAP)
        end = bitmap + whole
        # Two bitmaps, unless they would not hold max_pfn pages each: the first
        # says which pages are memory, the second which of them were dumped.
        half = whole // 2
        if half * 8 < max_pfn <= whole * 8:
            half = whole
        else:
            bitmap += whole - half
        if max_pfn > whole * 8 or max_pfn > _MAX_PFN:
            raise self.damaged(f"{max_pfn} pages do not fit its bitmap of {whole} bytes")
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
            notes,
            existing,
            Uts.unpack(raw[_UTS : _UTS + UTS_SIZE]),
            timestamp,
        )

    def runs(self) -> Iterator[tuple[int, int]]:
        """Yield the physical ranges (address, bytes) whose pages the file holds."""
        h = self.header
        first = -1
        pfn = 0
        for at in range(0, h.bitmap_size, _RUN_WINDOW):
            data = self.read(h.bitmap + at, min(_RUN_WINDOW, h.bitmap_size - at))
            if not data or pfn >= h.max_pfn:
                break
            for byte in data:
                if byte == (0xFF if first >= 0 else 0):
                    pfn += 8
                    continue
                for bit in range(8):
                    if byte >> bit & 1:
                        if first < 0:
                            first = pfn
                    elif first >= 0:
                        yield from self._run(first, pfn)
                        first = -1
                    pfn += 1
        if first >= 0:
            yield from self._run(first, pfn)

    def _run(self, first: int, end: int) -> Iterator[tuple[int, int]]:
        size = self.header.block_size
        end = min(end, self.header.max_pfn)
        if first < end:
            yield first * size, (end - first) * size

    def holds(self, physical: int) -> bool | None:
        """Whether the page at a physical address was dumped; ``None`` beyond the bitmap."""
        h = self.header
        pfn = physical // h.block_size
        if not 0 <= pfn < h.max_pfn:
            return None
        byte = self.read(h.bitmap + pfn // 8, 1)
        return bool(byte and byte[0] >> (pfn % 8) & 1)
