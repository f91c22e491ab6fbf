"""Row K: where each kind's record holds ids and strings, in libbpf's order."""

from __future__ import annotations

import pytest

from btfdbg.btf import Kind, fields, kinds
from btfdbg.btf.format import LAYOUTS
from btfdbg.btf.text.assemble import parse
from tests.btf.samples import EVERY_KIND, SPLIT

BTF = parse(EVERY_KIND)

IDS: dict[int, list[int]] = {
    1: [],
    4: [2],
    5: [1, 1],
    6: [7, 8, 1, 1],
    8: [1, 4],
    9: [],
    11: [],
    13: [6],
    14: [1],
    15: [14],
    16: [4],
    17: [1, 4, 0],
    18: [17],
    21: [1],
    23: [21, 22],
    24: [],
    25: [6],
    27: [2],
    29: [],
    31: [],
    32: [31, 0],
    33: [18, 32],
}
STRINGS: dict[int, list[str]] = {
    1: ["int"],
    4: [""],
    5: [""],
    6: ["node", "next", "", "low", "high"],
    8: ["", "number", "text"],
    9: ["colour", "RED", "BLUE"],
    11: ["later"],
    17: ["", "format", ""],
    18: ["print"],
    21: ["count"],
    23: [".data"],
    25: ["about the struct"],
    27: ["user"],
    29: ["large", "SMALL", "HUGE"],
    31: [""],
    32: [""],
    33: ["inline.text"],
}


@pytest.mark.parametrize("type_id", IDS)
def test_ids_in_a_record(type_id: int) -> None:
    assert BTF.iter_type_refs(type_id) == IDS[type_id]


@pytest.mark.parametrize("type_id", STRINGS)
def test_strings_in_a_record(type_id: int) -> None:
    assert [BTF.string(o) for o in BTF.iter_str_refs(type_id)] == STRINGS[type_id]


def test_the_words_say_what_the_values_say() -> None:
    seen = set()
    for type_id in BTF.own_ids():
        type_, at = BTF.type_by_id(type_id), BTF.offsets[type_id - 1]
        seen.add(type(type_))
        if isinstance(type_, kinds.FuncProto):
            found, variadic = fields.parameters_at(BTF.words, at)
            params = [(BTF.find_str(p.name), p.type) for p in type_.params]
            assert variadic is (params[-1:] == [(0, 0)])
            assert list(zip(found[::2], found[1::2], strict=True)) == params[: -variadic or None]
            assert fields.parameter_count(BTF.words, at) == (len(found) // 2, variadic)
        elif isinstance(type_, (kinds.Struct, kinds.Union)):
            names, sizes = fields.member_names(BTF.words, at)
            assert [BTF.string(name) for name in names] == [m.name for m in type_.members]
            assert (sizes or [0] * len(names)) == [m.bitfield_size for m in type_.members]
        elif isinstance(type_, kinds.Enum):
            names, values, signed = fields.enum_words(BTF.words, at)
            assert [BTF.string(name) for name in names] == [v.name for v in type_.values]
            assert list(values) == [v.value for v in type_.values]
            assert signed is type_.signed
    assert seen >= {kinds.FuncProto, kinds.Struct, kinds.Union, kinds.Enum}


def test_every_kind_is_asked_for() -> None:
    assert {BTF.kind_of(i) for i in IDS} == set(Kind) - {Kind.VOID}


def test_places_are_words_of_the_own_section() -> None:
    split = parse(SPLIT, BTF)
    assert [split.words[at] for at in split.type_ref_words(34)] == [6, 36]
    assert split.iter_type_refs(6) == BTF.iter_type_refs(6)


def test_row_that_can_hold_a_reference_says_so() -> None:
    without = {k for k, row in LAYOUTS.items() if not row.has_refs}
    assert without == {
        Kind.INT,
        Kind.ENUM,
        Kind.FWD,
        Kind.FLOAT,
        Kind.ENUM64,
        Kind.LOC_PARAM,
    }
