"""Which physical pages does a session read? A Program that remembers.

Owns the tracing: every physical read of the Program goes through a memory
segment of ours, which reads from a second Program and notes the page frame. No
page is invented: a read that fails is not noted.

Virtual reads must all come down to physical ones, with the page tables walked
by drgn where we see it. Two things would escape: libkdumpfile walks them itself
(``DRGN_PREFER_PGTABLE_READER=1`` makes drgn do it), and the segments of an ELF
core serve virtual addresses without any page table
(``DRGN_USE_LIBKDUMPFILE_FOR_ELF=1`` makes an ELF core like a kdump file).
Facts: drgn ``libdrgn/kdump.c``, ``drgn_program_set_kdump()``;
``libdrgn/program.c``, ``drgn_program_set_core_dump_fd_internal()``.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import drgn

from btfdbg.cache import NO_CACHE_VARIABLE
from btfdbg.errors import DebugInfoError
from btfdbg.program.open_dump import open_dump

_ADDRESS_END = (1 << 64) - 1
_THROUGH_PAGE_TABLES = {
    "DRGN_PREFER_PGTABLE_READER": "1",
    "DRGN_USE_LIBKDUMPFILE_FOR_ELF": "1",
}


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    old = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in old.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def uncached() -> Iterator[None]:
    """
    Find nothing of earlier runs in the cache, and keep nothing.

    What was kept is not read of the dump: a small dump would lack it, and be another one at
    every run.
    """
    with _environment({NO_CACHE_VARIABLE: "1"}):
        yield


class Recorder:
    """
    A Program over a dump, and the page frames that were read through it.

    :ivar prog: The Program that remembers; not attached to.
    :ivar memory: A second Program over the same dump, whose reads are not noted.
    :ivar pfns: Page frames read so far.
    :ivar recording: Whether reads are noted now.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        architecture: str | None = None,
        vmcoreinfo: bytes | None = None,
    ) -> None:
        self.memory, self.info = open_dump(path, architecture=architecture, vmcoreinfo=vmcoreinfo)
        try:
            with _environment(_THROUGH_PAGE_TABLES):
                self.prog, _ = open_dump(path, architecture=architecture, vmcoreinfo=vmcoreinfo)
        except DebugInfoError:
            # libkdumpfile finds no memory in QEMU's ELF cores of s390x, whose
            # segments have no virtual addresses that could escape.
            with _environment({"DRGN_PREFER_PGTABLE_READER": "1"}):
                self.prog, _ = open_dump(path, architecture=architecture, vmcoreinfo=vmcoreinfo)
        self.page_size: int = self.memory["PAGE_SIZE"].value_()
        self.page_shift = self.page_size.bit_length() - 1
        self.pfns: set[int] = set()
        self.recording = True
        self.prog.add_memory_segment(0, _ADDRESS_END, self._read, physical=True)

    def _read(self, address: int, count: int, offset: int, physical: bool) -> bytes:
        data: bytes = self.memory.read(address, count, True)
        if self.recording:
            first = address >> self.page_shift
            last = (address + count - 1) >> self.page_shift
            if first == last:
                self.pfns.add(first)
            else:
                self.pfns.update(range(first, last + 1))
        return data

    def look(self, address: int, size: int) -> bytes:
        """
        Virtual memory that is only looked through for something; the read is not noted.

        :raises drgn.FaultError: the dump does not hold it.
        """
        data: bytes = self.memory.read(address, size)
        return data

    def read_page(self, pfn: int) -> bytes:
        """
        Bytes of one page frame; the read is not noted.

        :raises drgn.FaultError: the dump does not hold it.
        """
        data: bytes = self.memory.read(pfn << self.page_shift, self.page_size, True)
        return data

    def forget_program(self) -> None:
        """Let go of the Program that remembers, with all that is tied to it: its Session, say."""
        self.recording = False
        del self.prog
        gc.collect()

    def touch(self, address: int, size: int) -> int:
        """
        Read a range of virtual memory page by page, for its effect.

        :return: Bytes that could not be read.
        """
        missing = 0
        end = address + size
        if address < 0 or end > _ADDRESS_END:
            return size
        while address < end:
            n = min(end, (address | (self.page_size - 1)) + 1) - address
            try:
                self.prog.read(address, n)
            except drgn.FaultError:
                missing += n
            address += n
        return missing
