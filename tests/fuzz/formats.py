"""Where in a dump file is what: pages, page descriptors, headers, notes.

Owns the way from "this page holds these bytes" to bytes at offsets of the file,
for ELF, kdump-compressed (plain and flattened), LiME and raw files. Knows
nothing of what is in the pages. Facts: ELF gABI; makedumpfile
``diskdump_mod.h`` and ``makedumpfile.h``; LiME ``doc/README.md``.
"""

from __future__ import annotations

import os
import random
import struct
import weakref
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from pathlib import Path

import zstandard

from btfdbg.vmcore.elfcore import PT_LOAD, read_elf
from btfdbg.vmcore.kdumppages import _decompress
from btfdbg.vmcore.lime import is_lime, read_lime
from corefiles.recompress import snappy
from tests.fuzz.dumpfile import INTERESTING, DumpFile, Lost, Patch, Region, data_ranges
from tests.trim.kdump_reader import KdumpReader

_EHDR_SIZE = 64
_DESC_SIZE = 24
_ZLIB, _SNAPPY, _ZSTD = 1, 4, 0x20
_KNOWN = 0x27
_FLATTENED = b"makedumpfile\0\0\0\0"
_LIME_HEADER = 32
_NO_SEGMENT = 0x6FFFFFFF
_FAR = 1 << 20


