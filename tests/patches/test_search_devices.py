"""``search`` passes over device memory that a driver has mapped, and over nothing else."""

from __future__ import annotations

from pathlib import Path

import drgn
import pytest
from drgn.helpers.linux.mm import for_each_vmap_area

import btfdbg
from btfdbg.commands.evaluate import run_line
from btfdbg.program import memory_search
from btfdbg.program.memory_search import vmalloc_areas
from btfdbg.program.session import Session
from tests.conftest import bundled_dumps


@pytest.fixture(scope="module", params=[path for path, _ in bundled_dumps()], ids=lambda p: p.stem)
def session(request: pytest.FixtureRequest) -> Session:
    path: Path = request.param
    return btfdbg.session(btfdbg.program_from_core_dump(path))


@pytest.fixture(scope="module")
def left_out(session: Session) -> list[drgn.Object]:
    kept = set(vmalloc_areas(session.prog))
    every = {
        (area.va_start.value_(), area.va_end.value_()): area
        for area in for_each_vmap_area(session.prog)
    }
    assert kept <= set(every)
    return [area for place, area in every.items() if place not in kept]


def test_what_is_passed_over_is_no_ram_of_the_machine(
    session: Session, left_out: list[drgn.Object]
) -> None:
    prog = session.prog
    end = int(prog["max_pfn"]) * int(prog["PAGE_SIZE"])  # these guests' RAM has no hole
    start = session.vmcoreinfo.numbers.get("PHYS_OFFSET", 0)  # arm64's
    assert left_out
    for area in left_out:
        at, size = int(area.vm.phys_addr), int(area.vm.size)
        assert area.vm.flags & 1
        assert at >= end or at + size <= start


def test_device_memory_is_read_where_the_dump_has_it(
    session: Session, left_out: list[drgn.Object], monkeypatch: pytest.MonkeyPatch
) -> None:
    area = left_out[0]
    there = (int(area.vm.phys_addr) + 8, int(area.vm.phys_addr) + 16)
    monkeypatch.setattr(memory_search, "searched", lambda session: [there])
    assert (area.va_start.value_(), area.va_end.value_()) in set(vmalloc_areas(session.prog))


def test_nothing_is_passed_over_where_what_the_dump_has_is_not_known(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_search, "searched", lambda session: None)
    assert len(list(vmalloc_areas(session.prog))) == len(list(for_each_vmap_area(session.prog)))


def test_a_search_does_not_count_device_memory(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    run_line(session, "search -V fedcba9876543210")
    assert "memory that is not in the dump" not in capsys.readouterr().err
