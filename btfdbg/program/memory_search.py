"""A search of memory that goes round what the dump lacks, at whatever addresses.

Owns the pieces. drgn's own search ends with an error at the first page that is missing, which
in a filtered dump is the first page, and it takes each virtual address for one of the linear
mapping. In pieces of physical memory it goes on behind what is missing, and how far it is can
be shown; what lies outside the linear mapping (the kernel's image, vmalloc areas, modules), and
any short range, is read page by page and searched as a memory of its own.

Device memory that a driver has mapped is not in a dump and never was: it is passed over, and
not counted among what cannot be read.

Facts: ``include/linux/vmalloc.h`` (VM_IOREMAP; vm_struct.phys_addr); drgn
``MemorySearchIterator``: without a range it searches physical memory and gives
addresses in the kernel's linear mapping. findings/drgn-search-kdump.sh.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import drgn

from btfdbg.program.session import Session, find_session
from btfdbg.vmcore.identify import DumpInfo
from btfdbg.vmcore.kdumpfile import Kdump
from btfdbg.vmcore.kdumppages import KdumpPages
from btfdbg.vmcore.memory import FileMemory
from btfdbg.vmcore.progress import Progress
from btfdbg.vmcore.read_failures import unread

# A tenth of a second.
_PIECE = 64 << 20
# What a search finds is no longer than the words that were typed, and 56 bytes.
_OVERLAP = 1 << 16
_RUN = 1 << 20
# So much is read wherever it lies: a second, of a compressed dump.
_SMALL = 64 << 20
_PAGE = 4096
_END = (1 << 64) - 1
_MAX_AREAS = 1 << 20
_VM_IOREMAP = 1
Make = Callable[[drgn.Program], Any]
"""Starts a search of a Program's memory: one of drgn's ``Program.search_memory_*()``."""
Range = tuple[int, int]


def held(info: DumpInfo) -> list[Range] | None:
    """Physical ranges (start, end) that a dump has; ``None`` if that is not known."""
    memory = info.memory
    if isinstance(memory, FileMemory):
        # Not what a header says to be zeros without having any: that may be any size.
        return [
            (e.address, e.address + min(e.filled, memory.size - e.offset))
            for e in memory.extents
            if e.offset < memory.size and e.filled
        ]
    if isinstance(memory, KdumpPages):
        return [(start, start + size) for start, size in memory.kdump.runs()]
    if info.format.value.startswith("kdump"):
        return [(start, start + size) for start, size in Kdump(info.path).runs()]
    return None


def searched(session: Session) -> list[Range] | None:
    """The ranges of :func:`held` of a session's dump; ``None`` for a running kernel too."""
    if session.prog.flags & drgn.ProgramFlags.IS_LIVE or session.dump is None:
        return None
    return held(session.dump)


def vmalloc_areas(prog: drgn.Program) -> Iterator[Range]:
    """Areas of vmalloc, (start, end), as far as their list can be read; no device memory."""
    from drgn.helpers.linux.mm import for_each_vmap_area

    known = _memory(prog)
    try:
        for count, area in enumerate(for_each_vmap_area(prog)):
            if count == _MAX_AREAS:
                return
            if not _is_device(area, known):
                yield area.va_start.value_(), area.va_end.value_()
    except (LookupError, drgn.FaultError) as e:
        if isinstance(e, drgn.FaultError):
            unread(prog).note_fault(e)


def _memory(prog: drgn.Program) -> list[Range] | None:
    """Physical ranges that the dump has or the kernel manages; ``None`` if that is not known."""
    from drgn.helpers.linux.mm import for_each_valid_page_range

    session = find_session(prog)
    there = None if session is None else searched(session)
    if there is None:
        return None
    try:
        size = int(prog["PAGE_SIZE"])
        managed = [(at * size, end * size) for at, end, _ in for_each_valid_page_range(prog)]
    except (LookupError, ValueError, drgn.FaultError):
        return None
    return there + managed


def _is_device(area: drgn.Object, known: list[Range] | None) -> bool:
    """Whether a driver has mapped something else than memory here, and the dump has none of it."""
    if known is None:
        return False
    try:
        vm = area.vm.read_()
        if not vm or not int(vm.flags) & _VM_IOREMAP:
            return False
        start, size = int(vm.phys_addr), int(vm.size)
    except (LookupError, AttributeError, drgn.FaultError):
        return False
    # 0 where it is in several pieces.
    return start > 0 and not any(a < start + size and start < b for a, b in known)


