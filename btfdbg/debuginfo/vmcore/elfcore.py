"""Program headers of an ELF core, read with bounds.

Facts: ELF gABI, "Program Header"; ``PN_XNUM`` (extended numbering) for cores
with 65,535 segments or more.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from btfdbg.errors import DebugInfoError

PT_LOAD = 1
PT_NOTE = 4
_PN_XNUM = 0xFFFF
_MAX_SEGMENTS = 1 << 20


@dataclass(frozen=True, slots=True)
class Segment:
    """One program header; all fields in bytes, as in the file."""

    type: int
    offset: int
    vaddr: int
    paddr: int
    filesz: int
    memsz: int


def segments(path: Path) -> Iterator[Segment]:
    """
    Yield the program headers of a 64-bit ELF file.

    :raises DebugInfoError: the headers lie outside the file.
    """
    with path.open("rb") as f:
        head = f.read(64)
        if len(head) < 64 or head[:4] != b"\x7fELF" or head[4] != 2:
            return
        order = "<" if head[5] == 1 else ">"
        e_phoff, e_shoff = struct.unpack_from(order + "QQ", head, 32)
        phentsize, phnum = struct.unpack_from(order + "HH", head, 54)
        if phnum == _PN_XNUM:
            f.seek(e_shoff)
            section = f.read(64)
            phnum = struct.unpack_from(order + "I", section, 44)[0] if len(section) == 64 else 0
        if phentsize < 56 or phnum > _MAX_SEGMENTS:
            raise DebugInfoError(
                f"{path}: {phnum} program headers of {phentsize} bytes are not believable",
                step="open",
            )
        f.seek(e_phoff)
        for i in range(phnum):
            raw = f.read(phentsize)
            if len(raw) < 56:
                raise DebugInfoError(
                    f"{path} is truncated: program header {i} of {phnum} is not in the file",
                    step="open",
                )
            p_type, _flags, *rest = struct.unpack_from(order + "IIQQQQQ", raw)
            yield Segment(p_type, *rest)
