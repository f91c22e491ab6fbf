"""Rows P01 to P06: any order of types, and that of kernels from 7.0 on."""

from __future__ import annotations

import pytest

from btfdbg.btf import Btf
from btfdbg.btf.order import named_start_id, permute, sort_by_name
from btfdbg.btf.text.assemble import parse
from btfdbg.btf.text.rawtext import dumps
from btfdbg.errors import BtfFormatError
from tests.btf.samples import EVERY_KIND, INT, SPLIT

BASE = INT + (
    "[2] PTR '(anon)' type_id=1\n"
    "[3] STRUCT 's1' size=4 vlen=1\n\t'm' type_id=1 bits_offset=0\n"
    "[4] STRUCT 's2' size=4 vlen=1\n\t'm' type_id=1 bits_offset=0\n"
    "[5] FUNC_PROTO '(anon)' ret_type_id=1 vlen=1\n\t'p' type_id=2\n"
    "[6] FUNC 'f' type_id=5 linkage=static\n"
)


def test_p01_permutation_of_a_base() -> None:
    assert dumps(Btf.parse(permute(parse(BASE), [0, 4, 3, 5, 1, 6, 2]))) == (
        "[1] STRUCT 's2' size=4 vlen=1\n\t'm' type_id=4 bits_offset=0\n"
        "[2] FUNC 'f' type_id=6 linkage=static\n"
        "[3] PTR '(anon)' type_id=4\n"
        "[4] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED\n"
        "[5] STRUCT 's1' size=4 vlen=1\n\t'm' type_id=4 bits_offset=0\n"
        "[6] FUNC_PROTO '(anon)' ret_type_id=4 vlen=1\n\t'p' type_id=3\n"
    )


def test_p01_permutation_of_a_split_leaves_its_base_alone() -> None:
    base = parse(EVERY_KIND)
    data = permute(parse(SPLIT, base), [36, 34, 35])
    assert dumps(Btf.parse(data, base)) == (
        "[34] PTR '(anon)' type_id=36\n"
        "[35] TYPEDEF 'count_t' type_id=1\n"
        "[36] STRUCT 'holder' size=40 vlen=2\n"
        "\t'node' type_id=6 bits_offset=0\n\t'count' type_id=35 bits_offset=256\n"
    )


@pytest.mark.parametrize(
    "id_map",
    [
        [],
        [1, 2, 3, 4, 5, 6, 0],
        [0, 1, 2, 3, 4, 5],
        [0, 1, 1, 3, 4, 5, 6],
        [0, 1, 2, 3, 4, 5, 7],
        [0, 1, 2, 3, 4, 5, 6, 7],
        [0, 1, 2, 3, 4, 5, -6],
    ],
)
def test_p02_what_is_no_permutation_is_refused(id_map: list[int]) -> None:
    btf = parse(BASE)
    with pytest.raises(BtfFormatError):
        permute(btf, id_map)


def test_p02_split_cannot_move_into_its_base() -> None:
    with pytest.raises(BtfFormatError):
        permute(parse(SPLIT, parse(EVERY_KIND)), [33, 35, 36])


def test_p04_sorted_is_anonymous_first_then_by_bytes() -> None:
    btf = parse(BASE)
    assert named_start_id(btf) == 0
    data = Btf.parse(sort_by_name(btf))
    assert [data.name_of(i) for i in data.ids()] == ["", "", "f", "int", "s1", "s2"]
    assert named_start_id(data) == 3
    assert sort_by_name(data) == bytes(data.raw)


def test_p04_equal_names_keep_their_order_and_are_sorted() -> None:
    text = INT + "".join(f"[{i}] STRUCT 'x' size={i} vlen=0\n" for i in range(2, 6))
    btf = parse(text)
    assert named_start_id(btf) == 1
    assert sort_by_name(btf) == bytes(btf.raw)


def test_p04_without_a_name_nothing_starts() -> None:
    assert named_start_id(parse("[1] PTR '(anon)' type_id=0\n")) == 0
    assert named_start_id(parse("")) == 0


def test_p05_names_are_found_in_either_order() -> None:
    btf = parse(EVERY_KIND)
    again = Btf.parse(sort_by_name(btf))
    for type_id in btf.ids():
        name, kind = btf.name_of(type_id), btf.kind_of(type_id)
        if name:
            found = again.find_by_name_kind(name, kind)
            assert (again.name_of(found), again.kind_of(found)) == (name, kind)
