"""makedumpfile's flattened format: a stream of blocks that say where they belong.

Owns reading the dump inside as if it were a file. Knows nothing of what the
dump is.

Facts: makedumpfile ``makedumpfile.h``: struct makedumpfile_header (padded to
4096 bytes), struct makedumpfile_data_header (offset, size), both big-endian;
offset and size -1 at the end.
"""

from __future__ import annotations

import os
import struct
from array import array
from bisect import bisect_right

MAGIC = b"makedumpfile\0\0\0\0"
HEADER_SIZE = 4096
_BLOCK = struct.Struct(">qq")
_END = _BLOCK.pack(-1, -1)
_MAX_BLOCKS = 1 << 27
_EARLY_BLOCKS = 64
# makedumpfile writes pages and more at a time. Blocks of a few bytes would make the index
# larger than the file.
_LEAST_AVERAGE = 256
_MAX_SMALL = 4096


class FlattenedFile:
    """
    The dump inside a flattened file.

    :ivar size: Of the flattened file, in bytes.
    """

    def __init__(self, fd: int, size: int) -> None:
        """:param fd: Stays the caller's."""
        self._fd = fd
        self.size = size
        self._starts: array[int] | None = None
        self._sizes = array("q")
        self._places = array("q")
        self._ended = False

    @property
    def is_complete(self) -> bool:
        """
        Whether the stream, walked block by block, comes to its end.

        The end mark alone, in the file's last bytes, proves nothing: libkdumpfile
        is killed (SIGBUS) by a stream that breaks off before it.
        """
        self._index()
        return self._ended

    @property
    def end(self) -> int:
        """Size of the dump inside, as far as its blocks are in this file."""
        starts = self._index()
        return max(
            (
                start + max(0, min(size, self.size - place))
                for start, size, place in zip(starts, self._sizes, self._places, strict=True)
            ),
            default=0,
        )

    def _index(self) -> array[int]:
        if self._starts is not None:
            return self._starts
        starts, sizes, places = array("q"), array("q"), array("q")
        at = HEADER_SIZE
        while len(starts) < _MAX_BLOCKS:
            raw = os.pread(self._fd, _BLOCK.size, at)
            if len(raw) < _BLOCK.size:
                break
            offset, size = _BLOCK.unpack(raw)
            if len(starts) > _MAX_SMALL and at < _LEAST_AVERAGE * len(starts):
                break
            if offset < 0 or size <= 0 or offset + size >= 1 << 62:
                self._ended = raw == _END
                break
            at += _BLOCK.size
            starts.append(offset)
            sizes.append(size)
            places.append(at)
            at += size
        if any(starts[i] > starts[i + 1] for i in range(len(starts) - 1)):
            order = sorted(range(len(starts)), key=starts.__getitem__)
            starts, sizes, places = (
                array("q", (a[i] for i in order)) for a in (starts, sizes, places)
            )
        self._starts, self._sizes, self._places = starts, sizes, places
        return starts

    def read(self, offset: int, size: int) -> bytes:
        """Read from the dump, short at its end; holes between blocks read as zeros."""
        if self._starts is None:
            # The header comes first: no need to walk through a file of gigabytes.
            early = self._read_early(offset, size)
            if early is not None:
                return early
        starts = self._index()
        out = bytearray()
        while len(out) < size:
            at = offset + len(out)
            i = bisect_right(starts, at) - 1
            if i < 0:
                break
            within = at - starts[i]
            if within >= self._sizes[i]:
                if i + 1 >= len(starts):
                    break
                out += bytes(min(size - len(out), starts[i + 1] - at))
                continue
            data = os.pread(
                self._fd, min(size - len(out), self._sizes[i] - within), self._places[i] + within
            )
            if not data:
                break
            out += data
        return bytes(out)

    def _read_early(self, offset: int, size: int) -> bytes | None:
        at = HEADER_SIZE
        for _ in range(_EARLY_BLOCKS):
            raw = os.pread(self._fd, _BLOCK.size, at)
            if len(raw) < _BLOCK.size:
                return None
            start, length = _BLOCK.unpack(raw)
            if start < 0 or length <= 0:
                return None
            at += _BLOCK.size
            if start <= offset and offset + size <= start + length:
                return os.pread(self._fd, size, at + offset - start)
            at += length
        return None