class _PlainDump(DumpFile):
    """Pages stand in the file as they are in memory."""

    def __init__(self, path: Path, page_size: int) -> None:
        super().__init__(path)
        self.page_size = page_size
        self._offsets: dict[int, int] = {}
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._fd)

    def _add(self, address: int, size: int, offset: int) -> None:
        """Whole pages of memory at an offset of the file."""
        for at in range(0, size - self.page_size + 1, self.page_size):
            self._offsets[(address + at) // self.page_size] = offset + at

    def page(self, pfn: int) -> bytes:
        return os.pread(self._fd, self.page_size, self._offsets[pfn])

    def put(self, pages: Mapping[int, bytes]) -> list[Patch]:
        return [(self._offsets[pfn], data) for pfn, data in pages.items()]


class ElfDump(_PlainDump):
    """An ELF core whose segments are whole pages."""

    def __init__(self, path: Path, page_size: int) -> None:
        super().__init__(path, page_size)
        core = read_elf(path)
        head = os.pread(self._fd, _EHDR_SIZE, 0)
        self._order = ">" if head[5] == 2 else "<"
        self.byteorder = "big" if head[5] == 2 else "little"
        regions = [Region("ELF header", 0, _EHDR_SIZE)]
        table = struct.unpack_from(self._order + "Q", head, 32)[0]
        regions.append(Region("program headers", table, 56 * len(core.segments)))
        self._headers: dict[int, int] = {}
        for number, s in enumerate(core.segments):
            if s.type != PT_LOAD:
                regions.append(Region("notes", s.offset, s.filesz))
                continue
            self._add(s.paddr, s.filesz, s.offset)
            for pfn in range(s.paddr // page_size, (s.paddr + s.filesz) // page_size):
                self._headers[pfn] = table + 56 * number
        self.frames = tuple(sorted(self._offsets))
        self.regions = tuple(regions)

    def lose(self, pfn: int, rng: random.Random) -> Lost:
        # The segment that holds it becomes a note of an unknown type. Segments
        # are looked at when the dump is opened.
        return [(self._headers[pfn], struct.pack(self._order + "I", _NO_SEGMENT))], None


class LimeDump(_PlainDump):
    """A LiME image whose ranges are whole pages."""

    def __init__(self, path: Path, page_size: int) -> None:
        super().__init__(path, page_size)
        extents, _ = read_lime(path)
        for e in extents:
            self._add(e.address, e.size, e.offset)
        self._extents = extents
        self._starts = [e.address for e in extents]
        self.frames = tuple(sorted(self._offsets))
        self.regions = tuple(Region("range", e.offset - _LIME_HEADER, _LIME_HEADER)
                             for e in (extents[0], *extents[-1:], *extents[::50]))  # fmt: skip

    def lose(self, pfn: int, rng: random.Random) -> Lost:
        """The range that holds it is elsewhere, or has another length."""
        e = self._extents[bisect_right(self._starts, pfn * self.page_size) - 1]
        first, last = e.address, e.end - 1
        if rng.random() < 0.5:
            first, last = first + (1 << 40), last + (1 << 40)
        else:
            last = rng.choice((rng.choice(INTERESTING), last - self.page_size, last + 1))
        return [(e.offset - _LIME_HEADER + 8, struct.pack("<QQ", first, last))], None


class RawDump(_PlainDump):
    """Memory from physical address 0 on; holes of the file are frames that nothing reads."""

    def __init__(self, path: Path, page_size: int) -> None:
        super().__init__(path, page_size)
        for start, end in data_ranges(self._fd, self.size):
            start -= start % page_size
            self._add(start, -(-(end - start) // page_size) * page_size, start)
        self.frames = tuple(sorted(self._offsets))
        # It has none; pages here and there stand for them.
        step = max(len(self.frames) // 64, 1)
        self.regions = tuple(Region("page", self._offsets[p], page_size)
                             for p in self.frames[::step])  # fmt: skip

    def lose(self, pfn: int, rng: random.Random) -> Lost:
        return [(self._offsets[pfn], bytes(self.page_size))], frozenset((pfn,))


class KdumpDump(DumpFile):
    """A kdump-compressed file, as makedumpfile, QEMU or ``btfdbg trim`` writes it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._reader = reader = KdumpReader(path)
        weakref.finalize(self, reader.close)
        self.page_size = reader.page_size
        self.byteorder = "little" if reader.byteorder == "little" else "big"
        self._desc_format = struct.Struct(reader._order + "qIIQ")
        self.frames = tuple(reader.pfns())
        self._index = {pfn: i for i, pfn in enumerate(self.frames)}
        self._table: int = reader._desc_offset
        self._end = self._end_of_dump()
        # What the file is compressed with: what most of its pages are.
        kinds = [self._desc(i)[2] & _KNOWN for i in range(0, len(self.frames), 16)]
        self._kind = max(set(kinds), key=kinds.count)
        bitmap, half, used = (
            reader._bitmap_offset,
            reader._bitmap_bytes,
            (reader.max_pfn + 7) // 8,
        )
        self.regions = tuple(
            self._regions(
                (
                    Region("header", 0, 464),
                    Region("sub-header", self.page_size, 104),
                    Region("notes", reader._sub[7], reader._sub[8]),
                    Region("bitmap of memory", bitmap, used),
                    Region("bitmap of pages", bitmap + half, used),
                    Region("page descriptors", self._table, _DESC_SIZE * len(self.frames)),
                )
            )
        )

    def _end_of_dump(self) -> int:
        return self.size

    def _regions(self, regions: Iterable[Region]) -> Iterable[Region]:
        """Regions of the dump as regions of the file."""
        return regions

    def _patches(self, patches: list[Patch]) -> list[Patch]:
        """Patches of the dump as patches of the file."""
        return patches

    def page(self, pfn: int) -> bytes:
        offset, size, flags, _ = self._desc(self._index[pfn])
        return _decompress(self._reader._read(offset, size), flags, self.page_size)

    def _packed(self, content: bytes) -> tuple[bytes, int]:
        if self._kind == _ZLIB:
            data = zlib.compress(content, 1)
        elif self._kind == _ZSTD:
            data = zstandard.compress(content, 1)
        elif self._kind == _SNAPPY:
            data = snappy(content)
        else:
            return content, 0
        return (data, self._kind) if len(data) < self.page_size else (content, 0)

    def put(self, pages: Mapping[int, bytes]) -> list[Patch]:
        # Pages of zeros share their bytes, so a new content goes to the end.
        patches: list[Patch] = []
        end = self._end
        for pfn, content in pages.items():
            data, flags = self._packed(content)
            patches.append((end, data))
            patches.append((self._where(pfn), self._desc_format.pack(end, len(data), flags, 0)))
            end += len(data)
        return self._patches(patches)

    def lose(self, pfn: int, rng: random.Random) -> Lost:
        how = rng.randrange(3)
        offset, size, flags, page_flags = self._desc(self._index[pfn])
        if how == 0:
            # A few of its compressed bytes are overwritten.
            at = offset + rng.randrange(4096) % max(size - 4, 1)
            return self._patches([(at, b"\xa5\x5a\xff\x00")]), self._sharing(offset)
        if how == 1:
            new = self._desc_format.pack(self._end + _FAR, 4096, _ZLIB, 0)
        else:
            field = rng.choice((0, 1, 2))
            values = [offset, size, flags, page_flags]
            values[field] = rng.choice((rng.choice(INTERESTING), rng.randrange(4096), 2, 4, 0x20))
            values[0] &= (1 << 63) - 1
            values[1] &= 0xFFFFFFFF
            values[2] &= 0xFFFFFFFF
            new = self._desc_format.pack(*values)
        return self._patches([(self._where(pfn), new)]), None

    def _sharing(self, offset: int) -> frozenset[int]:
        """The page frames whose bytes in the file are at an offset."""
        return frozenset(p for i, p in enumerate(self.frames) if self._desc(i)[0] == offset)

    def _where(self, pfn: int) -> int:
        """Offset of a descriptor."""
        return self._table + _DESC_SIZE * self._index[pfn]

    def _desc(self, index: int) -> tuple[int, int, int, int]:
        raw = self._reader._read(self._table + _DESC_SIZE * index, _DESC_SIZE)
        offset, size, flags, page_flags = self._desc_format.unpack(raw)
        return offset, size, flags, page_flags


class FlattenedDump(KdumpDump):
    """A kdump-compressed file in makedumpfile's flattened form."""

    def __init__(self, path: Path) -> None:
        self._records: list[tuple[int, int, int]] = []
        with path.open("rb") as f:
            at = 4096
            while True:
                f.seek(at)
                offset, size = struct.unpack(">qq", f.read(16))
                if offset < 0:
                    break
                self._records.append((offset, size, at + 16))
                at += 16 + size
        self._mark = at
        self._records.sort()
        self._record_starts = [r[0] for r in self._records]
        super().__init__(path)

    def _end_of_dump(self) -> int:
        last, size, _ = self._records[-1]
        return last + size

    def _parts(self, offset: int, size: int) -> Iterable[tuple[int, int]]:
        """Where bytes of the dump are in the file: (offset, bytes)."""
        while size > 0:
            i = bisect_right(self._record_starts, offset) - 1
            if i < 0:
                return
            start, length, place = self._records[i]
            within = offset - start
            if within >= length:
                return
            n = min(size, length - within)
            yield place + within, n
            offset += n
            size -= n

    def _regions(self, regions: Iterable[Region]) -> Iterable[Region]:
        yield Region("flattened header", 0, 32)
        yield Region("end mark", self._mark, 16)
        for _, _, place in self._records[:: max(len(self._records) // 8, 1)]:
            yield Region("block header", place - 16, 16)
        for r in regions:
            for at, size in self._parts(r.offset, r.size):
                yield Region(r.name, at, size)
                break

    def _patches(self, patches: list[Patch]) -> list[Patch]:
        placed: list[Patch] = []
        at = self._mark
        for offset, data in patches:
            if offset >= self._end:
                # A block more, where the end mark was.
                block = struct.pack(">qq", offset, len(data)) + data
                placed.append((at, block))
                at += len(block)
                continue
            for place, n in self._parts(offset, len(data)):
                placed.append((place, data[:n]))
                data = data[n:]
        if at != self._mark:
            placed.append((at, struct.pack(">qq", -1, -1)))
        return placed


def open_dump(path: Path, page_size: int = 4096) -> DumpFile:
    """
    A dump file by its first bytes.

    :param page_size: Of the kernel, which only kdump files tell by themselves.
    """
    with path.open("rb") as f:
        magic = f.read(16)
    if magic == _FLATTENED:
        return FlattenedDump(path)
    if magic.startswith(b"KDUMP   "):
        return KdumpDump(path)
    if magic.startswith(b"\x7fELF"):
        return ElfDump(path, page_size)
    return (LimeDump if is_lime(magic) else RawDump)(path, page_size)
