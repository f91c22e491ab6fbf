"""LiME images: physical ranges, each behind a header of its own.

Facts: LiME ``doc/README.md``, "lime" format: ``magic`` u32 ``0x4c694d45``,
``version`` u32 1, ``s_addr`` and ``e_addr`` u64 (both ends belong to the range),
8 reserved bytes; written in the byte order of the machine.
"""

from __future__ import annotations

import os
import struct

from btfdbg.errors import DebugInfoError
from btfdbg.vmcore.memory import Extent

MAGIC = b"EMiL"
_MAGIC_BIG = b"LiME"
_MAX_RANGES = 1 << 16


def is_lime(head: bytes) -> bool:
    """Whether a file begins as a LiME image, of either byte order."""
    return head[:4] in (MAGIC, _MAGIC_BIG) and len(head) >= 8


def read_lime(path: str | os.PathLike[str]) -> tuple[list[Extent], int]:
    """
    Read the headers of a LiME image.

    :return: The ranges, and the bytes of the last one that are cut off.
    :raises DebugInfoError: a header is damaged or of a version that is not 1.
    """
    extents: list[Extent] = []
    missing = 0
    with open(path, "rb") as f:
        size = f.seek(0, os.SEEK_END)
        f.seek(0)
        at = 0
        order = "<" if f.read(4) == MAGIC else ">"
        header = struct.Struct(order + "IIQQ8x")
        while at < size:
            f.seek(at)
            raw = f.read(header.size)
            if len(raw) < header.size:
                break  # padding, or cut off between two ranges
            magic, version, first, last = header.unpack(raw)
            if magic != 0x4C694D45 or version != 1 or last < first:
                if extents and not any(raw):
                    break
                raise DebugInfoError(
                    f"{path}: the LiME header at {at:#x} is damaged"
                    f" (magic {magic:#x}, version {version}, {first:#x}..{last:#x})",
                    step="open",
                )
            if len(extents) >= _MAX_RANGES:
                raise DebugInfoError(f"{path} has more than {_MAX_RANGES} LiME ranges", step="open")
            length = last - first + 1
            extents.append(Extent(first, length, at + header.size, length))
            at += header.size + length
            missing = max(0, at - size)
    return extents, missing
