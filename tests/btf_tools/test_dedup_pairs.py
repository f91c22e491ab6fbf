"""The walk over pairs of definitions: a short cut, with the answer of the long way."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from btfdbg.btf import Btf, Builder
from btfdbg.btf import kinds as k
from btfdbg.btf.dedup import pairs as dedup_pairs
from btfdbg.btf.dedup.dedup import dedup, dedup_with_map
from btfdbg.btf.dedup.graph import Graph, TagKey, TagNodes
from btfdbg.btf.dedup.pairs import Pairs
from btfdbg.btf.dedup.split import PreparedBase, _Split, representatives
from btfdbg.btf.dedup.whole import representatives as whole_representatives
from btfdbg.btf.format import TypeId
from btfdbg.btf.text import assemble

from .graphs import build, random_types

_INT = "[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED\n"

seeds = st.integers(0, 2**32)


def _pairs(split: Btf) -> Pairs:
    assert split.base is not None
    canonical, index = PreparedBase(split.base).fork(split)
    tags: dict[TagKey, TagNodes] = {}
    graph = Graph(split, canonical, tags)
    index.take_names({key[1] for key in tags}, tags, set())
    return Pairs(graph, index)


@given(seeds)
@settings(max_examples=150, deadline=None)
def test_the_rounds_alone_find_the_same_classes(seed: int) -> None:
    rng = random.Random(seed)
    base = dedup(build(random_types(rng, rng.randrange(1, 25), 1)))
    split = build(random_types(rng, rng.randrange(1, 25), base.type_cnt), base)
    found = representatives(split, base)[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dedup_pairs, "_MOST_PER_WORD", -1000)
        assert representatives(split, base)[1] == found


def _two_chains(length: int) -> Btf:
    """Return a split with two chains of structs that differ in the last ones' values only."""
    builder = Builder(
        assemble.parse("[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED")
    )
    for size in (4, 8):
        below = builder.add_struct("s0", size)
        for number in range(1, length):
            pointer = builder.add_ptr(below)
            member = k.Member("p", TypeId(pointer), 0)
            below = builder.add_struct(f"s{number}", 8, [member])
    return builder.to_btf()


def test_tags_that_are_ambiguous_because_of_others_take_one_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rounds = []
    one_round = _Split._round

    def counted(self: _Split) -> None:
        rounds.append(len(self.ambiguous))
        one_round(self)

    monkeypatch.setattr(_Split, "_round", counted)
    split = _two_chains(50)
    assert representatives(split, PreparedBase(split.base or split))[1] == list(split.own_ids())
    assert rounds == [50]


def test_definitions_that_refer_to_each_other_in_a_cycle_are_the_bases() -> None:
    chain = (
        "[{0}] STRUCT 'a' size=8 vlen=1\n\t'b' type_id={1} bits_offset=0\n"
        "[{1}] PTR '(anon)' type_id={2}\n"
        "[{2}] STRUCT 'b' size=8 vlen=1\n\t'a' type_id={3} bits_offset=0\n"
        "[{3}] PTR '(anon)' type_id={0}\n"
    )
    base = assemble.parse(chain.format(1, 2, 3, 4) + "[5] STRUCT 'b' size=4 vlen=0\n")
    split = assemble.parse(chain.format(6, 7, 8, 9), base)
    pairs = _pairs(split)
    assert pairs.run(everywhere=True)
    assert len(pairs.ambiguous) == 1, "'b' has two definitions in the base"
    assert dedup_with_map(split).ids[6:] == [1, 2, 3, 4]


def test_a_forward_declaration_is_a_definition_until_two_of_these_differ() -> None:
    base = assemble.parse("[1] STRUCT 'x' size=4 vlen=0\n[2] PTR '(anon)' type_id=1\n")
    user = "[{0}] STRUCT 'user' size=8 vlen=1\n\t'x' type_id={1} bits_offset=0\n"
    types = user.format(3, 2) + user.format(4, 5)
    types += "[5] PTR '(anon)' type_id=6\n[6] FWD 'x' fwd_kind=struct\n"
    assert dedup_with_map(assemble.parse(types, base)).ids[3:] == [3, 3, 2, 1]
    types += "[7] STRUCT 'x' size=8 vlen=0\n"
    assert dedup_with_map(assemble.parse(types, base)).ids[3:] == [3, 4, 5, 6, 7]


def test_an_enums_forward_declaration_is_one_of_several_definitions() -> None:
    base = assemble.parse("[1] ENUM 'e' encoding=UNSIGNED size=4 vlen=1\n\t'A' val=0\n")
    user = "[{0}] STRUCT 'user' size=8 vlen=1\n\t'e' type_id={1} bits_offset=0\n"
    types = user.format(2, 1) + user.format(3, 5) + user.format(4, 6)
    types += "[5] ENUM 'e' encoding=UNSIGNED size=4 vlen=0\n"
    types += "[6] ENUM 'e' encoding=UNSIGNED size=4 vlen=1\n\t'B' val=0\n"
    assert dedup_with_map(assemble.parse(types, base)).ids[2:] == [2, 2, 3, 1, 4]


def test_very_many_definitions_that_look_alike_are_left_to_the_rounds() -> None:
    builder = Builder(
        assemble.parse("[1] INT 'int' size=4 bits_offset=0 nr_bits=32 encoding=SIGNED")
    )
    for number in range(60):
        array = builder.add_array(1, 1, number % 2)
        pointer = builder.add_ptr(array)
        builder.add_struct("s", 8, [k.Member("p", TypeId(pointer), 0)])
    split = builder.to_btf()
    assert not _pairs(split).run(everywhere=True)
    assert (
        representatives(split, PreparedBase(split.base or split))[1]
        == (whole_representatives(split)[1])
    )
    assert len(dedup(split).offsets) == 6
