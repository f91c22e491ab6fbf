"""Offsets of one content are one to dedup, wherever in a chain they are."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from btfdbg.btf import Btf
from btfdbg.btf.dedup.strings import Canonical, ChainStrings
from btfdbg.btf.pack import pack

_names = st.lists(st.sampled_from([b"", b"a", b"b", b"ab", b"bab", b"cc"]), max_size=5)


def _chain(levels: list[list[bytes]]) -> Btf:
    btf = None
    for number, names in enumerate(levels):
        data = b"".join(name + b"\0" for name in ([b""] if not number else []) + names)
        btf = Btf.parse(pack([], data), btf)
    assert btf is not None
    return btf


@given(st.lists(_names, min_size=1, max_size=3))
@settings(max_examples=300, deadline=None)
def test_two_offsets_are_one_exactly_if_they_hold_the_same(levels: list[list[bytes]]) -> None:
    btf = _chain(levels)
    strings = ChainStrings.of_chain(btf)
    canonical = Canonical(strings, {})
    meant: dict[bytes, int] = {}
    for offset in range(btf.end_str_off):
        content = btf.string_bytes(offset)
        assert canonical[offset] == meant.setdefault(content, canonical[offset])
        assert btf.string_bytes(canonical[offset]) == content
    assert len(set(meant.values())) == len(meant)


def test_whole_strings_that_are_there_once_stand_for_themselves() -> None:
    btf = _chain([[b"ab", b"c"], [b"d"]])
    strings = ChainStrings.of_chain(btf)
    assert strings.unique
    assert [at for at in range(btf.end_str_off) if strings.is_first(at)] == [0, 1, 4, 6]
    assert not strings.is_first(btf.end_str_off)


def test_a_string_that_the_base_has_too_makes_a_level_not_unique() -> None:
    btf = _chain([[b"ab", b"c"], [b"d", b"c"]])
    strings = ChainStrings.of_chain(btf)
    assert not strings.unique
    assert strings.is_first(4), "the base's own are"
    assert Canonical(strings, {})[8] == 4
    assert strings.of_level(btf.chain()[0]).unique


def test_heads_of_a_base_are_whole_strings_or_are_not() -> None:
    strings = ChainStrings.of_chain(_chain([[b"ab", b"c"]]))
    assert strings.are_first([0, 4, 1])
    assert not strings.are_first([0, 2])
    assert not strings.are_first([0, 99])
