"""Which member is meant where a place has several: indices, bit-fields, unions, copies."""

from __future__ import annotations

import drgn
import pytest
from drgn import Program, TypeMember

from btfdbg.frames import arm64
from btfdbg.frames.disasm import open_disassembler
from btfdbg.frames.flow import FunctionFlow
from btfdbg.frames.layout import enclosing, members_at
from btfdbg.frames.members import path_at, used_bits
from tests.frames.code import BASE, Bytes, analyse

PLATFORM = drgn.Platform(drgn.Architecture.X86_64)


@pytest.fixture(scope="module")
def box() -> drgn.Type:
    """
    A struct as C would write it.

    .. code-block:: c

        struct box {
            u32 low : 3, mid : 9, high : 20;
            u32 words[4];
            struct inner { u32 count; u32 flags; void *next; } ins[2];
            union { u64 number; void *pointer; } either;
            union { u64 raw; u64 cooked; };
            void *left, *right;
        };
    """
    prog = Program(PLATFORM)
    u32, u64 = prog.int_type("u32", 4, False), prog.int_type("u64", 8, False)
    pointer = prog.pointer_type(prog.void_type())
    inner = prog.struct_type(
        "inner",
        16,
        (
            TypeMember(u32, "count", 0),
            TypeMember(u32, "flags", 32),
            TypeMember(pointer, "next", 64),
        ),
    )
    either = prog.union_type(
        None, 8, (TypeMember(u64, "number", 0), TypeMember(pointer, "pointer", 0))
    )
    raw = prog.union_type(None, 8, (TypeMember(u64, "raw", 0), TypeMember(u64, "cooked", 0)))

    def bits(size: int) -> drgn.Object:
        return drgn.Object(prog, u32, bit_field_size=size)

    return prog.struct_type(
        "box",
        88,
        (
            TypeMember(bits(3), "low", 0),
            TypeMember(bits(9), "mid", 3),
            TypeMember(bits(20), "high", 12),
            TypeMember(prog.array_type(u32, 4), "words", 32),
            TypeMember(prog.array_type(inner, 2), "ins", 192),
            TypeMember(either, "either", 448),
            TypeMember(raw, None, 512),
            TypeMember(pointer, "left", 576),
            TypeMember(pointer, "right", 640),
        ),
    )


@pytest.mark.parametrize(
    ("offset", "size", "index", "path"),
    [
        (4, 4, 0, "words[0]"),
        (4, 4, 12, "words[3]"),
        (12, 4, -8, "words[0]"),
        (24, 4, 16, "ins[1].count"),
        (32, 8, 16, "ins[1].next"),
        (4, 4, 16, ""),  # behind the last word
        (24, 4, 4, ""),  # another member of an element
        (0, 4, 4, ""),  # from a member that is in no array
        (4, 4, 20, ""),  # from one array into another
        (24, 8, 0, "ins[0]"),  # two members at once
        (8, 8, 0, "words"),
        (72, 16, 0, "{left, right}"),
        (56, 8, 0, "either.{number, pointer}"),
        (64, 8, 0, "{raw, cooked}"),
        (0, 4, 0, "{low, mid, high}"),
        (0, 1, 0, "{low, mid}"),
        (1, 1, 0, "{mid, high}"),
        (3, 1, 0, "high"),
        (80, 8, 0, "right"),
        (88, 8, 0, ""),
    ],
)
def test_the_member_that_is_meant(
    box: drgn.Type, offset: int, size: int, index: int, path: str
) -> None:
    assert path_at(box, offset, size, index) == path


@pytest.mark.parametrize(
    ("used", "path"),
    [
        (0x7, "low"),
        (0x1, "low"),
        (0xFF8, "mid"),
        (0x10, "mid"),
        (0xFFFFF000, "high"),
        (0xC, "{low, mid, high}"),  # of two
        (0, "{low, mid, high}"),
    ],
)
def test_the_bits_that_are_used_say_which_bit_field(box: drgn.Type, used: int, path: str) -> None:
    assert path_at(box, 0, 4, used=used) == path


@pytest.mark.parametrize(
    ("offset", "pointer", "path"),
    [
        (56, True, "either.pointer"),
        (56, False, "either.number"),
        (64, False, "{raw, cooked}"),
        (64, True, "{raw, cooked}"),  # it has none
        (72, False, "left"),
    ],
)
def test_what_becomes_of_a_value_says_which_of_a_union(
    box: drgn.Type, offset: int, pointer: bool, path: str
) -> None:
    assert path_at(box, offset, 8, pointer=pointer) == path


def test_bits_count_from_the_first_byte_of_the_access(box: drgn.Type) -> None:
    assert path_at(box, 1, 1, used=0x0F) == "mid"
    assert path_at(box, 1, 1, used=0xF0) == "high"


