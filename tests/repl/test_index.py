"""The index over names: what it finds, in which order, how fast."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btfdbg.repl.complete.index import NameIndex


def index(*names: str) -> NameIndex:
    return NameIndex((name, i) for i, name in enumerate(names))


def names(found: list[tuple[str, int]]) -> list[str]:
    return [name for name, _ in found]


def test_prefix_comes_before_word_before_inside_before_fuzzy() -> None:
    i = index("task_x", "my_task_y", "multitask", "tzaszk")
    assert names(i.search("task", 10)) == ["task_x", "my_task_y", "multitask", "tzaszk"]


def test_underscores_and_case_do_not_hide_a_name() -> None:
    i = index("__Foo_bar", "foo_baz")
    assert set(names(i.search("foo", 10))) == {"__Foo_bar", "foo_baz"}
    assert names(i.search("__foo", 10))[0] == "__Foo_bar"


def test_short_names_come_before_long_ones() -> None:
    i = index("init_task_very_long", "init_task", "init_tasks")
    assert names(i.search("init_t", 10)) == ["init_task", "init_tasks", "init_task_very_long"]


def test_a_tag_filters() -> None:
    i = NameIndex([("a_struct", 4), ("a_union", 5)])
    assert i.search("a_", 10, frozenset((5,))) == [("a_union", 5)]


def test_of_two_of_one_name_one_is_kept() -> None:
    assert len(NameIndex([("a", 1), ("a", 2)])) == 1


@pytest.mark.parametrize("query", ["", "\n", "ünicode", "x" * 1000, "(", "[", "\\", ".*", "a\0b"])
def test_odd_queries_are_harmless(query: str) -> None:
    index("abc", "a.b", "(x").search(query, 10)


def test_an_empty_index_finds_nothing() -> None:
    assert NameIndex([]).search("a", 10) == []
    assert list(NameIndex([])) == []


def test_names_that_are_not_ascii_are_left_out() -> None:
    assert list(index("a", "ü", "a\nb", "")) == ["a"]


_NAME = st.text(alphabet="ab_cXY9.", min_size=1, max_size=8)


@given(st.lists(_NAME, max_size=40), _NAME)
def test_every_name_is_found_by_itself_and_by_its_prefixes(found: list[str], more: str) -> None:
    i = index(*found, more)
    assert more in names(i.search(more, 1000))
    for end in range(1, len(more)):
        if more[:end].strip("_"):
            assert more in names(i.search(more[:end], 1000))


@given(st.lists(_NAME, max_size=40), _NAME)
def test_what_is_found_has_the_letters_in_order(found: list[str], query: str) -> None:
    for name, _ in index(*found).search(query, 1000):
        letters = iter(name.lower())
        assert all(char in letters for char in query.lower().lstrip("_"))


def test_155_000_names_are_searched_in_less_than_50_ms() -> None:
    rng = random.Random(1)
    parts = [
        "task",
        "sched",
        "page",
        "lock",
        "init",
        "do",
        "sys",
        "net",
        "tcp",
        "ext4",
        "vm",
        "x86",
    ]
    many = NameIndex(
        ("_".join(rng.choices(parts, k=rng.randint(1, 5))) + f"_{i}", 0) for i in range(155_000)
    )
    for query in ("t", "task", "_task", "tsklck", "zzzz", "sys_vm_do", "iaeo"):
        many.search(query, 200)
        best = min(_seconds(many, query) for _ in range(5))
        assert best < 0.05, (query, best)


def _seconds(i: NameIndex, query: str) -> float:
    start = time.process_time()
    i.search(query, 200)
    return time.process_time() - start
