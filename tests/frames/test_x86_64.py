"""The translation of single instructions."""

from __future__ import annotations

import pytest

from btfdbg.frames import x86_64
from btfdbg.frames.ir import (
    ADD,
    ADDRESS,
    BRANCH,
    CALL,
    CALL_REGISTER,
    CONST,
    DEF,
    FILL,
    JUMP,
    JUMP_REGISTER,
    LOAD,
    MOVE,
    SELECT,
    STOP,
    STORE,
    Mem,
)
from btfdbg.frames.state import ALIGNED


@pytest.mark.parametrize(
    ("text", "ops"),
    [
        ("mov rbx, rdi", ((MOVE, "rbx", "rdi", 64),)),
        ("mov ebx, edi", ((MOVE, "rbx", "rdi", 32),)),
        ("mov bl, dil", ((MOVE, "rbx", "rdi", 8),)),
        ("mov ah, dil", ((DEF, ("rax",), ()),)),
        ("mov eax, 0xfffffff2", ((CONST, "rax", 0xFFFFFFF2),)),
        ("mov rax, 0xfffffffffffffff2", ((CONST, "rax", (1 << 64) - 14),)),
        ("mov rax, -0xe", ((CONST, "rax", (1 << 64) - 14),)),
        ("mov rax, cr2", ((DEF, ("rax",), ()),)),
        ("mov cr2, rax", ()),
        ("mov rax, qword ptr ds:[rdi + 0x28]", ((LOAD, "rax", Mem("rdi", disp=0x28), 8),)),
        ("mov rax, qword ptr [rdi + 0x28]", ((LOAD, "rax", Mem("rdi", disp=0x28), 8),)),
        (
            "mov rax, qword ptr gs:[rip + 0x10]",
            ((LOAD, "rax", Mem("pc", disp=0x10, segment="gs"), 8),),
        ),
        (
            "mov dword ptr [rsp + rcx*4 - 8], eax",
            ((STORE, Mem("rsp", "rcx", 4, -8), "rax", 4, False),),
        ),
        ("mov byte ptr [rdi], 0", ((STORE, Mem("rdi"), 0, 1, False),)),
        ("movzx eax, dil", ((MOVE, "rax", "rdi", 8),)),
        ("movsxd rax, edi", ((MOVE, "rax", "rdi", 32),)),
        ("cdqe", ((MOVE, "rax", "rax", 32),)),
        ("lea rax, [rdi + rsi*8 + 8]", ((ADDRESS, "rax", Mem("rdi", "rsi", 8, 8), 64),)),
        ("lea eax, [rdi + 1]", ((ADDRESS, "rax", Mem("rdi", disp=1), 32),)),
        ("add rsp, -0x80", ((ADD, "rsp", "rsp", -0x80, 64),)),
        ("dec edi", ((ADD, "rdi", "rdi", -1, 32),)),
        ("xor eax, eax", ((CONST, "rax", 0),)),
        ("or rax, 0xffffffffffffffff", ((CONST, "rax", (1 << 64) - 1),)),
        ("and edi, 0xffff", ((MOVE, "rdi", "rdi", 16),)),
        ("and rsp, 0xfffffffffffffff0", ((ADD, "rsp", "rsp", -ALIGNED, 64),)),
        ("and rsp, 0xfffffffffffff000", ((DEF, ("rsp",), ("rsp",)),)),
        ("cmove rdi, r14", ((SELECT, "rdi", "rdi", "r14", 64),)),
        ("sete al", ((DEF, ("rax",), ()),)),
        (
            "lock xadd dword ptr [rdi], eax",
            ((STORE, Mem("rdi"), None, 4, False), (DEF, ("rax",), ("rax",))),
        ),
        ("rep stosq qword ptr [rdi], rax", ((FILL, "rdi"), (DEF, ("rdi", "rcx"), ()))),
        ("cpuid", ((DEF, ("rax", "rbx", "rcx", "rdx"), ()),)),
        ("imul rdi", ((DEF, ("rax", "rdx"), ("rdi",)),)),
        ("movups xmmword ptr [rsp], xmm0", ((STORE, Mem("rsp"), None, 16, False),)),
        ("test rdi, rdi", ()),
        ("ud2", ()),
        ("nop word ptr cs:[rax + rax]", ()),
    ],
)
def test_an_instruction_does_what_the_manual_says(text: str, ops: tuple[object, ...]) -> None:
    mnemonic, operands = _split(text)
    assert x86_64.direct(mnemonic, operands) is None
    assert x86_64.translate(mnemonic, operands)[2] == ops


def test_an_unknown_instruction_may_write_any_register() -> None:
    _, _, ops = x86_64.translate("vmfrob", "rdi, qword ptr [rsi]")
    written = {r for op in ops if op[0] == DEF for r in op[1]}
    assert written == set(x86_64.REGISTERS) - {"rsp"}
    assert (STORE, Mem("rsi"), None, 8, False) in ops


@pytest.mark.parametrize(
    ("text", "kind", "target"),
    [
        ("call 0xffffffff81000000", CALL, 0xFFFFFFFF81000000),
        ("jmp 0xffffffff81000000", JUMP, 0xFFFFFFFF81000000),
        ("bnd jmp 0xffffffff81000000", JUMP, 0xFFFFFFFF81000000),
        ("jne 0xffffffff81000000", BRANCH, 0xFFFFFFFF81000000),
        ("loop 0xffffffff81000000", BRANCH, 0xFFFFFFFF81000000),
    ],
)
def test_direct_jumps_have_a_target(text: str, kind: int, target: int) -> None:
    assert x86_64.direct(*_split(text)) == (kind, target)


@pytest.mark.parametrize(
    ("text", "kind", "through"),
    [
        ("call rax", CALL_REGISTER, "rax"),
        ("call qword ptr [rip + 8]", CALL_REGISTER, Mem("pc", disp=8)),
        ("notrack jmp rax", JUMP_REGISTER, "rax"),
        ("jmp qword ptr [rax*8 - 0x10]", JUMP_REGISTER, Mem(None, "rax", 8, -16)),
        ("ret", STOP, None),
    ],
)
def test_indirect_jumps_say_what_they_go_through(text: str, kind: int, through: object) -> None:
    mnemonic, operands = _split(text)
    assert x86_64.direct(mnemonic, operands) is None
    assert x86_64.translate(mnemonic, operands)[:2] == (kind, through)


def _split(text: str) -> tuple[str, str]:
    words = text.split(" ")
    prefixes = ("lock", "rep", "bnd", "notrack")
    count = next(n for n, w in enumerate(words) if w not in prefixes) + 1
    return " ".join(words[:count]), " ".join(words[count:])


@pytest.mark.parametrize(
    ("code", "size"),
    [
        ("67 48 0f b9 3a", 5),  # ud1 rdi, [edx], as the kernel's WARN() is
        ("0f b9 c0", 3),
        ("0f b9 40 08", 4),
        ("0f b9 80 00 01 00 00", 7),
        ("0f b9 44 24 08", 5),
        ("0f b9 04 25 00 01 00 00", 8),
        ("0f b9 05 00 01 00 00", 7),
    ],
)
def test_ud1_ends_behind_its_operands(code: str, size: int) -> None:
    pytest.importorskip("capstone")
    from btfdbg.frames.disasm import open_disassembler

    data = b"\x90" + bytes.fromhex(code) + b"\xc3"
    found = [(a, z, m) for a, z, m, _ in open_disassembler("x86_64")(data, 0x1000)]
    assert found == [(0x1000, 1, "nop"), (0x1001, size, "ud1"), (0x1001 + size, 1, "ret")]
