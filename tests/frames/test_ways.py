"""Values that differ by the way: which way was taken, by numbers and by comparisons."""

from __future__ import annotations

import pytest

from btfdbg.frames import arm64, x86_64
from btfdbg.frames.code import Arch
from btfdbg.frames.conditions import condition
from btfdbg.frames.environment import Env
from btfdbg.frames.flow import FunctionFlow
from btfdbg.frames.ir import BRANCH, CALL, FALL, Insn, Mem
from btfdbg.frames.state import State
from btfdbg.frames.ways import Ways
from tests.frames.code import BASE, OTHER, Bytes, analyse, x86

pytest.importorskip("capstone")

PUSH_RBX, PUSH_RBP, RET = b"\x53", b"\x55", b"\xc3"
MOV_RBX_RDI, XOR_EBP_EBP = b"\x48\x89\xfb", b"\x31\xed"
TEST_RSI_RSI, CMP_RSI_16 = b"\x48\x85\xf6", b"\x48\x83\xfe\x10"
MOV_EBX_7, MOV_EBP_1, MOV_EAX_16 = b"\xbb\x07\0\0\0", b"\xbd\x01\0\0\0", b"\xb8\x10\0\0\0"
CMOVB_RAX_RSI, MOV_RDI_RAX = b"\x48\x0f\x42\xc6", b"\x48\x89\xc7"
CMOVB_RBX_RSI, MOV_EBX_16 = b"\x48\x0f\x42\xde", b"\xbb\x10\0\0\0"
CALL_OTHER = (b"\xe8", OTHER)
ARGUMENT = 0xFFFF_8880_1234_5678

# rbx is the first argument if the second one is 0, else 7; rbp is 0 or 1.
TWO_WAYS = x86(
    PUSH_RBX, PUSH_RBP, MOV_RBX_RDI, XOR_EBP_EBP, TEST_RSI_RSI, b"\x74\x0a", MOV_EBX_7, MOV_EBP_1,
    CALL_OTHER, RET,
)  # fmt: skip


def before_call(code: bytes) -> tuple[FunctionFlow, int, State]:
    """The analysis, and its first call's address and state."""
    flow = analyse(Bytes(code))
    assert flow.problem == ""
    at = min(a for a, i in flow.insns.items() if i.kind == CALL)
    state = flow.before(at)
    assert state is not None
    return flow, at, state


@pytest.mark.parametrize(
    ("rbx", "rbp", "given"),
    [
        pytest.param(ARGUMENT, 0, {"rdi": ARGUMENT}, id="the second register is of this way"),
        pytest.param(ARGUMENT, None, {"rdi": ARGUMENT}, id="its own number is not the other's"),
        pytest.param(7, 1, {}, id="the other way"),
        pytest.param(7, None, {}, id="either way"),
        pytest.param(None, 0, {}, id="nothing is known of it"),
        pytest.param(ARGUMENT, 1, {}, id="no way brings both"),
    ],
)
def test_a_way_that_brings_another_number_was_not_taken(
    rbx: int | None, rbp: int | None, given: dict[str, int]
) -> None:
    flow, at, state = before_call(TWO_WAYS)
    env = Env()
    for register, number in (("rbx", rbx), ("rbp", rbp)):
        if number is not None:
            env.learn(state.regs[register], number, "")
    found = Ways(flow, x86_64, env).entry(at)
    assert {base[1]: number for base, (number, _) in found} == given


@pytest.mark.parametrize(
    ("rsi", "rdi", "number"),
    [(0, ARGUMENT, ARGUMENT), (1, ARGUMENT, 7), (0, None, None), (None, ARGUMENT, None)],
)
def test_a_branch_that_goes_the_other_way_was_not_taken(
    rsi: int | None, rdi: int | None, number: int | None
) -> None:
    flow, at, state = before_call(TWO_WAYS)
    env = Env()
    for register, known in (("rsi", rsi), ("rdi", rdi)):
        if known is not None:
            env.learn((("entry", register), 0, 64), known, "")
    found = Ways(flow, x86_64, env).number(state.regs["rbx"], at)
    assert (None if found is None else found[0]) == number


