"""What was known of a blob gives the answers that a fresh look gives, or none."""

from __future__ import annotations

import random

import pytest

from btfdbg.btf import Btf, Kind, enumerators, names
from btfdbg.btf.enumerators import find_enumerators
from btfdbg.btf.known import MAX_NAMES, KnownNames, RecordIndex
from btfdbg.btf.text import assemble
from tests.btf.samples import EVERY_KIND, SPLIT

_VALUES = ("RED", "BLUE", "MINUS", "SMALL", "HUGE", "BOTTOM", "ED")
_KINDS = (None, (Kind.STRUCT,), (Kind.TYPEDEF, Kind.STRUCT), (Kind.VAR,), (Kind.INT, Kind.INT), ())


def _btf() -> Btf:
    return assemble.parse(EVERY_KIND)


def _names(btf: Btf) -> list[str]:
    return [*{btf.name_of(i) for i in btf.own_ids()}, "absent", "a b", "new\nline", "x" * 600]


def _answers(btf: Btf) -> list[tuple[object, ...]]:
    names = _names(btf)
    doubts: list[str] = []
    found: list[tuple[object, ...]] = [
        btf.own_ids_by_name(name, kinds) for name in names for kinds in _KINDS
    ]
    found += [find_enumerators(btf, name, doubts) for name in (*names, *_VALUES)]
    return [*found, tuple(doubts)]


def _again(btf: Btf, index: RecordIndex | None = None) -> Btf:
    return Btf.parse(bytes(btf.raw), index=index)


def test_a_kept_index_is_the_one_that_is_made() -> None:
    made = _btf()
    index = RecordIndex.unpack(memoryview(RecordIndex.pack(made)))
    kept = _again(made, index)
    assert index is not None
    assert kept.offsets is index.offsets
    assert list(kept.offsets) == list(made.offsets)
    assert kept.type_cnt == made.type_cnt
    assert kept.own_kinds() == made.own_kinds()
    assert kept.kinds_in_use() == made.kinds_in_use()
    assert [kept.type_by_id(i) for i in kept.ids()] == [made.type_by_id(i) for i in made.ids()]
    assert [list(kept.own_of_kind(kind)) for kind in range(128)] == [
        list(made.own_of_kind(kind)) for kind in range(128)
    ]
    assert _answers(kept) == _answers(made)


@pytest.mark.parametrize("size", [0, 1, 4, 6])
def test_bytes_that_can_be_no_index_are_none(size: int) -> None:
    assert RecordIndex.unpack(memoryview(bytes(size))) is None


def test_an_index_that_leaves_the_section_is_made_anew() -> None:
    made = _btf()
    packed = bytearray(RecordIndex.pack(made))
    for at in (0, 4 * (len(made.offsets) - 1)):
        bad = packed[:]
        bad[at : at + 4] = (0xFFFFFFF0).to_bytes(4, "little")
        kept = _again(made, RecordIndex.unpack(memoryview(bytes(bad))))
        assert list(kept.offsets) == list(made.offsets)


def test_known_names_answer_as_a_search_does() -> None:
    fresh = _btf()
    first = _btf()
    first.known_names = KnownNames()
    wanted = _answers(fresh)
    assert _answers(first) == wanted
    assert first.known_names.is_new
    assert _answers(first) == wanted
    second = _btf()
    second.known_names = KnownNames.unpack(first.known_names.pack())
    assert not second.known_names.is_new
    assert _answers(second) == wanted
    short = [name for name in _names(fresh) if "\n" not in name]
    assert any(" " in name for name in short)
    second.known_names.is_new = False
    for name in short:
        if 0 < len(name) < 512:
            assert second.known_names.ids(second, name.encode(), None) is not None, name
    assert not second.known_names.is_new


def test_wrong_answers_are_dropped_and_searched_anew() -> None:
    fresh = _btf()
    wanted = _answers(fresh)
    first = _btf()
    first.known_names = KnownNames()
    _answers(first)
    good = first.known_names.pack()
    rng = random.Random(20)
    for _ in range(300):
        lines = [line.rpartition(b" ") for line in good.split(b"\n")]
        at = rng.choice([i for i, line in enumerate(lines) if b"\0" not in line[2]])
        kept = [*lines[at][0].rpartition(b"\0")[2].split(b" ")[1:], lines[at][2]]
        wrong = rng.choice([i for i in range(-1, fresh.type_cnt + 2) if b"%d" % i not in kept])
        lines[at] = (*lines[at][:2], b"%d" % wrong)
        btf = _btf()
        btf.known_names = KnownNames.unpack(b"\n".join(map(b"".join, lines)))
        assert _answers(btf) == wanted


