"""The walk over x86-64 frames whose registers are of the midst of something."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from btfdbg.frames import x86_64
from btfdbg.frames.abi import Param, Signature
from btfdbg.frames.disasm import open_disassembler
from btfdbg.frames.recover import Recovery
from btfdbg.frames.walked import RawFrame, Walked
from tests.frames.code import BASE, OTHER, Bytes, x86

pytest.importorskip("capstone")

STACK = 0xFFFF_C900_0000_0000
REGS = STACK + 0x800
CALLER = BASE + 0x4000
SYSTEM_CALLS = 512


class Function(Bytes):
    """One function, as the analysis asks for it."""

    module = ""

    def __init__(self, name: str, code: bytes) -> None:
        super().__init__(code)
        self.names = (name,)


class Text:
    """One function, and a stack."""

    def __init__(self, function: Function, signature: Signature, stack: dict[int, int]) -> None:
        self._function = function
        self._prototype = SimpleNamespace(name=function.names[0], signature=signature)
        self._stack = stack

    def function(self, pc: int) -> Function | str:
        return self._function if pc < CALLER else "no function"

    def prototype_at(self, address: int) -> object:
        return self._prototype

    def names_at(self, address: int) -> tuple[str, ...]:
        return ()

    def word(self, address: int, size: int = 8) -> int | None:
        return self._stack.get(address)

    def memory(self, address: int, size: int) -> bytes | None:
        words = range(address, address + size, 8)
        return b"".join(self._stack.get(at, 0).to_bytes(8, "little") for at in words)

    def reads_registers(self, function: object) -> bool:
        return False

    def system_call(self, regs: int, table: int | None = None) -> tuple[int, int] | None:
        number = self._stack[regs] & 0xFFFF_FFFF
        return (number, BASE) if number < SYSTEM_CALLS else None


PUSH_RBX, MOV_RBX_RDI, POP_RBX, RET = b"\x53", b"\x48\x89\xfb", b"\x5b", b"\xc3"
MOV_ECX_11, XOR_EAX_EAX = b"\xb9\x0b\x00\x00\x00", b"\x31\xc0"


def walk(
    name: str,
    code: bytes,
    params: tuple[Param, ...],
    frame: RawFrame,
    words: dict[int, int],
    taken: int = 6,
) -> Walked:
    """A frame of a function that has pushed rbx, called from CALLER."""
    stack = {STACK: 0x1111, STACK + 8: CALLER + 5} | words
    made = Recovery(
        cast("Any", SimpleNamespace()),
        cast("Any", Text(Function(name, code), Signature(params, taken=taken), stack)),
        cast("Any", x86_64),
        open_disassembler("x86_64"),
    )
    return made.walk([frame, RawFrame(CALLER + 5, STACK + 16, False, {})])[0]


@pytest.mark.parametrize(
    "repeated",
    [
        pytest.param(b"\xf3\x48\xab", id="rep stosq"),
        pytest.param(b"\xf3\x48\xa5", id="rep movsq"),
        pytest.param(b"\xf2\xae", id="repne scasb"),
        pytest.param(b"\xf3\xa6", id="repe cmpsb"),
    ],
)
def test_a_repeated_instruction_interrupted_in_its_midst_contradicts_nothing(
    repeated: bytes,
) -> None:
    before = x86(PUSH_RBX, MOV_RBX_RDI, MOV_ECX_11, XOR_EAX_EAX)
    argument = 0xFFFF_8880_1234_0000
    registers = dict.fromkeys(x86_64.REGISTERS, 0)
    # 11 elements to go at first, 5 by now.
    registers |= {"rbx": argument, "rdi": argument + 48, "rcx": 5, "rsp": STACK}
    frame = walk(
        "fill",
        x86(before, repeated, POP_RBX, RET),
        (Param("where", 1, 8, ("rdi",)),),
        RawFrame(BASE + len(before), STACK, True, registers),
        {},
    )
    assert frame.problem == ""
    assert frame.params[0].words == (argument,)


def test_an_instruction_that_is_not_repeated_has_its_registers() -> None:
    before = x86(PUSH_RBX, MOV_RBX_RDI, MOV_ECX_11, XOR_EAX_EAX)
    registers = dict.fromkeys(x86_64.REGISTERS, 0) | {"rcx": 5, "rsp": STACK}
    code = x86(before, b"\x48\x89\x07", POP_RBX, RET)  # mov [rdi], rax
    frame = RawFrame(BASE + len(before), STACK, True, registers)
    found = walk("store", code, (Param("where", 1, 8, ("rdi",)),), frame, {})
    assert found.problem == "registers and stack contradict the code"


@pytest.mark.parametrize("name", ["do_syscall_64", "do_syscall_64.constprop.0"])
@pytest.mark.parametrize(("number", "shown"), [(234, (234,)), (0xFFFF_FFFF, None)])
def test_the_number_of_a_system_call_on_its_way_out(
    name: str, number: int, shown: tuple[int, ...] | None
) -> None:
    code = x86(PUSH_RBX, MOV_RBX_RDI, (b"\xe8", OTHER), POP_RBX, RET)
    frame = walk(
        name,
        code,
        (Param("regs", 1, 8, ("rdi",)), Param("nr", 2, 4, ("rsi",))),
        RawFrame(BASE + 9, STACK, False, {"rbx": REGS, "rsp": STACK}),
        {REGS: number},
    )
    assert frame.problem == ""
    assert [f.words for f in frame.params] == [(REGS,), shown]


MOV_RBX_RSI, MOV_RBX_FROM_RSI, PUSH_RSI = b"\x48\x89\xf3", b"\x48\x8b\x1e", b"\x56"


@pytest.mark.parametrize(
    ("code", "taken", "reads"),
    [
        pytest.param(MOV_RBX_RSI, 1, "rsi", id="copied"),
        pytest.param(MOV_RBX_FROM_RSI, 1, "rsi", id="looked through"),
        pytest.param(MOV_RBX_RSI, 2, "", id="passed"),
        pytest.param(MOV_RBX_RDI, 1, "", id="only what is passed"),
        pytest.param(MOV_RBX_RDI, 0, "rdi", id="a prototype without parameters"),
        pytest.param(PUSH_RSI + b"\x5e" + MOV_RBX_RDI, 1, "", id="pushed, which may make room"),
        pytest.param(b"\x89\xf6" + MOV_RBX_RDI, 1, "", id="mov esi, esi"),
        pytest.param(b"\x89\xfe" + MOV_RBX_RSI, 1, "", id="written before"),
    ],
)
def test_code_that_reads_what_its_prototype_does_not_pass(
    code: bytes, taken: int, reads: str
) -> None:
    before = x86(PUSH_RBX, code, (b"\xe8", OTHER))
    params = tuple(Param(r, 1, 8, (r,)) for r in ("rdi", "rsi")[:taken])
    registers = {"rbx": 0xFFFF_8880_1234_0000, "rsp": STACK}
    frame = walk(
        "f",
        x86(PUSH_RBX, code, (b"\xe8", OTHER), POP_RBX, RET),
        params,
        RawFrame(BASE + len(before), STACK, False, registers),
        {},
        taken,
    )
    expected = f"its code reads {reads}, which its prototype does not pass" if reads else ""
    assert (frame.prototype if isinstance(frame.prototype, str) else "") == expected
    assert frame.problem == ""
    assert not (reads and frame.params)