def test_what_a_loop_counts_is_not_what_came() -> None:
    add_rbx_8, jmp_back = b"\x48\x83\xc3\x08", b"\xeb\xf5"
    flow, at, state = before_call(x86(PUSH_RBX, MOV_RBX_RDI, CALL_OTHER, add_rbx_8, jmp_back))
    env = Env()
    env.learn(state.regs["rbx"], ARGUMENT, "")
    assert Ways(flow, x86_64, env).entry(at) == []


def test_a_loop_that_changes_something_else_is_gone_around() -> None:
    """``for (; i < 9; i++) other()``: the argument is one value all along."""
    add_ebp_1, cmp_ebp_9, jb_back = b"\x83\xc5\x01", b"\x83\xfd\x09", b"\x72\xf3"
    code = x86(PUSH_RBX, MOV_RBX_RDI, XOR_EBP_EBP, CALL_OTHER, add_ebp_1, cmp_ebp_9, jb_back, RET)
    flow, at, state = before_call(code)
    env = Env()
    env.learn(state.regs["rbp"], 4, "")
    assert state.regs["rbx"] == (("entry", "rdi"), 0, 64)
    assert Ways(flow, x86_64, env).entry(at) == []


@pytest.mark.parametrize(("rsi", "number"), [(5, 5), (16, 16), (1 << 40, 16), (None, None)])
def test_what_a_comparison_chose(rsi: int | None, number: int | None) -> None:
    """``min(count, 16)``, as ``vfs_read()`` bounds what it passes on."""
    code = x86(PUSH_RBX, MOV_EAX_16, CMP_RSI_16, CMOVB_RAX_RSI, MOV_RDI_RAX, CALL_OTHER, RET)
    flow, at, state = before_call(code)
    env = Env()
    if rsi is not None:
        env.learn((("entry", "rsi"), 0, 64), rsi, "")
    found = Ways(flow, x86_64, env).number(state.regs["rdi"], at)
    assert (None if found is None else found[0]) == number


@pytest.mark.parametrize(("rbx", "given"), [(5, {"rsi": 5}), (16, {})])
def test_a_chosen_number_that_is_not_the_bound_is_the_argument(
    rbx: int, given: dict[str, int]
) -> None:
    code = x86(PUSH_RBX, MOV_EBX_16, CMP_RSI_16, CMOVB_RBX_RSI, CALL_OTHER, RET)
    flow, at, state = before_call(code)
    env = Env()
    env.learn(state.regs["rbx"], rbx, "")
    found = Ways(flow, x86_64, env).entry(at)
    assert {base[1]: number for base, (number, _) in found} == given


def insns(arch: Arch, *texts: str) -> list[Insn]:
    """Instructions one after the other, by their text."""
    made = []
    for number, text in enumerate(texts):
        name, _, operands = text.partition(" ")
        kind, target = arch.direct(name, operands) or (FALL, 0)
        meaning = arch.translate(name, operands) if kind == FALL else (kind, None, ())
        made.append(Insn(BASE + 4 * number, 4, meaning[0], target, *meaning[1:], (name, operands)))
    return made


LOW = -(1 << 63)


