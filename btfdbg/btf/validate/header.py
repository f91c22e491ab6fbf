"""The verifier's rules for a BTF's header and sections.

Owns what is stricter than reading: version, flags, sections that tile the data, the
kernel's limits. Works on the bytes alone, so it can say more of a blob that cannot be
parsed.
Facts: kernel/bpf/btf.c; rows H01 to H25 and L01 were measured on Linux 6.18.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cmp_to_key
from typing import Final

from btfdbg.btf.format import HEADER_LEN, HEADER_LEN_LAYOUT, MAX_NAME_OFFSET, MAX_SIZE, VERSION
from btfdbg.btf.validate.problem import Problem

_MAGIC: Final = (b"\x9f\xeb", b"\xeb\x9f")


def check_header(data: bytes, *, split: bool) -> Iterator[Problem]:
    """
    Yield the rules that header and sections break.

    :param split: Whether the blob has a base, which it may then leave all strings and
        types to.
    """

    def problem(rule: str, offset: int, detail: str = "") -> Problem:
        return Problem(rule, detail, None, offset)

    if len(data) < 8:
        yield problem("hdr_len not found", 0, f"{len(data)} bytes")
        return
    order = ">" if data[:2] == b"\xeb\x9f" else "<"
    version, flags, hdr_len = struct.unpack_from(order + "BBI", data, 2)
    if hdr_len > len(data) or hdr_len < HEADER_LEN:
        yield problem("btf_header not found", 4, f"hdr_len {hdr_len}, data has {len(data)} bytes")
        if data[:2] not in _MAGIC:
            yield problem("Invalid magic", 0, data[:2].hex())
        return
    known = HEADER_LEN_LAYOUT if hdr_len >= HEADER_LEN_LAYOUT else HEADER_LEN
    if any(data[known:hdr_len]):
        yield problem("Unsupported btf_header", known, "unknown fields are not 0")
    if data[:2] not in _MAGIC:
        yield problem("Invalid magic", 0, data[:2].hex())
        return
    if version != VERSION:
        yield problem("Unsupported version", 2, str(version))
    if flags:
        yield problem("Unsupported flags", 3, f"{flags:#x}")
    if len(data) > MAX_SIZE:
        yield problem("BTF larger than 16 MiB", 0, f"{len(data)} bytes")
    if len(data) == hdr_len and not split:
        yield problem("No data", hdr_len)
        return
    type_off, type_len, str_off, str_len = struct.unpack_from(order + "4I", data, 8)
    layout_off = layout_len = 0
    if hdr_len >= HEADER_LEN_LAYOUT:
        layout_off, layout_len = struct.unpack_from(order + "2I", data, HEADER_LEN)
    size = len(data) - hdr_len
    sections = [("types", type_off, type_len, 8), ("strings", str_off, str_len, 16)]
    if layout_len:
        sections.append(("layout", layout_off, layout_len, 24))
    yield from _check_sections(hdr_len, size, sections)
    if str_off + str_len < size:
        yield problem("String section is not at the end", 16, f"{str_off + str_len:#x}, {size:#x}")
    strings = data[hdr_len + str_off : hdr_len + str_off + str_len]
    if str_len or not split:
        if not strings or strings[-1] or (not split and strings[0]):
            yield problem("Invalid string section", hdr_len + str_off)
        elif str_len - 1 > MAX_NAME_OFFSET:
            yield problem("Invalid string section", hdr_len + str_off, f"{str_len} bytes")
    if layout_off % 4 or layout_len % 4:
        yield problem("Unaligned layout_off", 24, f"{layout_off:#x}+{layout_len:#x}")
    if type_off % 4:
        yield problem("Unaligned type_off", 8, f"{type_off:#x}")
    if not type_len and not split:
        yield problem("No type found", 12)


def _compare(one: tuple[str, int, int, int], other: tuple[str, int, int, int]) -> int:
    """Return which section the verifier looks at first: differences are signed there."""
    for a, b in ((one[1], other[1]), (one[2], other[2])):
        if a != b:
            return -1 if a - b & 1 << 31 else 1
    return 0


def _check_sections(
    hdr_len: int, size: int, sections: list[tuple[str, int, int, int]]
) -> Iterator[Problem]:
    """
    Yield what keeps the sections from tiling the bytes after the header.

    :param sections: Name, start, length and where the header says so.
    """
    sections.sort(key=cmp_to_key(_compare))
    end, before = 0, "the header"
    for name, off, length, at in sections:
        if off > size:
            yield Problem("Invalid section offset", f"{name} at {off:#x} of {size:#x}", None, at)
            return
        if end < off:
            detail = f"{off - end} bytes between {before} and {name}"
            yield Problem("Unsupported section found", detail, None, at)
        elif end > off:
            yield Problem("Section overlap found", f"{before} and {name}", None, at)
        if off + length > size:
            detail = f"{name} end at {off + length:#x}, data at {size:#x}"
            yield Problem("Total section length too long", detail, None, at)
            return
        end, before = off + length, name
    if end < size:
        detail = f"{size - end} bytes at the end"
        yield Problem("Unsupported section found", detail, None, hdr_len + end)
