"""LZO1X and Snappy in Python, for what no library of the requirements unpacks.

Owns decompression of small blocks from untrusted bytes: bounded output, one error.
Slow (about 100 pages of 4 KiB a second for LZO). Used for pages of damaged kdump files,
since libkdumpfile, which reads whole ones, crashes on some; and for kernel images.

Facts: Documentation/staging/lzo.rst in the kernel; google/snappy
``format_description.txt``.
"""

from __future__ import annotations


class CorruptError(ValueError):
    """The bytes are not what a compressor wrote."""


def lzo1x(data: bytes, limit: int) -> bytes:
    """
    Decompress an LZO1X block.

    :param limit: Bytes of output at most; more is an error.
    :raises CorruptError: it is damaged.
    """
    try:
        return _lzo1x(data, limit)
    except IndexError:
        raise CorruptError("LZO data ends too early") from None


def _lzo1x(data: bytes, limit: int) -> bytes:
    out = bytearray()
    at = 0
    # How many literals the last instruction copied: 0 to 3, or 4 for "a run".
    state = 0
    if data[0] > 17:
        count = data[0] - 17
        at = 1
        _literals(out, data, at, count, limit)
        at += count
        state = min(count, 4)
    while True:
        code = data[at]
        at += 1
        if code < 16 and state == 0:
            count, at = _length(data, at, code, 15)
            count += 3
            _literals(out, data, at, count, limit)
            at += count
            state = 4
            continue
        if code < 16:
            base = 2049 if state == 4 else 1
            count = 3 if state == 4 else 2
            distance = (data[at] << 2) + (code >> 2) + base
            at += 1
            follow = code & 3
        elif code < 32:
            count, at = _length(data, at, code & 7, 7)
            count += 2
            word = data[at] | data[at + 1] << 8
            at += 2
            distance = 16384 + ((code & 8) << 11) + (word >> 2)
            if distance == 16384:
                return bytes(out)
            follow = word & 3
        elif code < 64:
            count, at = _length(data, at, code & 31, 31)
            count += 2
            word = data[at] | data[at + 1] << 8
            at += 2
            distance = (word >> 2) + 1
            follow = word & 3
        else:
            count = 3 + (code >> 5 & 1) if code < 128 else 5 + (code >> 5 & 3)
            distance = (data[at] << 3) + (code >> 2 & 7) + 1
            at += 1
            follow = code & 3
        _match(out, distance, count, limit)
        _literals(out, data, at, follow, limit)
        at += follow
        state = follow


def _length(data: bytes, at: int, value: int, base: int) -> tuple[int, int]:
    """A length that goes on in zero bytes when its bits in the instruction are 0."""
    if value:
        return value, at
    start = at
    while data[at] == 0:
        at += 1
    return base + 255 * (at - start) + data[at], at + 1


def snappy(data: bytes, limit: int) -> bytes:
    """
    Decompress a Snappy block (not the framed format).

    :param limit: Bytes of output at most; more is an error.
    :raises CorruptError: it is damaged.
    """
    try:
        return _snappy(data, limit)
    except IndexError:
        raise CorruptError("Snappy data ends too early") from None


def _snappy(data: bytes, limit: int) -> bytes:
    at = size = shift = 0
    while True:
        size |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            break
        if shift > 28:
            raise CorruptError("Snappy length is too long")
    if size > limit:
        raise CorruptError(f"Snappy data has {size} bytes, expected {limit} at most")
    out = bytearray()
    while len(out) < size:
        tag = data[at]
        at += 1
        if tag & 3 == 0:
            count = tag >> 2
            if count >= 60:
                width = count - 59
                if at + width > len(data):
                    raise IndexError
                count = int.from_bytes(data[at : at + width], "little")
                at += width
            count += 1
            _literals(out, data, at, count, size)
            at += count
            continue
        if tag & 3 == 1:
            count = 4 + (tag >> 2 & 7)
            distance = (tag >> 5) << 8 | data[at]
            at += 1
        else:
            count = 1 + (tag >> 2)
            width = 2 if tag & 3 == 2 else 4
            if at + width > len(data):
                raise IndexError
            distance = int.from_bytes(data[at : at + width], "little")
            at += width
        _match(out, distance, count, size)
    return bytes(out)


def _literals(out: bytearray, data: bytes, at: int, count: int, limit: int) -> None:
    if at + count > len(data) or len(out) + count > limit:
        raise CorruptError(f"{count} literals do not fit")
    out += data[at : at + count]


def _match(out: bytearray, distance: int, count: int, limit: int) -> None:
    if not 0 < distance <= len(out) or len(out) + count > limit:
        raise CorruptError(f"a copy of {count} bytes from {distance} back does not fit")
    start = len(out) - distance
    if distance >= count:
        out += out[start : start + count]
    else:
        # The copy runs into what it writes: a repeated pattern.
        pattern = bytes(out[start:])
        out += (pattern * (count // distance + 1))[:count]
