"""Decompression: every format, within bounds, and nothing else."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
from collections.abc import Callable

import lz4.block
import lz4.frame
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from btfdbg.errors import ImageError
from btfdbg.images.compressed import FORMATS, decompress, format_of


def lz4_legacy(data: bytes) -> bytes:
    """Compress as the kernel's build does: blocks of 8 MiB, and the size at the end."""
    out = struct.pack("<I", 0x184C2102)
    for at in range(0, len(data), 8 << 20):
        block = lz4.block.compress(data[at : at + (8 << 20)], store_size=False)
        out += struct.pack("<I", len(block)) + block
    return out + struct.pack("<I", len(data))


def lzop(data: bytes) -> bytes:
    """Pack as lzop does, but without looking for repetitions; no program here makes any."""
    out = b"\x89LZO\0\r\n\x1a\n" + struct.pack(">3H2B4I", 0x1030, 0x20A0, 0x0940, 1, 5, 1, 0, 0, 0)
    out += b"\x04name" + struct.pack(">I", 0)
    for at in range(0, len(data), 256):
        part = data[at : at + 256]
        packed = part
        if part == part[:1] * 256:  # four literals, then 2 + 31 + 219 bytes from one before
            packed = b"\x15" + part[:4] + b"\x20\xdb\0\0\x11\0\0"
        out += struct.pack(">3I", len(part), len(packed), 0) + packed
    return out + bytes(4)


DATA = bytes(range(256)) * 64
PACKED = {
    "gzip": gzip.compress(DATA),
    "xz": lzma.compress(DATA),
    "lzma": lzma.compress(DATA, lzma.FORMAT_ALONE),
    "bzip2": bz2.compress(DATA),
    "zstd": zstandard.compress(DATA),
    "lz4 legacy": lz4_legacy(DATA),
    "lz4 frame": lz4.frame.compress(DATA),
    "lzo": lzop(DATA),
}


@pytest.mark.parametrize("name", PACKED)
def test_format_is_known_and_unpacked(name: str) -> None:
    assert format_of(PACKED[name]) == name.split()[0]
    assert decompress(PACKED[name]) == DATA


@pytest.mark.parametrize("name", PACKED)
def test_bytes_after_the_stream_are_ignored(name: str) -> None:
    assert decompress(PACKED[name] + b"\xff" * 100) == DATA


@pytest.mark.parametrize("name", [n for n in PACKED if n != "lz4 legacy"])
def test_truncated_stream_is_refused(name: str) -> None:
    with pytest.raises(ImageError, match=name.split()[0]):
        decompress(PACKED[name][: len(PACKED[name]) // 2])


def test_truncated_lz4_of_the_kernels_form_is_refused() -> None:
    with pytest.raises(ImageError, match="lz4"):
        decompress(PACKED["lz4 legacy"][:20])


BOMB = bytes(64 << 20)
BOMBS: dict[str, Callable[[], bytes]] = {
    "gzip": lambda: gzip.compress(BOMB),
    "xz": lambda: lzma.compress(BOMB),
    "bzip2": lambda: bz2.compress(BOMB),
    "zstd": lambda: zstandard.compress(BOMB),
    "lz4 legacy": lambda: lz4_legacy(BOMB),
    "lz4 frame": lambda: lz4.frame.compress(BOMB),
}


@pytest.mark.parametrize("name", BOMBS)
def test_more_than_allowed_is_refused(name: str) -> None:
    data = BOMBS[name]()
    assert len(data) < 1 << 20
    with pytest.raises(ImageError, match="more than 8 MiB"):
        decompress(data, 8 << 20)


def test_lzo_blocks_that_are_compressed() -> None:
    data = b"".join(bytes([value]) * 256 for value in range(40)) + b"rest"
    assert len(lzop(data)) < len(data) // 4
    assert decompress(lzop(data)) == data
    with pytest.raises(ImageError, match="more than 0 MiB"):
        decompress(lzop(data), 300)


def test_large_lz4_of_several_blocks() -> None:
    data = bytes(range(256)) * (10 << 12)
    assert decompress(lz4_legacy(data)) == data


@pytest.mark.parametrize("data", [b"", b"x", b"\x7fELF", bytes(64)])
def test_what_is_not_compressed_is_refused(data: bytes) -> None:
    assert format_of(data) == ""
    with pytest.raises(ImageError, match="not compressed"):
        decompress(data)


@given(st.sampled_from([magic for _, magic, _ in FORMATS]), st.binary(max_size=300))
def test_garbage_is_unpacked_or_refused(magic: bytes, rest: bytes) -> None:
    try:
        assert len(decompress(magic + rest, 1 << 20)) <= 1 << 20
    except ImageError:
        pass


@given(st.sampled_from(sorted(PACKED)), st.integers(0, 2000), st.integers(0, 255))
def test_damaged_stream_is_unpacked_or_refused(name: str, at: int, byte: int) -> None:
    data = bytearray(PACKED[name])
    data[at % len(data)] = byte
    try:
        decompress(bytes(data), 1 << 20)
    except ImageError:
        pass
