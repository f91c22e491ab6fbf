"""Rows F01 to F06: split BTF, several levels of it."""

from __future__ import annotations

import pytest

from btfdbg.btf import Btf
from btfdbg.btf.text.assemble import assemble, parse
from btfdbg.btf.text.rawtext import dumps
from btfdbg.errors import BtfFormatError, BtfNotFoundError
from tests.btf.samples import EVERY_KIND, INT, SPLIT

LEVELS = (
    INT + "[2] PTR '(anon)' type_id=1\n",
    "[3] STRUCT 'mid' size=8 vlen=1\n\t'p' type_id=2 bits_offset=0\n",
    "[4] PTR '(anon)' type_id=3\n[5] TYPEDEF 'top' type_id=4\n",
)


def chain(order: str = "little") -> list[Btf]:
    out: list[Btf] = []
    for text in LEVELS:
        head = f".header byteorder={order}\n"
        base = out[-1] if out else None
        out.append(Btf.parse(assemble(head + text, base), base))
    return out


def test_f01_ids_and_strings_go_on_where_the_base_ends() -> None:
    base = parse(EVERY_KIND)
    split = parse(SPLIT, base)
    assert (split.start_id, split.type_cnt) == (34, 37)
    assert split.own_ids() == range(34, 37)
    assert split.ids() == range(1, 37)
    assert split.start_str_off == base.end_str_off == len(base.strings.data)


@pytest.mark.parametrize("order", ["little", "big"])
def test_f05_three_levels(order: str) -> None:
    bottom, middle, top = chain(order)
    assert top.chain() == (bottom, middle, top)
    assert [b.start_id for b in top.chain()] == [1, 3, 4]
    # The rule of several levels: the sum of all below, not the length of the next.
    assert top.start_str_off == len(bottom.strings.data) + len(middle.strings.data)
    assert [top.name_of(i) for i in top.ids()] == ["int", "", "mid", "", "top"]
    assert top.resolve_size(5) == 8
    assert dumps(top) == LEVELS[2]
    assert dumps(middle) == LEVELS[1]


def test_f02_look_ups_below_the_start_go_to_the_base() -> None:
    base = parse("[1] INT 'long int' size=4\n")
    split = parse("[2] PTR '(anon)' type_id=1\n", base)
    assert split.pointer_size == base.pointer_size == 4
    assert split.type_by_id(1) == base.type_by_id(1)
    assert split.owner_of(1) is base
    assert split.owner_of(2) is split


def test_f03_own_types_are_not_seen_from_the_base() -> None:
    bottom, middle, _top = chain()
    for type_id in (3, 4):
        with pytest.raises(BtfNotFoundError):
            bottom.type_by_id(type_id)
    assert middle.name_of(3) == "mid"


def test_f06_split_opened_alone_is_refused() -> None:
    base = parse(EVERY_KIND)
    data = assemble(SPLIT, base)
    with pytest.raises(BtfFormatError, match="base"):
        Btf.parse(data)


def test_f06_split_on_a_shorter_base_is_refused_when_asked() -> None:
    data = assemble(SPLIT, parse(EVERY_KIND))
    wrong = Btf.parse(data, parse(INT))
    errors = 0
    for type_id in wrong.own_ids():
        try:
            wrong.type_by_id(type_id)
        except BtfFormatError:
            errors += 1
    assert errors == 3


def test_split_of_another_byte_order_than_its_base() -> None:
    base = parse(EVERY_KIND)
    big = Btf.parse(assemble(".header byteorder=big\n" + SPLIT, base), base)
    assert (base.byteorder, big.byteorder) == ("little", "big")
    assert dumps(big) == SPLIT


def test_e04_split_built_on_a_big_endian_base_is_big_endian() -> None:
    base = Btf.parse(assemble(".header byteorder=big\n" + EVERY_KIND))
    assert parse(SPLIT, base).byteorder == "big"
