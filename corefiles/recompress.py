"""
A kdump-compressed dump with its pages compressed by snappy instead of zlib.

Why: Debian builds neither makedumpfile nor QEMU with snappy, yet distributions
exist that do, and their dumps must open too.
Facts: diskdump format as makedumpfile(8) writes it (struct disk_dump_header,
struct page_desc); snappy's format description: a varint with the plain length,
then literals (tag 0) and copies with a two-byte offset (tag 2).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from .run import BuildError

_SIGNATURE = b"KDUMP   "
# Of struct disk_dump_header on 64-bit: status, block_size, sub_hdr_size, bitmap_blocks.
_FIELDS = struct.Struct("<IiiI")
_FIELDS_AT = 424
_DESC = struct.Struct("<QIIQ")
_ZLIB = 1
_SNAPPY = 4
_MAX_BLOCKS = 1 << 20


def _literal(data: bytes) -> Iterator[bytes]:
    """Encode bytes as they are; a page needs at most a two-byte length."""
    if data:
        length = len(data) - 1
        if length < 60:
            yield bytes((length << 2,))
        else:
            yield bytes((61 << 2, length & 0xFF, length >> 8))
        yield data


def snappy(data: bytes) -> bytes:
    """
    Compress a page.

    :param data: At most 64 KiB.
    """
    if len(data) > 1 << 16:
        raise ValueError(f"{len(data)} bytes: more than a page")
    size = len(data)
    out = []
    while size > 0x7F:
        out.append(bytes((size & 0x7F | 0x80,)))
        size >>= 7
    out.append(bytes((size,)))
    seen: dict[bytes, int] = {}
    start = at = 0
    while at + 4 <= len(data):
        word = data[at : at + 4]
        back = seen.get(word)
        seen[word] = at
        if back is None:
            at += 1
            continue
        length = 4
        while length < 64 and at + length < len(data) and data[back + length] == data[at + length]:
            length += 1
        out += _literal(data[start:at])
        out.append(struct.pack("<BH", (length - 1) << 2 | 2, at - back))
        at += length
        start = at
    out += _literal(data[start:])
    return b"".join(out)


def to_snappy(source: Path, out: Path) -> int:
    """
    Rewrite a dump whose pages are compressed by zlib or plain.

    :return: Number of pages that snappy compresses in ``out``.
    :raises BuildError: not such a dump.
    """
    data = memoryview(source.read_bytes())
    if bytes(data[:8]) != _SIGNATURE or len(data) < 4096:
        raise BuildError(f"{source}: no kdump-compressed dump")
    status, block, sub_blocks, bitmap_blocks = _FIELDS.unpack_from(data, _FIELDS_AT)
    bitmap_at = block * (1 + sub_blocks)
    descs_at = bitmap_at + block * bitmap_blocks
    if not 0 < block <= 1 << 16 or not 0 < bitmap_blocks < _MAX_BLOCKS or descs_at > len(data):
        raise BuildError(f"{source}: its header makes no sense")
    # The second half of the bitmap says which pages are in the dump.
    present = data[bitmap_at + block * bitmap_blocks // 2 : descs_at]
    count = sum(int.from_bytes(present[i : i + 4096], "little").bit_count()
                for i in range(0, len(present), 4096))  # fmt: skip
    end = descs_at + count * _DESC.size
    if end > len(data):
        raise BuildError(f"{source}: {count} pages, more than the file has room for")
    descs = bytearray()
    pages: list[bytes] = []
    placed: dict[int, tuple[int, int, int]] = {}
    position = end
    compressed = 0
    for offset, size, flags, page_flags in _DESC.iter_unpack(data[descs_at:end]):
        if offset not in placed:
            page = bytes(data[offset : offset + size])
            if flags & _ZLIB:
                page = zlib.decompress(page)
            packed = snappy(page)
            if len(packed) < len(page):
                page, kind = packed, _SNAPPY
                compressed += 1
            else:
                kind = 0
            placed[offset] = (position, len(page), kind)
            pages.append(page)
            position += len(page)
        descs += _DESC.pack(*placed[offset], page_flags)
    head = bytearray(data[:descs_at])
    _FIELDS.pack_into(head, _FIELDS_AT, status & ~_ZLIB | _SNAPPY, block, sub_blocks, bitmap_blocks)
    with out.open("wb") as file:
        file.write(head)
        file.write(descs)
        file.writelines(pages)
    return compressed
