"""Members by offset, and the spelling of values."""

from __future__ import annotations

import drgn
import pytest
from drgn import Program, TypeMember

from btfdbg.frames.layout import member_at

PLATFORM = drgn.Platform(drgn.Architecture.X86_64)


def kernel_types() -> tuple[Program, drgn.Type]:
    """A struct with a pointer, a nested struct, an array, a union and a bit-field."""
    prog = Program(PLATFORM)
    integer, long_ = prog.int_type("int", 4, True), prog.int_type("long", 8, True)
    pointer = prog.pointer_type(prog.void_type())
    inner = prog.struct_type(
        "inner", 16, (TypeMember(pointer, "next", 0), TypeMember(integer, "count", 64))
    )
    union = prog.union_type(None, 8, (TypeMember(long_, "raw", 0), TypeMember(pointer, "owner", 0)))
    bits = drgn.Object(prog, integer, bit_field_size=3)
    outer = prog.struct_type(
        "outer",
        72,
        (
            TypeMember(pointer, "first", 0),
            TypeMember(inner, "in", 64),
            TypeMember(prog.array_type(inner, 2), "list", 192),
            TypeMember(union, None, 448),
            TypeMember(bits, "flag", 512),
            TypeMember(integer, "last", 544),
        ),
    )
    return prog, outer


@pytest.mark.parametrize(
    ("offset", "size", "path", "type_name"),
    [
        (0, 8, "first", "void *"),
        (8, 8, "in.next", "void *"),
        (16, 4, "in.count", "int"),
        (8, 0, "in", "struct inner"),
        (16, 0, "in.count", "int"),
        (24, 8, "list[0].next", "void *"),
        (48, 4, "list[1].count", "int"),
        (56, 8, "raw", None),
        (64, 4, "flag", None),
        (68, 4, "last", "int"),
        (0, 72, "", "struct outer"),
    ],
)
def test_the_member_at_an_offset(offset: int, size: int, path: str, type_name: str | None) -> None:
    _prog, outer = kernel_types()
    found = member_at(outer, offset, size)
    assert found is not None
    assert found.path == path
    assert (found.type.type_name() if found.type is not None else None) == type_name


@pytest.mark.parametrize(("offset", "size"), [(-8, 8), (72, 1), (70, 4), (1 << 40, 8)])
def test_nothing_is_outside_of_a_type(offset: int, size: int) -> None:
    _prog, outer = kernel_types()
    assert member_at(outer, offset, size) is None


def test_an_incomplete_type_has_no_members() -> None:
    prog = Program(PLATFORM)
    assert member_at(prog.struct_type("later"), 0, 8) is None
