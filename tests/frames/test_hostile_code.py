"""Any bytes may stand where code is expected: an answer or a reason, never an error."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from btfdbg.frames import arm64, x86_64
from btfdbg.frames.code import Fixup
from btfdbg.frames.disasm import open_disassembler
from btfdbg.frames.environment import Env
from btfdbg.frames.flow import FunctionFlow
from btfdbg.frames.ways import Ways
from tests.frames.code import BASE, OTHER, Bytes

pytest.importorskip("capstone")

# Bytes that often make instructions of each kind: prefixes, opcodes, ModRM with the stack.
_X86 = st.sampled_from(
    [bytes.fromhex(h) for h in (
        "55", "53", "5b", "5d", "c9", "c3", "cc", "90", "e8", "e9", "eb05", "75f0", "74", "ff",
        "0f0b", "0fb93a", "67480fb93a", "488d6c24", "48895c2408", "488b7c2408", "4883ec20",
        "4883e4f0", "4889e0", "48894424", "f3", "48ab", "f348ab", "65488b0425", "ffe0", "ffd0",
        "ff24c5", "48870424", "f0480fb10c24", "0f44c1", "f2", "66", "c5f8", "62",
    )]
)  # fmt: skip
_ARM = st.sampled_from(
    [w.to_bytes(4, "little") for w in (
        0xA9BE7BFD, 0x910003FD, 0xF9000BF3, 0xAA0003F3, 0x94000010, 0x14000002, 0x54000061,
        0xB4000040, 0xD65F03C0, 0xD61F0060, 0xD63F0020, 0xD503233F, 0xD5384100, 0x38604863,
        0x8B238843, 0x10000082, 0x90000003, 0x71000C1F, 0xA8C27BFD, 0xF8408401, 0x38400821,
        0xC85F7C01, 0xC8027C01, 0xF8E08001, 0x4C9F7000, 0xD4200080, 0x8B3F63FF, 0x927CEC1F,
    )]
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    parts=st.lists(st.one_of(_X86, st.binary(max_size=4)), max_size=60),
    fixup=st.integers(0, 120),
    branch=st.integers(0, 120),
)
def test_any_x86_code_is_analysed_or_refused(parts: list[bytes], fixup: int, branch: int) -> None:
    code = b"".join(parts) or b"\xc3"
    made = Bytes(
        code,
        fixups={BASE + fixup: Fixup(BASE + branch, ("rax", "rbx"))},
        branches={BASE + branch: BASE + fixup},
        words=None,
    )
    ask(FunctionFlow(made, x86_64, open_disassembler("x86_64"), 2))


@settings(max_examples=200, deadline=None)
@given(
    parts=st.lists(st.one_of(_ARM, st.binary(min_size=4, max_size=4)), max_size=60),
    fixup=st.integers(0, 60),
)
def test_any_arm64_code_is_analysed_or_refused(parts: list[bytes], fixup: int) -> None:
    code = b"".join(parts) or b"\xc0\x03\x5f\xd6"
    made = Bytes(code, fixups={BASE + 4 * fixup: Fixup(OTHER, ("x0",))}, words=1)
    ask(FunctionFlow(made, arm64, open_disassembler("aarch64"), 1))


def ask(flow: FunctionFlow) -> None:
    """Ask for every state and access."""
    assert bool(flow.problem) == (flow.before(BASE) is None) or not flow.insns
    for address, insn in flow.insns.items():
        flow.before(address)
        flow.call_before(insn.end)
        ask_for_ways(flow, address)
        flow.arch.memory(*insn.text)


def ask_for_ways(flow: FunctionFlow, address: int) -> None:
    """Ask which way led to an instruction, by numbers that may contradict each other."""
    state = flow.before(address)
    if state is None:
        return
    for number in (0, 7):
        env = Env()
        for register, value in state.regs.items():
            if value[0] is not None and value[0][0] in ("phi", "def", "sp"):
                env.learn(value, number + len(register), "")
        ways = Ways(flow, flow.arch, env)
        known = ways.entry(address)
        assert all(base[0] in ("entry", "stack", "sp", "current") for base, _ in known)
        for register in flow.arch.ARGUMENTS:
            ways.number(state.regs[register], address)
