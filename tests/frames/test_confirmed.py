"""What one word of a stack alone tells: said so, and no value if it can be none of its type."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import drgn
import pytest
from drgn import Architecture, Platform, Program, TypeMember

from btfdbg.frames import arguments, x86_64
from btfdbg.frames.abi import Param, Signature
from btfdbg.frames.disasm import open_disassembler
from btfdbg.frames.plausible import doubt
from btfdbg.frames.recover import Recovery
from btfdbg.frames.walked import Found, RawFrame, Walked
from tests.frames.code import BASE, OTHER, to, x86
from tests.frames.test_clang import Moved
from tests.frames.test_midst import (
    CALLER,
    MOV_RBX_RDI,
    POP_RBX,
    PUSH_RBX,
    RET,
    STACK,
    Function,
    Text,
    walk,
)

pytest.importorskip("capstone")

FILE = 0xFFFF_8880_1234_0000
WHERE = (Param("where", 1, 8, ("rdi",)),)
PUSH_RDI, POP_RDI = b"\x57", b"\x5f"


def test_a_saved_register_of_a_sleeping_task_is_confirmed_by_nothing() -> None:
    before = x86(PUSH_RBX, MOV_RBX_RDI, (b"\xe8", OTHER))
    asleep = RawFrame(BASE + len(before), STACK, False, {"rbx": FILE, "rsp": STACK})
    found = walk("f", x86(before, POP_RBX, RET), WHERE, asleep, {}).params[0]
    assert (found.words, found.source, found.confirmed) == ((FILE,), "register rbx", False)


def test_a_register_at_an_exception_is_no_word_of_the_stack() -> None:
    before = x86(PUSH_RBX, MOV_RBX_RDI)
    registers = dict.fromkeys(x86_64.REGISTERS, 0) | {"rbx": FILE, "rdi": FILE, "rsp": STACK}
    now = RawFrame(BASE + len(before), STACK, True, registers)
    found = walk("f", x86(before, POP_RBX, RET), WHERE, now, {}).params[0]
    assert (found.words, found.confirmed) == ((FILE,), True)


@pytest.mark.parametrize(("other", "is_same"), [(FILE, True), (FILE + 8, False)])
def test_two_words_that_agree_confirm_each_other(other: int, is_same: bool) -> None:
    before = x86(PUSH_RBX, PUSH_RDI, MOV_RBX_RDI, (b"\xe8", OTHER))
    asleep = RawFrame(BASE + len(before), STACK - 8, False, {"rbx": FILE, "rsp": STACK - 8})
    code = x86(before, POP_RDI, POP_RBX, RET)
    frame = walk("f", code, WHERE, asleep, {STACK - 8: other})
    assert (frame.params[0].words, frame.params[0].confirmed) == (
        ((FILE,), True) if is_same else (None, False)
    )


def test_a_word_of_the_stack_has_its_address() -> None:
    before = x86(PUSH_RBX, PUSH_RDI, (b"\xe8", OTHER))
    asleep = RawFrame(BASE + len(before), STACK - 8, False, {"rbx": 0x1111, "rsp": STACK - 8})
    code = x86(before, POP_RDI, POP_RBX, RET)
    frame = walk("f", code, WHERE, asleep, {STACK - 8: FILE})
    found = frame.params[0]
    assert frame.problem == ""
    assert (found.words, found.confirmed) == ((FILE,), False)
    assert found.source == f"stack at {STACK - 8:#x}"


@pytest.mark.parametrize("wild", [0x4141_4141_4141_4141, 0x1234])
def test_what_the_exceptions_registers_have_is_confirmed(wild: int) -> None:
    # f has called itself, and was interrupted there: its caller's rbx is a word of the stack.
    before = x86(PUSH_RBX, MOV_RBX_RDI, (b"\xe8", BASE))
    registers = dict.fromkeys(x86_64.REGISTERS, 0) | {"rcx": wild, "rsp": STACK}
    frames = [
        RawFrame(BASE + 4, STACK, True, registers),
        RawFrame(BASE + len(before), STACK + 16, False, {}),
        RawFrame(CALLER + 5, STACK + 32, False, {}),
    ]
    stack = {STACK: wild, STACK + 8: BASE + len(before), STACK + 24: CALLER + 5}
    signature = Signature(WHERE, taken=6)
    made = Recovery(
        cast("Any", SimpleNamespace()),
        cast("Any", Text(Function("f", x86(before, POP_RBX, RET)), signature, stack)),
        cast("Any", x86_64),
        open_disassembler("x86_64"),
    )
    found = made.walk(frames)[1].params[0]
    # A small number is in some register by chance.
    assert (found.words, found.confirmed) == ((wild,), wild > 0x10000)


@pytest.mark.parametrize("called", [BASE + 0x100, BASE + 0x200])
def test_a_system_calls_number_is_that_of_the_call_on_the_stack(called: int) -> None:
    dispatcher = x86(PUSH_RBX, MOV_RBX_RDI, b"\xff\xd0", POP_RBX, RET)  # call rax
    regs = STACK + 0x800

    class Stack(Text):
        """A system call's number, and the function that it called."""

        def function(self, pc: int) -> Any:
            if BASE + 0x100 <= pc < BASE + 0x120:
                call = b"\xe8" + to(OTHER, BASE + 0x109)
                made = Moved(x86(PUSH_RBX, MOV_RBX_RDI, call, POP_RBX, RET), BASE + 0x100)
                made.names = ("sys_read",)
                return made
            return super().function(pc) if pc < BASE + 0x20 else "no function"

        def prototype_at(self, address: int) -> object:
            return super().prototype_at(address) if address == BASE else "none"

        def system_call(self, regs: int, table: int | None = None) -> tuple[int, int]:
            return 7, called

    words = {STACK: regs, STACK + 8: BASE + 6, STACK + 24: CALLER + 5, regs: 7}
    params = (Param("regs", 1, 8, ("rdi",)), Param("nr", 2, 4, ("rsi",)))
    made = Recovery(
        cast("Any", SimpleNamespace()),
        cast("Any", Stack(Function("do_syscall_64", dispatcher), Signature(params), words)),
        cast("Any", x86_64),
        open_disassembler("x86_64"),
    )
    walked = made.walk(
        [
            RawFrame(BASE + 0x109, STACK, False, {"rbx": 1, "rsp": STACK}),
            RawFrame(BASE + 6, STACK + 16, False, {"rbx": regs}),
            RawFrame(CALLER + 5, STACK + 32, False, {}),
        ]
    )
    number = walked[1].params[1]
    if called == BASE + 0x100:
        assert (number.words, number.confirmed) == ((7,), True)
    else:
        assert number.words is None
        assert number.why.endswith("struct pt_regs has another system call's number")