def test_places_of_words_are_known_again_and_held_against_the_blob() -> None:
    btf = _btf()
    wanted = {
        values: tuple(btf.find_word(*values))
        for at in range(len(btf.words) - 1)
        for values in ((btf.words[at],), (btf.words[at], btf.words[at + 1]), (0xABCD, at))
    }
    known = KnownNames()
    for values, places in wanted.items():
        assert known.words(btf, values) is None
        known.add_words(values, places)
    assert known.is_new
    again = KnownNames.unpack(known.pack())
    for values, places in wanted.items():
        short = len(places) <= 64
        assert again.words(btf, values) == (places if short else None), values
    assert {len(places) > 1 for places in wanted.values()} == {True, False}
    good = next(values for values, places in wanted.items() if len(places) == 2)
    first, second = wanted[good]
    size = len(btf.words)
    for bad in (
        (first + 1,),
        (second, first),
        (first, first),
        (first - size,),
        (size,),
        (1 << 70,),
    ):
        wrong = KnownNames()
        wrong.add_words(good, bad)
        assert wrong.words(btf, good) is None, bad


@pytest.mark.parametrize(
    "bad", [b"", b"\0", b"x", b"x y", b"x 1 y", b"\xff" * 40, b"int\x000 1\n\n", b"int\0"]
)
def test_bytes_that_are_no_answers_are_none(bad: bytes) -> None:
    btf = _btf()
    btf.known_names = KnownNames.unpack(bad)
    assert _answers(btf) == _answers(_btf())


def test_no_more_names_are_kept_than_there_is_room_for() -> None:
    known = KnownNames()
    for number in range(MAX_NAMES + 10):
        known.add(b"n%d" % number, None, ())
    assert len(known.pack().split(b"\n")) == MAX_NAMES
    many = b"\n".join(b"n%d\x000" % number for number in range(2 * MAX_NAMES))
    assert len(KnownNames.unpack(many).pack().split(b"\n")) == MAX_NAMES


def test_names_of_earlier_runs_give_way_to_new_ones_but_for_those_asked_again() -> None:
    btf = _btf()
    before = KnownNames()
    for number in range(MAX_NAMES):
        before.add(b"n%d" % number, None, ())
    known = KnownNames.unpack(before.pack())
    last = b"n%d" % (MAX_NAMES - 1)
    assert known.ids(btf, last, None) == ()
    assert not known.is_new
    known.add(b"new", None, ())
    assert known.is_new
    again = KnownNames.unpack(known.pack())
    assert [again.ids(btf, name, None) for name in (last, b"new", b"n0")] == [(), (), ()]
    assert again.ids(btf, b"n%d" % (MAX_NAMES - 2), None) is None
    assert len(known.pack().split(b"\n")) == MAX_NAMES


def test_enumerators_are_the_same_found_by_search_and_by_all_names() -> None:
    for known in (None, KnownNames()):
        searched, read = _btf(), _btf()
        searched.known_names = read.known_names = known
        for number in range(enumerators._TABLE_AFTER + 1):
            assert find_enumerators(read, f"absent{number}") == ()
        read.known_names = None
        for name in (*_names(read), *_VALUES, *(f"_{name}" for name in _VALUES)):
            assert find_enumerators(read, name) == find_enumerators(searched, name), name


def test_many_absent_names_are_looked_up_in_a_table() -> None:
    btf = _btf()
    for number in range(names._SCANS + 1):
        assert btf.own_ids_by_name(f"absent{number}") == ()
    assert btf._names is not None
    assert btf._names._table is not None
    assert [btf.own_ids_by_name(name) for name in _names(btf)] == [
        _btf().own_ids_by_name(name) for name in _names(btf)
    ]


def test_what_splits_ask_of_a_base_is_found_once_and_held_against_it() -> None:
    def splits(known: KnownNames | None) -> list[object]:
        base = _btf()
        base.known_names = known
        found: list[object] = []
        for _ in range(2):
            split = assemble.parse(SPLIT, base=base)
            found += [split.own_ids_by_name(name) for name in (*_names(split), *_names(base))]
            found += [find_enumerators(split, name) for name in _VALUES]
        return found

    wanted = splits(None)
    known = KnownNames()
    assert splits(known) == wanted
    good = known.pack()
    again = KnownNames.unpack(good)
    assert splits(again) == wanted
    assert not again.is_new
    strings = [line for line in good.split(b"\n") if b"\0-3 " in line]
    assert strings
    for line in strings:
        head, _, last = line.rpartition(b" ")
        for wrong in (int(last) + 1, 1 << 40):
            bad = good.replace(line, b"%b %d" % (head, wrong))
            assert splits(KnownNames.unpack(bad)) == wanted
