"""Source files for a Session: joins its symbols, modules and memory with the lookup.

Owns that join, and the one :class:`.lookup.SourceFiles` of a Program.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator

from btfdbg.cache import Cache
from btfdbg.frames.sources.lookup import SourceFiles
from btfdbg.frames.sources.model import SourceFile
from btfdbg.frames.sources.regions import KernelRegion, ModuleRegion, Region, image_range
from btfdbg.frames.sources.strings import Strings
from btfdbg.frames.sources.table import SourceTable
from btfdbg.kallsyms.loaded import LoadedModule
from btfdbg.program.session import Session
from btfdbg.vmcore.platforms import machine_of
from btfdbg.vmcore.read_failures import unread

_CACHE_KEY = "btfdbg.sources"


def source_file(session: Session, address: int) -> SourceFile | None:
    """
    Return which source file the code at an address is from.

    The line is given only where the dump has it: at the trap of a WARN or BUG.

    >>> source_file(session, session.prog.symbol("vfs_read").address)
    SourceFile(file='fs/read_write.c', line=None, evidence='table')

    :return: None for what is no code, or where the evidence is not sufficient.
    """
    files = source_files(session)
    if files.is_known(address):
        return files.find(address)
    # A file name is an addition to an answer: what is missing for it is nothing that the
    # command which asked could not read.
    with unread(session.prog).silent():
        return files.find(address)


def source_files(session: Session) -> SourceFiles:
    """Return the lookup of a Session, made when it is first asked for."""
    found = session.prog.cache.get(_CACHE_KEY)
    if not isinstance(found, SourceFiles):
        found = session.prog.cache[_CACHE_KEY] = make(session)
    return found


def shipped_table() -> SourceTable:
    """The table that is installed with btfdbg; errors as :meth:`SourceTable.load`."""
    return SourceTable.load(cache=Cache.default())


def make(session: Session, load: Callable[[], SourceTable] | None = shipped_table) -> SourceFiles:
    """
    Make a lookup.

    :param load: gives the table; None for answers from the dump alone.
    """
    return SourceFiles(
        Regions(session).of,
        release=session.release,
        machine=machine_of(session.prog.platform),
        load=load,
        on_problem=lambda e: session.note(e.step or "sources", str(e), e.hint),
    )


class Regions:
    """The kernel and its modules, by address."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._strings = Strings(session.prog.read)
        self._kernel: KernelRegion | None = None
        self._image = (0, 0)
        if session.symbols is not None:
            self._kernel = KernelRegion(session.prog, session.symbols, self._strings)
            self._image = image_range(session.symbols)
        self._modules: dict[str, ModuleRegion | None] = {}
        self._ranges: list[tuple[int, int, LoadedModule]] | None = None

    def of(self, address: int) -> Region | None:
        """The region that an address is in."""
        if self._kernel is not None and self._image[0] <= address < self._image[1]:
            return self._kernel
        if self._ranges is None:
            self._ranges = self._loaded()
        number = bisect_right(self._ranges, address, key=lambda entry: entry[0]) - 1
        if number < 0 or address >= self._ranges[number][1]:
            return None
        return self.module(self._ranges[number][2])

    def all(self) -> Iterator[Region]:
        """The kernel image, and each module whose symbols can be read."""
        if self._kernel is not None:
            yield self._kernel
        for module in self.modules():
            region = self.module(module)
            if region is not None:
                yield region

    def modules(self) -> list[LoadedModule]:
        """The loaded modules."""
        symbols = self._session.module_symbols
        return [] if symbols is None else symbols.modules()

    def module(self, module: LoadedModule) -> ModuleRegion | None:
        """The region of a module; None if its symbols cannot be read."""
        if module.name not in self._modules:
            symbols = self._session.module_symbols
            table = None if symbols is None else symbols.table_of(module)
            self._modules[module.name] = (
                None
                if table is None
                else ModuleRegion(
                    self._session.prog,
                    module,
                    table.code(),
                    self._strings,
                    self._kernel,
                    self._sections(module.name),
                )
            )
        return self._modules[module.name]

    def _sections(self, name: str) -> list[int]:
        """Addresses of a module's sections, as far as the kernel remembers them."""
        found = (m for m in self._session.loaded if m.name == name)
        module = next(found, None)
        return [] if module is None else list(getattr(module, "section_addresses", {}).values())

    def _loaded(self) -> list[tuple[int, int, LoadedModule]]:
        self._session.ensure_modules()
        found = [(start, end, m) for m in self.modules() for start, end in m.ranges]
        return sorted(found, key=lambda entry: entry[:2])
