"""What a few bytes may not make large."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from btfdbg.vmcore.flattened import HEADER_SIZE, MAGIC, FlattenedFile


def test_blocks_of_a_byte_do_not_make_an_index_larger_than_the_file(tmp_path: Path) -> None:
    path = tmp_path / "flattened"
    block = struct.Struct(">qqB")
    blocks = b"".join(block.pack(i, 1, 0) for i in range(50_000))
    path.write_bytes(MAGIC.ljust(HEADER_SIZE, b"\0") + blocks + struct.pack(">qq", -1, -1))
    fd = os.open(path, os.O_RDONLY)
    try:
        flattened = FlattenedFile(fd, path.stat().st_size)
        assert flattened.end < 5000
        assert not flattened.is_complete
    finally:
        os.close(fd)


def test_a_stream_of_usual_blocks_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "flattened"
    blocks = b"".join(struct.pack(">qq", i << 10, 1024) + bytes(1024) for i in range(6000))
    path.write_bytes(MAGIC.ljust(HEADER_SIZE, b"\0") + blocks + struct.pack(">qq", -1, -1))
    fd = os.open(path, os.O_RDONLY)
    try:
        flattened = FlattenedFile(fd, path.stat().st_size)
        assert flattened.is_complete
        assert flattened.end == 6000 << 10
    finally:
        os.close(fd)
