"""
makedumpfile's flattened notation, turned into a plain file.

Why: in the crash kernel the only place to write to is a disk without a file
system, which can only be written from front to back; that is what the notation
is for. Facts: makedumpfile(8), option -F; 4096-byte header, then records of
(offset, size), signed 64-bit big-endian, each followed by its bytes; -1 ends.
"""

from __future__ import annotations

import struct
from pathlib import Path

from .run import BuildError

# Up to the NUL; what is behind it in the 16-byte field is unset in old versions.
_SIGNATURE = b"makedumpfile\0"
_HEADER_SIZE = 4096
_MAX_RECORD = 1 << 30


def rearrange(source: Path, plain: Path | None, flattened: Path | None = None) -> int:
    """
    Read a flattened dump from a file that may be longer than the dump.

    :param plain: Where to write the dump that it stands for.
    :param flattened: Where to write a copy of the flattened bytes, cut to length.
    :return: Length of the flattened dump in bytes.
    :raises BuildError: not a flattened dump, or one without its end.
    """
    with source.open("rb") as file:
        header = file.read(_HEADER_SIZE)
        kind, version = struct.unpack_from(">qq", header, 16) if len(header) >= 32 else (0, 0)
        if not header.startswith(_SIGNATURE) or (kind, version) != (1, 1):
            raise BuildError(f"{source}: no flattened dump (header {header[:16]!r})")
        out = plain.open("wb") if plain else None
        try:
            while True:
                record = file.read(16)
                if len(record) < 16:
                    raise BuildError(f"{source}: the flattened dump has no end")
                offset, size = struct.unpack(">qq", record)
                if (offset, size) == (-1, -1):
                    break
                if offset < 0 or not 0 <= size <= _MAX_RECORD:
                    raise BuildError(f"{source}: record of {size} bytes at {offset}")
                data = file.read(size)
                if len(data) < size:
                    raise BuildError(f"{source}: the flattened dump ends inside a record")
                if out:
                    out.seek(offset)
                    out.write(data)
        finally:
            if out:
                out.close()
        length = file.tell()
        if flattened:
            file.seek(0)
            with flattened.open("wb") as copy:
                left = length
                while left:
                    chunk = file.read(min(left, 1 << 20))
                    copy.write(chunk)
                    left -= len(chunk)
    return length
