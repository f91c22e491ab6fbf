"""Compressed data of any kind a kernel or module comes in, unpacked within bounds.

Owns recognition by magic and one entry point. Knows nothing of what is inside. Data
after the compressed stream is ignored, because a kernel image has its own after it.

Why a limit at every step: a few bytes of zstd can claim gigabytes, and images are
searched for streams that were never meant to be one.
Facts: RFC 1952, RFC 8878, the XZ and LZ4 format descriptions; lib/decompress_unlzo.c;
the kernel's scripts/extract-vmlinux lists the same magics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from btfdbg.errors import ImageError

#: Most bytes that one stream may unpack to. A kernel image unpacks to under 100 MiB.
LIMIT: Final = 512 << 20

_LZ4_MAGIC: Final = 0x184C2102
_LZ4_BLOCK: Final = 8 << 20
_LZOP_MAGIC: Final = b"\x89LZO\0\r\n\x1a\n"
_LZOP_BLOCK: Final = 256 << 10
_ZSTD_PIECE: Final = 1024
# What the largest preset asks for, 65 MiB, and then some.
_LZMA_MEMORY: Final = 256 << 20


class _Bound(Exception):
    """The output is larger than allowed."""


def _gzip(data: memoryview, limit: int) -> bytes:
    import zlib

    try:
        unpacker = zlib.decompressobj(31)
        out = unpacker.decompress(data, limit)
        if not unpacker.eof and unpacker.unconsumed_tail:
            raise _Bound
    except zlib.error as error:
        raise ImageError(str(error)) from None
    if not unpacker.eof:
        raise ImageError("stream is truncated")
    return out


def _lzma(data: memoryview, limit: int) -> bytes:
    import lzma

    try:
        unpacker = lzma.LZMADecompressor(lzma.FORMAT_AUTO, memlimit=_LZMA_MEMORY)
        out = unpacker.decompress(data, limit)
    except (lzma.LZMAError, EOFError) as error:
        raise ImageError(str(error)) from None
    except MemoryError:
        raise ImageError("asks for too large a dictionary") from None
    if not unpacker.eof:
        if len(out) >= limit:
            raise _Bound
        raise ImageError("stream is truncated")
    return out


def _bzip2(data: memoryview, limit: int) -> bytes:
    import bz2

    unpacker = bz2.BZ2Decompressor()
    try:
        out = unpacker.decompress(data, limit)
    except (OSError, EOFError, ValueError) as error:
        raise ImageError(str(error)) from None
    if not unpacker.eof:
        if len(out) >= limit:
            raise _Bound
        raise ImageError("stream is truncated")
    return out


def _zstd(data: memoryview, limit: int) -> bytes:
    import zstandard

    out = bytearray()
    unpacker = zstandard.ZstdDecompressor().decompressobj()
    try:
        # In small pieces, for there is no bound on output: one block is 128 KiB at most,
        # and takes four bytes at least.
        for at in range(0, len(data), _ZSTD_PIECE):
            out += unpacker.decompress(data[at : at + _ZSTD_PIECE])
            if unpacker.eof:
                return bytes(out)
            if len(out) > limit:
                raise _Bound
    except zstandard.ZstdError as error:
        raise ImageError(str(error)) from None
    except MemoryError:
        raise ImageError("asks for too large a window") from None
    raise ImageError("stream is truncated")


def _lz4_frame(data: memoryview, limit: int) -> bytes:
    import lz4.frame

    try:
        unpacker = lz4.frame.LZ4FrameDecompressor()
        out: bytes = unpacker.decompress(data, max_length=limit)
    except (RuntimeError, EOFError, ValueError) as error:
        raise ImageError(str(error)) from None
    if not unpacker.eof:
        if len(out) >= limit:
            raise _Bound
        raise ImageError("stream is truncated")
    return out


def _lz4_legacy(data: memoryview, limit: int) -> bytes:
    """Unpack what ``lz4 -l`` makes, the form that kernels use: sized blocks, no end mark."""
    import lz4.block

    out = bytearray()
    at = 4
    while at + 4 <= len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        at += 4
        if size == _LZ4_MAGIC:
            continue  # streams may follow each other
        if not size or size > len(data) - at:
            break  # the size of the whole, which the kernel's build appends
        try:
            block = lz4.block.decompress(data[at : at + size], uncompressed_size=_LZ4_BLOCK)
        except (lz4.block.LZ4BlockError, ValueError, MemoryError) as error:
            if out:
                break
            raise ImageError(str(error)) from None
        out += block
        if len(out) > limit:
            raise _Bound
        at += size
        if len(block) < _LZ4_BLOCK:
            break
    if not out:
        raise ImageError("no block in it")
    return bytes(out)


def _lzop(data: memoryview, limit: int) -> bytes:
    """Unpack what lzop makes: sized blocks of LZO1X, each after two sizes and a checksum."""
    from btfdbg.images.blocks import CorruptError, lzo1x

    out = bytearray()
    try:
        at = _lzop_header(data)
        while True:
            size = int.from_bytes(data[at : at + 4], "big")
            if at + 4 > len(data):
                raise ImageError("stream is truncated")
            if not size:
                return bytes(out)
            packed = int.from_bytes(data[at + 4 : at + 8], "big")
            at += 12
            if size > _LZOP_BLOCK or not 0 < packed <= size:
                raise ImageError(f"block of {packed} bytes for {size}")
            if packed > len(data) - at:
                raise ImageError("stream is truncated")
            if len(out) + size > limit:
                raise _Bound
            block = bytes(data[at : at + packed])
            # What would not become smaller is kept as it is.
            out += block if packed == size else lzo1x(block, size)
            at += packed
    except IndexError:
        raise ImageError("stream is truncated") from None
    except CorruptError as error:
        raise ImageError(str(error)) from None


def _lzop_header(data: memoryview) -> int:
    """Return where the header ends; its fields are those that the kernel reads."""
    at = len(_LZOP_MAGIC)
    versioned = int.from_bytes(data[at : at + 2], "big") >= 0x0940
    at += 8 if versioned else 7  # versions, method, level
    filtered = int.from_bytes(data[at : at + 4], "big") & 0x800
    at += 8 if filtered else 4
    at += 12 if versioned else 8  # mode and time
    return at + 1 + data[at] + 4  # file name, checksum


#: Name, first bytes, and how to unpack.
FORMATS: Final[tuple[tuple[str, bytes, Callable[[memoryview, int], bytes]], ...]] = (
    ("zstd", b"\x28\xb5\x2f\xfd", _zstd),
    ("xz", b"\xfd7zXZ\0", _lzma),
    ("gzip", b"\x1f\x8b\x08", _gzip),
    ("lz4", b"\x02\x21\x4c\x18", _lz4_legacy),
    ("lz4", b"\x04\x22\x4d\x18", _lz4_frame),
    ("lzo", _LZOP_MAGIC, _lzop),
    ("bzip2", b"BZh", _bzip2),
    ("lzma", b"\x5d\0\0", _lzma),
)


def format_of(data: bytes | memoryview) -> str:
    """Return the name of the format that data starts with, ``""`` if it is none known."""
    head = bytes(data[:9])
    for name, magic, _ in FORMATS:
        if head.startswith(magic):
            return name
    return ""


def decompress(data: bytes | memoryview, limit: int = LIMIT) -> bytes:
    """
    Return what a compressed stream unpacks to; bytes after it are ignored.

    :param limit: Most bytes that come out.
    :raises ImageError: not a known format, damaged, truncated, or larger than that.
    """
    head = bytes(data[:9])
    for name, magic, unpack in FORMATS:
        if head.startswith(magic):
            try:
                return unpack(memoryview(data), limit)
            except _Bound:
                raise ImageError(f"{name}: unpacks to more than {limit >> 20} MiB") from None
            except ImageError as error:
                raise ImageError(f"{name}: {error}") from None
    raise ImageError(f"not compressed in a known way (starts with {head.hex()})")
