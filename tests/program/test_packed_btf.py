"""BTF unpacked from a kdump file's pages is what drgn reads, kept or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from drgn import FaultError

from btfdbg.cache import Cache
from btfdbg.program import packed_btf
from btfdbg.program.attach import Options, register
from btfdbg.program.session import Session
from btfdbg.vmcore.kdumppages import KdumpPages
from btfdbg.vmcore.open import open_core
from tests.conftest import bundled_dumps

DUMPS = [path for path, _ in bundled_dumps()]
_PAGE = 4096


@pytest.fixture(scope="module", params=DUMPS, ids=lambda path: path.stem)
def session(request: pytest.FixtureRequest) -> Session:
    prog, info = open_core(request.param)
    return register(prog, Options(is_file=True), info)


@pytest.fixture
def place(session: Session) -> tuple[int, int]:
    start, stop = (session.lookup_symbols(f"__{word}_BTF")[0].address for word in ("start", "stop"))
    return start, stop - start


def test_kept_and_fresh_are_what_drgn_reads(
    session: Session, place: tuple[int, int], tmp_path: Path
) -> None:
    cache = Cache(str(tmp_path / "cache"))
    expected = session.prog.read(*place)
    assert packed_btf.read(session, *place, cache) == expected
    (entry,) = (tmp_path / "cache").iterdir()
    assert packed_btf.read(session, *place, cache) == expected
    # It was found: a damaged entry is not what it was, and is made anew.
    entry.write_bytes(entry.read_bytes()[:-1] + b"?")
    assert packed_btf.read(session, *place, cache) == expected


def test_what_is_kept_is_what_is_given(
    session: Session, place: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(str(tmp_path / "cache"))
    expected = packed_btf.read(session, *place, cache)

    def unpacked(*_: Any) -> bytes:
        raise AssertionError("it was unpacked again")

    monkeypatch.setattr(KdumpPages, "unpacked", unpacked)
    assert packed_btf.read(session, *place, cache) == expected


def test_another_dump_with_one_other_byte_finds_nothing(
    session: Session, place: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(str(tmp_path / "cache"))
    packed_btf.read(session, *place, cache)
    packed = KdumpPages.packed

    def other(self: KdumpPages, address: int, size: int) -> Any:
        found = packed(self, address, size)
        assert found is not None
        flags, data = found[-1]
        return [*found[:-1], (flags, bytes(data[:-1]) + bytes([data[-1] ^ 1]))]

    unpacked = []

    def nothing(self: KdumpPages, pages: Any) -> bytes:
        unpacked.append(pages)
        return b""

    monkeypatch.setattr(KdumpPages, "packed", other)
    monkeypatch.setattr(KdumpPages, "unpacked", nothing)
    # What cannot be unpacked here is left to drgn.
    assert packed_btf.read(session, *place, cache) == session.prog.read(*place)
    assert unpacked


@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, 40_000])
@pytest.mark.parametrize("skipped", [0, 1, 4095])
def test_any_part_is_what_drgn_reads(
    session: Session, place: tuple[int, int], tmp_path: Path, size: int, skipped: int
) -> None:
    cache = Cache(str(tmp_path / "cache"))
    address = place[0] + skipped
    for _ in range(2):
        assert packed_btf.read(session, address, size, cache) == session.prog.read(address, size)


def test_a_page_that_is_missing_is_drgns_error(session: Session, tmp_path: Path) -> None:
    cache = Cache(str(tmp_path / "cache"))
    for address in (0xFFFF_FFFF_FFFF_E000, 0x1000):
        with pytest.raises(FaultError) as theirs:
            session.prog.read(address, 8192)
        with pytest.raises(FaultError) as ours:
            packed_btf.read(session, address, 8192, cache)
        assert str(ours.value) == str(theirs.value)
    assert not (tmp_path / "cache").exists()


def test_nothing_is_kept_where_nothing_may_be(session: Session, place: tuple[int, int]) -> None:
    assert packed_btf.read(session, *place, Cache(None)) == session.prog.read(*place)


def test_memory_that_somebody_added_is_drgns_to_read(
    session: Session, place: tuple[int, int], tmp_path: Path
) -> None:
    prog, info = open_core(session.prog.core_dump_path or "")
    address = place[0] + 64
    prog.add_memory_segment(address, 4, lambda *_: b"mine")
    other = register(prog, None, info)
    cache = Cache(str(tmp_path / "cache"))
    assert packed_btf.read(other, *place, cache)[64:68] == b"mine"
    assert not (tmp_path / "cache").exists()


def test_pieces_out_of_the_page_tables_are_where_each_page_is(
    session: Session, place: tuple[int, int]
) -> None:
    assert session.dump is not None
    memory, paging = session.dump.memory, packed_btf.paging_of(session)
    assert isinstance(memory, KdumpPages)
    assert paging is not None
    start = place[0] & -_PAGE
    end = start + 600 * _PAGE
    wanted = [paging.translate(memory.read, at)[0] for at in range(start, end, _PAGE)]
    found = list(packed_btf._runs(paging, memory, start, end))
    assert [at for first, run in found for at in range(first, first + run, _PAGE)] == wanted
    assert len(found) < len(wanted) // 4


@pytest.mark.parametrize(
    ("leaves", "found"),
    [
        ([(0x1000, 0x7000, 0x1000), (0x2000, 0x8000, 0x1000)], [(0x7000, 0x2000)]),
        (
            [(0x1000, 0x7000, 0x1000), (0x2000, 0x9000, 0x9000)],
            [(0x7000, 0x1000), (0x9000, 0x2000)],
        ),
        ([(0, 0x20000, 0x10000)], [(0x21000, 0x3000)]),
        # Holes: at the start, in the middle, at the end.
        ([(0x2000, 0x7000, 0x1000)], []),
        ([(0x1000, 0x7000, 0x1000), (0x3000, 0x9000, 0x1000)], [(0x7000, 0x1000)]),
        ([(0x1000, 0, 0x1000)], [(0, 0x1000)]),
        ([], []),
    ],
)
def test_pieces_end_where_nothing_is_mapped(
    leaves: list[tuple[int, int, int]], found: list[tuple[int, int]]
) -> None:
    assert list(packed_btf._joined(iter(leaves), 0x1000, 0x4000)) == found
