"""Dedup without base: many types at a time, against refinement of the whole graph at once."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest

from btfdbg.btf import Btf
from btfdbg.btf.dedup import climb, whole
from btfdbg.btf.dedup.dedup import dedup
from btfdbg.btf.dedup.graph import (
    NEVER_MERGED,
    Graph,
    TagKey,
    TagNodes,
    choose_enum,
    choose_forward,
    label,
)
from btfdbg.btf.dedup.refine import Tag, coarsest
from btfdbg.btf.dedup.strings import Canonical, ChainStrings
from btfdbg.btf.dedup.whole import representatives
from btfdbg.btf.format import Kind, info_kind
from btfdbg.btf.text.assemble import assemble
from btfdbg.btf.text.rawtext import dumps

from .graphs import build, random_types


def _by_refinement(btf: Btf) -> list[int]:
    """Return what ``representatives`` does, with every type a node of one refinement."""
    strings: ChainStrings | None = None
    labels: list[object] = [-1]
    successors: list[list[int]] = [[]]
    tags: dict[TagKey, TagNodes] = {}
    tails: dict[bytes, int] = {}
    for level in btf.chain():
        strings = ChainStrings(level, strings)
        graph = Graph(level, Canonical(strings, tails), tags)
        for type_id, words in zip(level.own_ids(), graph.words, strict=True):
            alone = info_kind(words[1]) in NEVER_MERGED
            labels.append(-2 - type_id if alone else label(words))
        successors += graph.refs
    numbers: defaultdict[object, int] = defaultdict(lambda: len(numbers))
    nodes = []
    for key, tag in tags.items():
        forwards = tag.forwards
        if tag.definitions and tag.definitions[0] >= btf.start_id:
            forwards = [t for t in forwards if t >= btf.start_id]
        stand_in = -1
        if key[0] == Kind.ENUM and forwards and len(tag.definitions) > 1:
            stand_in = choose_enum(btf, tag.definitions, btf.start_id)
        nodes.append(Tag(tag.definitions, forwards, stand_in))
    classes, one = coarsest([numbers[look] for look in labels], successors, nodes)
    first: dict[int, int] = {}
    out = [first.setdefault(number, t) for t, number in enumerate(classes)]
    for node, single in zip(nodes, one, strict=True):
        if node.forwards and not node.definitions:
            target = choose_forward(btf, node.forwards, btf.start_id)
        elif single and node.definitions:
            target = out[node.definitions[0]]
        elif node.stand_in >= 0:
            target = out[node.stand_in]
        else:
            continue
        for type_id in node.forwards:
            out[type_id] = target
    return out[btf.start_id :]


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize(("rounds", "attempts"), [(64, 8), (2, 1), (0, 0)])
def test_the_classes_are_those_of_one_refinement(
    monkeypatch: pytest.MonkeyPatch, seed: int, rounds: int, attempts: int
) -> None:
    """However soon the bulk of the work is given up, what is left comes out the same."""
    monkeypatch.setattr(climb, "_ROUNDS", rounds)
    monkeypatch.setattr(whole, "_ATTEMPTS", attempts)
    rng = random.Random(seed)
    base = build(random_types(rng, rng.choice((10, 40, 120)), 1))
    split = build(random_types(rng, 20, base.type_cnt), base)
    for btf in (base, split):
        assert representatives(btf)[1] == _by_refinement(btf)


def test_enumerators_of_minus_one_do_not_look_unknown() -> None:
    enums = "".join(
        f"[{i}] ENUM '{name}' encoding=SIGNED size=4 vlen=1\n\t'A' val=-1\n"
        for i, name in enumerate(("(anon)", "(anon)", "e", "e"), 1)
    )
    left = dumps(dedup(Btf.parse(assemble(enums))))
    assert left.count("ENUM") == 2
