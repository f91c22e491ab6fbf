"""Physical memory of a dump: read it, list what is there, search it.

Owns physical memory that lies as it is in a file (ELF, LiME, raw), where drgn
has no part in it, and the ``PhysicalMemory`` that others may provide.
Translates nothing: virtual addresses are ``paging``'s.

Files are read with ``pread`` into one buffer rather than mapped: a mapped file
counts as resident memory while it is searched, and a file that is cut short
under a mapping kills the process. Holes of sparse files are skipped.
"""

from __future__ import annotations

import os
import weakref
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import drgn

from btfdbg.lazy_dataclass import dataclass

_WINDOW = 4 << 20
_MAX_READ = 1 << 30


@dataclass(frozen=True, slots=True)
class Extent:
    """
    Consecutive physical memory that lies consecutively in a file.

    :ivar address: Physical.
    :ivar size: Bytes of memory.
    :ivar offset: In the file.
    :ivar filled: Bytes of it that are in the file; the rest reads as zeros.
    """

    address: int
    size: int
    offset: int
    filled: int

    @property
    def end(self) -> int:
        """First physical address after it."""
        return self.address + self.size


class PhysicalMemory(Protocol):
    """What recovering VMCOREINFO and translating addresses need."""

    def read(self, address: int, size: int) -> bytes:
        """
        Read physical memory.

        :raises drgn.FaultError: not all of it is in the dump.
        """
        ...

    def __contains__(self, address: object) -> bool:
        """Whether the page at a physical address may be in the dump."""
        ...

    @property
    def total(self) -> int:
        """Bytes that :meth:`search` goes through at most."""
        ...

    def ranges(self) -> Iterator[tuple[int, int]]:
        """Yield the physical ranges (start, end) that the dump may hold, ascending."""
        ...

    def search(self, pattern: bytes, progress: Callable[[int], None]) -> Iterator[int]:
        """
        Yield the physical address of every occurrence of a pattern, at least of
        those within the first 64 bytes of a page.

        :param progress: Is called with the number of bytes gone through.
        """
        ...


def without_overlaps(extents: Iterable[Extent]) -> list[Extent]:
    """Sort by address; where two extents claim the same memory the one that starts first wins."""
    kept: list[Extent] = []
    for e in sorted(extents, key=lambda e: (e.address, e.offset)):
        last = kept[-1].end if kept else 0
        if e.address >= last:
            kept.append(e)
        elif e.end > last:
            cut = last - e.address
            kept.append(Extent(last, e.size - cut, e.offset + cut, max(0, e.filled - cut)))
    return kept


class FileMemory:
    """Physical memory that lies uncompressed in a file."""

    def __init__(self, path: str | os.PathLike[str], extents: Iterable[Extent]) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._fd)
        self.path = path
        self.size = os.lseek(self._fd, 0, os.SEEK_END)
        self.extents = without_overlaps(extents)
        self._starts = [e.address for e in self.extents]

    def with_extents(self, extents: Iterable[Extent]) -> FileMemory:
        """The same file under another physical layout."""
        return FileMemory(self.path, extents)

    def extent(self, address: int) -> Extent | None:
        """The extent that holds a physical address."""
        i = bisect_right(self._starts, address) - 1
        return self.extents[i] if i >= 0 and address < self.extents[i].end else None

    def __contains__(self, address: object) -> bool:
        if not isinstance(address, int):
            return False
        e = self.extent(address)
        if e is None:
            return False
        at = address - e.address
        return at >= e.filled or e.offset + at < self.size

    def read(self, address: int, size: int) -> bytes:
        """See :class:`PhysicalMemory`."""
        e = self.extent(address)
        if e is not None and address + size <= e.address + e.filled and size < _MAX_READ:
            data = os.pread(self._fd, size, e.offset + address - e.address)
            if len(data) == size:
                return data
        return self._read_slowly(address, size)

    def _read_slowly(self, address: int, size: int) -> bytes:
        """Across extents, zero fill and the end of the file."""
        if size > _MAX_READ:
            raise drgn.FaultError(f"{size} bytes are too many for one read", address)
        parts = []
        while size:
            e = self.extent(address)
            if e is None:
                raise drgn.FaultError("physical address is not in the dump", address)
            at = address - e.address
            if at < e.filled:
                n = min(size, e.filled - at)
                data = os.pread(self._fd, n, e.offset + at)
                if not data:
                    raise drgn.FaultError("the file is truncated", address)
            else:
                n = min(size, e.size - at)
                data = bytes(n)
            parts.append(data)
            address += len(data)
            size -= len(data)
        return b"".join(parts)

    @property
    def total(self) -> int:
        """See :class:`PhysicalMemory`."""
        return sum(e.filled for e in self.extents)

    def ranges(self) -> Iterator[tuple[int, int]]:
        """See :class:`PhysicalMemory`; what the file does not hold reads as zeros."""
        for e in self.extents:
            yield e.address, e.address + e.filled

    def search(self, pattern: bytes, progress: Callable[[int], None]) -> Iterator[int]:
        """See :class:`PhysicalMemory`. A pattern across two extents is not found."""
        buffer = bytearray(_WINDOW)
        done = 0
        for e in self.extents:
            for start, end in self._data(e.offset, e.offset + e.filled):
                for at, hit in self._search_file(pattern, start, end, buffer):
                    if hit:
                        yield e.address + at - e.offset
                    else:
                        progress(done + at - e.offset)
            done += e.filled
            progress(done)

    def _search_file(
        self, pattern: bytes, start: int, end: int, buffer: bytearray
    ) -> Iterator[tuple[int, bool]]:
        """Yield (file offset, True) for each hit, (file offset, False) after each window."""
        view = memoryview(buffer)
        while start < end:
            n = os.preadv(self._fd, [view[: min(_WINDOW, end - start)]], start)
            at = buffer.find(pattern, 0, n)
            while at >= 0:
                yield start + at, True
                at = buffer.find(pattern, at + 1, n)
            yield start + n, False
            if n < len(pattern) or start + n >= end:
                return
            # The next window begins where a pattern cut by this one's end would.
            start += n - len(pattern) + 1

    def _data(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Parts of a range of the file that are not holes."""
        end = min(end, self.size)
        while start < end:
            try:
                data = os.lseek(self._fd, start, os.SEEK_DATA)
                hole = os.lseek(self._fd, data, os.SEEK_HOLE)
            except OSError:
                return  # ENXIO: only a hole is left
            if data >= end:
                return
            yield data, min(hole, end)
            start = hole
