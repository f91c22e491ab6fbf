"""The verifier's rules for a BTF's header and sections.

Owns what is stricter than reading: version, flags, sections that tile the data, the
kernel's limits. Works on the bytes alone, so it can say more of a blob that cannot be
parsed.
Facts: kernel/bpf/btf.c; rows H01 to H25 and L01 were measured on Linux 6.18.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise

from btfdbg.btf.format import HEADER_LEN, HEADER_LEN_LAYOUT, MAX_NAME_OFFSET, MAX_SIZE, VERSION
from btfdbg.btf.validate import Problem


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
    if data[:2] not in (b"\x9f\xeb", b"\xeb\x9f"):
        yield problem("Invalid magic", 0, data[:2].hex())
        return
    order = "<" if data[0] == 0x9F else ">"
    version, flags, hdr_len = struct.unpack_from(order + "BBI", data, 2)
    if hdr_len > len(data) or hdr_len < HEADER_LEN:
        yield problem("btf_header not found", 4, f"hdr_len {hdr_len}, data has {len(data)} bytes")
        return
    if hdr_len > HEADER_LEN_LAYOUT and any(data[HEADER_LEN_LAYOUT:hdr_len]):
        yield problem("Unsupported btf_header", HEADER_LEN_LAYOUT, "unknown fields are not 0")
    if version != VERSION:
        yield problem("Unsupported version", 2, str(version))
    if flags:
        yield problem("Unsupported flags", 3, f"{flags:#x}")
    if len(data) > MAX_SIZE:
        yield problem("BTF larger than 16 MiB", 0, f"{len(data)} bytes")
    if len(data) == hdr_len:
        yield problem("No data", hdr_len)
        return
    type_off, type_len, str_off, str_len = struct.unpack_from(order + "4I", data, 8)
    layout_off = layout_len = 0
    if hdr_len >= HEADER_LEN_LAYOUT:
        layout_off, layout_len = struct.unpack_from(order + "2I", data, HEADER_LEN)
    yield from _check_sections(
        len(data) - hdr_len, (type_off, type_len), (layout_off, layout_len), (str_off, str_len)
    )
    if type_off % 4:
        yield problem("Unaligned type_off", 8, f"{type_off:#x}")
    if layout_off % 4 or layout_len % 4:
        yield problem("Unaligned layout_off", 24, f"{layout_off:#x}+{layout_len:#x}")
    if not type_len and not split:
        yield problem("No type found", 12)
    strings = data[hdr_len + str_off : hdr_len + str_off + str_len]
    if not strings and split and not str_len:
        return
    if not strings or strings[-1] or (not split and strings[0]):
        yield problem("Invalid string section", hdr_len + str_off)
    elif str_len - 1 > MAX_NAME_OFFSET:
        yield problem("Invalid string section", hdr_len + str_off, f"{str_len} bytes")


def _check_sections(
    size: int, types: tuple[int, int], layout: tuple[int, int], strings: tuple[int, int]
) -> Iterator[Problem]:
    """Yield what keeps the sections from tiling the bytes after the header."""
    named = [("types", *types, 8), ("strings", *strings, 16)]
    if layout[1]:
        named.append(("layout", *layout, 24))
    named.sort(key=lambda s: (s[1], s[2]))
    if named[-1][0] != "strings" and strings[1]:
        yield Problem("Invalid string section", "strings are not the last section", None, 16)
    for name, off, length, at in named:
        if off > size:
            yield Problem("Invalid section offset", f"{name} at {off:#x} of {size:#x}", None, at)
            return
        if off + length > size:
            yield Problem(
                "Total section length too long",
                f"{name} end at {off + length:#x}, data at {size:#x}",
                None,
                at,
            )
            return
    first = named[0]
    if first[1]:
        yield Problem("Unsupported section found", f"{first[1]} bytes before {first[0]}", None, 8)
    for (name, off, length, _), (after, start, _, at) in pairwise(named):
        if off + length > start:
            yield Problem("Section overlap found", f"{name} and {after}", None, at)
        elif off + length < start:
            detail = f"{start - off - length} bytes between {name} and {after}"
            yield Problem("Unsupported section found", detail, None, at)
    end = max(off + length for _, off, length, _ in named)
    if end < size:
        yield Problem("Unsupported section found", f"{size - end} bytes at the end", None, None)
