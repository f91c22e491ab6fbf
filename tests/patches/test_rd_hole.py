"""``rd`` of a range that runs into a hole: what is before it, then the reason."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import drgn
import pytest
from drgn.helpers.linux.mm import for_each_vmap_area

import btfdbg
from btfdbg.commands.evaluate import run_line
from btfdbg.program.session import Session
from tests.conftest import bundled_dumps

_PAGE = 4096


@pytest.fixture(scope="module", params=[path for path, _ in bundled_dumps()], ids=lambda p: p.stem)
def session(request: pytest.FixtureRequest) -> Session:
    path: Path = request.param
    return btfdbg.session(btfdbg.program_from_core_dump(path))


@pytest.fixture(scope="module")
def hole(session: Session) -> int:
    """The first byte that cannot be read behind a page that can."""
    for area in for_each_vmap_area(session.prog):
        pages = range(area.va_start.value_(), area.va_end.value_(), _PAGE)
        for one, other in pairwise(pages):
            if _there(session.prog, one) and not _there(session.prog, other):
                return other
    pytest.fail("no such page")


def _there(prog: drgn.Program, address: int) -> bool:
    try:
        prog.read(address, 8)
    except drgn.FaultError:
        return False
    return True


def _words(out: str) -> list[int]:
    return [int(w, 16) for line in out.splitlines() for w in line.partition(":  ")[2].split()]


@pytest.mark.parametrize(
    ("options", "before"),
    [("", 4), ("-x", 4), ("-R", 4), ("-o 8", 3), ("-e {end:x}", 4)],
)
def test_what_can_be_read_is_shown_and_then_why_no_more(
    session: Session, hole: int, options: str, before: int, capsys: pytest.CaptureFixture[str]
) -> None:
    start = hole - 32
    count = "" if "-e" in options else "8"
    if options == "-R":
        start += 56  # its last word
    line = f"rd -x {options.format(end=hole + 32)} {start:x} {count}"
    assert not run_line(session, line)
    captured = capsys.readouterr()
    at = hole - 8 * before
    data = session.prog.read(at, 8 * before)
    words = [int.from_bytes(data[i : i + 8], "little") for i in range(0, len(data), 8)]
    assert _words(captured.out) == words
    assert captured.out.startswith(f"{at:x}:")
    assert f"{hole:#x}" in captured.err
    assert f"{at:#x}" not in captured.err


def test_a_range_that_begins_in_the_hole_shows_nothing(
    session: Session, hole: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not run_line(session, f"rd {hole:x} 8")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"{hole:#x}" in captured.err


def test_a_range_that_ends_at_the_hole_is_whole(
    session: Session, hole: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_line(session, f"rd -x {hole - 32:x} 4")
    captured = capsys.readouterr()
    assert len(_words(captured.out)) == 4
    assert captured.err == ""


def test_half_a_file_is_not_written(session: Session, hole: int, tmp_path: Path) -> None:
    out = tmp_path / "memory"
    assert not run_line(session, f"rd -r {out} {hole - 32:x} 64")
    assert not out.exists()
