"""A pointer is in the struct that it is passed as, moved back to the struct's start."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import drgn
import pytest

from btfdbg.frames.abi import Param, Signature
from btfdbg.frames.flow import FunctionFlow
from btfdbg.frames.prototypes import Prototype
from btfdbg.frames.types import Types
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

    text = SimpleNamespace(prototype_at=prototype_at)
    return SimpleNamespace(text=text, session=SimpleNamespace(prog=PROG))


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


LINKS: drgn.Type = PROG.struct_type(
    "list_head",
    16,
    (
        drgn.TypeMember(lambda: PROG.pointer_type(LINKS), "next"),
        drgn.TypeMember(lambda: PROG.pointer_type(LINKS), "prev", 64),
    ),
)
HOLDER: drgn.Type = PROG.struct_type(
    "holder",
    64,
    (
        drgn.TypeMember(LINKS, "ready", 64),
        drgn.TypeMember(LINKS, "idle", 256),
        drgn.TypeMember(lambda: PROG.pointer_type(HOLDER), "left", 384),
        drgn.TypeMember(lambda: PROG.pointer_type(HOLDER), "right", 448),
    ),
)
ASKED = ("load", BASE, "rax", (("entry", "rdi"), 8, 64), 8)
ASKER = bytes.fromhex("488b4708 8b4020 c3")  # mov rax, [rdi+8]; mov eax, [rax+0x20]
OTHERS_LIST = bytes.fromhex("488b4720 8b40c0 c3")  # mov rax, [rdi+0x20]; mov eax, [rax-0x40]
OUTSIDE = bytes.fromhex("488b4708 8b40c0 c3")  # mov rax, [rdi+8]; mov eax, [rax-0x40]


def neighbours(*codes: bytes) -> tuple[Any, FunctionFlow]:
    """A text of functions of one ``struct holder *``; the first one's analysis."""
    flows = [analyse(Bytes(code)) for code in codes]
    functions = [
        SimpleNamespace(start=BASE + 32 * n, end=BASE + 32 * n + 32, module="", names=(f"f{n}",))
        for n in range(len(codes))
    ]
    converter: Any = SimpleNamespace(
        convert=lambda type_id: PROG.pointer_type(NODE if type_id == 1 else HOLDER)
    )

    def prototype_at(address: int) -> Any:
        if address == OTHER:
            return Prototype("note", Signature((Param("p", 1, 8, ("rdi",)),)), 0, converter)
        return Prototype("f", Signature((Param("holder", 2, 8, ("rdi",)),)), 0, converter)

    def function(address: int) -> Any:
        number = (address - BASE) // 32
        return functions[number] if 0 <= number < len(functions) else "none"

    text = SimpleNamespace(
        prototype_at=prototype_at, function=function, names_at=lambda address: ("walk",)
    )
    made = SimpleNamespace(
        text=text,
        session=SimpleNamespace(prog=PROG),
        flow=lambda f: flows[(f.start - BASE) // 32],
    )
    return made, flows[0]


WALKER = x86(LOAD, BACK, (b"\xe8", OTHER), b"\xc3")


def test_who_walks_the_same_list_says_what_is_in_it() -> None:
    made, flow = neighbours(ASKER, WALKER, OTHERS_LIST)
    found = taken_for(made, flow, ASKED, 0x20, 4)
    assert found is not None
    assert (found.type, found.offset) == (NODE, -0x10)
    assert str(found) == "walk passes entries of the same list to note as struct node *"


@pytest.mark.parametrize(
    "codes",
    [
        pytest.param((ASKER, OUTSIDE), id="nobody says anything"),
        pytest.param((ASKER, WALKER, OUTSIDE), id="somebody takes it for another"),
        pytest.param((ASKER, WALKER.replace(LOAD, b"\x48\x8b\x5f\x20")), id="another list"),
        pytest.param((ASKER, WALKER.replace(LOAD, b"\x48\x8b\x5f\x10")), id="its other end"),
    ],
)
def test_a_list_of_which_not_all_say_the_same_says_nothing(codes: tuple[bytes, ...]) -> None:
    made, flow = neighbours(*codes)
    assert taken_for(made, flow, ASKED, 0x20, 4) is None


def test_what_all_paths_move_back_is_moved_back() -> None:
    # mov rbx, [rdi+8]; sub rbx, 0x10; L: mov rdi, rbx; call; mov rbx, [rbx+0x10];
    # sub rbx, 0x10; jmp L
    code = x86(
        LOAD,
        bytes.fromhex("4883eb10"),
        SAME,
        (b"\xe8", OTHER),
        bytes.fromhex("488b5b10 4883eb10 ebee"),
    )
    made, flow = neighbours(ASKER, code)
    found = taken_for(made, flow, ASKED, 0x20, 4)
    assert found is not None
    assert (found.type, found.offset) == (NODE, -0x10)


@pytest.mark.parametrize(("second", "name"), [(0x38, "holder"), (0x20, None)])
def test_the_second_of_two_that_cmov_chooses_may_be_in_memory(
    second: int, name: str | None
) -> None:
    # L: mov rdx, [rdi+0x30]; cmovl rdx, [rdi+second]; mov rdi, rdx; jmp L
    code = bytes.fromhex(f"488b5730 480f4c57{second:02x} 4889d7 ebf2")
    made, flow = neighbours(code)
    types = Types(made.session, made.text, made.text.prototype_at(BASE), flow.insns, flow)
    state = flow.before(BASE)
    assert state is not None
    assert state.regs["rdi"][0] == ("phi", BASE, "rdi")
    found = types.of(state.regs["rdi"])
    target = None if found is None or found.type is None else found.type.type
    assert (None if target is None else target.tag) == name
