"""The database's tables: what was packed is found, and damage is never another answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from btfdbg.vardb.layout import BLOCK, Column, SortedList, SortedTexts, Texts

NAMES = st.lists(
    st.text("abc_.", max_size=6).map(str.encode), unique=True, min_size=0, max_size=4 * BLOCK
).map(sorted)


def unpacked(texts: list[bytes]) -> SortedTexts:
    data, lengths = SortedTexts.pack(texts)
    return SortedTexts(b"x" + data + b"y", 1, 1 + len(data), lengths, len(texts))


@given(NAMES, st.text("abc_.d", max_size=6).map(str.encode))
def test_sorted_texts_are_found_as_in_a_list(texts: list[bytes], other: bytes) -> None:
    table, plain = unpacked(texts), SortedList(texts)
    assert list(table) == texts
    assert len(table) == len(texts)
    for text in [*texts, other]:
        assert table.find(text) == plain.find(text)


@given(NAMES, st.text("abc_.d", max_size=4).map(str.encode))
def test_it_is_known_whether_a_text_begins_so(texts: list[bytes], prefix: bytes) -> None:
    has = any(text.startswith(prefix) for text in texts)
    assert unpacked(texts).has_prefix(prefix) is SortedList(texts).has_prefix(prefix) is has


def test_long_common_beginnings_are_kept() -> None:
    texts = [b"x" * 300 + bytes([c]) for c in range(ord("a"), ord("z"))]
    assert list(unpacked(texts)) == texts


@given(st.lists(st.text(st.characters(exclude_characters="\n", codec="utf-8")), max_size=100))
def test_texts_are_had_by_number(texts: list[str]) -> None:
    data, lengths = Texts.pack(texts)
    table = Texts(data, 0, len(data), lengths)
    assert [table[i] for i in range(len(texts))] == texts
    for number in (-1, len(texts)):
        with pytest.raises((IndexError, ValueError)):
            table[number]


@given(st.lists(st.integers(0, 2**32 - 1), max_size=50))
def test_columns_give_the_numbers_that_were_packed(values: list[int]) -> None:
    data = Column.pack(values)
    column = Column(memoryview(data), len(values))
    assert column.tolist() == [column[i] for i in range(len(values))] == values
    often = [column[i] for _ in range(600) for i in range(min(len(values), 2))]
    assert often == values[:2] * 600


def test_columns_use_as_few_bytes_as_they_can() -> None:
    assert Column.pack([1, 255]) == b"\x01\xff"
    assert Column.pack([1, 256]) == b"\x01\x00\x00\x01"


@pytest.mark.parametrize(("data", "count"), [(b"", 1), (b"abc", 2), (b"abcde", 1), (b"a", 0)])
def test_a_column_of_another_length_is_refused(data: bytes, count: int) -> None:
    with pytest.raises(ValueError, match="another length"):
        Column(memoryview(data), count)


def test_blocks_that_do_not_fill_their_part_are_refused() -> None:
    data, lengths = SortedTexts.pack([b"a", b"b"])
    with pytest.raises(ValueError, match="do not fill"):
        SortedTexts(data + b"\n", 0, len(data) + 1, lengths, 2)
    with pytest.raises(ValueError, match="another number"):
        SortedTexts(data, 0, len(data), lengths, BLOCK + 1)
    with pytest.raises(ValueError, match="without an end"):
        SortedTexts(data[:-1], 0, len(data) - 1, [lengths[0] - 1], 2).find(b"b")
