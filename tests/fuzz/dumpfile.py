"""Where in a dump file is what: pages, page descriptors, headers, notes.

Owns the way from "this page holds these bytes" to bytes at offsets of the file,
for ELF and kdump-compressed files, and back (``Edit``). Knows nothing of what is
in the pages. Facts: ELF gABI; makedumpfile ``diskdump_mod.h``.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from btfdbg.debuginfo.trim.kdumpfile import KdumpReader
from btfdbg.debuginfo.vmcore.elfcore import PT_LOAD, read_elf

Patch = tuple[int, bytes]
"""Offset in the file, bytes that stand there."""

_EHDR_SIZE = 64
_DESC_SIZE = 24
_ZLIB = 1


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the file that is no page: a header, notes, a table."""

    name: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Edit:
    """
    What is to be changed in a file.

    :ivar what: In words.
    :ivar patches: In order; those beyond the end make the file longer.
    :ivar size: Bytes to cut the file to, ``None`` to leave its size.
    :ivar frames: Page frames whose content or presence changes, ``None`` if it
        may be any (a header, a table).
    """

    what: str
    patches: tuple[Patch, ...]
    size: int | None = None
    frames: frozenset[int] | None = None


class DumpFile:
    """
    A dump file that edits can be made for.

    :ivar frames: Page frames it holds, ascending.
    :ivar regions: Its parts that are no pages.
    """

    page_size: int
    frames: tuple[int, ...]
    regions: tuple[Region, ...]

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size

    def page(self, pfn: int) -> bytes:
        """Content of a page frame."""
        raise NotImplementedError

    def put(self, pages: Mapping[int, bytes]) -> list[Patch]:
        """Patches that give page frames another content."""
        raise NotImplementedError

    def drop(self, pfn: int) -> list[Patch]:
        """Patches that make a page frame unreadable, as a cut or damaged file does."""
        raise NotImplementedError


class ElfDump(DumpFile):
    """An ELF core whose segments are whole pages."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        core = read_elf(path)
        self.page_size = 4096
        self._offsets: dict[int, int] = {}
        regions = [Region("ELF header", 0, _EHDR_SIZE)]
        table = struct.unpack_from("<Q", path.read_bytes()[:_EHDR_SIZE], 32)[0]
        regions.append(Region("program headers", table, 56 * len(core.segments)))
        self._headers: dict[int, int] = {}
        for number, s in enumerate(core.segments):
            if s.type != PT_LOAD:
                regions.append(Region("notes", s.offset, s.filesz))
                continue
            for at in range(0, s.filesz, self.page_size):
                pfn = (s.paddr + at) // self.page_size
                self._offsets[pfn] = s.offset + at
                self._headers[pfn] = table + 56 * number
        self.frames = tuple(sorted(self._offsets))
        self.regions = tuple(regions)
        self._file = path.open("rb")

    def page(self, pfn: int) -> bytes:
        return os.pread(self._file.fileno(), self.page_size, self._offsets[pfn])

    def put(self, pages: Mapping[int, bytes]) -> list[Patch]:
        return [(self._offsets[pfn], data) for pfn, data in pages.items()]

    def drop(self, pfn: int) -> list[Patch]:
        # The segment that holds it becomes a note of an unknown type.
        return [(self._headers[pfn], struct.pack("<I", 0x6FFFFFFF))]


class KdumpDump(DumpFile):
    """A kdump-compressed file as ``btfdbg trim`` writes it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._reader = KdumpReader(path)
        self.page_size = self._reader.page_size
        self.frames = tuple(self._reader.pfns())
        self._index = {pfn: i for i, pfn in enumerate(self.frames)}
        head = path.read_bytes()[: 4 * self.page_size]
        self._table: int
        sub_blocks, bitmap_blocks = struct.unpack_from("<iI", head, 432)
        notes, notes_size = struct.unpack_from("<QQ", head, self.page_size + 48)
        bitmap = (1 + sub_blocks) * self.page_size
        self._table = bitmap + bitmap_blocks * self.page_size
        used = (self._reader.max_pfn + 7) // 8
        half = bitmap_blocks * self.page_size // 2
        self.regions = (
            Region("header", 0, 464),
            Region("sub-header", self.page_size, 104),
            Region("notes", notes, notes_size),
            Region("bitmap of memory", bitmap, used),
            Region("bitmap of pages", bitmap + half, used),
            Region("page descriptors", self._table, _DESC_SIZE * len(self.frames)),
        )

    def page(self, pfn: int) -> bytes:
        return self._reader.page(pfn)

    def put(self, pages: Mapping[int, bytes]) -> list[Patch]:
        # Pages of zeros share their bytes, so a new content goes to the end.
        patches: list[Patch] = []
        end = self.size
        for pfn, content in pages.items():
            data = zlib.compress(content, 1)
            flags = _ZLIB
            if len(data) >= self.page_size:
                data, flags = content, 0
            patches.append((end, data))
            patches.append((self._desc(pfn), struct.pack("<qIIQ", end, len(data), flags, 0)))
            end += len(data)
        return patches

    def drop(self, pfn: int) -> list[Patch]:
        return [(self._desc(pfn), struct.pack("<qIIQ", self.size + (1 << 20), 4096, _ZLIB, 0))]

    def damage(self, pfn: int, at: int) -> list[Patch]:
        """Patches that overwrite a few of its compressed bytes."""
        offset, size, _, _ = struct.unpack("<qIIQ", self._raw(self._desc(pfn), _DESC_SIZE))
        return [(offset + at % max(size - 4, 1), b"\xa5\x5a\xff\x00")]

    def sharing(self, pfn: int) -> frozenset[int]:
        """The page frames whose bytes in the file are those of one."""
        own = self._raw(self._desc(pfn), 8)
        table = self._raw(self._table, _DESC_SIZE * len(self.frames))
        return frozenset(
            p
            for i, p in enumerate(self.frames)
            if table[i * _DESC_SIZE : i * _DESC_SIZE + 8] == own
        )

    def descriptor(self, pfn: int) -> Patch:
        """Where the descriptor of a page frame stands, and what it is."""
        return self._desc(pfn), self._raw(self._desc(pfn), _DESC_SIZE)

    def _desc(self, pfn: int) -> int:
        """Offset of a descriptor."""
        return self._table + _DESC_SIZE * self._index[pfn]

    def _raw(self, offset: int, size: int) -> bytes:
        with self.path.open("rb") as f:
            f.seek(offset)
            return f.read(size)


def open_dump(path: Path) -> DumpFile:
    """A dump file by its first bytes."""
    with path.open("rb") as f:
        magic = f.read(8)
    return KdumpDump(path) if magic == b"KDUMP   " else ElfDump(path)


class Applied:
    """An edit made in place; ``undo()`` takes it back. The file belongs to us alone."""

    def __init__(self, path: Path, edit: Edit) -> None:
        self._path = path
        self._saved: list[Patch] = []
        with path.open("r+b") as f:
            self._size = f.seek(0, os.SEEK_END)
            for offset, data in edit.patches:
                f.seek(offset)
                self._saved.append((offset, f.read(len(data))))
                f.seek(offset)
                f.write(data)
            if edit.size is not None:
                f.seek(edit.size)
                self._saved.append((edit.size, f.read()))
                f.truncate(edit.size)

    def undo(self) -> None:
        """Restore the file."""
        with self._path.open("r+b") as f:
            for offset, data in reversed(self._saved):
                f.seek(offset)
                f.write(data)
            f.truncate(self._size)
