"""Types by name, in one BTF and along a chain."""

from __future__ import annotations

import zlib

import pytest

from btfdbg.btf import Btf, Kind
from btfdbg.btf import names as names_module
from btfdbg.btf.pack import pack
from btfdbg.btf.text.assemble import assemble, parse
from btfdbg.errors import BtfFormatError, BtfNotFoundError
from tests.btf.samples import EVERY_KIND, INT, SPLIT

TWINS = INT + (
    "[2] STRUCT 'x' size=4 vlen=0\n"
    "[3] TYPEDEF 'x' type_id=2\n"
    "[4] STRUCT 'x' size=8 vlen=0\n"
    "[5] FWD 'y' fwd_kind=struct\n"
)


@pytest.fixture(params=["by search", "by table", "by checksum"])
def _either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "by search":
        monkeypatch.setattr(names_module, "_TABLE_AFTER", 0)
    if request.param == "by checksum":
        monkeypatch.setattr(names_module, "_SPLIT_FROM", 0)


def test_names_of_one_checksum_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names_module, "_TABLE_AFTER", 0)
    monkeypatch.setattr(names_module, "_SPLIT_FROM", 0)
    names = ("plumless", "buckeroo")
    assert len({zlib.crc32(name.encode()) for name in names}) == 1
    btf = parse(INT + "".join(f"[{i}] FWD '{n}' fwd_kind=struct\n" for i, n in enumerate(names, 2)))
    assert [btf.types_by_name(name) for name in names] == [(2,), (3,)]


def test_some_hundred_names_of_a_kernel_need_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names_module, "_SPLIT_FROM", 0)
    monkeypatch.setattr(names_module, "_MARKED", 300)
    btf = parse(EVERY_KIND)
    names = {btf.name_of(type_id) for type_id in btf.ids()} - {""}
    searched = {name: btf.types_by_name(name) for name in names}
    for number in range(300 - len(names)):
        assert btf.types_by_name(f"absent{number}") == ()
    index = btf._names
    assert index is not None
    assert index._marks
    assert index._table is None
    for _ in range(2):
        assert {name: btf.types_by_name(name) for name in names} == searched
    assert index._table is not None
    assert not index._marks


@pytest.mark.usefixtures("_either_way")
def test_all_types_of_a_name_are_found() -> None:
    btf = parse(TWINS)
    assert btf.types_by_name("x") == (2, 3, 4)
    assert btf.types_by_name("x", Kind.STRUCT) == (2, 4)
    assert btf.types_by_name("x", [Kind.TYPEDEF, Kind.ENUM]) == (3,)
    assert btf.types_by_name("z") == ()
    assert btf.types_by_name("") == ()
    assert btf.types_by_name("x\0y") == ()


@pytest.mark.usefixtures("_either_way")
def test_first_of_a_kind_is_found() -> None:
    btf = parse(TWINS)
    assert btf.find_by_name_kind("x", Kind.STRUCT) == 2
    assert btf.find_by_name_kind("x") == 2
    assert btf.find_by_name_kind("x", Kind.TYPEDEF) == 3
    with pytest.raises(BtfNotFoundError, match="no UNION named 'x'"):
        btf.find_by_name_kind("x", Kind.UNION)


def test_f07_void_is_type_0() -> None:
    assert parse(INT).find_by_name_kind("void") == 0


@pytest.mark.usefixtures("_either_way")
def test_f07_bases_come_first_and_own_types_can_be_asked_for() -> None:
    base = parse(TWINS)
    split = parse("[6] STRUCT 'x' size=1 vlen=0\n[7] ENUM 'y' size=4 vlen=0\n", base)
    assert split.types_by_name("x") == (2, 3, 4, 6)
    assert split.find_by_name_kind("x", Kind.STRUCT) == 2
    assert split.find_own("x", Kind.STRUCT) == 6
    assert split.find_own("x") == 6
    with pytest.raises(BtfNotFoundError):
        split.find_own("int")
    assert base.types_by_name("x") == (2, 3, 4)


@pytest.mark.usefixtures("_either_way")
def test_names_are_compared_by_content_wherever_they_stand() -> None:
    # The same name at two offsets, and as the tail of another string.
    strings = b"\0int\0foo\0xfoo\0foo\0"
    words = [1, 0x01000000, 4, 32, 5, 0x04000000, 0, 14, 0x04000000, 0, 10, 0x05000000, 0]
    btf = Btf.parse(pack(words, strings))
    assert btf.types_by_name("foo") == (2, 3, 4)
    assert btf.types_by_name("oo") == ()


@pytest.mark.usefixtures("_either_way")
def test_split_repeating_a_string_of_its_base_is_found_by_it() -> None:
    base = parse(INT)
    strings = b"int\0"
    split = Btf.parse(pack([base.end_str_off, 0x08000000, 1], strings), base)
    assert split.types_by_name("int") == (1, 2)


def test_every_name_of_a_chain_leads_back_to_its_types() -> None:
    base = parse(EVERY_KIND)
    split = parse(SPLIT, base)
    for type_id in split.ids():
        name = split.name_of(type_id)
        if name:
            assert type_id in split.types_by_name(name)
            assert split.find_by_name_kind(name, split.kind_of(type_id)) <= type_id


def test_strings_are_had_many_at_a_time() -> None:
    base = parse(EVERY_KIND)
    for btf in (base, parse(SPLIT, base)):
        offsets = range(btf.end_str_off)
        assert btf.strings_at(offsets) == [btf.string(offset) for offset in offsets]
        assert btf.strings_at([]) == []
        with pytest.raises(BtfFormatError):
            btf.strings_at([0, btf.end_str_off])


def test_names_are_found_as_well_where_all_were_indexed_first() -> None:
    base = parse(EVERY_KIND)
    split, indexed = parse(SPLIT, base), parse(SPLIT, parse(EVERY_KIND))
    indexed.index_names()
    for name in {split.name_of(type_id) for type_id in split.ids()} | {"absent"}:
        assert indexed.types_by_name(name) == split.types_by_name(name)


def test_find_str_prefers_the_base() -> None:
    base = parse(EVERY_KIND)
    split = parse(SPLIT, base)
    assert split.find_str("node") == base.find_str("node") < base.end_str_off
    assert split.find_str("holder") >= split.start_str_off
    assert split.string(split.find_str("holder")) == "holder"
    assert split.find_str("") == 0
    with pytest.raises(BtfNotFoundError):
        split.find_str("no such string")


@pytest.mark.parametrize("split_from", [0, names_module._SPLIT_FROM])
def test_type_whose_name_does_not_exist_is_found_by_no_name(
    split_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names_module, "_SPLIT_FROM", split_from)
    btf = Btf.parse(assemble(INT + "[2] STRUCT @0x999 size=4 vlen=0"))
    for _ in range(names_module._TABLE_AFTER + 2):
        assert btf.types_by_name("int") == (1,)
