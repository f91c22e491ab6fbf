"""A shape is found alike among few that are asked for and among many."""

from __future__ import annotations

import pytest

from btfdbg.btf import Btf, Builder
from btfdbg.btf.format import IntEncoding
from btfdbg.btf.kinds import Enumerator, Member
from btfdbg.cdecl import parse_type
from btfdbg.variables import structural_index
from btfdbg.variables.structural_index import StructuralIndex

SHAPES = [f"struct s{n} {form}" for n in range(6) for form in ("*", "[3]", "[4]", "**", "*[3]")]
SHAPES += [f"const struct s{n}" for n in range(6)] + [f"const struct s{n} *" for n in range(6)]


def made() -> Btf:
    """A BTF with structs, some of which there are pointers to or arrays of."""
    builder = Builder()
    integer = builder.add_int("int", 4, IntEncoding.SIGNED)
    # Numbers that look like a record with a target.
    builder.add_enum("looks_alike", 4, [Enumerator("info", 0x02000000), Enumerator("two", 2)])
    for number in range(4):
        struct = builder.add_struct(f"s{number}", 4, [Member("m", integer, 0)])
        builder.add_ptr(builder.add_const(struct))
        if number % 2:
            builder.add_array(integer, struct, 3)
            builder.add_array(integer, builder.add_ptr(struct), 3)
        else:
            builder.add_ptr(builder.add_ptr(struct))
            builder.add_array(integer, struct, 4)
    return Btf.parse(builder.build())


@pytest.mark.parametrize("few", [0, 1, 3, 1000])
def test_few_and_many(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    btf = made()
    many = StructuralIndex(btf)
    monkeypatch.setattr(structural_index, "_FEW", 0)
    expected = {text: many.ids(parse_type(text)) for text in SHAPES}
    lengths = {n: many.lengths(parse_type(f"struct s{n}")) for n in range(6)}
    assert sum(map(bool, expected.values())) == 20
    monkeypatch.setattr(structural_index, "_FEW", few)
    index = StructuralIndex(btf)
    assert {text: index.ids(parse_type(text)) for text in SHAPES} == expected
    assert {n: index.lengths(parse_type(f"struct s{n}")) for n in range(6)} == lengths
    all_at_once = StructuralIndex(btf)
    all_at_once.expect_many()
    assert {text: all_at_once.ids(parse_type(text)) for text in SHAPES} == expected
    assert {n: all_at_once.lengths(parse_type(f"struct s{n}")) for n in range(6)} == lengths
    assert lengths[1] == {3}
    assert lengths[2] == {4}
    assert lengths[5] == set()
