"""``bt`` marks the values that nothing confirms, and says once what the mark means."""

from __future__ import annotations

import json
from collections.abc import Iterable

import drgn
import pytest

from btfdbg.commands.evaluate import run_line
from btfdbg.frames import lines as module
from btfdbg.frames.arguments import Argument
from btfdbg.frames.lines import MEANING, Lines, one, text
from btfdbg.program.session import Session

Said = pytest.CaptureFixture[str]


def _argument(session: Session, name: str, value: int | None, confirmed: bool) -> Argument:
    type_ = session.prog.type("int")
    told = None if value is None else drgn.Object(session.prog, type_, value)
    return Argument(name, type_, told, "register", "" if told is not None else "lost", confirmed)


@pytest.fixture
def frames(session: Session, monkeypatch: pytest.MonkeyPatch) -> list[Lines]:
    """Every stack gets these lines: the bundled dumps lack the code that tells arguments."""
    sure = _argument(session, "fd", 3, True)
    unsure = _argument(session, "count", 9, False)
    lost = _argument(session, "buf", None, False)
    made = [
        Lines(text([sure, lost]), ""),
        Lines(text([sure, unsure]), "", doubtful=True),
        Lines("", ""),
    ]

    def lines(session: Session, frames: Iterable[drgn.StackFrame]) -> list[Lines]:
        return made

    monkeypatch.setattr(module, "lines", lines)
    return made


def test_a_value_that_nothing_confirms_has_a_mark(session: Session) -> None:
    assert one(_argument(session, "fd", 3, True)) == "fd=3"
    assert one(_argument(session, "fd", 3, False)) == "fd=3?"
    assert one(_argument(session, "fd", None, False)) == "fd=?"


def test_the_words_of_a_value_stand_behind_the_mark(session: Session) -> None:
    task = session.prog["init_task"].address_of_()
    argument = Argument("prev", task.type_, task, "register", "", False)
    assert one(argument) == f"prev={task.value_():#x}? (swapper/0 0)"


@pytest.mark.parametrize("line", ["bt 1", "foreach bt", "bt -g 1", "bt -s 1"])
def test_what_the_mark_means_is_said_once_behind_the_stacks(
    session: Session, frames: list[Lines], line: str, capsys: Said
) -> None:
    assert run_line(session, line)
    out = capsys.readouterr().out
    assert "fd=3, buf=?" in out
    assert "fd=3, count=9?" in out
    assert out.count(MEANING) == 1
    assert out.rstrip().endswith(f"({MEANING})")
    # The next command starts anew.
    assert run_line(session, line)
    assert capsys.readouterr().out == out


def test_it_is_not_said_where_no_value_is_marked(
    session: Session, frames: list[Lines], capsys: Said
) -> None:
    for line in ("bt -d 1", "bt -r 1"):  # without arguments
        assert run_line(session, line)
        assert MEANING not in capsys.readouterr().out
    del frames[1]
    assert run_line(session, "bt 1")
    out = capsys.readouterr().out
    assert "fd=3, buf=?" in out
    assert MEANING not in out


def test_json_says_of_each_frame_whether_its_values_are_confirmed(
    session: Session, frames: list[Lines], capsys: Said
) -> None:
    assert run_line(session, "bt 1 --json")
    rows = json.loads(capsys.readouterr().out)
    assert [(row["arguments"], row["confirmed"]) for row in rows[:4]] == [
        ("fd=3, buf=?", True),
        ("fd=3, count=9?", False),
        (None, None),
        (None, None),
    ]
