"""The unwinding tables that a kdump's Program is lent are those that drgn reads itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import drgn
import pytest
from drgn.helpers.linux.pid import for_each_task

from btfdbg.program import unwind_tables
from btfdbg.program.attach import Options, register
from btfdbg.program.session import Session
from btfdbg.vmcore.kdumppages import KdumpPages
from btfdbg.vmcore.open import open_core
from tests.conftest import bundled_dumps

DUMPS = [path for path, _ in bundled_dumps()]
_FIRST, _LAST = "__start_orc_unwind_ip", "__stop_orc_unwind"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("BTFDBG_NO_CACHE", raising=False)
    return tmp_path


@pytest.fixture(params=DUMPS, ids=lambda path: path.stem)
def dump(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


def _opened(path: Path, *, is_file: bool = True) -> Session:
    prog, info = open_core(path)
    session = register(prog, Options(is_file=is_file), info)
    session.ensure_modules()
    return session


def _place(session: Session) -> tuple[int, int]:
    first, last = (session.lookup_symbols(name) for name in (_FIRST, _LAST))
    return first[0].address, last[0].address


def _is_x86(session: Session) -> bool:
    platform = session.prog.platform
    return platform is not None and platform.arch is drgn.Architecture.X86_64


def _stacks(session: Session) -> Iterator[tuple[Any, ...]]:
    for task in for_each_task(session.prog):
        try:
            trace = session.prog.stack_trace(task)
        except (ValueError, drgn.FaultError) as e:
            yield (str(e),)
            continue
        yield tuple((frame.name, frame.pc, sorted(frame.registers().items())) for frame in trace)


@pytest.fixture
def lendings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of what was lent."""
    sizes: list[int] = []
    original = unwind_tables._segment

    def segment(session: Session, start: int, data: bytes | memoryview) -> Any:
        sizes.append(len(data))
        return original(session, start, data)

    monkeypatch.setattr(unwind_tables, "_segment", segment)
    return sizes


def test_stacks_and_memory_are_the_same_fresh_and_kept(
    dump: Path, own_cache: Path, lendings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = _opened(dump, is_file=False)
    expected = list(_stacks(plain))
    assert not lendings
    for kept in (False, True):
        if kept:
            monkeypatch.setattr(KdumpPages, "unpacked", _never)
        session = _opened(dump)
        assert list(_stacks(session)) == expected
        if not _is_x86(session):
            assert not lendings
            return
        start, end = _place(session)
        assert lendings == [end - start] * (1 + kept)
        assert list(own_cache.glob("btfdbg/packed-orc-2-*"))
        # drgn has read its own; what anybody reads now comes out of the file's pages.
        for at, size in ((start, end - start), (start - 7, 20), (start + 4090, 9000), (end - 3, 9)):
            assert session.prog.read(at, size) == plain.prog.read(at, size)


def _never(*_: Any) -> bytes:
    raise AssertionError("it was unpacked again")


def test_nothing_is_lent_of_tables_that_are_not_whole(
    dump: Path, lendings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = list(_stacks(_opened(dump, is_file=False)))
    monkeypatch.setattr(KdumpPages, "packed", lambda *_: None)
    assert list(_stacks(_opened(dump))) == expected
    assert not lendings


def test_tables_with_another_byte_are_not_taken_from_the_cache(
    dump: Path, own_cache: Path, lendings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = _opened(dump)
    if not _is_x86(session):
        pytest.skip("no ORC")
    first = session.prog.crashed_thread().object
    session.prog.stack_trace(first)
    assert lendings
    packed = KdumpPages.packed

    def other(self: KdumpPages, address: int, size: int) -> Any:
        found = packed(self, address, size)
        assert found is not None
        flags, data = found[-1]
        return [*found[:-1], (flags, bytes(data[:-1]) + bytes((data[-1] ^ 1,)))]

    monkeypatch.setattr(KdumpPages, "packed", other)
    unpacked: list[int] = []

    def noted(self: KdumpPages, pages: Any) -> bytes:
        unpacked.append(len(pages))
        raise drgn.FaultError("damaged", 0)

    monkeypatch.setattr(KdumpPages, "unpacked", noted)
    again = _opened(dump)
    assert [f.pc for f in again.prog.stack_trace(again.prog.crashed_thread().object)] == [
        f.pc for f in session.prog.stack_trace(first)
    ]
    assert unpacked
    assert len(lendings) == 1
