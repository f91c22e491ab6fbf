"""What a dump file is to the fuzzer, and edits of one.

Owns the questions that are asked of every format (which page frames are there,
which bytes of the file change so that a page reads otherwise or not at all),
and making and undoing edits. The formats are in ``formats``.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Patch = tuple[int, bytes]
"""Offset in the file, bytes that stand there."""

Lost = tuple[list[Patch], frozenset[int] | None]
"""Patches, and the page frames that they concern; ``None`` if it may be any."""

INTERESTING = (
    0,
    1,
    0x10,
    0x7F,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    0x7FFFFFFFFFFFFFFF,
    0x8000000000000000,
    0xDEAD000000000100,
    0xDEAD000000000122,
    0x6B6B6B6B6B6B6B6B,
    0xFFFFFFFFFFFFF000,
    0xFFFFFFFFFFFFFFFE,
    0xFFFFFFFFFFFFFFFF,
)
"""Numbers at which things go wrong."""


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

    :ivar page_size: Bytes of a page frame.
    :ivar byteorder: Of its headers and of the machine.
    :ivar frames: Page frames it holds, ascending.
    :ivar regions: Its parts that are no pages.
    """

    page_size: int
    byteorder: Literal["little", "big"] = "little"
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

    def lose(self, pfn: int, rng: random.Random) -> Lost:
        """Make a page frame unreadable, as a cut or damaged file does."""
        raise NotImplementedError


def data_ranges(fd: int, size: int, at: int = 0) -> Iterable[tuple[int, int]]:
    """The parts of a file that are no holes, from an offset on: (start, end)."""
    while at < size:
        try:
            at = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:
            return
        end = os.lseek(fd, at, os.SEEK_HOLE)
        yield at, end
        at = end


def copy_sparse(source: Path, target: Path) -> None:
    """Copy a file, holes as holes."""
    # No buffer: data_ranges() moves the file's position.
    with source.open("rb", buffering=0) as f, target.open("wb") as out:
        size = f.seek(0, os.SEEK_END)
        for start, end in data_ranges(f.fileno(), size):
            f.seek(start)
            out.seek(start)
            while start < end:
                data = f.read(min(end - start, 1 << 22))
                if not data:
                    raise EOFError(f"{source} became shorter")
                out.write(data)
                start += len(data)
        out.truncate(size)


class Applied:
    """An edit made in place; ``undo()`` takes it back. The file belongs to us alone."""

    def __init__(self, path: Path, edit: Edit) -> None:
        self._path = path
        self._saved: list[Patch] = []
        # No buffer: data_ranges() moves the file's position.
        with path.open("r+b", buffering=0) as f:
            self._size = f.seek(0, os.SEEK_END)
            for offset, data in edit.patches:
                f.seek(offset)
                self._saved.append((offset, f.read(len(data))))
                f.seek(offset)
                f.write(data)
            if edit.size is not None:
                # Not what is only a hole: a raw image has hundreds of megabytes of them.
                for start, end in data_ranges(f.fileno(), self._size, edit.size):
                    f.seek(start)
                    self._saved.append((start, f.read(end - start)))
                f.truncate(edit.size)

    def undo(self) -> None:
        """Restore the file."""
        with self._path.open("r+b") as f:
            for offset, data in reversed(self._saved):
                f.seek(offset)
                f.write(data)
            f.truncate(self._size)
