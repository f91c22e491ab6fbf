"""Where a name stood before is where it stands, or it is looked for anew."""

from __future__ import annotations

import gc
from pathlib import Path
from random import Random

import pytest

from btfdbg.cache import Cache
from btfdbg.kallsyms import KallsymsTable, load
from btfdbg.kallsyms.known import MAX_NAMES, Positions
from btfdbg.vmcore.vmcoreinfo import VmcoreInfo

from .encoder import STYLES, Image, make_image, some_symbols

BUILD_ID = "e0c94673e97d58a386e99a20572aa7d597d5aa5c"
INDEXED = [kind for kind, style in STYLES.items() if style.seqs != "none"]
ABSENT = ("no_such_symbol", "_", "a", "zzzz", "init_uts_ns.", ".", "a b", "new\nline", "x" * 510)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(str(tmp_path / "cache"))


def image_of(kind: str, seed: int = 1) -> Image:
    style = STYLES[kind]
    return make_image(some_symbols(Random(seed), 3000, style), style)


def table_of(image: Image, cache: Cache | None) -> KallsymsTable:
    text = image.vmcoreinfo() + f"BUILD-ID={BUILD_ID}\n".encode()
    table = load(image.read, VmcoreInfo.parse(text), image.style.byteorder, cache=cache)
    assert isinstance(table, KallsymsTable)
    return table


def answers(table: KallsymsTable, image: Image) -> list[object]:
    names = sorted({name for _, _, name in image.symbols})
    asked = (*Random(3).sample(names, 150), *ABSENT)
    return [[(s.address, s.type_letter, s.name) for s in table.by_name(name)] for name in asked]


@pytest.mark.parametrize("kind", INDEXED)
def test_the_second_time_little_is_read(kind: str, cache: Cache) -> None:
    image = image_of(kind)
    wanted = answers(table_of(image, None), image)
    asked = (image.symbols[700][2], "no_such_symbol")

    def cost(table: KallsymsTable) -> int:
        before = image.bytes_read
        for name in asked:
            table.by_name(name)
        return image.bytes_read - before

    first = table_of(image, cache)
    cold = cost(first)
    assert answers(first, image) == wanted
    del first
    gc.collect()
    second = table_of(image, cache)
    assert cost(second) < cold
    assert answers(second, image) == wanted


@pytest.mark.parametrize("kind", INDEXED)
def test_positions_of_another_kernel_change_no_answer(kind: str, cache: Cache) -> None:
    """A crafted dump may say that it is of any kernel, and have as many symbols."""
    image, other = image_of(kind), image_of(kind, seed=2)
    assert len(image.symbols) == len(other.symbols)
    first = table_of(other, cache)
    answers(first, image)
    answers(first, other)
    del first
    gc.collect()
    for _ in range(2):
        table = table_of(image, cache)
        assert answers(table, image) == answers(table_of(image, None), image)
        del table
        gc.collect()


@pytest.mark.parametrize("kind", INDEXED)
def test_any_wrong_position_is_found_out(kind: str) -> None:
    image = image_of(kind)
    count = len(image.symbols)
    wanted = answers(table_of(image, None), image)
    rng = Random(20)
    for _ in range(20):
        table = table_of(image, None)
        positions = Positions()
        names = sorted({name for _, _, name in image.symbols})
        for name in (*Random(3).sample(names, 150), *ABSENT):
            for order in (0, 1):
                wrong = rng.choice([0, 1, count - 1, count, count + 1, -1, rng.randrange(count)])
                positions.add(name.encode(), order, wrong)
        table.remember(positions)
        assert answers(table, image) == wanted


def test_a_damaged_index_is_told_as_ever(cache: Cache) -> None:
    image = image_of("6.12 x86")
    whole = table_of(image, cache)
    answers(whole, image)
    del whole
    gc.collect()
    seqs = image.where["kallsyms_seqs_of_names"]
    image.lost.add(seqs // 4096 + 1)
    table = table_of(image, cache)
    found = answers(table, image)
    assert found == answers(table_of(image, None), image)


@pytest.mark.parametrize("bad", [b"", b"\0", b"x", b"x 1", b"x 1 y", b"\xff" * 40, b"x 1 2 3"])
def test_bytes_that_are_no_positions_are_none(bad: bytes) -> None:
    assert Positions.unpack(bad).pack() == b""


def test_what_is_packed_is_unpacked_and_there_is_a_bound() -> None:
    positions = Positions()
    for number in range(MAX_NAMES + 10):
        positions.add(b"n%d" % number, number % 2, number)
    again = Positions.unpack(positions.pack())
    assert again.pack() == positions.pack()
    assert again.get(b"n7", 1) == 7
    assert again.get(b"n7", 0) is None
    assert again.get(b"n%d" % MAX_NAMES, 0) is None
    assert not again.is_new
    assert sorted(again.pack().split(b"\n")) == sorted(positions.pack().split(b"\n"))


def test_positions_of_earlier_runs_give_way_to_new_ones() -> None:
    before = Positions()
    for number in range(MAX_NAMES):
        before.add(b"n%d" % number, 0, number)
    kept = Positions.unpack(before.pack())
    assert kept.get(b"n5", 0) == 5
    kept.add(b"new", 0, 7)
    again = Positions.unpack(kept.pack())
    assert (again.get(b"new", 0), again.get(b"n5", 0)) == (7, 5)
    assert again.get(b"n%d" % (MAX_NAMES - 1), 0) is None
    assert len(kept.pack().split(b"\n")) == MAX_NAMES
