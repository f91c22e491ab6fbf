"""Which pages, and which fields of them, does each command read?

Owns a tracing run over an undamaged dump, on the trim package's recorder. What
a command reads by itself is recorded from the state after opening, so a command
depends on the pages of "open" and its own, whatever ran before it.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import drgn

from btfdbg.commands import execute, info
from btfdbg.kallsyms import CombinedTable, KallsymsTable
from btfdbg.program.attach import attach
from btfdbg.program.session import Session
from btfdbg.trim.recorder import Recorder
from btfdbg.vmcore.kdumppages import KdumpPages
from btfdbg.vmcore.memory import FileMemory
from tests.fuzz.sandbox import COMMANDS, INFO, OPEN

Field = tuple[int, int]
"""Physical address and bytes of one read."""

Link = tuple[int, int, int]
"""Physical address of a pointer that was read, its value, and the physical address of that."""

_SMALL = 64
_POINTER = 1 << 63
# s390x has memory at its physical address, so that only small numbers are surely none.
_POINTER_S390 = 1 << 12
# Following this many pointers takes a quarter of a second.
_MAX_LINKS = 5000


@dataclass(frozen=True, slots=True)
class Reads:
    """
    What the undamaged run read.

    :ivar frames: Phase to page frames: "open", "info", and each command.
    :ivar fields: Phase to reads of at most 64 bytes.
    :ivar links: Phase to the pointers among them whose target was read too.
    :ivar page_size: Of the kernel; ``frames`` count in it.
    :ivar pointers: No address of the kernel is below.
    :ivar places: Name of a table in memory to the physical address of each of
        its pages' parts, in order: (address, bytes).
    """

    frames: dict[str, frozenset[int]]
    fields: dict[str, tuple[Field, ...]]
    links: dict[str, tuple[Link, ...]]
    places: dict[str, tuple[Field, ...]]
    page_size: int
    pointers: int

    def of(self, phase: str) -> frozenset[int]:
        """All page frames that a phase's output depends on."""
        return self.frames[OPEN] | self.frames[phase]


class _Tracer(Recorder):
    """A recorder that remembers the single reads too."""

    def __init__(self, path: Path) -> None:
        self.ranges: set[Field] = set()
        super().__init__(path)
        platform = self.prog.platform
        assert platform is not None
        self.pointers = _POINTER_S390 if platform.arch == drgn.Architecture.S390X else _POINTER
        little = platform.flags & drgn.PlatformFlags.IS_LITTLE_ENDIAN
        self.byteorder: Literal["little", "big"] = "little" if little else "big"

    def frames(self, direct: set[int]) -> frozenset[int]:
        """The page frames read, also those that were read past the Program, of 4096 bytes."""
        return frozenset(self.pfns) | {f >> self.page_shift - 12 for f in direct}

    def _read(self, address: int, count: int, offset: int, physical: bool) -> bytes:
        data = super()._read(address, count, offset, physical)
        if self.recording:
            self.ranges.add((address, count))
        return data

    def clear(self) -> None:
        self.pfns = set()
        self.ranges = set()

    def where(self, address: int) -> int | None:
        """Physical address of a virtual one."""
        before = self.pfns, self.ranges
        self.clear()
        try:
            self.prog.read(address, 1)
            return next(a for a, n in self.ranges if n == 1)
        except (drgn.FaultError, StopIteration):
            return None
        finally:
            self.pfns, self.ranges = before

    def links(self) -> tuple[Link, ...]:
        """The pointers among what was read whose target was read too."""
        read = {address for address, _ in self.ranges}
        found: list[Link] = []
        for address, count in sorted(self.ranges):
            if count != 8 or len(found) >= _MAX_LINKS:
                continue
            value = int.from_bytes(self.memory.read(address, 8, True), self.byteorder)
            target = self.where(value) if value >= self.pointers else None
            if target is not None and target in read and target != address:
                found.append((address, value, target))
        return tuple(found)

    def place(self, start: int, end: int) -> tuple[Field, ...]:
        """The physical parts of a virtual range."""
        found = []
        while start < end:
            n = min(end, (start | (self.page_size - 1)) + 1) - start
            physical = self.where(start)
            if physical is not None:
                found.append((physical, n))
            start += n
        return tuple(found)


