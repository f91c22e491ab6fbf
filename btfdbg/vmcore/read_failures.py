"""Memory that could not be read, counted where the read fails.

Owns the count of failed reads, also of those that drgn's helpers and commands pass over
(``except FaultError``, a stack that simply ends), and the sum of their reasons. Why one
address does not read is ``explain``'s.

How it costs nothing: a dump's holes are known beforehand, as gaps between segments or as
zero bits of a bitmap. Each is covered by a memory segment that counts and then fails as
drgn would have failed; memory that is there is read past them. What no segment can cover,
an address that no page table maps, is counted when its error reaches the user.

Facts: makedumpfile's bitmap of dumped pages (see ``kdumpfile``); drgn: a segment that is
added later lies over those before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import drgn

from btfdbg.errors import BtfdbgError
from btfdbg.lazy_dataclass import dataclass
from btfdbg.lazy_pattern import pattern
from btfdbg.vmcore.explain import (
    Explanation,
    Reason,
    explain_address,
    explain_fault,
    explain_physical,
    kernel_paging,
)
from btfdbg.vmcore.identify import DumpInfo, Format
from btfdbg.vmcore.memory import FileMemory
from btfdbg.vmcore.paging import NotMappedError

if TYPE_CHECKING:
    from btfdbg.vmcore.kdumpfile import Kdump

_CACHE_KEY = "btfdbg.unread"
_PAGE = 4096
_MAX_PHYSICAL = 1 << 52
_MAX_PAGES = 1 << 12
_MAX_REMARKS = 32
_SAME = 2  # ways to count one page
# A terabyte of memory has a bitmap of 32 MiB; a kernel with more pieces than that many
# holes is watched in part.
_MAX_BITMAP = 32 << 20
_MAX_HOLES = 1 << 15
# drgn reads that far beyond the last page table of an s390x machine (see ``overlay``).
_S390_PADDING = 1 << 16
# Addresses on which the place of the linear mapping is tried.
_DOUBT = 64
_RUN = pattern(rb"\x00+|\xff+|[^\x00\xff]+")


@dataclass(frozen=True, slots=True)
class Summary:
    """
    What could not be read during a command.

    :ivar reads: Reads that failed.
    :ivar pages: Different pages among them.
    :ivar reasons: Reason and number of pages, the most frequent first.
    :ivar first: Why the first of them failed.
    :ivar more: Whether there were more pages than are counted here.
    """

    reads: int
    pages: int
    reasons: tuple[tuple[Reason, int], ...]
    first: Explanation
    more: bool = False

    def __str__(self) -> str:
        reads = f"{self.reads:,} read{'s' if self.reads != 1 else ''}"
        if self.pages == 1:
            return f"{reads} failed ({self.first.reason.value}): {self.first}"
        least = "at least " if self.more else ""
        reasons = ", ".join(f"{count:,} x {reason.value}" for reason, count in self.reasons)
        return f"{reads} of {least}{self.pages:,} pages failed: {reasons}; the first: {self.first}"


class Unread:
    """
    The failed reads of one Program since they were last asked for.

    :ivar watched: Whether the holes of the dump are covered.
    :ivar running: Commands that count, one within the other.
    """

    def __init__(self) -> None:
        self._reads = 0
        self._pages: dict[tuple[bool, int], int] = {}
        self._more = False
        self._remarks: dict[str, tuple[int, str]] = {}
        self.watched = False
        self.running = 0
        self._quiet = False

    @property
    def reads(self) -> int:
        """Reads that failed so far."""
        return self._reads

    def note(self, address: int, physical: bool) -> None:
        """Count a failed read."""
        if self._quiet:
            return
        self._reads += 1
        key = (physical, address // _PAGE)
        if key in self._pages:
            return
        if len(self._pages) < _MAX_PAGES:
            self._pages[key] = address
        else:
            self._more = True

    def note_fault(self, fault: drgn.FaultError) -> None:
        """Count an error that reached the user, unless its page was counted where it failed."""
        page = fault.address // _PAGE
        if (False, page) not in self._pages and (True, page) not in self._pages:
            self.note(fault.address, False)

    def remark(self, what: str, detail: str = "") -> None:
        """
        Keep what a walk says about data that it lost or found by another way.

        :param what: The same for all remarks that are said in one line.
        :param detail: Of this one; only the first is said.
        """
        if self._quiet:
            return
        count, first = self._remarks.get(what, (0, detail))
        if count or len(self._remarks) < _MAX_REMARKS:
            self._remarks[what] = count + 1, first

    @property
    def remarked(self) -> int:
        """How many remarks wait to be said."""
        return sum(count for count, _ in self._remarks.values())

    def remarked_of(self) -> dict[str, int]:
        """How many of each remark wait to be said."""
        return {what: count for what, (count, _) in self._remarks.items()}

    def remarks(self) -> tuple[str, ...]:
        """Give the remarks and start anew."""
        found = []
        for what, (count, detail) in self._remarks.items():
            times = f"{count:,} times, the first: " if count > 1 else ""
            found.append(f"{what} ({times}{detail})" if detail or times else what)
        self._remarks.clear()
        return tuple(found)

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Neither count nor remark on what fails here: it is said otherwise."""
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before

    def forget(self) -> None:
        """Start to count anew."""
        self._reads = 0
        self._pages.clear()
        self._remarks.clear()
        self._more = False

    def summary(self, prog: drgn.Program, info: DumpInfo | None) -> Summary | None:
        """
        Explain what was counted and start anew.

        :return: ``None`` if every read succeeded.
        """
        if not self._pages:
            return None
        found = self._explained(prog, info)
        with self.silent():
            failed = found
            if self.watched:
                # drgn names where a read began; the page that it failed on was counted there.
                failed = [e for e in found if not _reads_at_first(prog, e)] or found
        reads = self._reads - (len(found) - len(failed))
        reasons = Counter(e.reason for e in failed).most_common()
        summary = Summary(reads, len(failed), tuple(reasons), failed[0], self._more)
        self.forget()
        return summary

    def _explained(self, prog: drgn.Program, info: DumpInfo | None) -> list[Explanation]:
        """Why each page that was counted does not read."""
        with self.silent():
            return [
                explain_physical(info, address)
                if physical
                else explain_address(prog, info, address)
                for (physical, _), address in self._pages.items()
            ]

    def take_only(
        self, prog: drgn.Program, info: DumpInfo | None, fault: drgn.FaultError
    ) -> tuple[Explanation, int] | None:
        """
        Why a read failed, if nothing else did since counting began; it is then counted no more.

        :return: The reason and how many reads there were; ``None``, and nothing changes, if
            there were others.
        """
        # A read at a virtual address may have been counted at the physical one as well.
        if self._more or not 0 < len(self._pages) <= _SAME:
            return None
        why = self.explain(prog, info, fault)
        one = (False, fault.address // _PAGE) if why.page < 0 else why.page
        for key, other in zip(self._pages, self._explained(prog, info), strict=True):
            if (key if other.page < 0 else other.page) != one:
                return None
        reads, self._reads = self._reads, 0
        self._pages.clear()
        return why, reads

    def explain(
        self, prog: drgn.Program, info: DumpInfo | None, fault: drgn.FaultError
    ) -> Explanation:
        """Why one read failed, without counting what explaining reads."""
        with self.silent():
            return explain_fault(prog, info, fault)

    def segment(self, address: int, count: int, offset: int, physical: bool) -> bytes:
        """A memory segment over what is not there."""
        self.note(address, physical)
        # Where drgn walks page tables, the error of a virtual address has the physical one.
        what = "physical page" if physical else "page"
        raise drgn.FaultError(f"the {what} is not in the dump", address)

    def watch(self, prog: drgn.Program, info: DumpInfo | None, pointer: int = 0) -> None:
        """
        Cover the holes of a dump, once.

        :param pointer: Address of a variable that holds a pointer into the kernel's linear
            mapping (``saved_command_line``), 0 if none is known: kdump files are then
            watched at physical addresses only.
        """
        if self.watched:
            return
        self.watched = True
        if info is None or info.format in (Format.KCORE, Format.QEMU):
            return
        with self.silent():
            try:
                self._cover(prog, info, pointer)
            except (BtfdbgError, OSError, drgn.FaultError, LookupError):
                pass  # what is wrong with the file is said elsewhere; errors are counted still

    def _cover(self, prog: drgn.Program, info: DumpInfo, pointer: int) -> None:
        holes = list(_holes(info))
        for start, end in holes:
            prog.add_memory_segment(start, end - start, self.segment, True)
        if not info.is_kdump:
            return
        # libkdumpfile walks page tables itself: no physical segment sees what it reads.
        there = [end for _, end in holes[:_DOUBT] if end < _MAX_PHYSICAL]
        linear = _linear_offset(prog, pointer, there)
        if linear is not None:
            for start, end in holes:
                # Below the first page of memory another mapping may lie next to the
                # linear one: vmalloc memory on riscv64.
                if start > 0 and end < _MAX_PHYSICAL:
                    prog.add_memory_segment(linear + start, end - start, self.segment)


def unread(prog: drgn.Program) -> Unread:
    """The count of a Program."""
    found = prog.cache.get(_CACHE_KEY)
    if not isinstance(found, Unread):
        found = prog.cache[_CACHE_KEY] = Unread()
    return found


def _holes(info: DumpInfo) -> Iterator[tuple[int, int]]:
    """Physical ranges (start, end) of which the dump has nothing and drgn knows it."""
    if info.is_kdump:
        from btfdbg.vmcore.kdumpfile import Kdump
        from btfdbg.vmcore.kdumppages import KdumpPages

        pages = info.memory
        yield from _bitmap_holes(pages.kdump if isinstance(pages, KdumpPages) else Kdump(info.file))
    elif isinstance(info.memory, FileMemory):
        padding = _S390_PADDING if info.architecture is drgn.Architecture.S390X else 0
        yield from _gaps((e.address, e.end + padding) for e in info.memory.extents)
        for e in info.memory.extents:
            here = info.memory.size - e.offset
            if here < e.filled:
                yield e.address + max(0, here + -here % _PAGE), e.end


def _gaps(parts: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    last = 0
    for start, end in parts:
        if start > last:
            yield last, start
        last = max(last, end)
    if last < _MAX_PHYSICAL:
        yield last, _MAX_PHYSICAL


def _bitmap_holes(kdump: Kdump) -> Iterator[tuple[int, int]]:
    """What :meth:`Kdump.runs` does not give, at the speed of a search, and bounded."""
    h = kdump.header
    size, block = min(h.bitmap_size, -(-h.max_pfn // 8)), h.block_size
    data = kdump.read(h.bitmap, min(size, _MAX_BITMAP))
    first, count = -1, 0
    for run in _RUN.finditer(data):
        value = data[run.start()]
        if value in (0x00, 0xFF):
            bits: Iterable[tuple[int, int]] = ((run.start() * 8, value & 1),)
        else:
            bits = (
                (at * 8 + bit, data[at] >> bit & 1)
                for at in range(run.start(), run.end())
                for bit in range(8)
            )
        for pfn, there in bits:
            if there and first >= 0:
                yield first * block, min(pfn, h.max_pfn) * block
                first = -1
                count += 1
                if count >= _MAX_HOLES:
                    return
            elif not there and first < 0:
                if pfn >= h.max_pfn:
                    break
                first = pfn
    if first >= 0:
        yield first * block, min(len(data) * 8, h.max_pfn) * block
    if len(data) == size:
        yield h.max_pfn * block, _MAX_PHYSICAL


def _linear_offset(prog: drgn.Program, pointer: int, there: Iterable[int]) -> int | None:
    """
    Virtual minus physical addresses in the kernel's linear mapping, ``None`` if in doubt.

    :param there: Physical addresses to try it on.
    """
    paging = kernel_paging(prog)
    if paging is None or not pointer:
        return None

    def read(address: int, size: int) -> bytes:
        data: bytes = prog.read(address, size, physical=True)
        return data

    target = prog.read_word(pointer)
    try:
        offset: int = target - paging.translate(read, target)[0]
        # The image itself is mapped elsewhere, and a wild pointer anywhere.
        agree = 0
        for physical in there:
            try:
                agree += 1 if paging.translate(read, offset + physical)[0] == physical else -_DOUBT
            except NotMappedError:
                continue
    except (NotMappedError, drgn.FaultError, OverflowError):
        return None
    return offset if agree > 0 < offset else None


def _reads_at_first(prog: drgn.Program, failed: Explanation) -> bool:
    """Whether an address for whose failure there is no reason does read."""
    if failed.reason is not Reason.UNKNOWN or failed.physical:
        return False
    try:
        prog.read(failed.address, 1)
    except drgn.FaultError:
        return False
    return True