@pytest.mark.parametrize(
    ("texts", "left", "right", "holds"),
    [
        (("cmp rdi, rsi", "je 0x10"), 5, 5, True),
        (("cmp rdi, rsi", "jne 0x10"), 5, 5, False),
        (("cmp rdi, 0x10", "mov eax, 1", "lea rdx, [rdi + 1]", "jb 0x10"), 15, 16, True),
        (("cmp rdi, 0x10", "jae 0x10"), 15, 16, False),
        (("cmp rdi, 0x10", "ja 0x10"), 16, 16, False),
        (("cmp rdi, 0x10", "jbe 0x10"), 16, 16, True),
        (("cmp rdi, rsi", "jl 0x10"), LOW, 1, True),
        (("cmp rdi, rsi", "jb 0x10"), LOW, 1, False),
        (("cmp rdi, rsi", "jge 0x10"), -1, -1, True),
        (("cmp rdi, rsi", "jg 0x10"), 1, -1, True),
        (("cmp edi, -1", "je 0x10"), 0x1_FFFF_FFFF, -1, True),
        (("test rdi, rdi", "js 0x10"), LOW, LOW, True),
        (("test rdi, rdi", "jns 0x10"), 3, 3, True),
        (("test dil, 4", "jne 0x10"), 0x104, 4, True),
        (("test edi, 0x100", "je 0x10"), 0xFF, 0x100, True),
        (("sub rdi, rsi", "je 0x10"), 4, 4, True),
        (("cmp rdi, rsi", "cmovb rax, rdx"), 1, 2, True),
    ],
)
def test_a_condition_of_x86(texts: tuple[str, ...], left: int, right: int, holds: bool) -> None:
    found = condition(x86_64, insns(x86_64, *texts))
    assert found is not None
    assert found.holds(left, right) is holds


@pytest.mark.parametrize(
    ("texts", "left", "right", "holds"),
    [
        (("cmp x0, x1", "b.eq #0x10"), 5, 5, True),
        (("cmp x0, #0x10", "mov x2, x3", "b.hi #0x10"), 17, 16, True),
        (("cmp w0, #0x10", "b.ls #0x10"), 1 << 32, 16, True),
        (("cmp x0, x1", "b.lt #0x10"), LOW, 1, True),
        (("cmp x0, x1", "b.lo #0x10"), LOW, 1, False),
        (("cmp x0, x1", "csel x2, x3, x4, hs"), 3, 3, True),
        (("tst x0, #4", "b.ne #0x10"), 6, 4, True),
        (("cbz x0, #0x10",), 0, 0, True),
        (("cbnz w0, #0x10",), 1 << 32, 0, False),
        (("tbz w0, #3, #0x10",), 8, 8, False),
        (("tbnz x0, #0x3f, #0x10",), LOW, 1 << 63, True),
    ],
)
def test_a_condition_of_arm64(texts: tuple[str, ...], left: int, right: int, holds: bool) -> None:
    found = condition(arm64, insns(arm64, *texts))
    assert found is not None
    assert found.holds(left, right) is holds


@pytest.mark.parametrize(
    ("arch", "texts"),
    [
        (x86_64, ("cmp rdi, rsi", "add rax, 1", "je 0x10")),
        (x86_64, ("cmp rdi, rsi", "call 0x1000", "je 0x10")),
        (x86_64, ("cmp rdi, rsi", "jp 0x10")),
        (x86_64, ("test dh, 4", "jne 0x10")),
        (x86_64, ("test rdi, rdi", "ja 0x10")),
        (x86_64, ("je 0x10",)),
        (x86_64, ()),
        (arm64, ("cmp x0, x1, lsl #3", "b.eq #0x10")),
        (arm64, ("cmp x0, x1", "ccmp x2, #0, #4, ne", "b.eq #0x10")),
        (arm64, ("cmp x0, x1", "bl #0x1000", "b.eq #0x10")),
        (arm64, ("adds x0, x1, x2", "b.eq #0x10")),
        (arm64, ("cmp x0, x1", "b.vs #0x10")),
        (arm64, ("cbz xzr, #0x10",)),
    ],
)
def test_a_condition_that_is_not_understood(arch: Arch, texts: tuple[str, ...]) -> None:
    assert condition(arch, insns(arch, *texts)) is None


def test_a_place_in_memory_is_an_operand() -> None:
    found = condition(x86_64, insns(x86_64, "cmp qword ptr [rsp + 8], 0", "je 0x10"))
    assert found is not None
    assert (found.left, found.right, found.bits) == (Mem("rsp", disp=8), 0, 64)
    assert insns(x86_64, "je 0x10")[0].kind == BRANCH
