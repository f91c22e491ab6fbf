"""Without an index by name: what a name's search found, in this run and in a later one."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path

import pytest

from btfdbg.cache import Cache
from btfdbg.kallsyms.ends import Ends
from btfdbg.kallsyms.known import MAX_NAMES, Found
from btfdbg.kallsyms.names import Names

from .encoder import STYLES, Image
from .test_known_positions import ABSENT, answers, image_of, table_of

UNINDEXED = [kind for kind, style in STYLES.items() if style.seqs == "none"]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(str(tmp_path / "cache"))


def true_answers(image: Image) -> dict[bytes, list[int]]:
    found: dict[bytes, list[int]] = {}
    for index, (_, _, name) in enumerate(image.symbols):
        found.setdefault(name.encode(), []).append(index)
    return found


def searched(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Names that are searched among all names from now on."""
    names: list[bytes] = []
    search = Ends.candidates

    def candidates(self: Ends, name: bytes) -> Sequence[int]:
        names.append(name)
        return list(search(self, name))

    monkeypatch.setattr(Ends, "candidates", candidates)
    return names


@pytest.mark.parametrize("kind", UNINDEXED)
def test_every_name_is_found_and_no_other(kind: str) -> None:
    image = image_of(kind)
    names = table_of(image, None)._names
    wanted = true_answers(image)
    for name, indexes in wanted.items():
        assert names.find(name) == indexes
        for other in (name[:-1], name[1:], name + b"a", b"t" + name):
            assert names.find(other) == wanted.get(other, [])
    for absent in ABSENT:
        assert names.find(absent.encode()) == []


def test_few_names_are_left_to_expand() -> None:
    image = image_of(UNINDEXED[0])
    table = table_of(image, None)
    ends = Ends(*table._names._first_second_last(), table.layout.tokens)
    asked = sorted(true_answers(image))[::10]
    assert sum(len(list(ends.candidates(name))) for name in asked) < 12 * len(asked)


@pytest.mark.parametrize("kind", UNINDEXED)
def test_the_second_time_nothing_is_searched(
    kind: str, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = image_of(kind)
    names = searched(monkeypatch)
    wanted = answers(table_of(image, None), image)
    first = table_of(image, cache)
    assert answers(first, image) == wanted
    del first
    gc.collect()
    names.clear()
    second = table_of(image, cache)
    assert answers(second, image) == wanted
    # What a line cannot hold is searched each time.
    assert set(names) == {b"a b", b"new\nline"}
    unknown = "another_name"
    assert second.by_name(unknown) == ()
    assert names[-1] == unknown.encode()


@pytest.mark.parametrize("kind", UNINDEXED)
def test_what_another_kernel_has_changes_no_answer(kind: str, cache: Cache) -> None:
    """A crafted dump may say that it is of any kernel, and have as many symbols."""
    image, other = image_of(kind), image_of(kind, seed=2)
    first = table_of(other, cache)
    answers(first, image)
    answers(first, other)
    del first
    gc.collect()
    assert answers(table_of(image, cache), image) == answers(table_of(image, None), image)


@pytest.mark.parametrize("kind", UNINDEXED)
def test_an_entry_that_names_other_symbols_is_not_taken(kind: str) -> None:
    image = image_of(kind)
    wanted = answers(table_of(image, None), image)
    found = Found()
    for name, indexes in true_answers(image).items():
        others = (index for index in range(indexes[-1], len(image.symbols)) if index not in indexes)
        found.add(name, [next(others, 0)])
    table = table_of(image, None)
    table.remember(found)
    assert answers(table, image) == wanted


@pytest.mark.parametrize("kind", UNINDEXED)
def test_a_hole_in_the_names_is_told_as_ever(
    kind: str, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = image_of(kind)
    table, alone = table_of(image, cache), table_of(image, None)
    kept: list[bytes] = []
    monkeypatch.setattr(Found, "add", lambda _, name, __: kept.append(name))
    first, end = image.where["kallsyms_names"] // 4096, image.where["kallsyms_markers"] // 4096
    image.lost.update(range(first + 1, end))
    assert answers(table, image) == answers(alone, image)
    assert table.problems == alone.problems != ()
    assert not kept


@pytest.mark.parametrize("bad", [b"\0 x", b"x y", b"x -1", b"x 1\ny 3000", b"\xff 1 1 z", b"x  1"])
def test_bytes_that_are_no_names_are_none(bad: bytes) -> None:
    assert Found.unpack(bad, 3000).pack() == b""


def test_what_is_packed_is_unpacked_and_there_is_a_bound() -> None:
    found = Found()
    assert Found.unpack(found.pack(), 9).get(b"") is None
    for number in range(MAX_NAMES + 10):
        found.add(b"n%d" % number, [number, number + 3][: number % 3])
    again = Found.unpack(found.pack(), MAX_NAMES + 3)
    assert again.get(b"n7") == (7,)
    assert again.get(b"n8") == (8, 11)
    assert again.get(b"n9") == ()
    assert again.get(b"n%d" % MAX_NAMES) is None
    assert not again.is_new
    assert sorted(again.pack().split(b"\n")) == sorted(found.pack().split(b"\n"))
    many = Found()
    many.add(b"many", range(5000))
    assert many.get(b"many") is None


def test_only_a_table_without_an_index_keeps_what_it_found(cache: Cache) -> None:
    for kind, style in STYLES.items():
        names: Names = table_of(image_of(kind), cache)._names
        assert (names.searched is None) == (style.seqs != "none"), kind
        assert (names.positions is None) == (style.seqs == "none"), kind