# What can be an argument


PROG = Program(Platform(Architecture.X86_64))
LONG = PROG.int_type("unsigned long", 8, False)
BOOL = PROG.bool_type("_Bool", 1)
CHAR = PROG.int_type("char", 1, True)
STRUCT = PROG.struct_type("file", 8, (TypeMember(LONG, "f_mode", 0),))
PACKED = PROG.struct_type("header", 1, (TypeMember(CHAR, "version", 0),))
INCOMPLETE = PROG.struct_type("opaque")
CALLED = PROG.function_type(PROG.void_type(), (), False)


def pointer(type_: drgn.Type) -> drgn.Type:
    return PROG.typedef_type("pointer_t", PROG.pointer_type(PROG.typedef_type("t", type_), 8))


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize(
    ("type_", "number", "expected"),
    [
        pytest.param(pointer(STRUCT), FILE, "", id="good"),
        pytest.param(pointer(STRUCT), 0, "", id="NULL"),
        pytest.param(pointer(STRUCT), 0x18, "", id="a member of NULL"),
        pytest.param(pointer(STRUCT), (1 << 64) - 22, "", id="ERR_PTR"),
        pytest.param(pointer(STRUCT), 0x7FFE_1234_5678, "", id="a user's"),
        pytest.param(pointer(STRUCT), 0x6B6B_6B6B_6B6B_6B6B, "", id="freed"),
        pytest.param(pointer(STRUCT), 0xDEAD_0000_0000_0122, "", id="off its list"),
        pytest.param(pointer(STRUCT), FILE ^ 1 << 62, "is no address", id="a bit flipped"),
        pytest.param(pointer(STRUCT), FILE + 1, "is not aligned as a struct", id="not aligned"),
        pytest.param(pointer(PACKED), FILE + 1, "", id="need not be aligned"),
        pytest.param(
            pointer(STRUCT), FILE + (1 << 40), "is an address that cannot be read", id="unmapped"
        ),
        pytest.param(pointer(CHAR), FILE + (1 << 40), "", id="bytes may be left out"),
        pytest.param(pointer(INCOMPLETE), FILE + 1, "", id="of nothing known"),
        pytest.param(pointer(CHAR), FILE ^ 1 << 62, "is no address", id="bytes nowhere"),
        pytest.param(pointer(CALLED), BASE, "", id="a function"),
        pytest.param(pointer(CALLED), BASE + 4, "is the address of no function", id="code"),
        pytest.param(BOOL, 1, "", id="true"),
        pytest.param(BOOL, 2, "is no bool", id="no bool"),
        pytest.param(LONG, 0x4141_4141_4141_4141, "", id="a number"),
    ],
)
def test_what_a_number_can_be(type_: drgn.Type, number: int, expected: str, machine: str) -> None:
    found = doubt(type_, number, machine, lambda a: a < FILE + 4096, lambda a: a == BASE)
    assert found == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        pytest.param(0xF3FF_0000_1234_0000, "", id="tagged"),
        pytest.param(0x73FF_0000_1234_0000, "is no address", id="no tag is so"),
        pytest.param(0xB400_7FFE_1234_5678, "", id="a user's, tagged"),
    ],
)
def test_tags_of_arm64(number: int, expected: str) -> None:
    assert doubt(pointer(STRUCT), number, "aarch64", lambda a: True, lambda a: True) == expected


@pytest.mark.parametrize("confirmed", [False, True])
def test_a_wild_pointer_is_shown_only_if_something_confirms_it(
    confirmed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    wild = FILE ^ 1 << 62
    type_ = pointer(STRUCT)
    found = Found(WHERE[0], (wild,), "stack at 0x10", confirmed=confirmed)
    prototype = SimpleNamespace(converter=SimpleNamespace(convert=lambda type_id: type_))
    frame = cast("Any", SimpleNamespace(prototype=prototype, params=(found,)))
    text = SimpleNamespace(machine="x86_64", memory=lambda address, size: b"\0", symbol=None)
    monkeypatch.setattr(arguments, "recovery", lambda session: SimpleNamespace(text=text))
    (shown,) = arguments.objects_of(cast("Any", SimpleNamespace(prog=PROG)), cast("Walked", frame))
    assert shown.confirmed is confirmed
    if confirmed:
        assert (shown.value.value_(), shown.why) == (wild, "")  # type: ignore[union-attr]
    else:
        assert (shown.value, shown.source) == (None, "")
        assert shown.why == (
            f"stack at 0x10 holds {wild:#x}, which is no address; nothing confirms it"
        )