def test_names_in_common_stand_before_the_braces_and_many_are_cut() -> None:
    prog = Program(PLATFORM)
    u64 = prog.int_type("u64", 8, False)
    union = prog.union_type(None, 8, tuple(TypeMember(u64, n, 0) for n in "abcdef"))
    outer = prog.struct_type("outer", 8, (TypeMember(union, "all", 0),))
    assert path_at(outer, 0, 8) == "all.{a, b, c, …}"


@pytest.mark.parametrize(
    ("offset", "size", "path"), [(24, 16, "ins[0]"), (24, 32, "ins"), (4, 16, "words"), (0, 88, "")]
)
def test_what_an_access_lies_in(box: drgn.Type, offset: int, size: int, path: str) -> None:
    assert enclosing(box, offset, size) == path


def test_a_part_of_a_bit_field_is_among_the_members(box: drgn.Type) -> None:
    assert [m.path for m in members_at(box, 2, 1)] == ["high"]


@pytest.mark.parametrize(
    ("code", "size", "used"),
    [
        ("0fb707 66c1e803 25ff010000 c3", 2, 0xFF8),  # movzx; shr ax, 3; and eax, 0x1ff
        ("0fb607 83e007 c3", 1, 0x7),  # movzx; and eax, 7
        ("f60701 c3", 1, 0x1),  # test byte ptr [rdi], 1
        ("800f04 c3", 1, 0x4),  # or byte ptr [rdi], 4
        ("8027fb c3", 1, 0x4),  # and byte ptr [rdi], 0xfb
        ("8b07 25ff0f0000 0d00500000 8907 c3", 4, 0xFFFFF000),  # replaced and written back
        ("8b07 c1e803 a801 8907 c3", 4, None),  # written back, but not by "and"
        ("8b07 89c6 c3", 4, None),  # mov esi, eax
        ("8b07 c3", 4, None),
        ("8907 c3", 4, None),
    ],
)
def test_the_bits_that_x86_64_code_uses(code: str, size: int, used: int | None) -> None:
    pytest.importorskip("capstone")
    made = analyse(Bytes(bytes.fromhex(code)))
    insn = made.insns[BASE]
    (mem, _), *_ = made.arch.memory(*insn.text)
    assert used_bits(made.insns, insn, mem, size) == used


@pytest.mark.parametrize(
    ("words", "size", "used"),
    [
        ((0xB9400022, 0x530C7C42, 0xD65F03C0), 4, None),  # ldr; lsr w2, w2, #12
        ((0xB9400022, 0x53032C42, 0xD65F03C0), 4, 0xFF8),  # ldr; ubfx w2, w2, #3, #9
        ((0x39400022, 0x12000842, 0xD65F03C0), 1, 0x7),  # ldrb; and w2, w2, #7
        ((0xB9400022, 0x33144C02, 0xB9000022, 0xD65F03C0), 4, 0xFFFFF000),  # bfi w2, w0, #12, #20
        ((0xB9400022, 0x33144C02, 0xD65F03C0), 4, None),  # not written back
    ],
)
def test_the_bits_that_arm64_code_uses(words: tuple[int, ...], size: int, used: int | None) -> None:
    pytest.importorskip("capstone")
    code = Bytes(b"".join(w.to_bytes(4, "little") for w in words))
    made = FunctionFlow(code, arm64, open_disassembler("aarch64"))
    insn = made.insns[BASE]
    (mem, _), *_ = arm64.memory(*insn.text)
    assert used_bits(made.insns, insn, mem, size) == used


@pytest.mark.parametrize(
    ("operands", "index", "added"),
    [
        ("w0, [x1, w2, uxtw #2]", 0xFFFF_FFFF_0000_0003, 12),
        ("w0, [x1, w2, sxtw #2]", 0xFFFF_FFFF, -4),
        ("x0, [x1, w2, sxtw]", 5, 5),
        ("x0, [x1, x2, lsl #3]", 5, None),
    ],
)
def test_an_index_of_32_bits_is_extended(operands: str, index: int, added: int | None) -> None:
    assert arm64.extended(operands, index) == added


def test_what_each_path_brings_is_told_where_they_meet() -> None:
    pytest.importorskip("capstone")
    # cmp esi, 7; ja +4; mov rdi, [rdi+0x10]; mov eax, [rdi]; ret
    made = analyse(Bytes(bytes.fromhex("83fe07 7704 488b7f10 8b07 c3")))
    meet = BASE + 9
    state = made.before(meet)
    assert state is not None
    assert state.regs["rdi"] == (("phi", meet, "rdi"), 0, 64)
    loaded = ("load", BASE + 5, "rdi", (("entry", "rdi"), 0x10, 64), 8)
    assert set(made.incoming(meet, "rdi")) == {(("entry", "rdi"), 0, 64), (loaded, 0, 64)}
    assert made.incoming(BASE + 5, "rdi") == [(("entry", "rdi"), 0, 64)]