@contextlib.contextmanager
def _direct_reads(frames: set[int]) -> Iterator[None]:
    """Note also what is read past the Program, from the file's own memory."""

    def noting(cls: type[FileMemory] | type[KdumpPages]) -> Callable[[], None]:
        original: Any = cls.read

        def read(self: Any, address: int, size: int) -> bytes:
            data: bytes = original(self, address, size)
            frames.update(range(address >> 12, (address + max(size, 1) - 1 >> 12) + 1))
            return data

        cls.read = read  # type: ignore[method-assign] # taken back below

        def restore() -> None:
            cls.read = original  # type: ignore[method-assign] # as it was

        return restore

    undo = [noting(FileMemory), noting(KdumpPages)]
    try:
        yield
    finally:
        for restore in undo:
            restore()


def in_child(call: Callable[[], Any]) -> Any:
    """Call in a forked child and return what it returns."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reader)
            with os.fdopen(writer, "wb") as f:
                pickle.dump(call(), f)
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as f:
        data = f.read()
    _, status = os.waitpid(pid, 0)
    if status:
        raise RuntimeError(f"a tracing child ended with wait status {status:#x}")
    return pickle.loads(data)


def trace(path: Path) -> Reads:
    """Record what opening and each command read."""
    found = in_child(lambda: _trace(path))
    assert isinstance(found, Reads)
    return found


def _trace(path: Path) -> Reads:
    direct: set[int] = set()
    with _direct_reads(direct):
        tracer = _Tracer(path)
        session = attach(tracer.prog, None, tracer.info)
    frames = {OPEN: tracer.frames(direct)}
    ranges = {OPEN: frozenset(tracer.ranges)}
    links = {OPEN: tracer.links()}
    places = _places(tracer, session)
    for phase in (INFO, *COMMANDS):
        tracer.clear()

        def one(phase: str = phase) -> tuple[frozenset[int], frozenset[Field], tuple[Link, ...]]:
            extra: set[int] = set()
            with (
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
                _direct_reads(extra),
            ):
                if phase == INFO:
                    info.as_text(session)
                else:
                    execute.run_commands(session, [phase])
            return tracer.frames(extra), frozenset(tracer.ranges), tracer.links()

        frames[phase], ranges[phase], links[phase] = in_child(one)
    fields = {
        phase: tuple(sorted(r for r in found if 0 < r[1] <= _SMALL))
        for phase, found in ranges.items()
    }
    return Reads(frames, fields, links, places, tracer.page_size, tracer.pointers)


def _places(tracer: _Tracer, session: Session) -> dict[str, tuple[Field, ...]]:
    spans: dict[str, tuple[int, int]] = {}
    start, stop = session.lookup_symbols("__start_BTF"), session.lookup_symbols("__stop_BTF")
    if start and stop:
        spans["BTF"] = start[0].address, stop[0].address
    table = session.symbols
    if isinstance(table, CombinedTable):
        table = table.first
    if isinstance(table, KallsymsTable):
        layout = table.layout
        spans["kallsyms names"] = layout.names, layout.names_end
        spans["kallsyms tokens"] = layout.token_table, layout.token_table + 2048
        spans["kallsyms addresses"] = layout.addresses, layout.addresses + 4 * layout.num_syms
        if layout.seqs is not None:
            spans["kallsyms seqs"] = layout.seqs, layout.seqs + 3 * layout.num_syms
    top = session.lookup_symbols("swapper_pg_dir") or session.lookup_symbols("init_top_pgt")
    if top:
        spans["page tables"] = top[0].address, top[0].address + tracer.page_size
    return {name: tracer.place(*span) for name, span in spans.items()}
