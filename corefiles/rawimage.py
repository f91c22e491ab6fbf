"""
Raw memory images and LiME files out of what QEMU saves.

Owns: the LiME header. Facts: LiME's format, one 32-byte little-endian header
per range: magic 0x4C694D45, version 1, first and last physical address
(inclusive), eight reserved bytes; then the bytes of the range.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

_MAGIC = 0x4C694D45
_CHUNK = 1 << 20


def system_ram(iomem: Iterable[str]) -> list[tuple[int, int]]:
    """
    Return the ranges of memory in /proc/iomem.

    :return: First address and first address after it, in order.
    """
    found = []
    for line in iomem:
        if match := re.match(r"([0-9a-f]+)-([0-9a-f]+) : System RAM$", line):
            found.append((int(match[1], 16), int(match[2], 16) + 1))
    return sorted(found)


def lime_header(start: int, end: int) -> bytes:
    """Return the header of a range from ``start`` up to, not including, ``end``."""
    return struct.pack("<IIQQ8x", _MAGIC, 1, start, end - 1)


def write_lime(raw: Path, base: int, ranges: Sequence[tuple[int, int]], out: Path) -> None:
    """
    Turn a raw image into a LiME file.

    :param base: Physical address of the first byte of ``raw``.
    :param ranges: What to take from it, as :func:`system_ram` gives it.
    """
    with raw.open("rb") as source, out.open("wb") as sink:
        for start, end in ranges:
            sink.write(lime_header(start, end))
            source.seek(start - base)
            left = end - start
            while left:
                chunk = source.read(min(left, _CHUNK))
                if not chunk:
                    # The image stops before the range does.
                    sink.write(bytes(left))
                    break
                sink.write(chunk)
                left -= len(chunk)
