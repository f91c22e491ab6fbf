"""Stacks of riscv64 along frame pointers, through a function that calls no other."""

from __future__ import annotations

import struct
from typing import cast

import drgn

from btfdbg.program import unwind_riscv64
from btfdbg.program.session import Session

LOW, SIZE = 0xFFFF8F8000010000, 0x4000
HIGH = LOW + SIZE
TEXT = 0xFFFFFFFF80001000


class Memory:
    """What the walk uses of a session."""

    def __init__(self, words: dict[int, int]) -> None:
        stack = bytearray(SIZE)
        for address, word in words.items():
            struct.pack_into("<Q", stack, address - LOW, word)
        self.prog = drgn.Program(
            drgn.Platform(
                drgn.Architecture.RISCV64,
                drgn.PlatformFlags.IS_64_BIT | drgn.PlatformFlags.IS_LITTLE_ENDIAN,
            )
        )
        self.prog.add_memory_segment(
            LOW, SIZE, lambda address, count, offset, _: bytes(stack[offset : offset + count])
        )

    def lookup_symbols(self, name: str) -> list[object]:
        return []


def walk(words: dict[int, int], fp: int, live: int | None) -> list[int]:
    session = cast(Session, Memory(words))
    return [f.pc for f in unwind_riscv64._walk(session, fp, live, LOW, HIGH)]


# Two functions with frames: fp 0x3100 is called by fp 0x3200, which is the last.
CALLERS = {
    LOW + 0x3100 - 16: LOW + 0x3200,
    LOW + 0x3100 - 8: TEXT + 0x10,
    LOW + 0x3200 - 16: 0,
    LOW + 0x3200 - 8: TEXT + 0x20,
}


def test_frames_with_a_return_address_are_followed() -> None:
    assert walk(CALLERS, LOW + 0x3100, None) == [TEXT + 0x10, TEXT + 0x20]
    # That a register holds another address changes nothing.
    assert walk(CALLERS, LOW + 0x3100, TEXT + 0x99) == [TEXT + 0x10, TEXT + 0x20]


def test_caller_of_a_stopped_function_that_saved_only_fp_is_in_ra() -> None:
    words = CALLERS | {LOW + 0x3000 - 8: LOW + 0x3100, LOW + 0x3000 - 16: 0x1234567}
    assert walk(words, LOW + 0x3000, TEXT) == [TEXT, TEXT + 0x10, TEXT + 0x20]


def test_address_of_the_stack_is_never_taken_for_a_return_address() -> None:
    words = CALLERS | {LOW + 0x3000 - 8: LOW + 0x3100, LOW + 0x3000 - 16: LOW + 0x3200}
    assert walk(words, LOW + 0x3000, None) == []
    assert walk(words, LOW + 0x3000, LOW + 0x40) == []
