"""A pointer is in the struct that it is passed as, moved back to the struct's start."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import drgn
import pytest

from btfdbg.frames.abi import Param, Signature
from btfdbg.frames.flow import FunctionFlow
from btfdbg.frames.prototypes import Prototype
from btfdbg.frames.uses import Use, taken_for, uses
from tests.frames.code import BASE, OTHER, Bytes, analyse, x86

pytest.importorskip("capstone")

PROG = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
NODE = PROG.struct_type("node", 64, ())
BOX = PROG.struct_type("box", 128, ())
LOAD = bytes.fromhex("488b5f08")  # mov rbx, [rdi+8]
BACK = bytes.fromhex("488d7bf0")  # lea rdi, [rbx-0x10]
SAME = bytes.fromhex("4889df")  # mov rdi, rbx
BASE_OF_RBX = ("load", BASE, "rbx", (("entry", "rdi"), 8, 64), 8)


def recovery(target: drgn.Type, other: drgn.Type | None = None) -> Any:
    """Something that knows the prototypes of ``OTHER`` and of the function behind it."""

    def prototype_at(address: int) -> Any:
        type_ = target if address == OTHER else other
        if type_ is None:
            return "none"
        converter: Any = SimpleNamespace(convert=lambda _: PROG.pointer_type(type_))
        return Prototype("note", Signature((Param("p", 1, 8, ("rdi",)),)), 0, converter)

    return SimpleNamespace(text=SimpleNamespace(prototype_at=prototype_at))


def walk(*parts: bytes | tuple[bytes, int]) -> FunctionFlow:
    return analyse(Bytes(x86(LOAD, *parts, b"\xc3")))


def test_an_entry_is_what_it_is_passed_as() -> None:
    flow = walk(BACK, (b"\xe8", OTHER))
    assert list(uses(recovery(NODE), flow)) == [Use(BASE_OF_RBX, -0x10, NODE, "note")]
    found = taken_for(recovery(NODE), flow, BASE_OF_RBX, 0x20, 4)
    assert found is not None
    assert (found.type, found.offset) == (NODE, -0x10)


@pytest.mark.parametrize("offset", [-0x18, 0x30, 1 << 40])
def test_what_lies_outside_of_the_entry_is_nothing_of_it(offset: int) -> None:
    flow = walk(BACK, (b"\xe8", OTHER))
    assert taken_for(recovery(NODE), flow, BASE_OF_RBX, offset, 4) is None


def test_two_that_disagree_say_nothing() -> None:
    flow = walk(BACK, (b"\xe8", OTHER), BACK, (b"\xe8", OTHER + 16))
    assert taken_for(recovery(NODE, BOX), flow, BASE_OF_RBX, 0x20, 4) is None
    assert taken_for(recovery(NODE, NODE), flow, BASE_OF_RBX, 0x20, 4) is not None
    # Only the larger one holds what is wanted.
    found = taken_for(recovery(NODE, BOX), flow, BASE_OF_RBX, 0x40, 4)
    assert found is not None
    assert found.type == BOX


def test_another_pointer_says_nothing() -> None:
    flow = walk(SAME, (b"\xe8", OTHER))
    assert taken_for(recovery(NODE), flow, ("entry", "rsi"), 0, 4) is None


def test_a_pointer_that_one_path_brings_keeps_its_evidence() -> None:
    # A loop: the block of the call is reached from the head only.
    # L: mov rbx, [rbx]; cmp [rbx+0x28], 3 (H); jbe L; mov rdi, rbx; call; jmp L
    code = x86(
        LOAD,
        bytes.fromhex("eb03"),  # to H
        bytes.fromhex("488b1b"),
        bytes.fromhex("837b2803"),
        bytes.fromhex("76f7"),  # to L
        SAME,
        (b"\xe8", OTHER),
        bytes.fromhex("ebed"),  # to L
    )
    flow = analyse(Bytes(code))
    state = flow.before(BASE + 9)
    assert state is not None
    base = state.regs["rbx"][0]
    assert base is not None
    assert base[0] == "phi"
    found = taken_for(recovery(NODE), flow, base, 0x28, 4)
    assert found is not None
    assert (found.type, found.offset) == (NODE, 0)
