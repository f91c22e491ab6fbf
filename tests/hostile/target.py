"""What a fuzz target is, and how parts and patches are written into one input.

Owns the frame that all targets share. Knows no parser.

An input of several parts (a text and memory, say) has the length of each before it, so
that a mutation within one part leaves the others where they are. An input for something
large is a list of *patches* to a good one: a dump of megabytes is mutated by some bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

_LENGTH = struct.Struct("<I")
_PATCH = struct.Struct("<BIB")


@dataclass(frozen=True, slots=True)
class Target:
    """
    One parser.

    :ivar run: Put an input through it: True if it was taken, False if it was refused
        with the error that the parser documents. Anything else that it raises is a
        defect.
    :ivar seeds: Good inputs; each is taken.
    :ivar slow: Takes milliseconds per input, or seconds to set up.
    :ivar seconds: What one input may take.
    """

    name: str
    run: Callable[[bytes], bool]
    seeds: Callable[[], Sequence[bytes]]
    slow: bool = False
    seconds: float = 5.0


def join(*parts: bytes) -> bytes:
    """Parts as one input."""
    return b"".join(_LENGTH.pack(len(part)) + part for part in parts)


def split(data: bytes, count: int) -> list[bytes]:
    """The parts of an input; what is missing is empty, the last one takes what is left."""
    parts = []
    for last in (*[False] * (count - 1), True):
        if len(data) < _LENGTH.size:
            parts.append(b"")
            continue
        (size,) = _LENGTH.unpack_from(data)
        end = len(data) if last else _LENGTH.size + size
        parts.append(data[_LENGTH.size : end])
        data = data[end:]
    return parts


def patch(area: int, offset: int, data: bytes) -> bytes:
    """One patch: at most 255 bytes at an offset within an area."""
    return _PATCH.pack(area, offset, len(data)) + data


def patches(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Area, offset and bytes of every patch in an input."""
    at = 0
    while at + _PATCH.size <= len(data):
        area, offset, size = _PATCH.unpack_from(data, at)
        at += _PATCH.size
        yield area, offset, data[at : at + size]
        at += size


def apply(data: bytes, into: bytearray, areas: Sequence[tuple[int, int]]) -> None:
    """
    Write the patches of an input.

    :param areas: (start, size) in ``into``.
    """
    for number, offset, content in patches(data):
        start, size = areas[number % len(areas)]
        if not size:
            continue
        at = start + offset % size
        content = content[: start + size - at]
        into[at : at + len(content)] = content
