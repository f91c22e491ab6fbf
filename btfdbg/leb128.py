"""Numbers as DWARF writes them where they may be large: LEB128 (DWARF 5, section 7.6)."""

from __future__ import annotations


def uleb_bytes(value: int) -> bytes:
    """
    The shortest unsigned form of a number, which is not below 0.

    >>> uleb_bytes(300)
    b'\\xac\\x02'
    """
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def sleb_bytes(value: int) -> bytes:
    """
    The shortest signed form of a number.

    >>> sleb_bytes(-8)
    b'x'
    """
    out = bytearray()
    while not -0x40 <= value < 0x40:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value & 0x7F)
    return bytes(out)
