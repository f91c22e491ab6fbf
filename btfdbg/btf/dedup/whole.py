"""Dedup of a whole graph at once, its base (if any) included.

Owns the translation between types and the nodes of ``refine``. Exact for any input;
``dedup_split`` gives the same answer in less time where a base is large, and falls
back to this. A base's types are nodes like all others, except that none of them can
change: a tag that a base only declares stays undefined for the base's own types.
"""

from __future__ import annotations

from btfdbg.btf.btf import Btf
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
from btfdbg.btf.format import Kind, info_kind


def representatives(btf: Btf) -> tuple[Graph, list[int]]:
    """
    Find the classes of a Btf's types.

    :return: Own types, and for each the id that stands for its class: the lowest, of
        the base if one of its types belongs to it. Forward declarations have their
        definition's.
    """
    strings: ChainStrings | None = None
    tails: dict[bytes, int] = {}
    labels: list[int] = [0]  # void is node 0
    successors: list[list[int]] = [[]]
    numbers: dict[bytes | int, int] = {-1: 0}
    tags: dict[TagKey, TagNodes] = {}
    for level in btf.chain():
        strings = ChainStrings(level, strings)
        graph = Graph(level, Canonical(strings, tails), tags)
        for type_id, words in zip(level.own_ids(), graph.words, strict=True):
            key = -2 - type_id if info_kind(words[1]) in NEVER_MERGED else label(words)
            labels.append(numbers.setdefault(key, len(numbers)))
        successors += graph.refs
    nodes = [_tag(btf, key, tag) for key, tag in tags.items()]
    classes, one = coarsest(labels, successors, nodes)
    first: dict[int, int] = {}
    for type_id, number in enumerate(classes):
        first.setdefault(number, type_id)
    out = [first[number] for number in classes]
    for tag, single in zip(nodes, one, strict=True):
        if not tag.forwards:
            continue
        if not tag.definitions:
            target = choose_forward(btf, tag.forwards, btf.start_id)
        elif single:
            target = out[tag.definitions[0]]
        elif tag.stand_in >= 0:
            target = out[tag.stand_in]
        else:
            continue
        for type_id in tag.forwards:
            out[type_id] = target
    return graph, out[btf.start_id :]


def _tag(btf: Btf, key: TagKey, tag: TagNodes) -> Tag:
    start = btf.start_id
    forwards = tag.forwards
    if tag.definitions and not any(type_id < start for type_id in tag.definitions):
        forwards = [type_id for type_id in forwards if type_id >= start]
    stand_in = -1
    if key[0] == Kind.ENUM and forwards and len(tag.definitions) > 1:
        stand_in = choose_enum(btf, tag.definitions, start)
    return Tag(tag.definitions, forwards, stand_in)
