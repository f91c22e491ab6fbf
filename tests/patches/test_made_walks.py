"""Walks over lists and trees: drgn's results where nothing is damaged, an end where anything is."""

from __future__ import annotations

import itertools
import random
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from drgn import Object
from drgn.helpers.linux import list as drgn_list
from drgn.helpers.linux import rbtree as drgn_rbtree
from hypothesis import given, settings
from hypothesis import strategies as st

from btfdbg.patches import lists, trees
from btfdbg.patches.revisit import Revisit
from btfdbg.program import walks
from tests.patches.made import BASE, HEAD, Made, shuffled

Walk = Callable[[Object], Iterator[Object]]


def below(function: Any) -> Any:
    """drgn's own function, below what another test has put around it."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function


OWN = {
    "ring": below(drgn_list.list_for_each),
    "reverse": below(drgn_list.list_for_each_reverse),
    "chain": below(drgn_list.hlist_for_each),
    "tree": below(drgn_rbtree.rbtree_inorder_for_each),
}
MAKERS = {
    "ring": lists.list_for_each,
    "reverse": lists.list_for_each_reverse,
    "chain": lists.hlist_for_each,
    "tree": trees.rbtree_inorder_for_each,
}


@pytest.fixture(autouse=True)
def remarks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every Program has a Session here; what walks remark is kept."""
    said: list[str] = []
    for module in (lists, trees):
        monkeypatch.setattr(module, "find_session", lambda prog: object())
    for target in (lists, trees, walks):
        monkeypatch.setattr(target, "remark", lambda prog, what, detail="": said.append(what))
    return said


def made(kind: str, order: list[int]) -> tuple[Made, Object]:
    memory = Made(len(order))
    build = {"ring": memory.ring, "reverse": memory.ring, "chain": memory.chain}
    return memory, build.get(kind, memory.tree)(order)


def numbers(walk: Iterator[Object], limit: int = 1 << 20) -> list[int]:
    return [(node.value_() - BASE) // 64 for node in itertools.islice(walk, limit)]


def ours(kind: str) -> Walk:
    return MAKERS[kind](OWN[kind])


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.parametrize("count", [0, 1, 2, 3, 100, 5000])
def test_where_nothing_is_damaged_drgns_results_are_given(
    kind: str, count: int, remarks: list[str]
) -> None:
    _, head = made(kind, shuffled(count, count))
    assert numbers(ours(kind)(head)) == numbers(OWN[kind](head))
    assert remarks == []


@settings(max_examples=400, deadline=None)
@given(st.integers(1, 60), st.randoms(use_true_random=False), st.sampled_from(sorted(OWN)))
def test_every_wrong_pointer_ends_and_is_told(count: int, chance: random.Random, kind: str) -> None:
    order = shuffled(count, 1)
    memory, head = made(kind, order)
    words = {"ring": 2, "reverse": 2, "chain": 1, "tree": 3}[kind]
    for _ in range(chance.randrange(1, 4)):
        at = memory.at(chance.choice(order)) + 8 * chance.randrange(words)
        target = chance.choice([memory.at(chance.choice(order)), HEAD, 0, 0xFFFF_DEAD_BEEF_0000])
        memory.word(at, target)
    found = numbers(ours(kind)(head), 100_000)
    assert len(found) < 100_000
    assert len(set(found)) == len(found)  # short enough to repeat nothing
    assert set(found) <= {*order, 0}  # nothing in a chain or tree tells the head from a node


@settings(deadline=None)
@given(st.integers(2, 60), st.data(), st.sampled_from(["ring", "reverse"]))
def test_a_ring_with_one_wrong_pointer_loses_nothing(
    count: int, data: st.DataObject, kind: str
) -> None:
    order = shuffled(count, 2)
    memory, head = made(kind, order)
    victim = data.draw(st.sampled_from(order))
    word = data.draw(st.sampled_from([0, 8]))
    target = data.draw(st.sampled_from([*map(memory.at, order), 0, 0xFFFF_DEAD_BEEF_0000]))
    memory.word(memory.at(victim) + word, target)
    expected = order if kind == "ring" else order[::-1]
    assert numbers(ours(kind)(head)) == expected


@settings(deadline=None)
@given(st.integers(1, 60), st.data())
def test_a_ring_loses_only_a_node_that_cannot_be_read(count: int, data: st.DataObject) -> None:
    order = shuffled(count, 3)
    memory, head = made("ring", order)
    victim = data.draw(st.sampled_from(order))
    memory.lost.add(victim)
    assert numbers(ours("ring")(head)) == [n for n in order if n != victim]


@settings(deadline=None)
@given(st.integers(1, 60), st.data())
def test_a_tree_loses_only_the_branch_of_a_node_that_cannot_be_read(
    count: int, data: st.DataObject
) -> None:
    order = list(range(1, count + 1))
    memory, head = made("tree", order)
    memory.lost.add(data.draw(st.sampled_from(order)))
    found = numbers(ours("tree")(head))
    assert found == sorted(set(found))


@pytest.mark.parametrize("period", [1, 2, 3, 4096, 4097, 9000])
@pytest.mark.parametrize("before", [0, 1, 5000])
def test_a_long_circle_ends(period: int, before: int, remarks: list[str]) -> None:
    order = list(range(1, before + period + 1))
    memory, head = made("chain", order)
    memory.word(memory.at(order[-1]), memory.at(order[before]))
    steps = len(numbers(ours("chain")(head), 1 << 20))
    assert before + period <= steps <= 12 * (before + period) + 4096
    assert remarks


def test_a_tree_whose_branches_join_again_and_again_ends(remarks: list[str]) -> None:
    """Both children of each node are the next one: 2**100 ways, 100 nodes, no circle."""
    order = list(range(1, 101))
    memory, head = made("tree", order)
    memory.word(HEAD, memory.at(1))
    for number in order:
        child = memory.at(number + 1) if number < 100 else 0
        memory.word(memory.at(number) + 8, child)
        memory.word(memory.at(number) + 16, child)
    assert sorted(numbers(ours("tree")(head), 100_000)) == order
    assert remarks


def test_a_walk_that_is_left_early_can_be_left() -> None:
    for kind in OWN:
        _, head = made(kind, shuffled(50, 4))
        walk = ours(kind)(head)
        next(walk)
        walk.close()  # type: ignore[attr-defined] # a generator


@pytest.mark.parametrize("kind", ["ring", "chain"])
def test_a_long_list_takes_no_memory(kind: str) -> None:
    """A million nodes: what is remembered must not grow with them; here of 50,000."""
    _, head = made(kind, list(range(1, 50_001)))
    walk = ours(kind)(head)
    next(walk)
    tracemalloc.start()
    try:
        for _ in walk:
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


def test_what_is_met_again_is_told_at_once_while_all_is_remembered() -> None:
    was_there = Revisit()
    assert not any(was_there(at) for at in range(4096))
    assert was_there(17)
