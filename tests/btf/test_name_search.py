"""A name gives the same types whichever of the three ways finds it."""

from __future__ import annotations

import pytest

from btfdbg.btf import Btf, Builder, Kind, TypeId, names
from btfdbg.btf.names import NameIndex

_KINDS = ((Kind.STRUCT,), (Kind.TYPEDEF, Kind.STRUCT), (Kind.VAR,), (Kind.INT, Kind.INT), (99,))


def _btf() -> Btf:
    b = Builder()
    i = b.add_int("int", 4, 0)
    for name in ("head", "list_head", "hlist_head", "x", "head"):
        b.add_struct(name, 4)
        b.add_typedef(name, i)
    for number in range(300):  # ids that look like name offsets
        b.add_ptr(number % 20)
    b.add_struct("head", 4)
    return b.to_btf()


def _rows(answers: list[tuple[TypeId, ...]]) -> list[list[tuple[TypeId, ...]]]:
    return [answers[i : i + len(_KINDS)] for i in range(0, len(answers), len(_KINDS))]


@pytest.mark.parametrize("split", [False, True])
def test_search_index_and_table_agree(monkeypatch: pytest.MonkeyPatch, split: bool) -> None:
    btf = _btf()
    if split:
        b = Builder(btf)
        for name in ("head", "new_head", "int"):
            b.add_struct(name, 8)
        btf = b.to_btf()
    asked = (b"head", b"list_head", b"ead", b"int", b"x", b"new_head", b"none", b"", b"a\0b")
    found = []
    for index_after, table_after, split_from in (
        (1000, 1000, 1000), (-1, 1000, 1000), (-1, -1, 1000), (-1, -1, 0),
    ):  # fmt: skip
        monkeypatch.setattr(names, "_INDEX_AFTER", index_after)
        monkeypatch.setattr(names, "_TABLE_AFTER", table_after)
        monkeypatch.setattr(names, "_SPLIT_FROM", split_from)
        lookup = NameIndex(btf)
        of_kinds = NameIndex(btf)
        found.append(
            [lookup.ids(name) for name in asked]
            + [of_kinds.ids(name, kinds) for name in asked for kinds in _KINDS]
        )
    assert found[0] == found[1] == found[2] == found[3]
    own = list(btf.own_ids())
    assert found[0][0] == tuple(i for i in own if btf.name_of(i) == "head") != ()
    for asked_name, of_each in zip(asked, _rows(found[0][len(asked) :]), strict=True):
        for kinds, ids in zip(_KINDS, of_each, strict=True):
            wanted = [i for i in own if btf.name_of(i) == asked_name.decode() != ""]
            assert ids == tuple(i for i in wanted if btf.kind_of(i) in kinds)


def test_every_word_of_a_value_is_found_and_no_other() -> None:
    btf = _btf()
    for value in (0, 1, 7, 0x04000000):
        expected = [at for at, word in enumerate(btf.words) if word == value]
        assert list(btf.find_word(value)) == expected
    assert [btf.id_at(start) for start in btf.offsets] == list(btf.own_ids())
    assert btf.id_at(len(btf.words) - 1) == btf.type_cnt - 1