class Search:
    """
    In place of a ``MemorySearchIterator`` that yields (address, value).

    :param prog: Whose memory.
    :param ranges: What of its physical memory is in the dump, from :func:`held`.
    :param make: Starts the search.
    :ivar pages: Of 4 KiB, rounded up, that were searched; known once the iteration is over.
    :ivar matches: What was yielded so far.
    """

    def __init__(self, prog: drgn.Program, ranges: list[Range], make: Make) -> None:
        self._prog = prog
        self._ranges = ranges
        self._make = make
        self._own = make(prog)
        self.pages = 0
        self.matches = 0
        self.set_address_range()

    def set_address_range(
        self,
        min_address: int | None = None,
        max_address: int | None = None,
        physical: bool = False,
    ) -> Search:
        """See drgn; takes effect when the iteration starts."""
        self._first = min_address or 0
        self._last = _END if max_address is None else max_address
        self._physical = physical
        return self

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        self._bytes = self.matches = self.pages = 0
        for found in self._found():
            self.matches += 1
            yield found
        self.pages = -(-self._bytes // _PAGE)

    def _found(self) -> Iterator[tuple[int, Any]]:
        if self._physical or (self._first == 0 and self._last == _END):
            linear = 0 if self._physical else self._linear()
            yield from self._frames(self._first, self._last, linear)
            return
        if self._last - self._first < _SMALL:
            yield from self._pages(self._first, self._last)
            return
        linear, size = self._linear(), max((end for _, end in self._ranges), default=0)
        first, last = max(self._first - linear, 0), min(self._last - linear, size - 1)
        if first <= last:
            yield from self._frames(first, last, linear)
        for start, end in self._mapped(linear, linear + size):
            yield from self._pages(max(start, self._first), min(end - 1, self._last))

    def _frames(self, first: int, last: int, linear: int) -> Iterator[tuple[int, Any]]:
        """What begins in a range of physical memory, as addresses of the linear mapping."""
        clipped = [
            (max(start, first), min(end - 1, last))
            for start, end in self._ranges
            if start <= last and end > first
        ]
        done = 0
        with Progress("searching", sum(b - a + 1 for a, b in clipped)) as progress:
            for at, upto in clipped:
                while at <= upto:
                    progress(done)
                    end = behind = min(at + _PIECE - 1, upto)
                    for address, value in self._piece(at, end, upto):
                        progress.wipe()
                        yield address + linear, value
                        if isinstance(value, bytes):
                            behind = max(behind, address + len(value) - 1)
                    done += behind + 1 - at
                    self._bytes += behind + 1 - at
                    at = behind + 1

    def _linear(self) -> int:
        """Virtual minus physical addresses in the linear mapping."""
        from drgn.helpers.linux.mm import phys_to_virt

        offset: int = phys_to_virt(self._prog, 0).value_()
        return offset

    def _piece(self, at: int, end: int, last: int) -> Iterator[tuple[int, Any]]:
        """What begins in a piece, also behind pages of it that cannot be read."""
        while at <= end:
            upto = min(end + _OVERLAP, last)
            self._own.set_address_range(at, upto, physical=True)
            try:
                for address, value in self._own:
                    if address > end:
                        return
                    yield address, value
                return
            except drgn.FaultError as e:
                unread(self._prog).note_fault(e)
                behind = (e.address | _PAGE - 1) + 1
                if not at < behind <= upto:
                    self._bytes -= end + 1 - at
                    return  # where it failed is not known
                # What the next piece begins with is its own to miss.
                self._bytes -= max(min(behind, end + 1) - max(at, e.address & -_PAGE), 0)
                at = behind

    def _mapped(self, first: int, end: int) -> list[Range]:
        """The kernel's image and vmalloc areas, (start, end), but those in [first, end)."""
        merged: list[Range] = []
        for start, stop in sorted((*self._image(), *vmalloc_areas(self._prog))):
            if first <= start < end:
                continue
            # On arm64 the image is a vmalloc area too.
            if merged and start <= merged[-1][1]:
                merged[-1] = merged[-1][0], max(merged[-1][1], stop)
            else:
                merged.append((start, stop))
        return merged

    def _image(self) -> Iterator[Range]:
        try:
            yield self._prog.symbol("_text").address, self._prog.symbol("_end").address
        except LookupError:
            return

    def _pages(self, first: int, last: int) -> Iterator[tuple[int, Any]]:
        """What begins in a range of virtual memory; what cannot be read is left out."""
        for start, data, more in _runs(self._prog, first, last):
            self._bytes += len(data) - (_OVERLAP if more else 0)
            for address, value in self._in(start, data):
                # What begins in the overlap is the next run's.
                if not more or address < start + len(data) - _OVERLAP:
                    yield address, value

    def _in(self, start: int, data: bytes) -> Iterable[tuple[int, Any]]:
        """A search of these bytes as a Program that has nothing else."""
        prog = drgn.Program(self._prog.platform)

        def read(address: int, count: int, offset: int, physical: bool) -> bytes:
            return data[offset : offset + count]

        prog.add_memory_segment(start, len(data), read)
        own = self._make(prog)
        own.set_address_range(start, start + len(data) - 1)
        found: Iterable[tuple[int, Any]] = own
        return found


def _runs(prog: drgn.Program, first: int, last: int) -> Iterator[tuple[int, bytes, bool]]:
    """
    Pieces of virtual memory that can be read: (start, bytes, whether the next one begins
    with the last :data:`_OVERLAP` bytes of this one).
    """
    start, data = first, bytearray()
    at = first
    while at <= last:
        size = min(_PAGE - at % _PAGE, last + 1 - at)
        try:
            data += prog.read(at, size)
        except (drgn.FaultError, ValueError):
            if data:
                yield start, bytes(data), False
            start, data = at + size, bytearray()
        at += size
        if len(data) >= _RUN and at <= last:
            yield start, bytes(data), True
            start, data = at - _OVERLAP, data[-_OVERLAP:]
    if data:
        yield start, bytes(data), False
