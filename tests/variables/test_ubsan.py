"""Where a variable's room ends because UBSAN's records begin."""

from __future__ import annotations

import struct

import pytest

from btfdbg.variables.ubsan import without_records

from .kernels import BASE, Sym

IMAGE = range(BASE, BASE + 0x10000)
NAME = BASE + 0x8000
NAMES = b"mm/vmscan.c\0mm/vmscan\0two words.c\0".ljust(600, b"\0")


def read(address: int, size: int) -> bytes | None:
    at = address - NAME
    return NAMES[at : at + size] if 0 <= at <= len(NAMES) - size else None


def location(name: int = NAME, line: int = 117, column: int = 23) -> bytes:
    return struct.pack("<QII", name, line, column)


def room(data: bytes) -> int:
    """Bytes that are left of a variable's room."""
    symbol = Sym("v", BASE, len(data), "d")
    return without_records(symbol, data, IMAGE, read).size


def test_the_room_ends_where_a_record_begins() -> None:
    assert room(bytes(32) + location() + bytes(32)) == 32
    assert room(b"\1" * 24 + location(column=1 << 31 | 9)) == 24  # it was reported
    found = without_records(Sym("v", BASE, 48, "d"), bytes(32) + location(), IMAGE, read)
    assert (found.name, found.address, found.type_letter) == ("v", BASE, "d")


@pytest.mark.parametrize("path", [b"/build/linux-7.3~rc7/mm/a.c", b"/b/x:y@1,2=3/mm/a.c"])
def test_a_file_may_lie_in_a_folder_of_any_visible_name(path: bytes) -> None:
    def named(address: int, size: int) -> bytes | None:
        return (path + b"\0").ljust(size, b"\0") if address == NAME else None

    data = bytes(32) + location()
    assert without_records(Sym("v", BASE, len(data), "d"), data, IMAGE, named).size == 32


def test_descriptions_of_types_are_records() -> None:
    assert room(bytes(16) + struct.pack("<HH", 0, 12) + b"'long unsigned int'\0") == 16
    assert room(bytes(16) + struct.pack("<HH", 0xFFFF, 0) + b"'struct page *[8]'\0") == 16
    assert room(bytes(16) + struct.pack("<HH", 0xFFFF, 0) + b"<unknown>\0".ljust(12, b"\0")) == 16


@pytest.mark.parametrize(
    "data",
    [
        location(),  # a variable may begin with anything
        bytes(16) + location(name=NAME + 12),  # no file of source
        bytes(16) + location(name=NAME + 22),
        bytes(16) + location(line=0),
        bytes(16) + location(column=0),
        bytes(16) + location(line=1 << 20),
        bytes(16) + location(column=1 << 10),
        bytes(16) + location(name=BASE + 0x20000),
        bytes(16) + location(name=BASE),  # not in the dump
        bytes(16) + location()[:12],
        bytes(16) + struct.pack("<HH", 2, 12) + b"'long unsigned int'\0",
        bytes(16) + struct.pack("<HH", 0, 12) + b"long unsigned int\0\0\0",
        bytes(16) + struct.pack("<HH", 0, 12) + b"'long",
    ],
)
def test_what_only_resembles_a_record_belongs_to_the_variable(data: bytes) -> None:
    assert room(data) == len(data)


def test_records_are_aligned_in_memory_not_in_the_variables_room() -> None:
    # Words of eight bytes begin four bytes into the room; a description at any even address.
    symbol = Sym("v", BASE + 4, 44, "d")
    data = bytes(20) + location() + bytes(8)
    assert without_records(symbol, data, IMAGE, read).size == 20
    described = struct.pack("<HH", 0, 10) + b"'int'\0"
    assert without_records(symbol, bytes(6) + described + bytes(28), IMAGE, read).size == 6
    # At an odd one, and a location across words, are neither.
    assert without_records(symbol, bytes(7) + described + bytes(27), IMAGE, read).size == 44
    assert without_records(symbol, bytes(16) + location() + bytes(12), IMAGE, read).size == 44
