"""drgn's long walks over memory, ``search`` and ``kmem -p``, with a progress bar and to their end.

Owns the pieces in which ``search`` goes over what the dump holds. drgn's own search ends
with an error at the first page that is missing, which in a filtered dump is the first page;
in pieces it goes on behind it, and how far it is can be shown.

Facts: drgn ``MemorySearchIterator``: without a range it searches physical memory and gives
addresses in the kernel's linear mapping.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import drgn

from btfdbg.patches.program_proxy import ProgramProxy, with_proxy
from btfdbg.program.session import find_session
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
_PAGE = 4096
_KINDS = ("word", "u16", "u32", "u64", "regex")
_END = (1 << 64) - 1
Walk = Callable[..., Iterable[Any]]


def _searched(prog: drgn.Program, args: argparse.Namespace) -> _Searched | None:
    # Stacks are ranges of their own, and the tasks are asked of the Program itself.
    own = getattr(args, "task_stacks", False) or getattr(args, "active_task_stacks", False)
    session = find_session(prog)
    live = prog.flags & drgn.ProgramFlags.IS_LIVE
    dump = None if own or live or session is None else session.dump
    ranges = None if dump is None else held(dump)
    return None if ranges is None else _Searched(prog, ranges)


def held(info: DumpInfo) -> list[tuple[int, int]] | None:
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


class _Searched(ProgramProxy):
    """A Program whose searches are ours."""

    def __init__(self, prog: drgn.Program, ranges: list[tuple[int, int]]) -> None:
        super().__init__(prog)
        self._ranges = ranges

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        if name.removeprefix("search_memory_") in _KINDS:
            return lambda *args, **kwargs: _Search(self._prog, self._ranges, found(*args, **kwargs))
        return found


class _Search:
    """In place of a ``MemorySearchIterator``."""

    def __init__(self, prog: drgn.Program, ranges: list[tuple[int, int]], own: Any) -> None:
        self._prog = prog
        self._ranges = ranges
        self._own = own
        self.set_address_range()

    def set_address_range(
        self,
        min_address: int | None = None,
        max_address: int | None = None,
        physical: bool = False,
    ) -> None:
        """See drgn; takes effect when the iteration starts."""
        self._first = min_address or 0
        self._last = _END if max_address is None else max_address
        self._physical = physical

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        whole = self._first == 0 and self._last == _END
        if not self._physical and not whole:
            yield from self._piece(self._first, self._last, self._last, False)
            return
        linear = 0 if self._physical else self._linear()
        clipped = [
            (max(start, self._first), min(end - 1, self._last))
            for start, end in self._ranges
            if start <= self._last and end > self._first
        ]
        done = 0
        with Progress("searching", sum(b - a + 1 for a, b in clipped)) as progress:
            for at, last in clipped:
                while at <= last:
                    progress(done)
                    end = behind = min(at + _PIECE - 1, last)
                    for address, value in self._piece(at, end, last, True):
                        progress.wipe()
                        yield address + linear, value
                        if isinstance(value, bytes):
                            behind = max(behind, address + len(value) - 1)
                    done += behind + 1 - at
                    at = behind + 1

    def _linear(self) -> int:
        """Virtual minus physical addresses in the linear mapping."""
        from drgn.helpers.linux.mm import phys_to_virt

        offset: int = phys_to_virt(self._prog, 0).value_()
        return offset

    def _piece(self, at: int, end: int, last: int, physical: bool) -> Iterator[tuple[int, Any]]:
        """What begins in a piece, also behind pages of it that cannot be read."""
        while at <= end:
            upto = min(end + _OVERLAP, last)
            self._own.set_address_range(at, upto, physical=physical)
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
                    return  # where it failed is not known
                at = behind


def _first(item: Any) -> int:
    number: int = item[0]
    return number


def _with_progress(number: Callable[[Any], int] | None) -> Callable[[Walk], Walk]:
    """
    Make a walk over all pages that says how far it is where its output goes to a file or pipe.

    :param number: Page frame of an item; ``None`` to count the items.
    """

    def make(original: Walk) -> Walk:
        def walk(prog: drgn.Program) -> Iterator[Any]:
            if sys.stdout.isatty():
                yield from original(prog)
                return
            with Progress("pages", _max_pfn(prog), unit="pages") as progress:
                for count, item in enumerate(original(prog)):
                    if not count & 0xFF:
                        progress(count if number is None else number(item))
                    yield item

        return walk

    return make


def _max_pfn(prog: drgn.Program) -> int:
    try:
        count: int = prog["max_pfn"].value_()
    except (LookupError, drgn.FaultError):
        return 1
    return count


search = with_proxy(_searched)
for_each_page = _with_progress(None)
for_each_valid_pfn_and_page = _with_progress(_first)
