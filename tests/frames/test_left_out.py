"""A caller that arm64's unwinder leaves out is found by the link register of a leaf."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from btfdbg.frames import arm64
from btfdbg.frames.disasm import open_disassembler
from btfdbg.frames.recover import Recovery
from btfdbg.frames.walked import RawFrame, Walked

pytest.importorskip("capstone")

TEXT = 0xFFFF_8000_8000_0000
STACK = 0xFFFF_8000_9000_0000
LEAF, MIDDLE, OUTER, ENTRY = TEXT, TEXT + 0x100, TEXT + 0x200, TEXT + 0x400
CODE = {
    # ldr w0, [x2, #16]; ret
    LEAF: (0xB940_1040, 0xD65F_03C0),
    # stp x29, x30, [sp, #-32]!; mov x29, sp; str x19, [sp, #16]; bl LEAF; ldr x19, [sp, #16]; …
    MIDDLE: (
        0xA9BE_7BFD, 0x9100_03FD, 0xF900_0BF3, 0x97FF_FFBD, 0xF940_0BF3, 0xA8C2_7BFD, 0xD65F_03C0,
    ),
    # stp x29, x30, [sp, #-16]!; mov x29, sp; mov x19, x0; bl MIDDLE; ldp x29, x30, [sp], #16; ret
    OUTER: (0xA9BF_7BFD, 0x9100_03FD, 0xAA00_03F3, 0x97FF_FFBD, 0xA8C1_7BFD, 0xD65F_03C0),
    # mov x0, sp; bl OUTER; nop
    ENTRY: (0x9100_03E0, 0x97FF_FF7F, 0xD503_201F),
}  # fmt: skip
NAMES = {LEAF: "leaf", MIDDLE: "middle", OUTER: "outer", ENTRY: "entry"}
MIDDLE_SP = STACK + 0x100
OUTER_SP = MIDDLE_SP + 32
ARGUMENT = 0xFFFF_0000_1234_5678


class Function:
    """One of the functions above, as the analysis asks for it."""

    module = ""

    def __init__(self, start: int) -> None:
        self.start = start
        self.end = start + 4 * len(CODE[start])
        self.names = (NAMES[start],)

    def read(self, address: int, end: int) -> bytes:
        data = b"".join(word.to_bytes(4, "little") for word in CODE[self.start])
        return data[address - self.start : end - self.start]

    read_table = read

    def extent(self, target: int) -> None:
        return None

    def is_function(self, target: int) -> bool:
        return target in CODE

    def is_tracer(self, address: int, target: int) -> bool:
        return False

    def is_current(self, segment: str, address: int) -> bool:
        return False

    def returns(self, target: int) -> bool:
        return True

    def stack_words(self, target: int) -> int:
        return 0

    def fixups(self, start: int, end: int) -> dict[int, Any]:
        return {}

    branches = fixups


class Text:
    """The three functions, and a stack."""

    def __init__(self, stack: dict[int, int]) -> None:
        self._stack = stack

    def function(self, pc: int) -> Function | str:
        start = pc & ~0xFF
        return Function(start) if start in CODE else "no function"

    def prototype_at(self, address: int) -> str:
        return "it has none"

    def names_at(self, address: int) -> tuple[str, ...]:
        return ()

    def word(self, address: int, size: int = 8) -> int | None:
        return self._stack.get(address)

    def memory(self, address: int, size: int) -> bytes | None:
        words = range(address, address + size, 8)
        if any(at not in self._stack for at in words):
            return None
        return b"".join(self._stack[at].to_bytes(8, "little") for at in words)

    def reads_registers(self, function: object) -> bool:
        return False


def _recovery(stack: dict[int, int]) -> Recovery:
    return Recovery(
        cast("Any", SimpleNamespace()),
        cast("Any", Text(stack)),
        cast("Any", arm64),
        open_disassembler("aarch64"),
    )


def _walk(link: int) -> list[Walked]:
    """The leaf is interrupted at its first instruction; the unwinder goes on with the outer."""
    stack = dict.fromkeys(range(STACK, STACK + 0x400, 8), 0)
    stack |= {MIDDLE_SP: OUTER_SP, MIDDLE_SP + 8: OUTER + 16, MIDDLE_SP + 16: ARGUMENT}
    stack |= {OUTER_SP: OUTER_SP + 16, OUTER_SP + 8: TEXT + 0x300}
    registers = dict.fromkeys((f"x{n}" for n in range(31)), 0)
    registers |= {"x19": ARGUMENT, "x29": MIDDLE_SP, "x30": link, "sp": MIDDLE_SP}
    made = _recovery(stack)
    frames = [
        RawFrame(LEAF, MIDDLE_SP, True, registers),
        RawFrame(OUTER + 16, None, False, {"x29": OUTER_SP}),
        RawFrame(TEXT + 0x300, None, False, {"x29": OUTER_SP + 16}),
    ]
    return made.walk(frames)


def test_the_link_register_names_the_caller_that_is_left_out() -> None:
    leaf, outer, _ = _walk(MIDDLE + 16)
    assert leaf.caller == "middle"
    assert leaf.left_out is not None
    assert leaf.left_out.name == "middle"
    assert leaf.left_out.sp == MIDDLE_SP
    # Its saved x19 is what the outer one was called with.
    assert outer.env.entry(("entry", "x0"), 64) == ARGUMENT


def test_a_signed_return_address_is_read_without_its_code() -> None:
    leaf, _, _ = _walk((MIDDLE + 16) & ~(0x3F << 48))
    assert leaf.caller == "middle"


@pytest.mark.parametrize("link", [MIDDLE + 20, OUTER + 16, 0, TEXT + 0x300])
def test_what_its_own_record_does_not_confirm_is_no_caller(link: int) -> None:
    leaf, outer, _ = _walk(link)
    assert leaf.caller == ""
    assert leaf.left_out is None
    assert outer.env.entry(("entry", "x0"), 64) is None


@pytest.mark.parametrize(("back", "known"), [(ENTRY + 8, OUTER_SP + 16), (MIDDLE + 16, None)])
def test_the_outermost_frame_passes_where_it_is(back: int, known: int | None) -> None:
    """Where the last frame ends nothing says; the one that it called says where it begins."""
    stack = {OUTER_SP: 0, OUTER_SP + 8: back}
    outer, entry = _recovery(stack).walk(
        [
            RawFrame(OUTER + 16, OUTER_SP, False, {"x29": OUTER_SP, "sp": OUTER_SP}),
            RawFrame(back, None, False, {"x29": 0}),
        ]
    )
    assert entry.problem == "it is the last frame: nothing says where it ends"
    assert outer.env.entry(("entry", "x0"), 64) == known


def _outermost(record: int, back: int, *, interrupted: bool = False) -> Walked:
    """A sleeping task's last frame: ``outer``, whose record is as given."""
    stack = dict.fromkeys(range(STACK, STACK + 0x400, 8), 0)
    stack |= {OUTER_SP: record, OUTER_SP + 8: back}
    frames = [RawFrame(OUTER + 16, None, interrupted, {"x29": OUTER_SP})]
    return _recovery(stack).walk(frames)[0]


def test_what_the_last_frame_returns_to_is_named_where_its_record_ends_the_stack() -> None:
    assert _outermost(0, ENTRY + 8).caller == "entry"


@pytest.mark.parametrize(
    ("record", "back"),
    [
        (OUTER_SP + 0x40, ENTRY + 8),  # the stack goes on
        (0, 0),  # user space
        (0, ENTRY + 4),  # no call stands before it
        (0, TEXT + 0x300),  # no function is there
        (0, (ENTRY + 8) & (1 << 63) - 1),  # not the kernel's
    ],
)
def test_what_does_not_begin_a_stack_is_not_named(record: int, back: int) -> None:
    assert _outermost(record, back).caller == ""


def test_of_an_interrupted_function_the_record_may_be_its_caller_s() -> None:
    assert _outermost(0, ENTRY + 8, interrupted=True).caller == ""
