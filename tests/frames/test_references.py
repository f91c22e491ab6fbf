"""Places in code that name an address are found without decoding it."""

from __future__ import annotations

import struct

import pytest

from btfdbg.frames.references import pointers, present, references, references_of
from tests.frames.code import adrp

TEXT = 0xFFFF_FFFF_8100_0000
DATA = 0xFFFF_FFFF_8200_1040
ARM_TEXT = 0xFFFF_8000_8001_0000
ARM_DATA = 0xFFFF_8000_8123_4568


class Memory:
    """Bytes at an address; nothing else can be read."""

    def __init__(self, start: int, data: bytes) -> None:
        self.start = start
        self.data = data

    def read(self, address: int, size: int) -> bytes | None:
        at = address - self.start
        if at < 0 or at + size > len(self.data):
            return None
        return self.data[at : at + size]


def _found(code: bytes, machine: str, start: int, size: int, text: int) -> list[int]:
    memory = Memory(text, code)
    ranges = [(text, text + len(code))]
    return [at - text for at in references(memory.read, ranges, machine, start, size)]


@pytest.mark.parametrize("behind", [0, 1, 2, 4])
def test_a_distance_from_the_end_of_the_instruction_names_it(behind: int) -> None:
    at = 0x1FFFE  # across two of the search's windows
    end = TEXT + at + 4 + behind
    code = bytes(at) + struct.pack("<i", DATA - end) + b"\1" * behind + bytes(64)
    assert _found(code, "x86_64", DATA, 1, TEXT) == [at]


def test_a_sign_extended_number_names_it() -> None:
    code = bytes(100) + struct.pack("<I", DATA & 0xFFFF_FFFF) + bytes(100)
    assert _found(code, "x86_64", DATA, 1, TEXT) == [100]


def test_an_address_within_the_variable_names_it_and_one_behind_does_not() -> None:
    def code(offset: int) -> bytes:
        return bytes(100) + struct.pack("<I", DATA + offset & 0xFFFF_FFFF) + bytes(100)

    assert _found(code(31), "x86_64", DATA, 32, TEXT) == [100]
    assert _found(code(32), "x86_64", DATA, 32, TEXT) == []


@pytest.mark.parametrize(
    "rest",
    [
        0x9100_0021 | 0x568 << 10,  # add x1, x1, #0x568
        0xF940_0020 | (0x568 >> 3) << 10,  # ldr x0, [x1, #0x568]
        0xB900_0020 | (0x568 >> 2) << 10,  # str w0, [x1, #0x568]
    ],
)
def test_a_page_and_what_is_added_name_it(rest: int) -> None:
    at = 0x1008
    code = bytes(at) + struct.pack("<III", adrp(1, ARM_DATA, ARM_TEXT + at), 0xD503_201F, rest)
    assert _found(code + bytes(64), "aarch64", ARM_DATA, 8, ARM_TEXT) == [at]


def test_a_neighbour_and_the_distance_to_it_name_it() -> None:
    anchor = ARM_DATA - 0x600  # in the page before
    words = (
        adrp(2, anchor, ARM_TEXT),
        0x9100_0042 | (anchor & 0xFFF) << 10,  # add x2, x2, #…
        0xF940_0040 | (0x600 >> 3) << 10,  # ldr x0, [x2, #0x600]
    )
    code = struct.pack("<III", *words) + bytes(64)
    assert _found(code, "aarch64", ARM_DATA, 8, ARM_TEXT) == [0]


@pytest.mark.parametrize(
    ("access", "rest"),
    [
        (0xF840_0C40 | 0x10 << 12, 0xD503_201F),  # ldr x0, [x2, #0x10]!
        (0xF840_0440 | 0x10 << 12, 0xF940_0040),  # ldr x0, [x2], #0x10; ldr x0, [x2]
    ],
)
def test_an_address_that_an_access_moves_on_names_it(access: int, rest: int) -> None:
    anchor = ARM_DATA - 0x10
    add = 0x9100_0042 | (anchor & 0xFFF) << 10  # add x2, x2, #…
    code = struct.pack("<IIII", adrp(2, anchor, ARM_TEXT), add, access, rest) + bytes(64)
    assert _found(code, "aarch64", ARM_DATA, 8, ARM_TEXT) == [0]
    code = struct.pack("<IIII", adrp(2, anchor, ARM_TEXT), add, 0xD503_201F, rest) + bytes(64)
    assert _found(code, "aarch64", ARM_DATA, 8, ARM_TEXT) == []


def test_another_variable_of_the_page_is_not_named() -> None:
    code = struct.pack("<II", adrp(1, ARM_DATA, ARM_TEXT), 0x9100_0021 | 0x100 << 10) + bytes(64)
    assert _found(code, "aarch64", ARM_DATA, 8, ARM_TEXT) == []


def test_pages_that_are_missing_hold_nothing_and_cost_nothing_else() -> None:
    code = bytes(100) + struct.pack("<I", DATA & 0xFFFF_FFFF) + bytes(4096 - 104)
    memory = Memory(TEXT, code)
    ranges = [(TEXT - 0x2000, TEXT + 0x3000)]
    there = present(memory.read, ranges)
    assert there == [(TEXT, TEXT + 4096)]
    assert list(references(memory.read, there, "x86_64", DATA, 1)) == [TEXT + 100]


def test_several_variables_are_looked_for_in_one_reading() -> None:
    size = 3 << 20
    code = bytearray(size)
    variables = [(DATA + 16 * number, 8) for number in range(5)]
    for number, (start, _) in enumerate(variables[:4]):
        for at in range(1000 + 40 * number, size - 8, 700_000):
            struct.pack_into("<I", code, at, start & 0xFFFF_FFFF)
    memory = Memory(TEXT, bytes(code))
    asked: list[int] = []

    def read(address: int, count: int) -> bytes | None:
        asked.append(count)
        return memory.read(address, count)

    ranges = [(TEXT, TEXT + size)]
    together = references_of(read, ranges, "x86_64", variables)
    assert sum(asked) < size + 0x1000
    alone = [list(references(memory.read, ranges, "x86_64", *one)) for one in variables]
    assert list(together.values()) == alone
    assert [len(hits) for hits in alone] == [5, 5, 5, 5, 0]
    assert references_of(read, ranges, "x86_64", ()) == {}


def test_only_aligned_words_are_pointers() -> None:
    word = struct.pack("<Q", DATA)
    memory = Memory(DATA, bytes(8) + word + bytes(3) + word + bytes(5))
    assert list(pointers(memory.read, [(DATA, DATA + 32)], DATA)) == [DATA + 8]
