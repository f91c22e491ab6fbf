"""``kmem -p`` of all pages: drgn's rows, in bulk; what is missing is counted."""

from __future__ import annotations

import importlib
import json
import operator
from pathlib import Path

import pytest

import btfdbg
from btfdbg.commands import evaluate, namespace
from btfdbg.program.session import Session

COREFILES = Path(__file__).resolve().parents[2] / "corefiles"
CORES = sorted(COREFILES.glob("*.vmcore"))


@pytest.fixture(params=CORES, ids=lambda path: path.stem)
def session(request: pytest.FixtureRequest) -> Session:
    return btfdbg.session(btfdbg.program_from_core_dump(request.param))


def test_rows_are_those_that_drgn_prints_of_each_page(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    namespace.load_commands()
    assert evaluate.run_line(session, "kmem -p")
    head, *lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 1000
    shown = importlib.import_module("drgn.commands._crash._kmem")._print_pages_default_members
    chosen = lines[:: len(lines) // 97]
    from drgn.helpers.linux.mm import pfn_to_page

    pages = [(int(line.split()[1], 16) >> 12) for line in chosen]
    shown(
        session.prog,
        [(pfn, pfn_to_page(session.prog, pfn)) for pfn in pages],
        get_page=operator.itemgetter(1),
        get_physical=lambda item: item[0] << 12,
    )
    assert capsys.readouterr().out.splitlines() == [head, *chosen]


def test_pages_that_the_dump_does_not_describe_are_counted(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.run_line(session, "kmem -p")
    captured = capsys.readouterr()
    shown = len(captured.out.splitlines()) - 1
    (remark,) = [line for line in captured.err.splitlines() if "have no struct page" in line]
    missing = int(remark.split()[1])
    from drgn.helpers.linux.mm import for_each_valid_page_range

    ranges = for_each_valid_page_range(session.prog)
    assert shown + missing == sum(end - start for start, end, _ in ranges)


def test_members_of_pages_are_shown_as_far_as_the_dump_goes(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.run_line(session, "kmem -p")
    captured = capsys.readouterr()
    (remark,) = [line for line in captured.err.splitlines() if "have no struct page" in line]
    places = [line.split()[0] for line in captured.out.splitlines()[1:]]
    assert evaluate.run_line(session, "kmem -m flags,_refcount")
    captured = capsys.readouterr()
    assert [line.split()[0] for line in captured.out.splitlines()[1:]] == places
    assert remark in captured.err


def test_json_has_the_same_pages(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate.run_line(session, "kmem -p")
    lines = capsys.readouterr().out.splitlines()[1:]
    assert evaluate.run_line(session, "kmem -p --json-lines")
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == len(lines)
    first, cells = rows[0], lines[0].split(None, 5)
    assert first["PHYSICAL"] == int(cells[1], 16)
    assert first["CNT"] == int(cells[4], 16)


def test_a_bit_of_a_pages_flags_has_one_name(session: Session) -> None:
    from drgn.helpers.linux import mm

    from btfdbg.patches.pages import decode_page_flags_value as patch

    prog, decode = session.prog, patch(mm.decode_page_flags_value)
    count = prog["__NR_PAGEFLAGS"]
    enumerators = count.type_.enumerators or ()
    own: dict[int, str] = {}
    for one in enumerators:
        own.setdefault(one.value, one.name)
    assert len(own) < len(enumerators)  # there are others
    for bit in range(int(count)):
        assert decode(prog, 1 << bit) == own[bit]
    every = decode(prog, (1 << int(count)) - 1).split("|")
    assert sorted(every) == sorted(own[bit] for bit in range(int(count)))
