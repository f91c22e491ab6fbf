"""The translation of arm64's instructions, and small functions of them."""

from __future__ import annotations

import pytest

from btfdbg.frames import arm64
from btfdbg.frames.disasm import open_disassembler
from btfdbg.frames.flow import FunctionFlow
from btfdbg.frames.ir import (
    ADD,
    ADDREG,
    BRANCH,
    BREAK,
    CALL,
    CALL_REGISTER,
    CONST,
    CURRENT,
    DEF,
    FALL,
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
from tests.frames.code import BASE, OTHER, Bytes

pytest.importorskip("capstone")


@pytest.mark.parametrize(
    ("text", "ops"),
    [
        ("mov x19, x0", ((MOVE, "x19", "x0", 64),)),
        ("mov w19, w0", ((MOVE, "x19", "x0", 32),)),
        ("mov x29, sp", ((MOVE, "x29", "sp", 64),)),
        ("mov x0, xzr", ((CONST, "x0", 0),)),
        ("mov w0, #-1", ((CONST, "x0", 0xFFFFFFFF),)),
        ("movk x3, #0xd, lsl #16", ((DEF, ("x3",), ()),)),
        ("adrp x0, #0xffff9beb5f18e000", ((CONST, "x0", 0xFFFF9BEB5F18E000),)),
        ("add x0, x1, #0x10", ((ADD, "x0", "x1", 0x10, 64),)),
        ("sub sp, sp, #1, lsl #12", ((ADD, "sp", "sp", -4096, 64),)),
        ("add x0, x1, x2", ((ADDREG, "x0", "x1", "x2", 1, 64),)),
        ("add x0, x1, w2, sxtw #3", ((DEF, ("x0",), ("x1", "x2")),)),
        ("sxtw x2, w20", ((MOVE, "x2", "x20", 32),)),
        ("and w1, w1, #0xff", ((MOVE, "x1", "x1", 8),)),
        ("csel x0, x2, x3, eq", ((SELECT, "x0", "x2", "x3", 64),)),
        ("csel x0, x2, xzr, eq", ((DEF, ("x0",), ("x0", "x2")),)),
        ("ldr x0, [x0, #0xa0]", ((LOAD, "x0", Mem("x0", disp=0xA0), 8),)),
        ("ldrb w1, [x1, x2]", ((LOAD, "x1", Mem("x1", "x2"), 1),)),
        ("ldr x1, [x0, x2, lsl #3]", ((LOAD, "x1", Mem("x0", "x2", 8), 8),)),
        ("ldr x1, [x0, w2, sxtw #3]", ((LOAD, "x1", Mem("x0", "x2", 0), 8),)),
        ("ldrsw x2, [x0, #0x188]", ((LOAD, "x2", Mem("x0", disp=0x188), 4),)),
        ("ldtrb w1, [x1]", ((LOAD, "x1", Mem("x1"), 1),)),
        ("ldr x0, [x1], #8", ((LOAD, "x0", Mem("x1"), 8), (ADD, "x1", "x1", 8, 64))),
        ("str x30, [x18], #8", ((STORE, Mem("x18"), "x30", 8, False), (ADD, "x18", "x18", 8, 64))),
        ("str wzr, [x2]", ((STORE, Mem("x2"), 0, 4, False),)),
        (
            "stp x29, x30, [sp, #-0x20]!",
            (
                (ADD, "sp", "sp", -0x20, 64),
                (STORE, Mem("sp"), "x29", 8, False),
                (STORE, Mem("sp", disp=8), "x30", 8, False),
            ),
        ),
        (
            "ldp x0, x1, [x0]",
            ((LOAD, "x1", Mem("x0", disp=8), 8), (LOAD, "x0", Mem("x0"), 8)),
        ),
        (
            "stp q0, q1, [x0]",
            ((STORE, Mem("x0"), None, 16, False), (STORE, Mem("x0", disp=16), None, 16, False)),
        ),
        ("stlxr w3, x1, [x0]", ((STORE, Mem("x0"), "x1", 8, False), (DEF, ("x3",), ()))),
        ("ldaddal w1, w2, [x0]", ((STORE, Mem("x0"), None, 4, False), (DEF, ("x2",), ()))),
        ("stadd x0, [x1]", ((STORE, Mem("x1"), None, 8, False),)),
        ("casal w1, w3, [x6]", ((STORE, Mem("x6"), None, 4, False), (DEF, ("x1",), ()))),
        ("mrs x0, sp_el0", ((CURRENT, "x0"),)),
        ("mrs x0, daif", ((DEF, ("x0",), ()),)),
        ("paciasp", ((DEF, ("x30",), ()),)),
        ("cmp x0, x2", ()),
        ("smstop sm", ()),
        ("rdvl x0, #1", ((DEF, ("x0",), ()),)),
        ("pfalse p0.b", ()),
        ("wrffr p0.b", ()),
        ("mov v0.16b, v0.16b", ()),
        ("aese v0.16b, v2.16b", ()),
        ("sha1c q12, s7, v4.4s", ()),
        ("fmla v0.4s, v1.4s, v2.s[1]", ()),
        ("ldr q0, [x1, #0x10]!", ((ADD, "x1", "x1", 16, 64),)),
        ("str d0, [x1]", ((STORE, Mem("x1"), None, 8, False),)),
        ("ldr p0, [x0]", ()),
        ("str p0, [x0]", ((FILL, "x0"),)),
        ("ld1 {v10.2d}, [x5]", ()),
        ("ld1 {v0.16b, v1.16b}, [x1], #0x20", ((ADD, "x1", "x1", 32, 64),)),
        ("ld1 {v0.16b}, [x1], x2", ((ADDREG, "x1", "x1", "x2", 1, 64),)),
        ("st1 {v0.16b}, [x1]", ((FILL, "x1"),)),
        ("st4 {v0.16b, v1.16b}, [sp], #0x20", ((FILL, "sp"), (ADD, "sp", "sp", 32, 64))),
        ("umov w0, v1.b[0]", ((DEF, ("x0",), ()),)),
        ("dup v1.4s, w0", ()),
        ("cpyp [x3]!, [x1]!, x2!", ((FILL, "x3"), (DEF, ("x3", "x1", "x2"), ()))),
        ("setmn [x0]!, x1!, xzr", ((FILL, "x0"), (DEF, ("x0", "x1"), ()))),
        ("brk #0x800", ()),
    ],
)
def test_an_instruction_does_what_the_manual_says(text: str, ops: tuple[object, ...]) -> None:
    mnemonic, _, operands = text.partition(" ")
    assert arm64.direct(mnemonic, operands) is None
    assert arm64.translate(mnemonic, operands) == (FALL, None, ops)


@pytest.mark.parametrize(
    "text",
    [
        "gcspushm x0",
        "st1w {z0.s}, p0, [x0, z1.s, sxtw]",
        "st1w {z0.s}, p0, [z1.s]",
        "str z0, [x0, #-1, mul vl]",
        "ldff1h {z20.s}, p6/z, [x0, z8.s, sxtw]",
    ],
)
def test_an_unknown_instruction_may_write_any_register(text: str) -> None:
    _, _, ops = arm64.translate(*text.split(" ", 1))
    written = {r for op in ops if op[0] == DEF for r in op[1]}
    assert written == set(arm64.REGISTERS) - {"sp"}


def test_an_unknown_instruction_may_write_to_its_place() -> None:
    _, _, ops = arm64.translate("gcsstr", "x1, [x0]")
    assert any(op[0] == STORE for op in ops)


@pytest.mark.parametrize(
    ("text", "kind", "target"),
    [
        ("bl #0xffff9beb5d4e4988", CALL, 0xFFFF9BEB5D4E4988),
        ("b #0xffff9beb5d4e4988", JUMP, 0xFFFF9BEB5D4E4988),
        ("b.eq #0xffff9beb5d4e4988", BRANCH, 0xFFFF9BEB5D4E4988),
        ("cbz x0, #0xffff9beb5d4e4988", BRANCH, 0xFFFF9BEB5D4E4988),
        ("tbz w2, #1, #0xffff9beb5d4e4988", BRANCH, 0xFFFF9BEB5D4E4988),
    ],
)
def test_direct_jumps_have_a_target(text: str, kind: int, target: int) -> None:
    mnemonic, _, operands = text.partition(" ")
    assert arm64.direct(mnemonic, operands) == (kind, target)


@pytest.mark.parametrize(
    ("text", "kind", "through"),
    [
        ("blr x2", CALL_REGISTER, "x2"),
        ("br x0", JUMP_REGISTER, "x0"),
        ("ret", STOP, None),
        ("udf #0", STOP, None),
        ("brk #4", BREAK, None),
    ],
)
def test_other_ends_of_a_block(text: str, kind: int, through: object) -> None:
    mnemonic, _, operands = text.partition(" ")
    assert arm64.translate(mnemonic, operands)[:2] == (kind, through)


@pytest.mark.parametrize(
    ("word", "text"),
    [
        (0x38400821, ("ldtrb", "w1, [x1]")),
        (0x78400821, ("ldtrh", "w1, [x1]")),
        (0xB8400821, ("ldtr", "w1, [x1]")),
        (0xF8408821, ("ldtr", "x1, [x1, #8]")),
    ],
)
def test_an_unprivileged_load_over_its_own_base_is_decoded(
    word: int, text: tuple[str, str]
) -> None:
    nop = 0xD503201F
    code = word.to_bytes(4, "little") + nop.to_bytes(4, "little")
    found = list(open_disassembler("aarch64")(code, BASE))
    assert found == [(BASE, 4, *text), (BASE + 4, 4, "nop", "")]


def test_a_frame_record_and_a_saved_argument_are_followed() -> None:
    words = [
        0xA9BE7BFD,  # stp x29, x30, [sp, #-0x20]!
        0x910003FD,  # mov x29, sp
        0xF9000BF3,  # str x19, [sp, #0x10]
        0xAA0003F3,  # mov x19, x0
        0x94000000 | (OTHER - BASE - 16) // 4,  # bl OTHER
        0xF9400BF3,  # ldr x19, [sp, #0x10]
        0xA8C27BFD,  # ldp x29, x30, [sp], #0x20
        0xD65F03C0,  # ret
    ]
    code = b"".join(w.to_bytes(4, "little") for w in words)
    flow = FunctionFlow(Bytes(code), arm64, open_disassembler("aarch64"))
    assert flow.problem == ""
    state = flow.before(BASE + 20)
    assert state is not None
    assert state.regs["x19"] == (("entry", "x0"), 0, 64)
    assert state.regs["x29"] == (("sp",), (1 << 64) - 0x20, 64)
    assert state.slots[-0x20][1] == (("entry", "x29"), 0, 64)
    assert state.slots[-0x10][1] == (("entry", "x19"), 0, 64)
    last = flow.before(BASE + 28)
    assert last is not None
    assert last.regs["x19"] == (("entry", "x19"), 0, 64)
    assert last.regs["sp"] == (("sp",), 0, 64)


@pytest.mark.parametrize(
    ("compare", "load"),
    [
        (0x71000C1F, 0x38604863),  # cmp w0, #3; ldrb w3, [x3, w0, uxtw]
        (0x71000C1F, 0x38744863),  # ldrb w3, [x3, w20, uxtw]: its copy
    ],
)
def test_a_switch_goes_through_its_table(compare: int, load: int) -> None:
    words = [
        0x2A0003F4,  # mov w20, w0
        compare,
        0x54000188,  # b.hi +0x30 (to 0x38)
        0x90000003,  # adrp x3, page
        0x91011063,  # add x3, x3, #0x44
        load,
        0x10000082,  # adr x2, +0x10 (0x28)
        0x8B238843,  # add x3, x2, w3, sxtb #2
        0xD61F0060,  # br x3
        0xD503201F,  # nop
        0xAA0103F3,  # 0x28: mov x19, x1
        0x14000002,  # b +8
        0xAA0103F3,  # 0x30: mov x19, x1
        0x94000000 | (OTHER - BASE - 0x34) // 4 & 0x3FFFFFF,  # 0x34: bl OTHER
        0xD65F03C0,  # 0x38: ret
        0, 0,
    ]  # fmt: skip
    code = b"".join(w.to_bytes(4, "little") for w in words) + bytes((0, 2, 2, 0))
    flow = FunctionFlow(Bytes(code), arm64, open_disassembler("aarch64"))
    assert flow.problem == ""
    assert flow.tables == {BASE + 0x20: [BASE + 0x28, BASE + 0x30]}
    state = flow.before(BASE + 0x34)
    assert state is not None
    assert state.regs["x19"] == (("entry", "x1"), 0, 64)


@pytest.mark.parametrize(("branch", "known"), [(0x54000089, True), (0x54000088, False)])
def test_a_table_may_be_where_the_bound_jumps_to(branch: int, known: bool) -> None:
    """``b.ls`` jumps with an index that is not above the last one; ``b.hi`` with any other."""
    words = [
        0x2A0003F4,  # mov w20, w0
        0x71000C1F,  # cmp w0, #3
        branch,  # b.ls (b.hi) +0x10 (0x18)
        0xAA0103F3,  # mov x19, x1
        0x1400000C,  # b 0x40
        0xD503201F,  # nop
        0x90000003,  # 0x18: adrp x3, page
        0x91014063,  # add x3, x3, #0x50
        0x38604863,  # ldrb w3, [x3, w0, uxtw]
        0x10000082,  # adr x2, +0x10 (0x34)
        0x8B238843,  # add x3, x2, w3, sxtb #2
        0xD61F0060,  # br x3
        0xD503201F,  # nop
        0xAA0103F3,  # 0x34: mov x19, x1
        0x14000002,  # b 0x40
        0xAA0103F3,  # 0x3c: mov x19, x1
        0x94000000 | (OTHER - BASE - 0x40) // 4 & 0x3FFFFFF,  # 0x40: bl OTHER
        0xD65F03C0,  # ret
        0, 0,
    ]  # fmt: skip
    code = b"".join(w.to_bytes(4, "little") for w in words) + bytes((0, 2, 2, 0))
    flow = FunctionFlow(Bytes(code), arm64, open_disassembler("aarch64"))
    if not known:
        assert flow.problem.endswith("goes through a table")
        return
    assert flow.problem == ""
    assert flow.tables == {BASE + 0x2C: [BASE + 0x34, BASE + 0x3C]}
    state = flow.before(BASE + 0x40)
    assert state is not None
    assert state.regs["x19"] == (("entry", "x1"), 0, 64)


def _code(*words: int) -> bytes:
    return b"".join(word.to_bytes(4, "little") for word in words)


@pytest.mark.parametrize(
    ("words", "target"),
    [
        # adrp x16, +0x1000 pages; add x16, x16, #0x898; br x16
        ((0x9000_8010, 0x9122_6210, 0xD61F_0200, 0), 0xFFFF_8000_0900_0898),
        # adrp x16, -1 page
        ((0xF0FF_FFF0, 0x9100_0210, 0xD61F_0200, 0), 0xFFFF_8000_07FF_F000),
        # bti c before it
        ((0xD503_245F, 0x9000_8010, 0x9122_6210, 0xD61F_0200), 0xFFFF_8000_0900_0898),
        # movn x16, #0x1234; movk #0x0810, lsl #16; movk #0x8000, lsl #32; br x16
        ((0x9282_4690, 0xF2A1_0210, 0xF2D0_0010, 0xD61F_0200), 0xFFFF_8000_0810_EDCB),
        ((0xD503_201F, 0x9122_6210, 0xD61F_0200, 0), 0),
    ],
)
def test_a_modules_veneer_leads_to_the_function(words: tuple[int, ...], target: int) -> None:
    assert arm64.veneer(_code(*words), 0xFFFF_8000_0800_0040) == target
